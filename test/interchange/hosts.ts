/** Hosts of every kind that the exporters must hold, with parameters as if trained. */
import type { BlueprintKind } from "../../src/contracts/blueprint-kinds.ts";
import type { Host, Tensor } from "../../src/contracts/graph.ts";
import { bypassFor } from "../../src/graph/blueprints/index.ts";
import { cnn, mlp, resnet, transformer } from "../../src/graph/hosts/index.ts";
import { foldBypass, insertBypass } from "../../src/graph/rewrite.ts";
import { floats, random, trainedParameters } from "./support.ts";

export interface Case {
  readonly name: string;
  readonly host: Host;
  readonly x: Tensor;
}

/** A bypass over a span, folded in. */
export const grown = (host: Host, from: string, to: string, seedId: string, kind: BlueprintKind): Host => {
  const source = host.layers.find(({ name }) => name === from)!.input;
  const blueprint = bypassFor(host, source, to, { kind, hiddenWidth: 4, initialization: "zero" });
  return foldBypass(insertBypass(host, { seedId, blueprint, from: source, to, alpha: "input" }), seedId);
};

const small = mlp({ name: "mlp", inputShape: [1, 4, 4], widths: [8, 6, 7], classes: 3, activation: "gelu" });
const convolutional = cnn({ name: "cnn", inputShape: [2, 8, 8], channels: [4, 6, 5], classes: 4, batchNorm: true });

const flat = cnn({ name: "cnn", inputShape: [2, 8, 8], channels: [4, 4, 5], classes: 4, strides: [1, 1, 2] });

export const cases: readonly Case[] = [
  { name: "mlp", host: small, x: floats([3, 1, 4, 4], "mlp") },
  { name: "cnn with batch normalisation", host: convolutional, x: floats([3, 2, 8, 8], "cnn") },
  {
    name: "cnn with biases",
    host: cnn({ name: "cnn", inputShape: [1, 7, 9], channels: [3, 4], classes: 2, activation: "tanh" }),
    x: floats([2, 1, 7, 9], "odd"),
  },
  {
    name: "resnet",
    host: resnet({ name: "resnet", inputShape: [3, 8, 8], width: 4, blocks: [1, 2], classes: 5 }),
    x: floats([2, 3, 8, 8], "resnet"),
  },
  { name: "mlp with a folded bypass", host: grown(small, "h1", "h3", "seed:h1", "dense"), x: floats([3, 1, 4, 4], "grown") },
  ...(["convolution", "depthwise-separable", "squeeze-excite", "normalization"] as const).map(
    (kind): Case => ({
      name: `cnn with a folded ${kind} bypass`,
      host: grown(flat, "c2", "c2", "seed:c2", kind),
      x: floats([2, 2, 8, 8], kind),
    }),
  ),
];

/** Only ONNX and safetensors hold it. */
export const tokenCase: Case = {
  name: "transformer",
  host: transformer({ name: "transformer", tokens: 6, vocabulary: 9, layers: 2, width: 8, heads: 2 }),
  x: { dtype: "int32", shape: [3, 6], data: Int32Array.from({ length: 18 }, () => random.integer(9)) },
};

export const parametersOf = ({ host, name }: Case): Record<string, Tensor> => trainedParameters(host, name);
