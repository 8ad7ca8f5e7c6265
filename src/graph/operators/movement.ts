/** Operators that make or move data without arithmetic. They cost no floating-point operations. */
import { broadcastStrides, broadcastsTo, type Dims, formatShape, sameShape, sizeOf, stridesOf, walk } from "../shapes.ts";
import { unbroadcast } from "./elementwise.ts";
import { describeTypes, type NumericArray, noFlops, type Operator } from "./operator.ts";

/** Copies a block of `shape` from one tensor into another, from corner to corner. */
const copyBlock = (
  source: NumericArray,
  sourceCorner: Dims,
  target: Float64Array,
  targetShape: Dims,
  targetCorner: Dims,
  block: Dims,
): void => {
  const [from, to] = [stridesOf(source.shape), stridesOf(targetShape)];
  const start = (corner: Dims, strides: Dims): number => corner.reduce((sum, index, axis) => sum + index * strides[axis]!, 0);
  const [sourceStart, targetStart] = [start(sourceCorner, from), start(targetCorner, to)];
  walk(block, [from, to], (_, offsets) => {
    target[targetStart + offsets[1]!] = source.data[sourceStart + offsets[0]!]!;
  });
};

const zeros = (rank: number): number[] => new Array<number>(rank).fill(0);

export const fill: Operator<"fill"> = {
  arity: 0,
  infer: (_inputs, { shape }, check) => {
    check(
      shape.every((dim) => dim >= 0),
      "bound dimensions",
      formatShape(shape),
    );
    return { dtype: "float32", shape };
  },
  forward: (_inputs, { value }, output) => new Float64Array(sizeOf(output.shape)).fill(value),
  backward: null,
  flops: noFlops,
};

export const broadcastTo: Operator<"broadcastTo"> = {
  arity: 1,
  infer: (inputs, { shape }, check) => {
    check(broadcastsTo(inputs[0]!.shape, shape), `a shape that broadcasts to ${formatShape(shape)}`, describeTypes(inputs));
    return { dtype: inputs[0]!.dtype, shape };
  },
  forward: (inputs, _attributes, output) => {
    const x = inputs[0]!;
    const result = new Float64Array(sizeOf(output.shape));
    walk(output.shape, [broadcastStrides(x.shape, output.shape)], (i, offsets) => {
      result[i] = x.data[offsets[0]!]!;
    });
    return result;
  },
  backward: ({ b, inputs, y, dy }) => [() => unbroadcast(b, dy, b.type(y).shape, b.type(inputs[0]!).shape)],
  flops: noFlops,
};

export const reshape: Operator<"reshape"> = {
  arity: 1,
  infer: (inputs, { shape }, check) => {
    const size = sizeOf(inputs[0]!.shape);
    const open = shape.filter((dim) => dim === -1).length;
    check(open <= 1, "at most one -1 in the shape", formatShape(shape));
    const known = sizeOf(shape.filter((dim) => dim !== -1));
    const resolved = shape.map((dim) => (dim === -1 ? Math.floor(size / known) : dim));
    check(sizeOf(resolved) === size, `a shape of ${size} elements for ${describeTypes(inputs)}`, formatShape(shape));
    return { dtype: inputs[0]!.dtype, shape: resolved };
  },
  resolve: (_attributes, _inputs, output) => ({ shape: [...output.shape] }),
  forward: (inputs) => inputs[0]!.data.slice(),
  backward: ({ b, inputs, y, dy }) => [() => b.reshape(b.broadcastTo(dy, b.type(y).shape), b.type(inputs[0]!).shape)],
  flops: noFlops,
};

export const transpose: Operator<"transpose"> = {
  arity: 1,
  infer: (inputs, { perm }, check) => {
    const shape = inputs[0]!.shape;
    check(
      sameShape(
        perm.toSorted((a, b) => a - b),
        shape.map((_, axis) => axis),
      ),
      `a permutation of ${shape.length} axes`,
      formatShape(perm),
    );
    return { dtype: inputs[0]!.dtype, shape: perm.map((axis) => shape[axis]!) };
  },
  forward: (inputs, { perm }, output) => {
    const x = inputs[0]!;
    const strides = stridesOf(x.shape);
    const result = new Float64Array(x.data.length);
    walk(output.shape, [perm.map((axis) => strides[axis]!)], (i, offsets) => {
      result[i] = x.data[offsets[0]!]!;
    });
    return result;
  },
  backward: ({ b, attributes: { perm }, y, dy }) => [
    () => b.emit("transpose", [b.broadcastTo(dy, b.type(y).shape)], { perm: perm.map((_, axis) => perm.indexOf(axis)) }),
  ],
  flops: noFlops,
};

