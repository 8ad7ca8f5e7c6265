/**
 * Parts the samples of a set into training, validation and test data.
 *
 * A3 The validation samples are the last ones of one fixed permutation of the training files: the same for every run, arm and random seed.
 *    So are the test samples of data that bring none; they are set apart first.
 */
import type { DatasetConfig } from "../contracts/config.ts";
import type { SampleBuffer } from "../contracts/dataset.ts";
import { InputError } from "../contracts/errors.ts";
import { createRandom } from "../graph/random.ts";
import { shuffledIndices } from "./batches.ts";

/** Of the permutations that set samples apart. Part of what a result means: it never changes. */
const splitSeed = 1;

/** Without a number of their own: MNIST's usual 10,000, or as large a part of a smaller set. */
const validationDefault = { samples: 10_000, part: 1 / 6 };

export interface SplitIndices {
  /** All of them; `trainSamplesMax` is not applied yet. */
  readonly train: Int32Array;
  readonly validation: Int32Array;
}

export interface OwnSplit extends SplitIndices {
  readonly test: Int32Array;
}

/** How many of `available` training samples are held out. Throws InputError when none would be left. */
export const validationCount = (config: DatasetConfig, available: number): number => {
  const { name, validationSamples } = config;
  const { samples, part } = validationDefault;
  const wanted = validationSamples ?? Math.max(1, Math.min(samples, Math.floor(available * part)));
  if (wanted < available) return wanted;
  throw new InputError(
    `dataset.validationSamples: expected fewer than the ${available} training samples of ${name}, found ${wanted}${validationSamples === undefined ? "; bring more data" : ""}`,
    { path: "dataset.validationSamples" },
  );
};

/** A3. */
const parted = (available: number, validation: number): SplitIndices => {
  const order = shuffledIndices(available, createRandom(splitSeed).fork("validation split"));
  return { train: order.subarray(0, available - validation), validation: order.subarray(available - validation) };
};

/** For a set that brings test data. */
export const splitTraining = (config: DatasetConfig, available: number): SplitIndices =>
  parted(available, validationCount(config, available));

/** For a set that brings none: `testFraction` of the samples, then the validation samples of the rest. */
const splitOwn = (config: DatasetConfig, samples: number): OwnSplit => {
  const test = testCount(config, samples);
  const order = shuffledIndices(samples, createRandom(splitSeed).fork("test split"));
  const rest = order.subarray(0, samples - test);
  const { train, validation } = splitTraining(config, rest.length);
  const at = (places: Int32Array): Int32Array => places.map((place) => rest[place]!);
  return { train: at(train), validation: at(validation), test: order.subarray(samples - test) };
};

/** Test samples of a set that brings none. Throws InputError when there is not one for each part. */
export const testCount = ({ name, testFraction }: DatasetConfig, samples: number): number => {
  if (samples < 3) {
    throw new InputError(
      `dataset ${name}: expected at least 3 samples, one each for training, validation and test, found ${samples}; bring more data`,
      { path: "dataset.name" },
    );
  }
  return Math.min(samples - 2, Math.max(1, Math.round(samples * testFraction)));
};

/** The training samples that are used. */
export const limited = ({ trainSamplesMax }: DatasetConfig, train: Int32Array): Int32Array =>
  trainSamplesMax === undefined ? train : train.subarray(0, trainSamplesMax);

export const indicesUpTo = (count: number): Int32Array => Int32Array.from({ length: count }, (_, sample) => sample);

/** Test rows that the data bring stand at the end; without any they are drawn. */
export const splitRows = (config: DatasetConfig, rows: number, testRows: number): OwnSplit =>
  testRows === 0
    ? splitOwn(config, rows)
    : { ...splitTraining(config, rows - testRows), test: indicesUpTo(testRows).map((row) => rows - testRows + row) };

export interface ByteSamples {
  /** Sample after sample, of equal size. */
  readonly pixels: Uint8Array;
  readonly labels: ArrayLike<number>;
}

/** Images and classes of `indices`, in that order, in shared memory. */
export const gatherImages = ({ pixels, labels }: ByteSamples, stride: number, indices: Int32Array): SampleBuffer => {
  const inputs = new SharedArrayBuffer(indices.length * stride);
  const targets = new SharedArrayBuffer(4 * indices.length);
  const [bytes, classes] = [new Uint8Array(inputs), new Int32Array(targets)];
  for (const [row, sample] of indices.entries()) {
    bytes.set(pixels.subarray(sample * stride, (sample + 1) * stride), row * stride);
    classes[row] = labels[sample]!;
  }
  return { count: indices.length, inputs, targets };
};

/** Mean and deviation of each channel of the images as fractions of 255; a channel without variation gets the deviation 1. */
export const channelStatistics = (
  pixels: Uint8Array,
  [channels, height, width]: readonly [number, number, number],
  indices: Int32Array,
): { readonly mean: number[]; readonly sd: number[] } => {
  const area = height * width;
  const counts = Array.from({ length: channels }, () => new Float64Array(256));
  for (const sample of indices) {
    for (let channel = 0; channel < channels; channel++) {
      const start = (sample * channels + channel) * area;
      const count = counts[channel]!;
      for (let at = start; at < start + area; at++) count[pixels[at]!]!++;
    }
  }
  const total = indices.length * area;
  const mean = counts.map((count) => count.reduce((sum, times, pixel) => sum + (times * pixel) / 255, 0) / total);
  const sd = counts.map((count, channel) =>
    Math.sqrt(count.reduce((sum, times, pixel) => sum + times * (pixel / 255 - mean[channel]!) ** 2, 0) / total),
  );
  return { mean, sd: sd.map((value) => (value > 0 ? value : 1)) };
};
