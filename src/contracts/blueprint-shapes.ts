/**
 * Which blueprints fit which shapes, and what each costs, in closed form: the one place that policy, machines and the graphs' own
 * tests read. Shapes are of one sample: a vector [d], tokens [T, D], an image [C, H, W].
 *
 * A blueprint is written here as its operations in order. FLOPs count as in the graph: a multiplication and an addition one each, an
 * element of an elementwise result one, a reduction one per element read, moving data nothing.
 */
import type { BlueprintInitialization, BlueprintKind, BlueprintRequest, BypassKind } from "./blueprint-kinds.ts";
import type { TailSummary } from "./plan.ts";

export type SampleShape = readonly number[];

/** Up to this many values an image is flattened for a vector; a larger one is convolved and pooled, or pooled alone. */
export const flattenWidthMax = 1024;

export const sizeOf = (shape: SampleShape): number => shape.reduce((product, dim) => product * dim, 1);
const isVector = (shape: SampleShape): boolean => shape.length === 1;
const isTokens = (shape: SampleShape): boolean => shape.length === 2;
const isImage = (shape: SampleShape): boolean => shape.length === 3;
const sameShape = (a: SampleShape, b: SampleShape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i]);

/** Places of a sample at which the same units stand: pixels, tokens, or one. */
export const placesOf = (shape: SampleShape): number =>
  isImage(shape) ? shape[1]! * shape[2]! : isTokens(shape) ? shape[0]! : 1;

/** The stride that takes an image of one size to the other, both as [..., H, W]; null when none does. */
export const strideBetween = (from: SampleShape, to: SampleShape): number | null => {
  const [before, after] = [from.slice(-2), to.slice(-2)];
  for (let stride = 1; stride <= Math.max(...before); stride++) {
    if (before.every((dim, axis) => Math.ceil(dim / stride) === after[axis])) return stride;
  }
  return null;
};

/** How a blueprint joins two shapes; null when none of these ways does. */
export type Join =
  | { readonly kind: "vector"; readonly inputs: number; readonly outputs: number }
  /** Small enough to be flattened. */
  | { readonly kind: "flatten"; readonly inputs: number; readonly outputs: number }
  /** Image to vector through a pool. */
  | { readonly kind: "pool"; readonly inputs: number; readonly outputs: number; readonly size: readonly [number, number] }
  | { readonly kind: "tokens"; readonly inputs: number; readonly outputs: number; readonly tokens: number }
  | {
      readonly kind: "image";
      readonly inputs: number;
      readonly outputs: number;
      readonly stride: number;
      readonly size: readonly [number, number];
      readonly outputSize: readonly [number, number];
    };

export const joinOf = (from: SampleShape, to: SampleShape): Join | null => {
  if (isVector(from) && isVector(to)) return { kind: "vector", inputs: from[0]!, outputs: to[0]! };
  if (isImage(from) && isVector(to)) {
    if (sizeOf(from) <= flattenWidthMax) return { kind: "flatten", inputs: sizeOf(from), outputs: to[0]! };
    return { kind: "pool", inputs: from[0]!, outputs: to[0]!, size: [from[1]!, from[2]!] };
  }
  if (isTokens(from) && isTokens(to) && from[0] === to[0])
    return { kind: "tokens", inputs: from[1]!, outputs: to[1]!, tokens: from[0]! };
  if (!isImage(from) || !isImage(to)) return null;
  const stride = strideBetween(from, to);
  if (stride === null) return null;
  const [size, outputSize]: [number, number][] = [
    [from[1]!, from[2]!],
    [to[1]!, to[2]!],
  ];
  return { kind: "image", inputs: from[0]!, outputs: to[0]!, stride, size: size!, outputSize: outputSize! };
};

/** One operation with weights, or without: its parameters and the FLOPs of its forward pass. */
interface Operation {
  readonly parameters: number;
  /** FLOPs per sample in products with weights or between activations; the backward pass runs each product twice. */
  readonly products: number;
  /** FLOPs per sample of everything else. */
  readonly others: number;
  /** FLOPs that do not grow with the batch. */
  readonly perBatch: number;
}

const operation = (parts: Partial<Operation>): Operation => ({ parameters: 0, products: 0, others: 0, perBatch: 0, ...parts });

const dense = (rows: number, inputs: number, units: number, bias = true): Operation =>
  operation({
    parameters: inputs * units + (bias ? units : 0),
    products: 2 * rows * inputs * units,
    others: bias ? rows * units : 0,
  });

