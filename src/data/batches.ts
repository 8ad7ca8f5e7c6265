/**
 * The order of training batches, and the copying of samples into the arrays that an engine reads. Pure: no I/O, no clock.
 *
 * B1 Each pass visits a fresh permutation of the samples, shuffled from the identity by the cursor's own random stream.
 * B2 Every batch is full: the samples left over at the end of a pass are dropped, other ones in each pass.
 * B3 A cursor restored from `state()` gives bit for bit the batches that the original would have given, augmentation included.
 * B4 Only training batches are augmented, from a stream that the cursor's key, pass and position determine; drawing from it moves nothing.
 */
import type { BatchCursorState, DatasetBuffers, SplitName } from "../contracts/dataset.ts";
import { DataError, InputError } from "../contracts/errors.ts";
import type { RandomSource } from "../contracts/ports.ts";
import { shuffle } from "../graph/random.ts";
import { type ImageShape, readImage } from "./augmentation.ts";

/** Numbers 0 … count − 1 in an order drawn from `random`. */
export const shuffledIndices = (count: number, random: RandomSource): Int32Array =>
  shuffle(
    Int32Array.from({ length: count }, (_, index) => index),
    random,
  );

export class BatchCursor {
  readonly samples: number;
  readonly batchSize: number;
  readonly #random: RandomSource;
  #pass: number;
  #position = 0;
  #randomAtPass: readonly number[];
  #order: Int32Array;

  /** Takes `random` over: nothing else may draw from it. Throws DataError when there is not one full batch. */
  constructor(samples: number, batchSize: number, random: RandomSource, pass = 0) {
    if (!(batchSize >= 1) || samples < batchSize) {
      throw new DataError(
        `batches: expected at least ${batchSize} training samples for one batch, found ${samples}; lower dataset.batchSize or raise dataset.trainSamplesMax`,
      );
    }
    this.samples = samples;
    this.batchSize = batchSize;
    this.#random = random;
    this.#pass = pass;
    this.#randomAtPass = [...random.state()];
    this.#order = shuffledIndices(samples, random);
  }

  /** B3. `restoreRandom` makes a stream from its state. Throws DataError when the state does not fit its own counts. */
  static restore(state: BatchCursorState, restoreRandom: (state: readonly number[]) => RandomSource): BatchCursor {
    const cursor = new BatchCursor(state.samples, state.batchSize, restoreRandom(state.random), state.pass);
    if (state.position > cursor.batchesPerPass) {
      throw new DataError(
        `batch cursor: expected a position of at most ${cursor.batchesPerPass} batches, found ${state.position}; the saved state is damaged`,
      );
    }
    cursor.#position = state.position;
    return cursor;
  }

  /** B2. */
  get batchesPerPass(): number {
    return Math.floor(this.samples / this.batchSize);
  }

  /** Sample numbers of the next batch, `batchSize` of them. */
  next(): Int32Array {
    if (this.#position === this.batchesPerPass) {
      this.#pass++;
      this.#position = 0;
      this.#randomAtPass = [...this.#random.state()];
      this.#order = shuffledIndices(this.samples, this.#random); // B1
    }
    const start = this.#position * this.batchSize;
    this.#position++;
    return this.#order.slice(start, start + this.batchSize);
  }

  /** B4. A stream for augmenting the batch that `next` gave last; the same however often it is asked for. */
  augmentation(): RandomSource {
    return this.#random.fork(`augmentation ${this.#pass} ${this.#position}`);
  }

