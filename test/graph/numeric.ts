/** Helpers of the graph tests: arrays, programs from an emitter, and gradients against central differences. */
import type { DType, Program } from "../../src/contracts/graph.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Emitter, prune } from "../../src/graph/emitter.ts";
import type { NumericArray, ValueType } from "../../src/graph/operators/operator.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runNumeric } from "../../src/graph/reference.ts";
import { sizeOf } from "../../src/graph/shapes.ts";

export const array = (shape: readonly number[], values: readonly number[], dtype: DType = "float32"): NumericArray => ({
  dtype,
  shape,
  data: Float64Array.from(values),
});

/** Numbers of moderate size, none nearer to zero than 0.2, so that kinks and poles stay out of a finite difference's reach. */
export const drawn = (shape: readonly number[], seed: number, sign: "both" | "positive" = "both"): NumericArray => {
  const random = createRandom(seed);
  const data = Float64Array.from({ length: sizeOf(shape) }, () => {
    const size = 0.2 + 1.3 * random.uniform();
    return sign === "positive" || random.uniform() < 0.5 ? size : -size;
  });
  return { dtype: "float32", shape, data };
};

export const declareAll = (feeds: Readonly<Record<string, ValueType>>): Emitter => {
  const b = new Emitter();
  for (const [name, { dtype, shape }] of Object.entries(feeds)) b.declare(name, { dtype, shape });
  return b;
};

export const programOf = (
  b: Emitter,
  feeds: Readonly<Record<string, ValueType>>,
  outputs: Readonly<Record<string, string>>,
): Program => ({
  inputs: Object.entries(feeds).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  nodes: prune(b.nodes, Object.values(outputs)),
  outputs: Object.entries(outputs).map(([name, value]) => ({ name, value })),
});

/** Runs what `build` makes of the feeds. */
export const evaluateWith = (feeds: Readonly<Record<string, NumericArray>>, build: (b: Emitter) => string): NumericArray => {
  const b = declareAll(feeds);
  const y = build(b);
  return runNumeric(programOf(b, feeds, { y }), feeds)["y"]!;
};

/** Largest difference over the largest magnitude (at least 1). */
export const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let [difference, scale] = [a.length === b.length ? 0 : Number.POSITIVE_INFINITY, 1];
  for (let i = 0; i < a.length; i++) {
    difference = Math.max(difference, Math.abs(a[i]! - b[i]!));
    scale = Math.max(scale, Math.abs(a[i]!), Math.abs(b[i]!));
    if (Number.isNaN(a[i]! - b[i]!)) return Number.POSITIVE_INFINITY;
  }
  return difference / scale;
};

/** ∂loss/∂feed by central differences; `loss` is the output of that name, of one element. */
export const centralDifferences = (
  program: Program,
  feeds: Readonly<Record<string, NumericArray>>,
  name: string,
  loss = "loss",
  step = 1e-5,
): Float64Array => {
  const feed = feeds[name]!;
  const at = (i: number, shift: number): number => {
    const data = feed.data.slice();
    data[i] = data[i]! + shift;
    return runNumeric(program, { ...feeds, [name]: { ...feed, data } })[loss]!.data[0]!;
  };
  return Float64Array.from(feed.data, (_, i) => (at(i, step) - at(i, -step)) / (2 * step));
};

/**
 * The largest distance between autodiff and central differences over the feeds `wrt`, for the loss Σ weight · build(feeds), with
 * random weights so that no symmetric error cancels.
 */
export const gradientError = (
  feeds: Readonly<Record<string, NumericArray>>,
  wrt: readonly string[],
  build: (b: Emitter) => string,
): number => {
  const b = declareAll(feeds);
  const y = build(b);
  const shape = b.type(y).shape;
  const weight = drawn(shape, 77);
  b.declare("weight", weight);
  const loss = b.sum(
    b.mul(y, "weight"),
    shape.map((_, axis) => axis),
    false,
  );
  const found = gradients(b, loss, wrt);
  const all = { ...feeds, weight };
  const results = runNumeric(programOf(b, all, Object.fromEntries(found)), all);
  const forward = programOf(b, all, { loss });
  return Math.max(...wrt.map((name) => distance(results[name]!.data, centralDifferences(forward, all, name))));
};