/** `inputs` is the number of channels that one filter reads. */
const convolution = (places: number, inputs: number, filters: number, kernel: number, bias = true): Operation =>
  operation({
    parameters: inputs * filters * kernel * kernel + (bias ? filters : 0),
    products: 2 * places * inputs * filters * kernel * kernel,
    others: bias ? places * filters : 0,
  });

const elementwise = (elements: number): Operation => operation({ others: elements });

const half = ([height, width]: readonly [number, number]): number => Math.ceil(height / 2) * Math.ceil(width / 2);

/** Channels of a depthwise convolution: the least multiple of the input's that holds the wanted width. */
export const depthwiseChannels = (inputs: number, hiddenWidth: number): number => inputs * Math.ceil(hiddenWidth / inputs);

type Plan = (from: SampleShape, to: SampleShape, h: number) => readonly Operation[] | null;

const pooledConvolutions = ({ inputs, outputs, size }: Extract<Join, { kind: "pool" }>, h: number): readonly Operation[] => {
  const [places, pooled] = [size[0] * size[1], half(size)];
  return [
    convolution(places, inputs, h, 1),
    elementwise(places * h),
    convolution(pooled, h, h, 3),
    elementwise(2 * pooled * h), // ReLU, and the mean over places.
    dense(1, h, outputs),
  ];
};

const densePlan: Plan = (from, to, h) => {
  const join = joinOf(from, to);
  if (join === null || join.kind === "image") return null;
  if (join.kind === "pool") return pooledConvolutions(join, h);
  const rows = join.kind === "tokens" ? join.tokens : 1;
  return [dense(rows, join.inputs, h), elementwise(rows * h), dense(rows, h, join.outputs)];
};

const lowRank: Plan = (from, to, r) => {
  const join = joinOf(from, to);
  if (join === null) return null;
  if (join.kind === "image") {
    const places = sizeOf(join.outputSize);
    return [convolution(places, join.inputs, r, 1, false), convolution(places, r, join.outputs, 1, false)];
  }
  const rows = join.kind === "tokens" ? join.tokens : 1;
  const pool = join.kind === "pool" ? [elementwise(join.inputs * sizeOf(join.size))] : [];
  return [...pool, dense(rows, join.inputs, r, false), dense(rows, r, join.outputs, false)];
};

const widening: Plan = (from, to, h) => {
  const join = joinOf(from, to);
  if (join?.kind === "vector" || join?.kind === "flatten")
    return [dense(1, join.inputs, h), elementwise(h), dense(1, h, join.outputs, false)];
  if (join?.kind !== "image") return null;
  const places = sizeOf(join.outputSize);
  return [convolution(places, join.inputs, h, 3), elementwise(places * h), convolution(places, h, join.outputs, 3, false)];
};

const convolutionPlan: Plan = (from, to, h) => {
  if (isImage(from) && isVector(to))
    return pooledConvolutions({ kind: "pool", inputs: from[0]!, outputs: to[0]!, size: [from[1]!, from[2]!] }, h);
  const join = joinOf(from, to);
  if (join?.kind !== "image") return null;
  const [before, after] = [sizeOf(join.size), sizeOf(join.outputSize)];
  return [
    convolution(before, join.inputs, h, 1),
    elementwise(before * h),
    convolution(after, h, h, 3),
    elementwise(after * h),
    convolution(after, h, join.outputs, 1),
  ];
};

const depthwise: Plan = (from, to, h) => {
  const join = joinOf(from, to);
  if (join?.kind !== "image") return null;
  const [places, channels] = [sizeOf(join.outputSize), depthwiseChannels(join.inputs, h)];
  return [convolution(places, 1, channels, 3), elementwise(places * channels), convolution(places, channels, join.outputs, 1)];
};

const squeezeExcite: Plan = (from, to, h) => {
  if (!isImage(from) || !sameShape(from, to)) return null;
  const channels = from[0]!;
  return [
    elementwise(sizeOf(from)), // The mean over places.
    dense(1, channels, h),
    elementwise(h),
    dense(1, h, channels),
    elementwise(channels + sizeOf(from)), // The gate, and what it scales.
  ];
};

const normalization: Plan = (from, to) => {
  if (!sameShape(from, to)) return null;
  if (isTokens(from)) {
    const [tokens, width] = [from[0]!, from[1]!];
    return [operation({ parameters: 2 * width, others: tokens * (7 * width + 2) })];
  }
  if (!isVector(from) && !isImage(from)) return null;
  return [operation({ parameters: 2 * from[0]!, others: 2 * sizeOf(from), perBatch: 5 * from[0]! })];
};