  state(): BatchCursorState {
    return {
      samples: this.samples,
      batchSize: this.batchSize,
      pass: this.#pass,
      position: this.#position,
      random: [...this.#randomAtPass],
    };
  }
}

/** Memory of a batch: float32 or int32, as the program's port says. */
export type BatchArray = Float32Array | Int32Array;

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

const wrongType = (dataset: DatasetBuffers, what: string, expected: string): InputError =>
  new InputError(
    `dataset ${dataset.name} (${dataset.kind}, ${dataset.task}): expected a model whose ${what} are ${expected}, found another type; choose a model for such data`,
    { path: "model.name" },
  );

const floats = (array: BatchArray, dataset: DatasetBuffers, what: string): Float32Array => {
  if (array instanceof Float32Array) return array;
  throw wrongType(dataset, what, "float32");
};

const integers = (array: BatchArray, dataset: DatasetBuffers, what: string): Int32Array => {
  if (array instanceof Int32Array) return array;
  throw wrongType(dataset, what, "int32");
};

const checkSizes = (dataset: DatasetBuffers, samples: number, x: BatchArray, y: BatchArray): void => {
  const inputs = samples * sizeOf(dataset.inputShape);
  const targets = samples * (dataset.task === "regression" ? dataset.classes : dataset.rows);
  if (x.length === inputs && y.length === targets) return;
  throw new RangeError(
    `fillBatch: expected ${inputs} inputs and ${targets} targets for ${samples} samples of ${dataset.name}, found ${x.length} and ${y.length}`,
  );
};

/** Copies rows of `source`, `stride` elements each, into `to`. */
const copyRows = (source: BatchArray, indices: ArrayLike<number>, stride: number, to: BatchArray): void => {
  for (let row = 0; row < indices.length; row++) {
    const from = indices[row]! * stride;
    to.set(source.subarray(from, from + stride), row * stride);
  }
};

/** Images in [batch, channels, height, width], each pixel p of channel c as (p / 255 − mean[c]) / sd[c]. */
const copyImages = (
  dataset: DatasetBuffers,
  split: SplitName,
  indices: ArrayLike<number>,
  x: Float32Array,
  random: RandomSource | undefined,
): void => {
  const [channels = 1, height = 1, width = 1] = dataset.inputShape;
  const shape: ImageShape = { channels, height, width };
  const pixels = new Uint8Array(dataset[split].inputs);
  // Pixels are bytes: 256 divisions for each channel serve the whole batch.
  const levels = Array.from({ length: channels }, (_, channel) =>
    Float32Array.from({ length: 256 }, (_, pixel) => (pixel / 255 - dataset.mean[channel]!) / dataset.sd[channel]!),
  );
  const stride = sizeOf(dataset.inputShape);
  for (let row = 0; row < indices.length; row++) {
    const image = pixels.subarray(indices[row]! * stride, (indices[row]! + 1) * stride);
    const into = x.subarray(row * stride, (row + 1) * stride);
    readImage(image, shape, levels, into, random === undefined ? undefined : { random, ...dataset.augmentation });
  }
};

/**
 * Copies samples into a batch. `x` holds indices.length samples of `inputShape`: images normalised, token ids (of either type) and tables as
 * they are. `y` holds int32 classes [samples · rows], or float32 values [samples · classes] of a regression.
 * @param augment Stream for the images' augmentation (B4); left out, nothing is augmented.
 * Throws RangeError on wrong sizes or samples, InputError where the types are those of another kind of data.
 */
export const fillBatch = (
  dataset: DatasetBuffers,
  split: SplitName,
  indices: ArrayLike<number>,
  x: BatchArray,
  y: BatchArray,
  augment?: RandomSource,
): void => {
  const { count, inputs, targets } = dataset[split];
  checkSizes(dataset, indices.length, x, y);
  for (let row = 0; row < indices.length; row++) {
    const sample = indices[row]!;
    if (!(sample >= 0 && sample < count))
      throw new RangeError(`fillBatch: expected a ${split} sample below ${count}, found ${sample}`);
  }
  const stride = sizeOf(dataset.inputShape);
  if (dataset.kind === "images") copyImages(dataset, split, indices, floats(x, dataset, "inputs"), augment);
  else if (dataset.kind === "tokens") copyRows(new Int32Array(inputs), indices, stride, x);
  else copyRows(new Float32Array(inputs), indices, stride, floats(x, dataset, "inputs"));
  if (dataset.task === "classification") {
    copyRows(new Int32Array(targets), indices, dataset.rows, integers(y, dataset, "targets"));
  } else copyRows(new Float32Array(targets), indices, dataset.classes, floats(y, dataset, "targets"));
};

/** The cursor's next training batch, augmented as the data set says (B4). */
export const fillTrainingBatch = (dataset: DatasetBuffers, cursor: BatchCursor, x: BatchArray, y: BatchArray): void => {
  const { cropPixels, flip } = dataset.augmentation;
  const indices = cursor.next();
  fillBatch(dataset, "train", indices, x, y, cropPixels > 0 || flip ? cursor.augmentation() : undefined);
};
