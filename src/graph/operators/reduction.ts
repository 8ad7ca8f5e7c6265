/** Sums, means and maxima over axes, and the softmax family. */
import { type Dims, formatShape, padRank, reducedCount, reducedShape, sizeOf, stridesOf, walk } from "../shapes.ts";
import { type Backward, type Check, expectFloats, type NumericArray, type Operator, type ValueType } from "./operator.ts";

interface Reduction {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

const infer = (inputs: readonly ValueType[], { axes, keepDims }: Reduction, check: Check): ValueType => {
  expectFloats(inputs, check);
  const shape = inputs[0]!.shape;
  check(
    new Set(axes).size === axes.length && axes.every((axis) => axis < shape.length),
    `distinct axes below ${shape.length}`,
    formatShape(axes),
  );
  return { dtype: "float32", shape: reducedShape(shape, axes, keepDims) };
};

const fold = (x: NumericArray, { axes }: Reduction, start: number, f: (sum: number, value: number) => number): Float64Array => {
  const kept = reducedShape(x.shape, axes, true);
  const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
  const result = new Float64Array(sizeOf(kept)).fill(start);
  walk(x.shape, [strides], (i, offsets) => {
    result[offsets[0]!] = f(result[offsets[0]!]!, x.data[i]!);
  });
  return result;
};

/** The cotangent of a sum in the shape that broadcasts to its input: the reduced axes come back with length one. */
const spread = ({ b, inputs, attributes, y, dy }: Backward<"reduceSum" | "reduceMean">): string => {
  const narrow = b.type(dy).shape;
  if (attributes.keepDims || sizeOf(narrow) === 1) return dy;
  const aligned = padRank(narrow, b.type(y).shape.length);
  const shape = b.type(inputs[0]!).shape.map((_, axis) => {
    const place = axis - attributes.axes.filter((reduced) => reduced < axis).length;
    return attributes.axes.includes(axis) ? 1 : aligned[place]!;
  });
  return b.reshape(dy, shape);
};

const perElementRead = (inputs: readonly ValueType[]): number => sizeOf(inputs[0]!.shape);

export const reduceSum: Operator<"reduceSum"> = {
  arity: 1,
  infer,
  forward: (inputs, attributes) => fold(inputs[0]!, attributes, 0, (sum, value) => sum + value),
  backward: (call) => [() => spread(call)],
  flops: perElementRead,
};

export const reduceMean: Operator<"reduceMean"> = {
  arity: 1,
  infer,
  forward: (inputs, attributes) => {
    const count = reducedCount(inputs[0]!.shape, attributes.axes);
    return fold(inputs[0]!, attributes, 0, (sum, value) => sum + value).map((sum) => sum / count);
  },
  backward: (call) => {
    const { b, inputs, attributes } = call;
    return [() => b.mul(spread(call), b.scalar(1 / reducedCount(b.type(inputs[0]!).shape, attributes.axes)))];
  },
  flops: perElementRead,
};

export const reduceMax: Operator<"reduceMax"> = {
  arity: 1,
  infer,
  forward: (inputs, attributes) => fold(inputs[0]!, attributes, Number.NEGATIVE_INFINITY, Math.max),
  backward: null,
  flops: perElementRead,
};

const expectAxis = (shape: Dims, axis: number, check: Check): void =>
  check(axis < shape.length, `an axis below ${shape.length}`, String(axis));

const inferSame = (inputs: readonly ValueType[], { axis }: { readonly axis: number }, check: Check): ValueType => {
  expectFloats(inputs, check);
  expectAxis(inputs[0]!.shape, axis, check);
  return inputs[0]!;
};

/** Calls `visit` with every line along the axis: its first offset, its length and the step between its elements. */
const eachLine = (shape: Dims, axis: number, visit: (start: number, length: number, step: number) => void): void => {
  const step = sizeOf(shape.slice(axis + 1));
  const length = shape[axis]!;
  for (let outer = 0; outer < sizeOf(shape.slice(0, axis)); outer++) {
    for (let inner = 0; inner < step; inner++) visit(outer * length * step + inner, length, step);
  }
};

/** Applies softmax or its logarithm line by line; the maximum is taken off first, so that nothing overflows. */
const normaliseLines = (x: NumericArray, axis: number, f: (shifted: number, total: number) => number): Float64Array => {
  const result = new Float64Array(x.data.length);
  eachLine(x.shape, axis, (start, length, step) => {
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < length; i++) largest = Math.max(largest, x.data[start + i * step]!);
    let total = 0;
    for (let i = 0; i < length; i++) total += Math.exp(x.data[start + i * step]! - largest);
    for (let i = 0; i < length; i++) result[start + i * step] = f(x.data[start + i * step]! - largest, total);
  });
  return result;
};

export const softmax: Operator<"softmax"> = {
  arity: 1,
  infer: inferSame,
  forward: (inputs, { axis }) => normaliseLines(inputs[0]!, axis, (shifted, total) => Math.exp(shifted) / total),
  backward: ({ b, attributes, y, dy }) => [() => b.mul(y, b.sub(dy, b.sum(b.mul(dy, y), [attributes.axis], true)))],
  flops: perElementRead,
};

export const logSoftmax: Operator<"logSoftmax"> = {
  arity: 1,
  infer: inferSame,
  forward: (inputs, { axis }) => normaliseLines(inputs[0]!, axis, (shifted, total) => shifted - Math.log(total)),
  // exp(y) is the softmax, for one elementwise operation. Under a one-hot cotangent this folds to (onehot − softmax)·c.
  backward: ({ b, attributes, y, dy }) => [
    () => {
      const full = b.broadcastTo(dy, b.type(y).shape);
      return b.sub(full, b.mul(b.unary("exp", y), b.sum(full, [attributes.axis], true)));
    },
  ],
  flops: perElementRead,
};

export const argMax: Operator<"argMax"> = {
  arity: 1,
  infer: (inputs, { axis }, check) => {
    expectFloats(inputs, check);
    expectAxis(inputs[0]!.shape, axis, check);
    return { dtype: "int32", shape: reducedShape(inputs[0]!.shape, [axis], false) };
  },
  forward: (inputs, { axis }, output) => {
    const x = inputs[0]!;
    const result = new Float64Array(sizeOf(output.shape));
    let line = 0;
    eachLine(x.shape, axis, (start, length, step) => {
      let best = 0;
      for (let i = 1; i < length; i++) if (x.data[start + i * step]! > x.data[start + best * step]!) best = i;
      result[line++] = best;
    });
    return result;
  },
  backward: null,
  flops: perElementRead,
};