const residual: Plan = (from, to, h) => {
  const join = joinOf(from, to);
  if (join?.kind !== "image") return null;
  const places = sizeOf(join.outputSize);
  return [
    convolution(places, join.inputs, h, 3),
    elementwise(places * h),
    convolution(places, h, join.outputs, 3),
    convolution(places, join.inputs, join.outputs, 1, false),
    elementwise(places * join.outputs),
  ];
};

const attentionHead: Plan = (from, to, h) => {
  const join = joinOf(from, to);
  if (join?.kind !== "tokens") return null;
  const { tokens, inputs, outputs } = join;
  const pairs = tokens * tokens;
  return [
    dense(tokens, inputs, 3 * h, false), // Queries, keys and values.
    operation({ products: 4 * pairs * h, others: tokens * h + (tokens > 1 ? 2 : 1) * pairs }),
    dense(tokens, h, outputs),
  ];
};

const tokenMlp: Plan = (from, to, h) => {
  const join = joinOf(from, to);
  if (join?.kind !== "tokens") return null;
  const { tokens, inputs, outputs } = join;
  return [dense(tokens, inputs, h), elementwise(5 * tokens * h), dense(tokens, h, outputs)];
};

const noOp: Plan = () => [operation({ parameters: 1, perBatch: 1 })];

const plans: { readonly [K in BypassKind]: Plan } = {
  dense: densePlan,
  "low-rank": lowRank,
  widening,
  convolution: convolutionPlan,
  "depthwise-separable": depthwise,
  "squeeze-excite": squeezeExcite,
  normalization,
  residual,
  "attention-head": attentionHead,
  "token-mlp": tokenMlp,
  "no-op": noOp,
};

/** Kinds whose first-order part is one linear map, so that TINY's optimum can be written into them. */
const tinyKinds: ReadonlySet<BlueprintKind> = new Set(["dense", "low-rank", "widening", "convolution", "residual", "token-mlp"]);

export const hasTiny = (kind: BlueprintKind): boolean => tinyKinds.has(kind);

/** True when a bypass of that kind, started in that way, reads the one shape and makes the other. A replacement is no matter of shapes. */
export const fits = (
  { kind, initialization }: { readonly kind: BlueprintKind; readonly initialization?: BlueprintInitialization },
  from: SampleShape,
  to: SampleShape,
): boolean => kind !== "replacement" && plans[kind](from, to, 1) !== null && (initialization !== "tiny" || hasTiny(kind));

export interface BlueprintCost {
  readonly parameters: number;
  /** FLOPs of one forward pass over a batch, normalisation by running statistics: what the built graph counts, exactly. */
  readonly forwardFlops: number;
  /**
   * FLOPs of its backward pass in a batch, near enough: each product once more for its weights and once more for what it reads, the
   * first without the latter; everything else twice.
   */
  readonly backwardFlops: number;
  /** What the first operation's input gradient adds to that where something before it learns. */
  readonly inputGradientFlops: number;
}

/** What a replacement costs beside the host while it is tried: the tail once more, and its backward pass from the layer to the logits. */
export const replacementCost = ({ parameters, forwardFlops }: TailSummary, slopeFlops: number): BlueprintCost => ({
  parameters,
  forwardFlops,
  // Each product once more for its weights; what it reads is in the slope.
  backwardFlops: forwardFlops + slopeFlops,
  inputGradientFlops: 0,
});

/** What a bypass costs, in closed form; undefined where it does not fit. */
export const blueprintCost = (
  { kind, hiddenWidth }: Pick<BlueprintRequest, "kind" | "hiddenWidth">,
  from: SampleShape,
  to: SampleShape,
  batch: number,
): BlueprintCost | undefined => {
  const operations = kind === "replacement" ? null : plans[kind](from, to, hiddenWidth);
  if (operations === null) return undefined;
  const total = (part: (each: Operation) => number): number => operations.reduce((sum, each) => sum + part(each), 0);
  const products = batch * total((each) => each.products);
  const others = batch * total((each) => each.others);
  const first = batch * (operations.find((each) => each.products > 0)?.products ?? 0);
  return {
    parameters: total((each) => each.parameters),
    forwardFlops: products + others + total((each) => each.perBatch),
    backwardFlops: 2 * (products + others) - first,
    inputGradientFlops: first,
  };
};
