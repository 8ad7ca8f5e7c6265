/**
 * Blueprints of bypasses: graphs with one input `in` and one output `out`. The first layers have He initialisation and the last
 * operation is zero, weights and bias, so that a bypass starts as nothing and still receives a gradient.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, Host } from "../contracts/graph.ts";
import { bind } from "./bind.ts";
import { GraphBuilder } from "./builder.ts";
import { type Dims, formatShape, sizeOf } from "./shapes.ts";

/** The cohort of a blueprint's parameters until a seed takes it. */
export const BLUEPRINT_COHORT = "blueprint";

interface Init {
  /** True for the last operation. */
  readonly zero: boolean;
}

const dense = (b: GraphBuilder, name: string, input: string, inputs: number, units: number, { zero }: Init): string => {
  const weight = b.parameter(
    `${name}/weight`,
    [inputs, units],
    zero ? { kind: "constant", value: 0 } : { kind: "heNormal", fanIn: inputs },
  );
  const bias = b.parameter(`${name}/bias`, [units], { kind: "constant", value: 0 });
  return b.op(
    "add",
    [b.op("matMul", [input, weight], { transposeA: false, transposeB: false }, `${name}/product`), bias],
    {},
    name,
  );
};

const relu = (b: GraphBuilder, value: string): string => b.op("relu", [value], {}, `${value}/activation`);

const convolution = (
  b: GraphBuilder,
  name: string,
  input: string,
  [inputs, filters, kernel, stride]: readonly [number, number, number, number],
  { zero }: Init,
): string => {
  const fanIn = inputs * kernel * kernel;
  const pad = (kernel - 1) / 2;
  const initializer = zero ? ({ kind: "constant", value: 0 } as const) : ({ kind: "heNormal", fanIn } as const);
  const weight = b.parameter(`${name}/weight`, [filters, inputs, kernel, kernel], initializer);
  const bias = b.parameter(`${name}/bias`, [filters], { kind: "constant", value: 0 });
  const attributes = {
    strides: [stride, stride] as [number, number],
    pads: [pad, pad, pad, pad] as [number, number, number, number],
    groups: 1,
  };
  const product = b.op("conv2d", [input, weight], attributes, `${name}/product`);
  return b.op("add", [product, b.op("reshape", [bias], { shape: [filters, 1, 1] }, `${name}/biasPerChannel`)], {}, name);
};

const finish = (b: GraphBuilder, value: string): Graph => {
  b.output("out", value);
  return b.build();
};

export interface DenseBypassOptions {
  readonly inputWidth: number;
  readonly hiddenWidth: number;
  readonly outputWidth: number;
}

/** [N, inputWidth] → dense → ReLU → dense (zero) → [N, outputWidth]. */
export const denseBypass = ({ inputWidth, hiddenWidth, outputWidth }: DenseBypassOptions): Graph => {
  const b = new GraphBuilder(BLUEPRINT_COHORT);
  const input = b.input("in", [-1, inputWidth]);
  const hidden = relu(b, dense(b, "first", input, inputWidth, hiddenWidth, { zero: false }));
  return finish(b, dense(b, "last", hidden, hiddenWidth, outputWidth, { zero: true }));
};

/** [N, ...inputShape] → flatten → the dense bypass → [N, outputWidth]. */
export const flattenBypass = (options: {
  readonly inputShape: Dims;
  readonly hiddenWidth: number;
  readonly outputWidth: number;
}): Graph => {
  const { inputShape, hiddenWidth, outputWidth } = options;
  const b = new GraphBuilder(BLUEPRINT_COHORT);
  const width = sizeOf(inputShape);
  const flat = b.op("reshape", [b.input("in", [-1, ...inputShape])], { shape: [-1, width] }, "flatten");
  const hidden = relu(b, dense(b, "first", flat, width, hiddenWidth, { zero: false }));
  return finish(b, dense(b, "last", hidden, hiddenWidth, outputWidth, { zero: true }));
};

export interface ConvBypassOptions {
  readonly inChannels: number;
  readonly hiddenChannels: number;
  readonly outChannels: number;
  readonly stride: number;
  /** Of the input image. */
  readonly inputSize: readonly [number, number];
}

