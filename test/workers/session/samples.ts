/** Small data sets of each kind, drawn from fixed seeds. */
import type { DatasetBuffers, SampleBuffer } from "../../../src/contracts/dataset.ts";
import { createRandom } from "../../../src/graph/random.ts";

const noAugmentation = { cropPixels: 0, flip: false };

export const integers = (values: readonly number[]): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(4 * values.length);
  new Int32Array(buffer).set(values);
  return buffer;
};
export const floats = (values: readonly number[]): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(4 * values.length);
  new Float32Array(buffer).set(values);
  return buffer;
};

/** Three columns and two targets: y0 = x0 − 2·x1, y1 = 0.5·x2, with noise of deviation 0.1. */
const tableSplit = (count: number, seed: number): SampleBuffer => {
  const random = createRandom(seed);
  const x = Array.from({ length: 3 * count }, () => random.normal());
  const y = Array.from({ length: count }, (_, row) => [x[3 * row]! - 2 * x[3 * row + 1]!, 0.5 * x[3 * row + 2]!])
    .flat()
    .map((value) => value + 0.1 * random.normal());
  return { count, inputs: floats(x), targets: floats(y) };
};

export const table: DatasetBuffers = {
  name: "plane",
  kind: "table",
  task: "regression",
  inputShape: [3],
  rows: 1,
  classes: 2,
  mean: [],
  sd: [],
  augmentation: noAugmentation,
  train: tableSplit(256, 1),
  validation: tableSplit(45, 2),
  test: tableSplit(30, 3),
};

/** Windows of six tokens of five kinds; the next token is the last but one plus one. */
const tokenSplit = (count: number, seed: number): SampleBuffer => {
  const random = createRandom(seed);
  const windows = Array.from({ length: count }, () => {
    const tokens = [random.integer(5), random.integer(5)];
    while (tokens.length < 7) tokens.push((tokens.at(-2)! + 1) % 5);
    return tokens;
  });
  return {
    count,
    inputs: integers(windows.flatMap((tokens) => tokens.slice(0, 6))),
    targets: integers(windows.flatMap((tokens) => tokens.slice(1))),
  };
};

export const tokens: DatasetBuffers = {
  ...table,
  name: "counting",
  kind: "tokens",
  task: "classification",
  inputShape: [6],
  rows: 6,
  classes: 5,
  train: tokenSplit(128, 4),
  validation: tokenSplit(21, 5),
  test: tokenSplit(10, 6),
};

/** Images of 2 × 6 × 6 whose class is the brighter of the two channels. */
const imageSplit = (count: number, seed: number): SampleBuffer => {
  const random = createRandom(seed);
  const inputs = new SharedArrayBuffer(count * 72);
  const pixels = new Uint8Array(inputs);
  const classes = Array.from({ length: count }, () => random.integer(2));
  for (let at = 0; at < pixels.length; at++) {
    const brighter = Math.floor(at / 36) % 2 === classes[Math.floor(at / 72)];
    pixels[at] = random.integer(100) + (brighter ? 100 : 60);
  }
  return { count, inputs, targets: integers(classes) };
};

export const images: DatasetBuffers = {
  ...table,
  name: "channels",
  kind: "images",
  task: "classification",
  inputShape: [2, 6, 6],
  classes: 2,
  mean: [0.5, 0.5],
  sd: [0.2, 0.2],
  augmentation: { cropPixels: 1, flip: true },
  train: imageSplit(128, 7),
  validation: imageSplit(20, 8),
  test: imageSplit(10, 9),
};
