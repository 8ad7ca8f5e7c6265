/** Two small networks as whole training steps, with feeds: the programs that engines run in earnest. */
import type { Graph, Program, Tensor } from "../../src/contracts/graph.ts";
import type { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { optimizerScalars } from "../../src/graph/optimizers.ts";
import { createRandom } from "../../src/graph/random.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { type StepProgram, trainStep } from "../../src/graph/step.ts";

const dense = (b: GraphBuilder, name: string, x: string, inputs: number, outputs: number): string => {
  const w = b.parameter(`${name}/w`, [inputs, outputs], { kind: "heNormal", fanIn: inputs });
  const bias = b.parameter(`${name}/b`, [outputs], { kind: "constant", value: 0 });
  return b.op("add", [b.op("matMul", [x, w], { transposeA: false, transposeB: false }), bias], {});
};

export const mlpGraph = (widths: readonly number[]): Graph => {
  const b = new GraphBuilder();
  let x = b.input("x", [-1, widths[0]!]);
  for (let layer = 1; layer < widths.length; layer++) {
    const z = dense(b, `h${layer}`, x, widths[layer - 1]!, widths[layer]!);
    x = layer < widths.length - 1 ? b.op("relu", [z], {}) : z;
  }
  b.output("logits", x);
  return b.build();
};

/** Strided convolution, batch norm, grouped convolution with GELU, average pooling, dropout, dense. */
export const cnnGraph = (): Graph => {
  const b = new GraphBuilder();
  const x = b.input("x", [-1, 2, 9, 9]);
  const w1 = b.parameter("c1/w", [4, 2, 3, 3], { kind: "heNormal", fanIn: 18 });
  const c1 = b.op("conv2d", [x, w1], { strides: [2, 2], pads: [1, 1, 1, 1], groups: 1 });
  const statistics = { trainable: false };
  const normalised = b.op(
    "batchNorm",
    [
      c1,
      b.parameter("n1/gamma", [4], { kind: "constant", value: 1 }),
      b.parameter("n1/beta", [4], { kind: "constant", value: 0 }),
      b.parameter("n1/mean", [4], { kind: "constant", value: 0 }, statistics),
      b.parameter("n1/variance", [4], { kind: "constant", value: 1 }, statistics),
    ],
    { epsilon: 1e-5, momentum: 0.9 },
  );
  const w2 = b.parameter("c2/w", [6, 2, 3, 3], { kind: "heNormal", fanIn: 18 });
  const c2 = b.op("conv2d", [b.op("relu", [normalised], {}), w2], { strides: [1, 1], pads: [1, 1, 1, 1], groups: 2 });
  const pooled = b.op("avgPool2d", [b.op("gelu", [c2], { approximate: "none" })], {
    kernelSize: [2, 2],
    strides: [2, 2],
    pads: [0, 0, 0, 0],
  });
  const flat = b.op("reshape", [b.op("dropout", [pooled], { rate: 0.25 })], { shape: [-1, 24] });
  b.output("logits", dense(b, "out", flat, 24, 5));
  return b.build();
};

const tensor = (shape: readonly number[], draw: () => number): Tensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, draw),
});

const integers = (shape: readonly number[], draw: () => number): Tensor => ({
  dtype: "int32",
  shape,
  data: Int32Array.from({ length: sizeOf(shape) }, draw),
});

type Port = Program["inputs"][number];

export interface StepCase {
  readonly step: StepProgram;
  /** Feeds of the first step; every draw comes from the seed. */
  readonly feeds: Readonly<Record<string, Tensor>>;
}

export const stepCase = (graph: Graph, optimizer: OptimizerConfig, batch: number, classes: number, seed = 7): StepCase => {
  const step = trainStep({ host: { graph, task: "classification" }, optimizer, trainableCohorts: ["host"], batch });
  const random = createRandom(seed);
  const [x, y] = ["x", "y"].map((name) => step.program.inputs.find((input) => input.name === name)!) as [Port, Port];
  const feeds: Record<string, Tensor> = {
    x: x.dtype === "int32" ? integers(x.shape, () => random.integer(classes)) : tensor(x.shape, () => random.normal()),
    y: integers(y.shape, () => random.integer(classes)),
    ...Object.fromEntries(initializeParameters(step.parameters, random)),
    ...Object.fromEntries(step.slots.map(({ name, shape }) => [name, tensor(shape, () => 0)])),
    ...Object.fromEntries(step.randomInputs.map(({ name, shape }) => [name, tensor(shape, () => random.uniform())])),
    ...optimizerScalars(optimizer, "host", 1),
  };
  return { step, feeds };
};

/** The feeds of the next step, with what the last one has updated. */
export const nextFeeds = (
  { step, feeds }: StepCase,
  outputs: Readonly<Record<string, Tensor>>,
  scalars: Readonly<Record<string, Tensor>>,
): Readonly<Record<string, Tensor>> => ({
  ...feeds,
  ...Object.fromEntries(Object.entries(step.updates).map(([name, output]) => [name, outputs[output]!])),
  ...scalars,
});
