/** Numbers as a user's program has them, as one dense array: nested arrays, typed arrays, tensors of tensorflow.js or onnxruntime. */
import { InputError } from "../contracts/errors.ts";
import { formatShape, sizeOf } from "../graph/shapes.ts";

export type NumberArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Int8Array
  | Int16Array
  | Uint32Array;
export type NestedNumbers = readonly (number | NestedNumbers)[];

/** What tensorflow.js hands out. */
interface LazyTensor {
  readonly shape: readonly number[];
  dataSync(): ArrayLike<number>;
}

/** A typed array with its shape; `dims` is what onnxruntime calls it. */
interface ShapedArray {
  readonly data: ArrayLike<number> | ArrayLike<bigint>;
  readonly shape?: readonly number[];
  readonly dims?: readonly number[];
}

export type ArrayInput = NestedNumbers | NumberArray | LazyTensor | ShapedArray;

export interface DenseArray {
  /** Undefined for a typed array alone: its shape follows from the model. */
  readonly shape: readonly number[] | undefined;
  readonly data: Float32Array;
}

const wrong = (what: string, expected: string, found: string): InputError =>
  new InputError(`${what}: expected ${expected}, found ${found}; pass nested arrays, a typed array, or a tensor`, { path: what });

const isNumberArray = (value: unknown): value is NumberArray =>
  ArrayBuffer.isView(value) &&
  !(value instanceof DataView) &&
  !(value instanceof BigInt64Array) &&
  !(value instanceof BigUint64Array);

const isShape = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((dim) => Number.isInteger(dim) && dim >= 0);

const toFloats = (data: ArrayLike<number> | ArrayLike<bigint>): Float32Array =>
  Float32Array.from(Array.from<number | bigint>(data), Number);

const shapeOfNested = (value: unknown, what: string): number[] => {
  const shape: number[] = [];
  for (let level: unknown = value; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
    if (level.length === 0) throw wrong(what, "numbers", `an empty array on level ${shape.length}`);
  }
  return shape;
};

/** Every level must be as long as the first of its kind. */
const fillNested = (value: unknown, shape: readonly number[], place: readonly number[], into: number[], what: string): void => {
  const expected = shape[place.length];
  if (expected === undefined) {
    if (typeof value !== "number") throw wrong(what, "a number", `${typeof value} at [${place.join(", ")}]`);
    into.push(value);
    return;
  }
  if (!Array.isArray(value) || value.length !== expected) {
    const found = Array.isArray(value) ? `${value.length}` : typeof value;
    throw wrong(what, `${expected} elements in each array of level ${place.length + 1}`, `${found} at [${place.join(", ")}]`);
  }
  value.forEach((item, i) => {
    fillNested(item, shape, [...place, i], into, what);
  });
};

/** @throws InputError naming what was given. */
export const readArray = (input: ArrayInput, what: string): DenseArray => {
  if (isNumberArray(input)) return finite({ shape: undefined, data: toFloats(input) }, what);
  if (Array.isArray(input)) {
    const shape = shapeOfNested(input, what);
    const data: number[] = [];
    fillNested(input, shape, [], data, what);
    return finite({ shape, data: Float32Array.from(data) }, what);
  }
  if (typeof input !== "object" || input === null) throw wrong(what, "numbers", typeof input);
  const shape = "dims" in input && input.dims !== undefined ? input.dims : "shape" in input ? input.shape : undefined;
  const data =
    "dataSync" in input && typeof input.dataSync === "function" ? input.dataSync() : "data" in input ? input.data : undefined;
  if (!isShape(shape) || data === undefined)
    throw wrong(what, "a tensor with its shape and data", Object.keys(input).slice(0, 8).join(", "));
  const values = toFloats(data);
  if (values.length !== sizeOf(shape))
    throw wrong(what, `${sizeOf(shape)} elements for ${formatShape(shape)}`, String(values.length));
  return finite({ shape, data: values }, what);
};

const finite = (array: DenseArray, what: string): DenseArray => {
  const at = array.data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw wrong(what, "finite numbers", `${array.data[at]} at element ${at}`);
  return array;
};

/** Samples of a model's input. */
export interface Samples {
  readonly count: number;
  /** Sample after sample, in the order in which the model's `x` stands. */
  readonly data: Float32Array;
}

/** [N, H, W, C] → [N, C, H, W]. */
const channelsFirst = (data: Float32Array, count: number, [c, h, w]: readonly [number, number, number]): Float32Array => {
  const result = new Float32Array(data.length);
  const plane = h * w;
  for (let sample = 0; sample < count; sample++) {
    for (let at = 0; at < plane; at++) {
      for (let channel = 0; channel < c; channel++) {
        result[(sample * c + channel) * plane + at] = data[(sample * plane + at) * c + channel]!;
      }
    }
  }
  return result;
};

/**
 * Samples for a model whose `x` is [N, ...inputShape]. Images may come as [N, C, H, W] or as [N, H, W, C]; where a shape could be both,
 * `channelsLast` decides. A flat array is taken as it is.
 */
export const readSamples = (input: ArrayInput, inputShape: readonly number[], channelsLast: boolean, what: string): Samples => {
  const { shape, data } = readArray(input, what);
  const size = sizeOf(inputShape);
  const count = data.length / size;
  const sample = shape?.slice(1);
  if (!Number.isInteger(count) || count === 0 || (shape !== undefined && shape[0] !== count)) {
    const found = shape === undefined ? `${data.length} numbers` : formatShape(shape);
    throw wrong(what, `samples of ${formatShape(inputShape)} (${size} numbers each)`, found);
  }
  const [c, h, w] = [inputShape[0]!, inputShape[1]!, inputShape[2]!];
  const isImage = inputShape.length === 3 && sample?.length === 3;
  const same = sample === undefined || formatShape(sample) === formatShape(inputShape);
  const turned = isImage && formatShape(sample) === formatShape([h, w, c]);
  if (turned && (channelsLast || !same)) return { count, data: channelsFirst(data, count, [c, h, w]) };
  if (same || sample?.length === 1 || inputShape.length === 1 || !isImage) return { count, data };
  throw wrong(what, `images of ${formatShape([c, h, w])} or ${formatShape([h, w, c])}`, formatShape(sample));
};
