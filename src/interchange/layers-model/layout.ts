/**
 * Keras values in our layout. A map of Keras is [N, H, W, C]; ours is [N, C, H, W]. Everything else stands as it is.
 *
 * L1  A Keras shape has no batch. A value of Keras rank 3 whose `image` is set stands as [N, C, H, W]; without it as it is in Keras.
 * L2  A flattened map stays in our order, and `flattened` says so: the dense layer that follows takes its rows in that order. Whoever else
 *     reads it gets it in Keras's order first.
 */
import { sizeOf } from "../../graph/shapes.ts";
import type { GraphSketch } from "../sketch.ts";

export interface KerasValue {
  readonly value: string;
  /** As Keras sees it, without the batch. */
  readonly shape: readonly number[];
  /** L1. */
  readonly image: boolean;
  /** L2: height, width, channels of the map that was flattened in our order. */
  readonly flattened?: readonly [number, number, number];
}

export const plainValue = (value: string, shape: readonly number[]): KerasValue => ({ value, shape, image: false });

export const imageValue = (value: string, shape: readonly number[]): KerasValue => ({ value, shape, image: true });

/** With one channel or one pixel both layouts are the same memory. */
const sameMemory = ([height, width, channels]: readonly number[]): boolean => channels === 1 || height! * width! === 1;

/** [N, H, W, C] from a map in our layout. */
const channelsLast = (sketch: GraphSketch, value: string, shape: readonly number[], name: string): string =>
  sameMemory(shape)
    ? sketch.op("reshape", [value], { shape: [-1, ...shape] }, `${name}/channelsLast`)
    : sketch.op("transpose", [value], { perm: [0, 2, 3, 1] }, `${name}/channelsLast`);

/** A map in our layout from [N, H, W, C]. */
const channelsFirst = (sketch: GraphSketch, value: string, [h, w, c]: readonly number[], name: string): string =>
  sameMemory([h!, w!, c!])
    ? sketch.op("reshape", [value], { shape: [-1, c!, h!, w!] }, `${name}/channelsFirst`)
    : sketch.op("transpose", [value], { perm: [0, 3, 1, 2] }, `${name}/channelsFirst`);

/** The value in Keras's own order of memory. */
export const inKerasOrder = (sketch: GraphSketch, x: KerasValue, name: string): string => {
  if (x.image) return channelsLast(sketch, x.value, x.shape, name);
  if (x.flattened === undefined) return x.value;
  const [h, w, c] = x.flattened;
  const map = sketch.op("reshape", [x.value], { shape: [-1, c, h, w] }, `${name}/map`);
  return sketch.op("reshape", [channelsLast(sketch, map, x.flattened, name)], { shape: [-1, h * w * c] }, `${name}/kerasOrder`);
};

/** A Keras value that is no map, in Keras's order; maps only become one by `asImage`. */
export const asPlain = (sketch: GraphSketch, x: KerasValue, name: string): KerasValue =>
  plainValue(inKerasOrder(sketch, x, name), x.shape);

/** A value of Keras rank 3 as a map. */
export const asImage = (sketch: GraphSketch, x: KerasValue, name: string): KerasValue =>
  x.image ? x : imageValue(channelsFirst(sketch, x.value, x.shape, name), x.shape);

/** L2. */
export const flatten = (sketch: GraphSketch, x: KerasValue, name: string): KerasValue => {
  if (x.shape.length === 1) return x;
  const size = sizeOf(x.shape);
  const flat = sketch.op("reshape", [x.value], { shape: [-1, size] }, name);
  const [h, w, c] = [x.shape[0]!, x.shape[1]!, x.shape[2]!];
  return { ...plainValue(flat, [size]), ...(x.image && !sameMemory(x.shape) ? { flattened: [h, w, c] as const } : {}) };
};

/** The rows of a dense kernel [H·W·C, units] in the order of a flattened map of ours. */
export const reorderRows = (kernel: Float32Array, units: number, [h, w, c]: readonly [number, number, number]): Float32Array => {
  const result = new Float32Array(kernel.length);
  for (let row = 0; row < h * w; row++) {
    for (let channel = 0; channel < c; channel++) {
      const from = (row * c + channel) * units;
      result.set(kernel.subarray(from, from + units), (channel * h * w + row) * units);
    }
  }
  return result;
};
