/**
 * A user's arrays as a data set: parted into training and validation samples by a fixed draw.
 *
 * U1  Validation samples never train. They are drawn once from the random seed, so that two fits on equal data part them alike.
 */
import type { DatasetBuffers, SampleBuffer } from "../contracts/dataset.ts";
import { InputError } from "../contracts/errors.ts";
import type { Task } from "../contracts/graph.ts";
import { shuffledIndices } from "../data/batches.ts";
import { createRandom } from "../graph/random.ts";
import { formatShape, sizeOf } from "../graph/shapes.ts";
import { type ArrayInput, readArray, readSamples } from "./arrays.ts";

export interface UserData {
  readonly x: ArrayInput;
  /** Class numbers, one-hot rows, or the values of a regression. */
  readonly y: ArrayInput;
}

export const isUserData = (value: object): value is UserData => "x" in value && "y" in value;

/** What may be passed as data. */
export const dataForms = 'pass {x, y}, or the settings of a data set such as {name: "mnist"}';

/** @throws InputError for what is neither arrays nor the settings of a data set. */
export const checkData = (what: string, data: unknown): void => {
  if (typeof data !== "object" || data === null) {
    throw new InputError(`${what}: expected data, found ${data === null ? "null" : typeof data}; ${dataForms}`, { path: "data" });
  }
  const [one, other] = "x" in data ? ["x", "y"] : ["y", "x"];
  if (one in data && !(other in data))
    throw new InputError(`${what}: expected ${other} beside ${one}, found none; ${dataForms}`, { path: other });
};

export interface Targets {
  readonly task: Task;
  /** Predictions for each sample. */
  readonly rows: number;
  readonly classes: number;
  /** Sample after sample: classes [rows] or values [classes]. */
  readonly data: Int32Array | Float32Array;
}

const wrong = (expected: string, found: string, next: string): InputError =>
  new InputError(`y: expected ${expected}, found ${found}; ${next}`, { path: "y" });

const isOneHot = (data: Float32Array, width: number): boolean => {
  if (width < 2) return false;
  for (let row = 0; row < data.length; row += width) {
    const line = data.subarray(row, row + width);
    if (!line.every((value) => value === 0 || value === 1) || line.reduce((sum, value) => sum + value, 0) !== 1) return false;
  }
  return true;
};

const isClasses = (data: Float32Array): boolean => data.every((value) => Number.isInteger(value) && value >= 0);

/** What `y` says, for so many samples; `task` and the model decide where the numbers alone could mean both. */
export const readTargets = (
  input: ArrayInput,
  count: number,
  known: { readonly task?: Task | undefined; readonly rows?: number | undefined; readonly classes?: number | undefined },
): Targets => {
  const { shape, data } = readArray(input, "y");
  const width = data.length / count;
  if (!Number.isInteger(width) || width === 0 || (shape !== undefined && shape[0] !== count)) {
    throw wrong(
      `targets for ${count} samples`,
      shape === undefined ? `${data.length} numbers` : formatShape(shape),
      "give one for each sample of x",
    );
  }
  const rows = known.rows ?? 1;
  const oneHot = rows === 1 && known.task !== "regression" && isOneHot(data, width);
  const task: Task = known.task ?? (oneHot || (width === rows && isClasses(data)) ? "classification" : "regression");
  if (task === "regression") {
    if (known.classes !== undefined && known.classes !== width)
      throw wrong(
        `${known.classes} values for each sample, as many as the model predicts`,
        String(width),
        "check y or the model's last layer",
      );
    return { task, rows: 1, classes: width, data };
  }
  const labels = oneHot ? fromOneHot(data, width) : Int32Array.from(data);
  if (!oneHot && (width !== rows || !isClasses(data)))
    throw wrong(
      `class numbers from 0 on, ${rows} for each sample, or one-hot rows`,
      `${width} numbers such as ${data[0]}`,
      'set task to "regression" for values',
    );
  const largest = labels.reduce((max, label) => Math.max(max, label), 0);
  const classes = known.classes ?? Math.max(2, oneHot ? width : largest + 1);
  if (largest >= classes)
    throw wrong(
      `classes from 0 to ${classes - 1}, as many as the model has`,
      String(largest),
      "check y or the model's last layer",
    );
  return { task, rows, classes, data: labels };
};

const fromOneHot = (data: Float32Array, width: number): Int32Array =>
  Int32Array.from({ length: data.length / width }, (_, row) => data.subarray(row * width, (row + 1) * width).indexOf(1));

const shared = (source: Int32Array | Float32Array, indices: Int32Array, stride: number): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(4 * indices.length * stride);
  const into = source instanceof Int32Array ? new Int32Array(buffer) : new Float32Array(buffer);
  indices.forEach((sample, row) => {
    into.set(source.subarray(sample * stride, (sample + 1) * stride), row * stride);
  });
  return buffer;
};

export interface UserDataset {
  readonly inputShape: readonly number[];
  readonly channelsLast: boolean;
  /** Token ids rather than numbers. */
  readonly tokens: boolean;
  readonly validationSplit: number;
  readonly randomSeed: number;
  readonly known: Parameters<typeof readTargets>[2];
}

/** @throws InputError when x and y do not fit each other or the model. */
export const datasetOf = (data: UserData, validation: UserData | undefined, options: UserDataset): DatasetBuffers => {
  const { inputShape, tokens, known } = options;
  const read = ({ x, y }: UserData, facts: Parameters<typeof readTargets>[2]) => {
    const samples = readSamples(x, inputShape, options.channelsLast, "x");
    return { samples, targets: readTargets(y, samples.count, facts) };
  };
  const own = read(data, known);
  const { task, rows, classes } = own.targets;
  const targetStride = task === "regression" ? classes : rows;
  const part = ({ samples, targets }: typeof own, indices: Int32Array): SampleBuffer => ({
    count: indices.length,
    inputs: shared(tokens ? Int32Array.from(samples.data) : samples.data, indices, sizeOf(inputShape)),
    targets: shared(targets.data, indices, targetStride),
  });
  const order = shuffledIndices(own.samples.count, createRandom(options.randomSeed).fork("validation split")); // U1
  const held = validation === undefined ? Math.round(own.samples.count * options.validationSplit) : 0;
  if (validation === undefined && (held < 1 || held >= own.samples.count)) {
    throw new InputError(
      `validationSplit: expected to leave training and validation samples of ${own.samples.count}, found ${options.validationSplit}; growth is judged on validation samples: give more data or validationData`,
      { path: "validationSplit" },
    );
  }
  const kept = order.slice(0, order.length - held);
  const judged =
    validation === undefined
      ? part(own, order.slice(order.length - held))
      : (() => {
          const other = read(validation, { task, rows, classes });
          return part(
            other,
            Int32Array.from({ length: other.samples.count }, (_, i) => i),
          );
        })();
  return {
    name: "your data",
    kind: tokens ? "tokens" : "table",
    task,
    inputShape,
    rows,
    classes,
    mean: [],
    sd: [],
    augmentation: { cropPixels: 0, flip: false },
    train: part(own, kept),
    validation: judged,
    // There are no further samples: what is measured last is measured on the validation samples, and called so.
    test: judged,
  };
};
