/**
 * A CSV table with a header line. A column in which every value is a number is one; every other is a text whose values become inputs of 0
 * and 1. Nothing is guessed for a value that is missing: it is refused with its line and column.
 */
import { parse } from "csv-parse/sync";
import type { DatasetConfig } from "../contracts/config.ts";
import { DataError, describeError, InputError } from "../contracts/errors.ts";
import { checkClasses } from "./bounds.ts";
import type { DatasetLoader } from "./ports.ts";
import { readUnpacked, required } from "./read.ts";
import { buildTable, type SourceColumn, type SourceTarget } from "./table.ts";
import { decodeText } from "./text.ts";

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const missingWords = new Set(["", "?", "na", "n/a", "nan", "null", "none"]);
const delimiters = [",", ";", "\t"] as const;

interface CsvTable {
  readonly file: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Line of the file that a row ends at, from 1. */
  readonly lines: readonly number[];
}

/** The one that occurs most often in the header line. */
const delimiterOf = (text: string): string => {
  const header = text.slice(0, text.search(/[\r\n]|$/));
  const counts = delimiters.map((delimiter) => header.split(delimiter).length);
  return delimiters[counts.indexOf(Math.max(...counts))]!;
};

const readCsv = (text: string, file: string, samplesMax: number): CsvTable => {
  const lines: number[] = [];
  let records: string[][];
  try {
    records = parse(text, {
      delimiter: delimiterOf(text),
      skip_empty_lines: true,
      trim: true,
      // The header and one row more than are allowed: enough to know that there are too many.
      to: samplesMax + 2,
      on_record: (record: string[], { lines: line }) => {
        lines.push(line);
        return record;
      },
    });
  } catch (error) {
    throw new DataError(
      `data file ${file}: expected a CSV table, found: ${describeError(error)}; correct that line`,
      { file },
      { cause: error },
    );
  }
  const [header, ...rows] = records;
  const isHeader = header !== undefined && header.length >= 2 && rows.length > 0;
  if (!isHeader) {
    throw new DataError(
      `data file ${file}: expected a header line of at least 2 column names and rows below it, found ${records.length} lines of ${header?.length ?? 0} columns; add them`,
      { file },
    );
  }
  const twice = header.find((name, at) => name === "" || header.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new DataError(
      `data file ${file}, line ${lines[0]}: expected column names that differ, found "${twice}"; name each column once`,
      { file },
    );
  }
  return { file, header, rows, lines: lines.slice(1) };
};

interface Column {
  readonly name: string;
  readonly values: readonly string[];
  /** Place of the first value that is no number; -1 when all are. */
  readonly firstText: number;
}

const columnAt = ({ file, header, rows, lines }: CsvTable, index: number): Column => {
  const name = header[index]!;
  const values = rows.map((row) => row[index]!);
  const missing = values.findIndex((value) => missingWords.has(value.toLowerCase()));
  if (missing >= 0) {
    throw new DataError(
      `data file ${file}, line ${lines[missing]}, column ${name}: expected a value, found ${values[missing] === "" ? "nothing" : `"${values[missing]}"`}; fill it in, or leave the row or the column out`,
      { file },
    );
  }
  return { name, values, firstText: values.findIndex((value) => !decimal.test(value) || !Number.isFinite(Number(value))) };
};

/** Different values in order: by size where they are numbers, else by code point. */
const distinct = ({ values, firstText }: Column): string[] => {
  const found = [...new Set(values)];
  return firstText < 0 ? found.sort((a, b) => Number(a) - Number(b)) : found.sort((a, b) => (a < b ? -1 : 1));
};

const placesOf = (categories: readonly string[], values: readonly string[]): Int32Array => {
  const places = new Map(categories.map((category, place) => [category, place]));
  return Int32Array.from(values, (value) => places.get(value)!);
};

const inputColumn = ({ file, lines }: CsvTable, column: Column, { categoriesMax }: DatasetConfig): SourceColumn => {
  const { name, values, firstText } = column;
  if (firstText < 0) {
    const numbers = Float64Array.from(values, Number);
    return { kind: "number", name, at: (row) => numbers[row]! };
  }
  const categories = distinct(column);
  if (categories.length > categoriesMax) {
    throw new InputError(
      `data file ${file}, column ${name}: expected numbers, or at most ${categoriesMax} different texts, found ${categories.length}; ` +
        `the first that is no number is "${values[firstText]}" in line ${lines[firstText]}; leave the column out or raise dataset.categoriesMax`,
      { path: "dataset.categoriesMax", file },
    );
  }
  const places = placesOf(categories, values);
  return { kind: "text", name, categories, at: (row) => places[row]! };
};

/** Numbers with a fraction are values to be predicted, where there are more different ones than this. */
const decimalClassesMax = 20;

const targetColumn = ({ file, lines }: CsvTable, column: Column, config: DatasetConfig): SourceTarget => {
  const { name, values, firstText } = column;
  if (config.task === "regression") {
    if (firstText >= 0) {
      throw new DataError(
        `data file ${file}, line ${lines[firstText]}, column ${name}: expected a number as target of a regression, found "${values[firstText]}"; correct it, or set dataset.task to classification`,
        { file },
      );
    }
    const numbers = Float64Array.from(values, Number);
    return { kind: "values", names: [name], at: (row) => numbers[row]! };
  }
  const names = distinct(column);
  const decimalText = firstText < 0 ? values.find((value) => !Number.isInteger(Number(value))) : undefined;
  if (decimalText !== undefined && names.length > decimalClassesMax) {
    throw new InputError(
      `data file ${file}, column ${name}: expected classes, found ${names.length} different numbers such as ${decimalText}; set dataset.task to regression, or name another column by dataset.target`,
      { path: "dataset.task", file },
    );
  }
  checkClasses(config, file, `column ${name}`, names.length);
  const places = placesOf(names, values);
  return { kind: "classes", names, at: (row) => places[row]! };
};

export const loadCsv: DatasetLoader = async (config, ports) => {
  const file = required(config.file, "dataset.file", "the CSV file to learn from");
  const table = readCsv(decodeText(await readUnpacked(ports.files, file, config.fileBytesMax), file), file, config.samplesMax);
  const targetName = config.target ?? table.header.at(-1)!;
  const targetIndex = table.header.indexOf(targetName);
  if (targetIndex < 0) {
    throw new InputError(
      `dataset.target: expected one of the columns ${table.header.join(", ")} of ${file}, found "${targetName}"; name the column to predict`,
      { path: "dataset.target", file },
    );
  }
  const columns = table.header.map((_, index) => columnAt(table, index));
  const inputs = columns.filter((_, index) => index !== targetIndex).map((column) => inputColumn(table, column, config));
  const target = targetColumn(table, columns[targetIndex]!, config);
  const texts = inputs.filter(({ kind }) => kind === "text").length;
  const predicted = target.kind === "classes" ? `${target.names.length} classes of` : "the value of";
  return {
    source: file,
    notes: [`${inputs.length - texts} columns of numbers and ${texts} of texts; to predict: ${predicted} ${targetName}`],
    buffers: buildTable(config, { file, rows: table.rows.length, testRows: 0, inputs, target }),
  };
};
