/**
 * Columns to a data set: numbers standardised, texts one-hot, a target of classes or of values.
 *
 * S1 Means and deviations are those of all training samples; validation and test samples have no part in them.
 */
import type { DatasetConfig } from "../contracts/config.ts";
import type { DatasetBuffers, InputColumn, SampleBuffer, TargetScale } from "../contracts/dataset.ts";
import { InputError } from "../contracts/errors.ts";
import { checkBounds } from "./bounds.ts";
import { limited, splitRows } from "./split.ts";

export type SourceColumn =
  | { readonly kind: "number"; readonly name: string; readonly at: (row: number) => number }
  | {
      readonly kind: "text";
      readonly name: string;
      readonly categories: readonly string[];
      readonly at: (row: number) => number;
    };

export type SourceTarget =
  | { readonly kind: "classes"; readonly names: readonly string[]; readonly at: (row: number) => number }
  | { readonly kind: "values"; readonly names: readonly string[]; readonly at: (row: number, output: number) => number };

export interface TableSource {
  /** For messages. */
  readonly file: string;
  readonly rows: number;
  /** Rows at the end that the data bring as test data; 0: they are drawn. */
  readonly testRows: number;
  readonly inputs: readonly SourceColumn[];
  readonly target: SourceTarget;
}

interface Scale {
  readonly mean: number;
  readonly sd: number;
}

/** Of the given rows; a column without variation gets the deviation 1, and is 0 everywhere. S1 */
const scaleOf = (rows: Int32Array, at: (row: number) => number): Scale => {
  const mean = rows.reduce((sum, row) => sum + at(row), 0) / rows.length;
  const variance = rows.reduce((sum, row) => sum + (at(row) - mean) ** 2, 0) / rows.length;
  const sd = Math.sqrt(variance);
  // A constant column's deviation is rounding alone.
  return { mean, sd: sd > 1e-12 * Math.max(1, Math.abs(mean)) ? sd : 1 };
};

const widthOf = (column: SourceColumn | InputColumn): number => (column.kind === "number" ? 1 : column.categories.length);

const encodeColumn = (column: SourceColumn, train: Int32Array): InputColumn =>
  column.kind === "number"
    ? { kind: "number", name: column.name, ...scaleOf(train, column.at) }
    : { kind: "text", name: column.name, categories: column.categories };

const targetScales = ({ target, file }: TableSource, train: Int32Array): TargetScale[] => {
  if (target.kind === "classes") return [];
  return target.names.map((name, output) => {
    const at = (row: number): number => target.at(row, output);
    const first = at(train[0]!);
    if (train.some((row) => at(row) !== first)) return { name, ...scaleOf(train, at) };
    throw new InputError(
      `data file ${file}: expected a target ${name} that varies over the training samples, found ${first} in all; name another by dataset.target`,
      { path: "dataset.target", file },
    );
  });
};

/** Rows of inputs, float32 [rows, width], and of targets. */
const fill = (
  source: TableSource,
  inputs: readonly InputColumn[],
  targets: readonly TargetScale[],
  rows: Int32Array,
): SampleBuffer => {
  const width = inputs.reduce((sum, column) => sum + widthOf(column), 0);
  const inputBuffer = new SharedArrayBuffer(4 * rows.length * width);
  const x = new Float32Array(inputBuffer);
  let start = 0;
  for (const [index, column] of source.inputs.entries()) {
    const encoded = inputs[index]!;
    for (const [to, row] of rows.entries()) {
      if (encoded.kind === "number") x[to * width + start] = (column.at(row) - encoded.mean) / encoded.sd;
      else x[to * width + start + column.at(row)] = 1;
    }
    start += widthOf(column);
  }
  const { target } = source;
  const outputs = target.kind === "classes" ? 1 : targets.length;
  const targetBuffer = new SharedArrayBuffer(4 * rows.length * outputs);
  if (target.kind === "classes") {
    const y = new Int32Array(targetBuffer);
    for (const [to, row] of rows.entries()) y[to] = target.at(row);
  } else {
    const y = new Float32Array(targetBuffer);
    for (const [to, row] of rows.entries()) {
      for (const [output, { mean, sd }] of targets.entries()) y[to * outputs + output] = (target.at(row, output) - mean) / sd;
    }
  }
  return { count: rows.length, inputs: inputBuffer, targets: targetBuffer };
};

/** Throws InputError where the settings do not fit the table. */
export const buildTable = (config: DatasetConfig, source: TableSource): DatasetBuffers => {
  const { target } = source;
  const width = source.inputs.reduce((sum, column) => sum + widthOf(column), 0);
  checkBounds(config, source.rows, 4 * (width + (target.kind === "classes" ? 1 : target.names.length)));
  const split = splitRows(config, source.rows, source.testRows);
  const inputs = source.inputs.map((column) => encodeColumn(column, split.train));
  const targets = targetScales(source, split.train);
  const gather = (rows: Int32Array): SampleBuffer => fill(source, inputs, targets, rows);
  return {
    name: config.name,
    kind: "table",
    task: target.kind === "classes" ? "classification" : "regression",
    inputShape: [width],
    rows: 1,
    classes: target.names.length,
    mean: [],
    sd: [],
    ...(target.kind === "classes" ? { classNames: target.names } : {}),
    table: { inputs, targets },
    augmentation: { cropPixels: 0, flip: false },
    train: gather(limited(config, split.train)),
    validation: gather(split.validation),
    test: gather(split.test),
  };
};
