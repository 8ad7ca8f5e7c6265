/**
 * The order of training batches, and the copying of samples into the arrays that an engine reads. Pure: no I/O, no clock.
 *
 * B1 Each pass visits a fresh permutation of the samples, shuffled from the identity by the cursor's own random stream.
 * B2 Every batch is full: the samples left over at the end of a pass are dropped, other ones in each pass.
 * B3 A cursor restored from `state()` gives bit for bit the batches that the original would have given.
 */
import type { BatchCursorState, DatasetBuffers, SplitName } from "../contracts/dataset.ts";
import { DataError } from "../contracts/errors.ts";
import type { RandomSource } from "../contracts/ports.ts";
import { shuffle } from "../graph/random.ts";

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

/**
 * Copies samples into a batch: pixel p becomes (p / 255 − mean) / sd, in the layout [batch, channels, height, width].
 * `pixels` has `indices.length` × pixels per sample elements and `labels` `indices.length`.
 */
export const fillBatch = (
  dataset: DatasetBuffers,
  split: SplitName,
  indices: ArrayLike<number>,
  pixels: Float32Array,
  labels: Int32Array,
): void => {
  const { count, pixels: pixelBuffer, labels: labelBuffer } = dataset[split];
  const [channels, height, width] = dataset.inputShape;
  const stride = channels * height * width;
  if (pixels.length !== indices.length * stride || labels.length !== indices.length) {
    throw new RangeError(
      `fillBatch: expected ${indices.length * stride} pixels and ${indices.length} labels, found ${pixels.length} and ${labels.length}`,
    );
  }
  const sourcePixels = new Uint8Array(pixelBuffer);
  const sourceLabels = new Uint8Array(labelBuffer);
  // Pixels are bytes: 256 divisions serve the whole batch.
  const normalised = Float32Array.from({ length: 256 }, (_, pixel) => (pixel / 255 - dataset.mean) / dataset.sd);
  for (let row = 0; row < indices.length; row++) {
    const sample = indices[row]!;
    if (!(sample >= 0 && sample < count))
      throw new RangeError(`fillBatch: expected a ${split} sample below ${count}, found ${sample}`);
    const from = sample * stride;
    const to = row * stride;
    for (let offset = 0; offset < stride; offset++) pixels[to + offset] = normalised[sourcePixels[from + offset]!]!;
    labels[row] = sourceLabels[sample]!;
  }
};
