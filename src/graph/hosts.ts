/** The hosts that ship: a multi-layer perceptron and a small convolutional network. He initialisation, zero biases. */
import { GraphError } from "../contracts/errors.ts";
import type { Host, HostLayer } from "../contracts/graph.ts";
import { GraphBuilder } from "./builder.ts";
import { formatShape, sizeOf } from "./shapes.ts";

export interface MlpOptions {
  readonly name: string;
  /** Of one sample, for example [784] or [1, 28, 28]. */
  readonly inputShape: readonly number[];
  /** Units of each hidden layer. */
  readonly widths: readonly number[];
  readonly classes: number;
}

const positive = (what: string, values: readonly number[]): void => {
  if (values.length === 0 || !values.every((value) => Number.isInteger(value) && value > 0)) {
    throw new GraphError(
      `${what}: expected one or more positive integers, got ${formatShape(values)}; check the model's options`,
    );
  }
};

/** x·W + b with W [inputs, units]. Returns the layer before its activation. */
const dense = (b: GraphBuilder, layer: string, input: string, inputs: number, units: number) => {
  const weight = b.parameter(`${layer}/weight`, [inputs, units], { kind: "heNormal", fanIn: inputs });
  const bias = b.parameter(`${layer}/bias`, [units], { kind: "constant", value: 0 });
  const product = b.op("matMul", [input, weight], { transposeA: false, transposeB: false }, `${layer}/product`);
  const preActivation = b.op("add", [product, bias], {}, `${layer}/preActivation`);
  return { preActivation, parameters: [weight, bias] };
};

const outputLayer = (b: GraphBuilder, input: string, inputs: number, classes: number): HostLayer => {
  const { preActivation, parameters } = dense(b, "output", input, inputs, classes);
  b.output("logits", preActivation);
  return { name: "output", kind: "output", input, preActivation, output: preActivation, parameters };
};

/** Dense layers h1 … hn with ReLU, then `output`. */
export const mlp = ({ name, inputShape, widths, classes }: MlpOptions): Host => {
  positive(`${name} inputShape`, inputShape);
  positive(`${name} widths`, widths);
  const b = new GraphBuilder();
  let input = b.input("x", [-1, ...inputShape]);
  let inputs = sizeOf(inputShape);
  if (inputShape.length > 1) input = b.op("reshape", [input], { shape: [-1, inputs] }, "flatten");
  const layers = widths.map((units, i): HostLayer => {
    const layer = `h${i + 1}`;
    const { preActivation, parameters } = dense(b, layer, input, inputs, units);
    const output = b.op("relu", [preActivation], {}, `${layer}/activation`);
    const made: HostLayer = { name: layer, kind: "dense", input, preActivation, output, parameters };
    [input, inputs] = [output, units];
    return made;
  });
  layers.push(outputLayer(b, input, inputs, classes));
  return { name, graph: b.build(), layers, classes };
};

export interface CnnOptions {
  readonly name: string;
  /** Of one sample: channels, height, width. */
  readonly inputShape: readonly [number, number, number];
  /** Filters of each convolution. */
  readonly channels: readonly number[];
  readonly classes: number;
  /** How far each layer shrinks the image; default 1 for the first layer and 2 after it. */
  readonly strides?: readonly number[];
  /** `stride` convolves with the stride; `average` convolves with stride 1 and averages windows of that size after the ReLU. */
  readonly downsample?: "stride" | "average";
  /** Batch normalisation before each ReLU, in place of the bias. */
  readonly batchNorm?: boolean;
}

/** 3×3 convolutions c1 … cn with ReLU, global average pool, then `output`. */
export const cnn = (options: CnnOptions): Host => {
  const { name, inputShape, channels, classes, downsample = "stride", batchNorm = false } = options;
  const strides = options.strides ?? channels.map((_, i) => (i === 0 ? 1 : 2));
  positive(`${name} inputShape`, inputShape);
  positive(`${name} channels`, channels);
  positive(`${name} strides`, strides);
  if (strides.length !== channels.length) {
    throw new GraphError(
      `${name} strides: expected one per layer, got ${strides.length} for ${channels.length} layers; check the model's options`,
    );
  }
  const b = new GraphBuilder();
  let input = b.input("x", [-1, ...inputShape]);
  let inputs: number = inputShape[0];
  const layers = channels.map((filters, i): HostLayer => {
    const layer = `c${i + 1}`;
    const stride = strides[i]!;
    const weight = b.parameter(`${layer}/weight`, [filters, inputs, 3, 3], { kind: "heNormal", fanIn: inputs * 9 });
    const step = downsample === "stride" ? stride : 1;
    const product = b.op(
      "conv2d",
      [input, weight],
      { strides: [step, step], pads: [1, 1, 1, 1], groups: 1 },
      `${layer}/convolution`,
    );
    const [preActivation, shift] = batchNorm ? normalise(b, layer, product, filters) : addBias(b, layer, product, filters);
    let output = b.op("relu", [preActivation], {}, `${layer}/activation`);
    if (downsample === "average" && stride > 1) {
      const window = { kernelSize: [stride, stride], strides: [stride, stride], pads: [0, 0, 0, 0] } satisfies PoolAttributes;
      output = b.op("avgPool2d", [output], window, `${layer}/pool`);
    }
    const made: HostLayer = { name: layer, kind: "conv2d", input, preActivation, output, parameters: [weight, ...shift] };
    [input, inputs] = [output, filters];
    return made;
  });
  const pooled = b.op("globalAveragePool", [input], {}, "pooled");
  layers.push(outputLayer(b, pooled, inputs, classes));
  return { name, graph: b.build(), layers, classes };
};

interface PoolAttributes {
  kernelSize: [number, number];
  strides: [number, number];
  pads: [number, number, number, number];
}

const addBias = (b: GraphBuilder, layer: string, product: string, filters: number): [string, string[]] => {
  const bias = b.parameter(`${layer}/bias`, [filters], { kind: "constant", value: 0 });
  const perChannel = b.op("reshape", [bias], { shape: [filters, 1, 1] }, `${layer}/biasPerChannel`);
  return [b.op("add", [product, perChannel], {}, `${layer}/preActivation`), [bias]];
};

const normalise = (b: GraphBuilder, layer: string, product: string, filters: number): [string, string[]] => {
  const vector = (name: string, value: number, trainable: boolean): string =>
    b.parameter(`${layer}/${name}`, [filters], { kind: "constant", value }, { trainable });
  const parameters = [vector("gamma", 1, true), vector("beta", 0, true), vector("mean", 0, false), vector("variance", 1, false)];
  const value = b.op("batchNorm", [product, ...parameters], { epsilon: 1e-5, momentum: 0.9 }, `${layer}/preActivation`);
  return [value, parameters];
};
