/** The operations that blueprints are made of, and how their parameters start. */
import type { BlueprintInitialization } from "../../contracts/blueprint-kinds.ts";
import type { SampleShape } from "../../contracts/blueprint-shapes.ts";
import type { Graph, Initializer } from "../../contracts/graph.ts";
import { GraphBuilder } from "../builder.ts";

/** The cohort of a blueprint's parameters until a seed takes it. */
const BLUEPRINT_COHORT = "blueprint";

/** What a blueprint is built from: shapes of one sample, and a width whose meaning the kind gives. */
export interface BuildOptions {
  readonly from: SampleShape;
  readonly to: SampleShape;
  readonly hiddenWidth: number;
  readonly initialization: BlueprintInitialization;
}

/** A graph with the input `in`, and the place where the blueprint's output goes. */
export interface Draft {
  readonly b: GraphBuilder;
  readonly input: string;
}

export const draft = (from: SampleShape): Draft => {
  const b = new GraphBuilder(BLUEPRINT_COHORT);
  return { b, input: b.input("in", [-1, ...from]) };
};

export const finish = (b: GraphBuilder, value: string): Graph => {
  b.output("out", value);
  return b.build();
};

/** Weights of an operation: `random` is He's, `zero` starts as nothing. */
export type Start = "random" | "zero";

/** How the last operation starts. TINY's values replace the zeros when moments are known. */
export const lastStart = (initialization: BlueprintInitialization): Start => (initialization === "he" ? "random" : "zero");

const weights = (start: Start, fanIn: number): Initializer =>
  start === "zero" ? { kind: "constant", value: 0 } : { kind: "heNormal", fanIn };

export interface LayerOptions {
  readonly start: Start;
  /** Default true. */
  readonly bias?: boolean;
}

/** x·W + b over the last axis, W [inputs, units]. */
export const dense = (
  b: GraphBuilder,
  name: string,
  input: string,
  [inputs, units]: readonly [number, number],
  { start, bias = true }: LayerOptions,
): string => {
  const weight = b.parameter(`${name}/weight`, [inputs, units], weights(start, inputs));
  const flags = { transposeA: false, transposeB: false };
  if (!bias) return b.op("matMul", [input, weight], flags, name);
  const shift = b.parameter(`${name}/bias`, [units], { kind: "constant", value: 0 });
  return b.op("add", [b.op("matMul", [input, weight], flags, `${name}/product`), shift], {}, name);
};

export interface ConvolutionOptions extends LayerOptions {
  readonly inputs: number;
  readonly filters: number;
  /** Odd; the image is padded to keep its size. */
  readonly kernel: number;
  /** Default 1. */
  readonly stride?: number;
  /** Default 1. */
  readonly groups?: number;
}

export const convolution = (b: GraphBuilder, name: string, input: string, options: ConvolutionOptions): string => {
  const { inputs, filters, kernel, stride = 1, groups = 1, start, bias = true } = options;
  const perGroup = inputs / groups;
  const pad = (kernel - 1) / 2;
  const weight = b.parameter(`${name}/weight`, [filters, perGroup, kernel, kernel], weights(start, perGroup * kernel * kernel));
  const attributes = {
    strides: [stride, stride] as [number, number],
    pads: [pad, pad, pad, pad] as [number, number, number, number],
    groups,
  };
  if (!bias) return b.op("conv2d", [input, weight], attributes, name);
  const shift = b.parameter(`${name}/bias`, [filters], { kind: "constant", value: 0 });
  const product = b.op("conv2d", [input, weight], attributes, `${name}/product`);
  return b.op("add", [product, b.op("reshape", [shift], { shape: [filters, 1, 1] }, `${name}/biasPerChannel`)], {}, name);
};

export const relu = (b: GraphBuilder, value: string): string => b.op("relu", [value], {}, `${value}/activation`);

/** [N, C, H, W] → [N, C·H·W]. */
export const flatten = (b: GraphBuilder, input: string, width: number): string =>
  b.op("reshape", [input], { shape: [-1, width] }, "flatten");
