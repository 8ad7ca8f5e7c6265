/** What the tests of pruning and merging share: hosts, small bypasses, parameters with dead units, logits in float64. */
import type { Graph, Host, Tensor } from "../../src/contracts/graph.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { programFlops } from "../../src/graph/flops.ts";
import { cnn, mlp } from "../../src/graph/hosts/index.ts";
import { inference } from "../../src/graph/programs.ts";
import type { Pruning } from "../../src/graph/prune.ts";
import { runNumeric, toNumeric } from "../../src/graph/reference.ts";
import { insertBypass } from "../../src/graph/rewrite.ts";
import { drawn } from "./numeric.ts";

export const BATCH = 3;

export type Tensors = Map<string, Tensor>;

const hash = (text: string): number => [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 1_000_003, 7);

/** Every parameter random, whatever its initializer says; variances positive. */
export const randomTensors = (host: Host, seed = 0): Tensors =>
  new Map(
    host.graph.parameters.map(({ name, shape }) => {
      const { data } = drawn(shape, hash(name) + seed, name.endsWith("variance") ? "positive" : "both");
      return [name, { dtype: "float32" as const, shape: [...shape], data: Float32Array.from(data, (value) => value * 0.6) }];
    }),
  );

/** A moment for each trainable parameter: its own values, so that a wrong slice shows. */
export const withSlots = (host: Host, tensors: Tensors): Tensors => {
  const result = new Map(tensors);
  for (const { name, trainable } of host.graph.parameters) {
    if (!trainable) continue;
    const tensor = tensors.get(name)!;
    for (const suffix of ["#m", "#v"]) result.set(`${name}${suffix}`, { ...tensor, data: tensor.data.slice() });
  }
  return result;
};

/** Logits of `BATCH` random samples, float64 throughout. Every graph input other than `x` is 1: an alpha. */
export const logitsOf = (host: Host, tensors: ReadonlyMap<string, Tensor>, sampleSeed = 5): Float64Array => {
  const program = inference({ host, batch: BATCH });
  const feeds = program.inputs.map(({ name, shape, dtype }) => {
    const tensor = tensors.get(name);
    if (tensor !== undefined) return [name, toNumeric(tensor)] as const;
    if (dtype === "int32")
      return [name, { dtype, shape, data: drawn(shape, sampleSeed).data.map((v) => (v > 0 ? 1 : 0)) }] as const;
    return [name, name === "x" ? drawn(shape, sampleSeed) : { dtype, shape, data: Float64Array.of(1) }] as const;
  });
  return runNumeric(program, Object.fromEntries(feeds))["logits"]!.data;
};

export const forwardFlops = (host: Host): number => programFlops(inference({ host, batch: BATCH }));

/** Incoming weights zero and a bias, or with normalisation no scale and a shift: the units say the same to every input. */
export const killUnits = (host: Host, tensors: Tensors, layerName: string, units: readonly number[], shift: number): Tensors => {
  const layer = host.layers.find(({ name }) => name === layerName)!;
  const result = new Map(tensors);
  const put = (name: string, value: number): void => {
    const tensor = result.get(name)!;
    const data = tensor.data.slice();
    const isRow = layer.kind === "conv2d" && tensor.shape.length > 1;
    const inner = isRow ? data.length / tensor.shape[0]! : 1;
    for (let index = 0; index < data.length; index++) {
      const unit = isRow ? Math.floor(index / inner) : index % tensor.shape.at(-1)!;
      if (units.includes(unit)) data[index] = value;
    }
    result.set(name, { ...tensor, data });
  };
  for (const name of layer.parameters) {
    if (/\/(weight|gamma)$/.test(name)) put(name, 0);
    if (/\/(bias|beta)$/.test(name)) put(name, shift);
  }
  return result;
};

export const plain = mlp({ name: "plain", inputShape: [1, 2, 3], widths: [5, 6, 4], classes: 3 });
export const smooth = mlp({ name: "smooth", inputShape: [4], widths: [5, 4], classes: 3, activation: "tanh" });
export const curved = mlp({ name: "curved", inputShape: [4], widths: [5, 4], classes: 3, activation: "gelu" });
export const images = cnn({ name: "images", inputShape: [2, 7, 7], channels: [4, 5, 4], classes: 3 });
export const normalized = cnn({ name: "normalized", inputShape: [2, 7, 7], channels: [4, 5, 4], classes: 3, batchNorm: true });
export const pooled = cnn({ name: "pooled", inputShape: [1, 8, 8], channels: [4, 5], classes: 3, downsample: "average" });

export const expectPruned = (result: Pruning): Extract<Pruning, { kind: "pruned" }> => {
  if (result.kind === "refused") throw new Error(`expected a pruned host, got the refusal: ${result.reason}`);
  return result;
};

export interface MadeBypass {
  /** Sizes of the weights from input to output: two without anything between them when `activation` is absent. */
  readonly sizes: readonly number[];
  readonly activation?: "relu" | "tanh";
}

/** Dense layers in a row, with or without an activation between them. */
export const denseBlueprint = ({ sizes, activation }: MadeBypass): Graph => {
  const b = new GraphBuilder("blueprint");
  let value = b.input("in", [-1, sizes[0]!]);
  for (let layer = 1; layer < sizes.length; layer++) {
    const [inputs, units] = [sizes[layer - 1]!, sizes[layer]!];
    const weight = b.parameter(`d${layer}/weight`, [inputs, units], { kind: "heNormal", fanIn: inputs });
    const bias = b.parameter(`d${layer}/bias`, [units], { kind: "constant", value: 0 });
    const product = b.op("matMul", [value, weight], { transposeA: false, transposeB: false }, `d${layer}/product`);
    value = b.op("add", [product, bias], {}, `d${layer}`);
    if (activation !== undefined && layer + 1 < sizes.length) value = b.op(activation, [value], {}, `d${layer}/activation`);
  }
  b.output("out", value);
  return b.build();
};

export interface ConvBlueprint {
  readonly channels: readonly [number, number, number];
  readonly size: readonly [number, number];
  readonly strides: readonly [number, number];
}

/** 3×3 → ReLU → 3×3. */
export const convBlueprint = ({ channels, size, strides }: ConvBlueprint): Graph => {
  const b = new GraphBuilder("blueprint");
  let value = b.input("in", [-1, channels[0], ...size]);
  for (const layer of [0, 1] as const) {
    const [inputs, filters, stride] = [channels[layer], channels[layer + 1]!, strides[layer]];
    const weight = b.parameter(`k${layer}/weight`, [filters, inputs, 3, 3], { kind: "heNormal", fanIn: inputs * 9 });
    const bias = b.parameter(`k${layer}/bias`, [filters], { kind: "constant", value: 0 });
    const product = b.op(
      "conv2d",
      [value, weight],
      { strides: [stride, stride], pads: [1, 1, 1, 1], groups: 1 },
      `k${layer}/product`,
    );
    value = b.op("add", [product, b.op("reshape", [bias], { shape: [filters, 1, 1] }, `k${layer}/wide`)], {}, `k${layer}`);
    if (layer === 0) value = b.op("relu", [value], {}, "k0/activation");
  }
  b.output("out", value);
  return b.build();
};

/** A bypass folded in from one layer's input to another layer's pre-activation. */
export const grown = (host: Host, from: string, to: string, blueprint: Graph, seedId = `seed:${from}`): Host => {
  const source = host.layers.find(({ name }) => name === from)!.input;
  return insertBypass(host, { seedId, blueprint, from: source, to, alpha: "one" });
};