/** [N, C, H, W] → 1×1 → ReLU → 3×3 with the stride → ReLU → 1×1 (zero) → [N, O, ⌈H / stride⌉, ⌈W / stride⌉]. */
export const convBypass = ({ inChannels, hiddenChannels, outChannels, stride, inputSize }: ConvBypassOptions): Graph => {
  const b = new GraphBuilder(BLUEPRINT_COHORT);
  const input = b.input("in", [-1, inChannels, ...inputSize]);
  const narrow = relu(b, convolution(b, "first", input, [inChannels, hiddenChannels, 1, 1], { zero: false }));
  const spatial = relu(b, convolution(b, "middle", narrow, [hiddenChannels, hiddenChannels, 3, stride], { zero: false }));
  return finish(b, convolution(b, "last", spatial, [hiddenChannels, outChannels, 1, 1], { zero: true }));
};

export interface PooledBypassOptions {
  readonly inChannels: number;
  readonly hiddenChannels: number;
  readonly outputWidth: number;
  readonly inputSize: readonly [number, number];
}

/** [N, C, H, W] → 1×1 → ReLU → 3×3, stride 2 → ReLU → global average pool → dense (zero) → [N, outputWidth]. */
export const pooledBypass = ({ inChannels, hiddenChannels, outputWidth, inputSize }: PooledBypassOptions): Graph => {
  const b = new GraphBuilder(BLUEPRINT_COHORT);
  const input = b.input("in", [-1, inChannels, ...inputSize]);
  const narrow = relu(b, convolution(b, "first", input, [inChannels, hiddenChannels, 1, 1], { zero: false }));
  const spatial = relu(b, convolution(b, "middle", narrow, [hiddenChannels, hiddenChannels, 3, 2], { zero: false }));
  const pooled = b.op("globalAveragePool", [spatial], {}, "pooled");
  return finish(b, dense(b, "last", pooled, hiddenChannels, outputWidth, { zero: true }));
};

/** Up to this many values an image is flattened for a dense target; a larger one is convolved and pooled. */
const FLATTEN_WIDTH_MAX = 1024;

/** The stride that takes an image of one size to the other; null when none does. */
const strideBetween = (from: Dims, to: Dims): number | null => {
  const largest = Math.max(...from);
  for (let stride = 1; stride <= largest; stride++) {
    if (from.every((dim, axis) => Math.ceil(dim / stride) === to[axis])) return stride;
  }
  return null;
};

const bypassBetween = (from: Dims, to: Dims, hidden: number): Graph | null => {
  if (to.length === 1) {
    if (from.length === 1) return denseBypass({ inputWidth: from[0]!, hiddenWidth: hidden, outputWidth: to[0]! });
    const isLargeImage = from.length === 3 && sizeOf(from) > FLATTEN_WIDTH_MAX;
    if (!isLargeImage) return flattenBypass({ inputShape: from, hiddenWidth: hidden, outputWidth: to[0]! });
    return pooledBypass({ inChannels: from[0]!, hiddenChannels: hidden, outputWidth: to[0]!, inputSize: [from[1]!, from[2]!] });
  }
  if (from.length !== 3 || to.length !== 3) return null;
  const stride = strideBetween(from.slice(1), to.slice(1));
  if (stride === null) return null;
  return convBypass({
    inChannels: from[0]!,
    hiddenChannels: hidden,
    outChannels: to[0]!,
    stride,
    inputSize: [from[1]!, from[2]!],
  });
};

/**
 * The blueprint for a span of a host, from the value `from` to the layer `to`, picked by the shapes of one sample. `hiddenWidth` is in
 * units or channels. Throws GraphError when a name is unknown or no blueprint fits.
 */
export const bypassFor = (host: Host, from: string, to: string, hiddenWidth: number): Graph => {
  const layer = host.layers.find((candidate) => candidate.name === to);
  if (layer === undefined) {
    throw new GraphError(
      `bypass to ${to}: expected one of the layers ${host.layers.map(({ name }) => name).join(", ")}; name one of them`,
      { path: to },
    );
  }
  const { types } = bind(host.graph, { batch: 1, mode: "eval" });
  const sampleShape = (value: string): Dims => {
    const type = types.get(value);
    if (type === undefined)
      throw new GraphError(`bypass from ${value}: expected a value of the host, got an unknown name; use a layer's input`, {
        path: value,
      });
    return type.shape.slice(1);
  };
  const [source, target] = [sampleShape(from), sampleShape(layer.preActivation)];
  const blueprint = bypassBetween(source, target, hiddenWidth);
  if (blueprint === null) {
    throw new GraphError(
      `bypass from ${from} to ${to}: expected shapes that a dense or convolutional bypass can join, got ${formatShape(source)} and ${formatShape(target)}; choose another span`,
      { path: to },
    );
  }
  return blueprint;
};
