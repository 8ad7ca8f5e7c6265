/** Arithmetic on shapes and row-major indices, shared by operators and programs. */

export type Dims = readonly number[];

export const sizeOf = (shape: Dims): number => shape.reduce((product, dim) => product * dim, 1);

export const sameShape = (a: Dims, b: Dims): boolean => a.length === b.length && a.every((dim, i) => dim === b[i]);

export const formatShape = (shape: Dims): string => `[${shape.join(", ")}]`;

/** Row-major strides in elements. */
export const stridesOf = (shape: Dims): number[] => {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
};

/** The shape with ones in front up to the rank: how NumPy aligns operands. */
export const padRank = (shape: Dims, rank: number): number[] => [...new Array<number>(rank - shape.length).fill(1), ...shape];

/** NumPy's broadcast of two shapes; null when they do not fit. */
export const broadcastShapes = (a: Dims, b: Dims): number[] | null => {
  const rank = Math.max(a.length, b.length);
  const left = padRank(a, rank);
  const right = padRank(b, rank);
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const m = left[axis]!;
    const n = right[axis]!;
    if (m !== n && m !== 1 && n !== 1) return null;
    result.push(m === 1 ? n : m);
  }
  return result;
};

/** True when `shape` can be broadcast to `target` without widening `target`. */
export const broadcastsTo = (shape: Dims, target: Dims): boolean => {
  const result = broadcastShapes(shape, target);
  return result !== null && sameShape(result, target);
};

/** Strides that read a tensor of `shape` as if it had the shape `target`: zero along the repeated axes. */
export const broadcastStrides = (shape: Dims, target: Dims): number[] => {
  const padded = padRank(shape, target.length);
  const strides = padRank(stridesOf(shape), target.length);
  return padded.map((dim, axis) => (dim === 1 ? 0 : strides[axis]!));
};

/**
 * Walks all indices of `shape` in row-major order and gives, for each list of strides, the offset that the index has there.
 * The offsets array is reused from call to call.
 */
export const walk = (
  shape: Dims,
  strideLists: readonly Dims[],
  visit: (position: number, offsets: readonly number[]) => void,
): void => {
  const size = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  const offsets = new Array<number>(strideLists.length).fill(0);
  for (let position = 0; position < size; position++) {
    visit(position, offsets);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = index[axis]! + 1;
      for (let k = 0; k < offsets.length; k++) offsets[k] = offsets[k]! + strideLists[k]![axis]!;
      if (index[axis]! < shape[axis]!) break;
      for (let k = 0; k < offsets.length; k++) offsets[k] = offsets[k]! - strideLists[k]![axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
};

/** The shape after a reduction. */
export const reducedShape = (shape: Dims, axes: Dims, keepDims: boolean): number[] =>
  keepDims ? shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim)) : shape.filter((_, axis) => !axes.includes(axis));

/** How many elements are folded into one by a reduction. */
export const reducedCount = (shape: Dims, axes: Dims): number => sizeOf(shape.filter((_, axis) => axes.includes(axis)));
