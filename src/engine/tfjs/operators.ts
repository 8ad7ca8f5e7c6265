/** The primitive operators in tensorflow.js, one clause each. Every clause returns a tensor of its own, never one of its inputs. */
import type { Tensor } from "@tensorflow/tfjs";
import type { OpAttributes } from "../../contracts/graph.ts";
import type { ValueType } from "../../graph/operators/operator.ts";
import type { OpTable } from "../operator-table.ts";
import { avgPool2d, avgPool2dGrad, conv2d, conv2dFilterGrad, conv2dInputGrad } from "./convolution.ts";
import type { TensorflowLibrary } from "./library.ts";

export interface ClauseContext {
  readonly tf: TensorflowLibrary;
  readonly inputs: readonly Tensor[];
  readonly result: ValueType;
}

export type Clause<Attributes> = (context: ClauseContext, attributes: Attributes) => Tensor;

type UnaryName = "neg" | "exp" | "log" | "sqrt" | "tanh" | "sigmoid" | "relu" | "clone";
type BinaryName = "add" | "sub" | "mul" | "div" | "greater" | "equal";

const unary =
  (name: UnaryName): Clause<unknown> =>
  ({ tf, inputs }) =>
    tf[name](inputs[0]!);

const binary =
  (name: BinaryName): Clause<unknown> =>
  ({ tf, inputs }) =>
    tf[name](inputs[0]!, inputs[1]!);

const comparison =
  (name: "greater" | "equal"): Clause<unknown> =>
  ({ tf, inputs }) =>
    tf.cast(tf[name](inputs[0]!, inputs[1]!), "float32");

/** Axis by axis, the last first: the wasm backend adds up one by one, and sums of sums lose fewer digits than one long sum. */
const reduction =
  (name: "sum" | "mean" | "max"): Clause<OpAttributes<"reduceSum">> =>
  ({ tf, inputs }, { axes, keepDims }) =>
    axes.toSorted((a, b) => b - a).reduce((x: Tensor, axis) => tf[name](x, axis, keepDims), tf.clone(inputs[0]!));

/** For functions that the library has along the last axis only. */
const alongAxis =
  (name: "softmax" | "logSoftmax"): Clause<{ readonly axis: number }> =>
  ({ tf, inputs }, { axis }) => {
    const x = inputs[0]!;
    const last = x.rank - 1;
    if (axis === last) return tf[name](x, last);
    const swapped = Array.from({ length: x.rank }, (_, index) => (index === axis ? last : index === last ? axis : index));
    return tf.transpose(tf[name](tf.transpose(x, swapped), last), swapped);
  };

const lastTwoSwapped = (tf: TensorflowLibrary, x: Tensor): Tensor => {
  const axes = Array.from({ length: x.rank }, (_, axis) => axis);
  return tf.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
};

/** Transposes first: the wasm backend's own transposed products are an order of magnitude slower. */
const matMul: Clause<OpAttributes<"matMul">> = ({ tf, inputs, result }, { transposeA, transposeB }) => {
  const a = transposeA ? lastTwoSwapped(tf, inputs[0]!) : inputs[0]!;
  const b = transposeB ? lastTwoSwapped(tf, inputs[1]!) : inputs[1]!;
  if (a.rank === b.rank) return tf.matMul(a, b);
  return tf.reshape(tf.matMul(tf.reshape(a, [-1, a.shape.at(-1)!]), b), [...result.shape]);
};

/** Below this the Taylor series is used: the cpu backend's formula has an absolute error of 1.5e-7, too much near zero. */
const erfSeriesMax = 0.5;

/** erf(x) = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)); seven terms are exact to float32 up to ½. */
const erfSeries = [1, -1 / 3, 1 / 10, -1 / 42, 1 / 216, -1 / 1320, 1 / 9360].map((term) => (term * 2) / Math.sqrt(Math.PI));

const erf: Clause<unknown> = ({ tf, inputs }) => {
  const x = inputs[0]!;
  const square = tf.square(x);
  let series: Tensor = tf.fill(x.shape, erfSeries.at(-1)!);
  for (const term of erfSeries.slice(0, -1).reverse()) series = tf.add(tf.mul(series, square), term);
  return tf.where(tf.less(tf.abs(x), erfSeriesMax), tf.mul(series, x), tf.erf(x));
};

export const clauses: OpTable<ClauseContext, Tensor> = {
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  greater: comparison("greater"),
  equal: comparison("equal"),
  neg: unary("neg"),
  exp: unary("exp"),
  log: unary("log"),
  sqrt: unary("sqrt"),
  tanh: unary("tanh"),
  sigmoid: unary("sigmoid"),
  relu: unary("relu"),
  erf,
  stopGradient: unary("clone"),
  fill: ({ tf }, { value, shape }) => tf.fill(shape, value),
  matMul,
  conv2d,
  conv2dInputGrad,
  conv2dFilterGrad,
  avgPool2d,
  avgPool2dGrad,
  reduceSum: reduction("sum"),
  reduceMean: reduction("mean"),
  reduceMax: reduction("max"),
  broadcastTo: ({ tf, inputs }, { shape }) => tf.broadcastTo(inputs[0]!, shape),
  reshape: ({ tf, inputs, result }) => tf.reshape(inputs[0]!, [...result.shape]),
  transpose: ({ tf, inputs }, { perm }) => tf.transpose(inputs[0]!, perm),
  concat: ({ tf, inputs }, { axis }) => tf.concat([...inputs], axis),
  slice: ({ tf, inputs, result }, { starts }) =>
    starts.length === 0 ? tf.clone(inputs[0]!) : tf.slice(inputs[0]!, starts, [...result.shape]),
  pad: ({ tf, inputs }, { before, after }) =>
    before.length === 0
      ? tf.clone(inputs[0]!)
      : tf.pad(
          inputs[0]!,
          before.map((size, axis): [number, number] => [size, after[axis]!]),
        ),
  softmax: alongAxis("softmax"),
  logSoftmax: alongAxis("logSoftmax"),
  gather: ({ tf, inputs }) => tf.gather(inputs[0]!, inputs[1]!, 0),
  // The library's own wants a depth of at least two.
  oneHot: ({ tf, inputs }, { depth }) =>
    tf.cast(tf.equal(tf.expandDims(inputs[0]!, -1), tf.range(0, depth, 1, "int32")), "float32"),
  argMax: ({ tf, inputs }, { axis }) => tf.argMax(inputs[0]!, axis),
};