export const concat: Operator<"concat"> = {
  arity: null,
  infer: (inputs, { axis }, check) => {
    const first = inputs[0]!;
    check(axis < first.shape.length, `an axis below ${first.shape.length}`, String(axis));
    check(
      inputs.every(
        (type) =>
          type.dtype === first.dtype &&
          type.shape.length === first.shape.length &&
          type.shape.every((dim, i) => i === axis || dim === first.shape[i]),
      ),
      `inputs of one type that differ in axis ${axis} alone`,
      describeTypes(inputs),
    );
    const length = inputs.reduce((sum, type) => sum + type.shape[axis]!, 0);
    return { dtype: first.dtype, shape: first.shape.map((dim, i) => (i === axis ? length : dim)) };
  },
  forward: (inputs, { axis }, output) => {
    const result = new Float64Array(sizeOf(output.shape));
    const corner = zeros(output.shape.length);
    for (const x of inputs) {
      copyBlock(x, zeros(x.shape.length), result, output.shape, corner, x.shape);
      corner[axis] = corner[axis]! + x.shape[axis]!;
    }
    return result;
  },
  backward: ({ b, inputs, attributes: { axis }, y, dy }) => {
    const shape = b.type(y).shape;
    let start = 0;
    return inputs.map((input) => {
      const [from, to] = [start, start + b.type(input).shape[axis]!];
      start = to;
      return () =>
        b.emit("slice", [b.broadcastTo(dy, shape)], {
          starts: shape.map((_, i) => (i === axis ? from : 0)),
          ends: shape.map((dim, i) => (i === axis ? to : dim)),
        });
    });
  },
  flops: noFlops,
};

export const slice: Operator<"slice"> = {
  arity: 1,
  infer: (inputs, { starts, ends }, check) => {
    const shape = inputs[0]!.shape;
    const found = `starts ${formatShape(starts)}, ends ${formatShape(ends)} for ${describeTypes(inputs)}`;
    check(starts.length === shape.length && ends.length === shape.length, "one start and one end per axis", found);
    const stops = ends.map((end, axis) => (end === -1 ? shape[axis]! : end));
    check(
      stops.every((end, axis) => end > starts[axis]! && end <= shape[axis]!),
      "start < end ≤ length on every axis",
      found,
    );
    return { dtype: inputs[0]!.dtype, shape: stops.map((end, axis) => end - starts[axis]!) };
  },
  resolve: ({ starts }, _inputs, output) => ({ starts, ends: output.shape.map((dim, axis) => starts[axis]! + dim) }),
  forward: (inputs, { starts }, output) => {
    const result = new Float64Array(sizeOf(output.shape));
    copyBlock(inputs[0]!, starts, result, output.shape, zeros(starts.length), output.shape);
    return result;
  },
  backward: ({ b, inputs, attributes: { starts }, y, dy }) => {
    const [whole, part] = [b.type(inputs[0]!).shape, b.type(y).shape];
    return [
      () =>
        b.emit("pad", [b.broadcastTo(dy, part)], {
          before: starts,
          after: whole.map((dim, axis) => dim - starts[axis]! - part[axis]!),
        }),
    ];
  },
  flops: noFlops,
};

export const pad: Operator<"pad"> = {
  arity: 1,
  infer: (inputs, { before, after }, check) => {
    const shape = inputs[0]!.shape;
    check(
      before.length === shape.length && after.length === shape.length,
      `${shape.length} counts before and after`,
      `${formatShape(before)} and ${formatShape(after)}`,
    );
    return { dtype: inputs[0]!.dtype, shape: shape.map((dim, axis) => before[axis]! + dim + after[axis]!) };
  },
  forward: (inputs, { before }, output) => {
    const result = new Float64Array(sizeOf(output.shape));
    copyBlock(inputs[0]!, zeros(before.length), result, output.shape, before, inputs[0]!.shape);
    return result;
  },
  backward: ({ b, inputs, attributes: { before }, y, dy }) => {
    const inner = b.type(inputs[0]!).shape;
    return [
      () =>
        b.emit("slice", [b.broadcastTo(dy, b.type(y).shape)], {
          starts: before,
          ends: inner.map((dim, axis) => before[axis]! + dim),
        }),
    ];
  },
  flops: noFlops,
};
