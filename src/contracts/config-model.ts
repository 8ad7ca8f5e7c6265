/** The hosts that can be trained: four that ship, and a file of the user's own. */
import { z } from "zod";
import { shown } from "./shown.ts";

const activation = z.enum(["relu", "tanh", "gelu"]).default("relu").describe("Activation of the hidden layers.");

export const ModelConfig = z.discriminatedUnion("name", [
  z.strictObject({
    name: z.literal("mlp").describe("Dense layers, each with an activation."),
    widths: z
      .array(z.int().min(1).max(8192))
      .min(1)
      .max(64)
      .default([64, 64, 64])
      .describe("Units of each hidden layer, from the input on."),
    activation,
  }),
  z.strictObject({
    name: z
      .literal("cnn")
      .describe("3×3 convolutions with an activation, every second one strided, then a global average pool and a dense output."),
    channels: z
      .array(z.int().min(1).max(1024))
      .min(1)
      .max(64)
      .default([8, 16, 16])
      .describe("Channels of each convolution, from the input on."),
    activation,
    batchNorm: z.boolean().default(false).describe("Batch normalisation before each activation, in place of the bias."),
    strides: z
      .array(z.int().min(1).max(8))
      .min(1)
      .max(64)
      .optional()
      .describe("Stride of each convolution; left out: 1 for the first and 2 after it."),
  }),
  z.strictObject({
    name: z
      .literal("resnet18")
      .describe("The CIFAR form of ResNet-18 (He et al., 2016): a 3×3 stem, four stages of basic blocks, global average pool."),
    width: z
      .int()
      .min(1)
      .max(512)
      .default(64)
      .describe("Channels of the first stage, doubled in each that follows; 8 trains on two cores."),
    blocks: z.array(z.int().min(1).max(32)).min(1).max(6).default([2, 2, 2, 2]).describe("Basic blocks of each stage."),
  }),
  z.strictObject({
    name: z
      .literal("transformer")
      .describe("A causal character-level transformer with pre-normalisation (Radford et al., 2019)."),
    layers: z.int().min(1).max(48).default(4).describe("Blocks of attention and MLP."),
    width: z.int().min(2).max(4096).default(64).describe("Width of the residual stream."),
    heads: z.int().min(1).max(64).default(4).describe("Attention heads of each block; they divide `width`."),
    hiddenWidth: z.int().min(1).max(16_384).optional().describe("Units of each block's MLP; left out: four times `width`."),
  }),
  z.strictObject({
    name: z.literal("file").describe("A model of your own, with its weights, imported into Esper's graph."),
    file: shown("notes, errors", z.string()).describe(
      "A tensorflow.js LayersModel (`model.json`), an ONNX file, or a model that Esper exported.",
    ),
  }),
]);
export type ModelConfig = z.infer<typeof ModelConfig>;
