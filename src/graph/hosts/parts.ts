/** The pieces that hosts are made of: dense and convolutional layers, activations, normalisation. */
import { GraphError } from "../../contracts/errors.ts";
import type { HostLayer, Initializer } from "../../contracts/graph.ts";
import type { GraphBuilder } from "../builder.ts";
import { formatShape } from "../shapes.ts";

export type Activation = "relu" | "tanh" | "gelu";

export const expectPositive = (what: string, values: readonly number[]): void => {
  if (values.length === 0 || !values.every((value) => Number.isInteger(value) && value > 0)) {
    throw new GraphError(
      `${what}: expected one or more positive integers, got ${formatShape(values)}; check the model's options`,
    );
  }
};

/** The activated value, named `<layer>/activation`. */
export const activate = (b: GraphBuilder, layer: string, value: string, activation: Activation): string =>
  activation === "gelu"
    ? b.op("gelu", [value], { approximate: "none" }, `${layer}/activation`)
    : b.op(activation, [value], {}, `${layer}/activation`);

interface LayerValue {
  readonly preActivation: string;
  readonly parameters: string[];
}

/** x·W + b over the last axis, W [inputs, units]. He initialisation unless another is given; zero biases. */
export const dense = (
  b: GraphBuilder,
  layer: string,
  input: string,
  [inputs, units]: readonly [number, number],
  initializer: Initializer = { kind: "heNormal", fanIn: inputs },
): LayerValue => {
  const weight = b.parameter(`${layer}/weight`, [inputs, units], initializer);
  const bias = b.parameter(`${layer}/bias`, [units], { kind: "constant", value: 0 });
  const product = b.op("matMul", [input, weight], { transposeA: false, transposeB: false }, `${layer}/product`);
  return { preActivation: b.op("add", [product, bias], {}, `${layer}/preActivation`), parameters: [weight, bias] };
};

export interface ConvolutionOptions {
  readonly inputs: number;
  readonly filters: number;
  /** Side of the square window: odd, padded so that stride 1 keeps the size. */
  readonly kernel: number;
  readonly stride: number;
  readonly batchNorm: boolean;
}

/** A convolution with a bias, or with batch normalisation in its place. */
export const convolution = (b: GraphBuilder, layer: string, input: string, options: ConvolutionOptions): LayerValue => {
  const { inputs, filters, kernel, stride, batchNorm } = options;
  const initializer = { kind: "heNormal", fanIn: inputs * kernel * kernel } as const;
  const weight = b.parameter(`${layer}/weight`, [filters, inputs, kernel, kernel], initializer);
  const pad = (kernel - 1) / 2;
  const window = { strides: [stride, stride], pads: [pad, pad, pad, pad], groups: 1 } satisfies ConvolutionAttributes;
  const product = b.op("conv2d", [input, weight], window, `${layer}/convolution`);
  const shifted = batchNorm ? normalise(b, layer, product, filters) : addBias(b, layer, product, filters);
  return { preActivation: shifted.preActivation, parameters: [weight, ...shifted.parameters] };
};

interface ConvolutionAttributes {
  strides: [number, number];
  pads: [number, number, number, number];
  groups: number;
}

const addBias = (b: GraphBuilder, layer: string, product: string, filters: number): LayerValue => {
  const bias = b.parameter(`${layer}/bias`, [filters], { kind: "constant", value: 0 });
  const perChannel = b.op("reshape", [bias], { shape: [filters, 1, 1] }, `${layer}/biasPerChannel`);
  return { preActivation: b.op("add", [product, perChannel], {}, `${layer}/preActivation`), parameters: [bias] };
};

const normalise = (b: GraphBuilder, layer: string, product: string, filters: number): LayerValue => {
  const vector = (name: string, value: number, trainable: boolean): string =>
    b.parameter(`${layer}/${name}`, [filters], { kind: "constant", value }, { trainable });
  const parameters = [vector("gamma", 1, true), vector("beta", 0, true), vector("mean", 0, false), vector("variance", 1, false)];
  const attributes = { epsilon: 1e-5, momentum: 0.9 };
  return { preActivation: b.op("batchNorm", [product, ...parameters], attributes, `${layer}/preActivation`), parameters };
};

/** Layer normalisation over the last axis, named `<name>`. */
export const normaliseTokens = (b: GraphBuilder, name: string, value: string, width: number): string => {
  const gamma = b.parameter(`${name}/gamma`, [width], { kind: "constant", value: 1 });
  const beta = b.parameter(`${name}/beta`, [width], { kind: "constant", value: 0 });
  return b.op("layerNorm", [value, gamma, beta], { epsilon: 1e-5 }, name);
};

/** The last dense layer; its value is the graph's output `logits`. */
export const outputLayer = (b: GraphBuilder, input: string, inputs: number, classes: number): HostLayer => {
  const { preActivation, parameters } = dense(b, "output", input, [inputs, classes]);
  b.output("logits", preActivation);
  return { name: "output", kind: "output", input, preActivation, output: preActivation, parameters };
};
