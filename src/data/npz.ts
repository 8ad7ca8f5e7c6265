/**
 * Arrays of NumPy in one .npz file: inputs `x` and a target (`y`, or what `dataset.target` names), and, where the file brings test data,
 * `x_test` and `<target>_test`. Rows of numbers are a table; bytes of rank 3 or 4 are images, [samples, height, width] or
 * [samples, channels, height, width].
 */
import { unzipSync } from "fflate";
import type { DatasetConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { DataError, describeError, InputError } from "../contracts/errors.ts";
import { checkBounds, checkClasses } from "./bounds.ts";
import { type NpyArray, parseNpy } from "./npy.ts";
import { ownImages } from "./own-images.ts";
import type { DatasetLoader } from "./ports.ts";
import { readBounded, required } from "./read.ts";
import { buildTable, type SourceTarget } from "./table.ts";

/** Array names are the members' names without `.npy`. Larger members than `bytesMax` are refused before they are unpacked. */
const readArrays = (
  bytes: Uint8Array,
  file: string,
  wanted: readonly string[],
  bytesMax: number,
): ReadonlyMap<string, NpyArray> => {
  const names: string[] = [];
  let unpacked: Record<string, Uint8Array>;
  try {
    unpacked = unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        names.push(name);
        if (!wanted.includes(name)) return false;
        if (originalSize <= bytesMax) return true;
        throw new DataError(
          `data file ${file}, ${name}: expected at most ${bytesMax} bytes, found ${originalSize}; raise dataset.fileBytesMax`,
          {
            file,
          },
        );
      },
    });
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(
      `data file ${file}: expected a .npz file of NumPy, found: ${describeError(error)}; save it again with numpy.savez`,
      { file },
      { cause: error },
    );
  }
  const needed = wanted.slice(0, 2).filter((name) => !names.includes(name));
  if (needed.length > 0) {
    throw new DataError(
      `data file ${file}: expected the arrays ${wanted[0]} and ${wanted[1]}, found ${names.join(", ") || "none"}; name the target by dataset.target`,
      { file },
    );
  }
  return new Map(Object.entries(unpacked).map(([name, member]) => [name, parseNpy(member, `${file} (${name})`)]));
};

/** Two arrays one after the other along the first axis. */
const joined = (first: NpyArray, second: NpyArray | undefined, what: string, file: string): NpyArray => {
  if (second === undefined) return first;
  const [a, b] = [first.shape.slice(1).join(" × "), second.shape.slice(1).join(" × ")];
  if (a !== b || first.type !== second.type) {
    throw new DataError(
      `data file ${file}, ${what}_test: expected samples of (${a}) ${first.type} as in ${what}, found (${b}) ${second.type}; save both in one form`,
      { file },
    );
  }
  const size = first.elements.length;
  const elements = new Float64Array(size + second.elements.length);
  elements.set(first.elements);
  elements.set(second.elements, size);
  return { ...first, shape: [(first.shape[0] ?? 0) + (second.shape[0] ?? 0), ...first.shape.slice(1)], elements };
};

/** Throws DataError at the first element that is no finite number. */
const checkFinite = ({ shape, elements }: NpyArray, name: string, file: string): void => {
  const width = shape.slice(1).reduce((product, dim) => product * dim, 1);
  for (let at = 0; at < elements.length; at++) {
    if (Number.isFinite(elements[at])) continue;
    throw new DataError(
      `data file ${file}, array ${name}, row ${Math.floor(at / width)}, column ${at % width}: expected a finite number, found ${elements[at]}; fill it in or leave the row out`,
      { file },
    );
  }
};

const targetOf = (y: NpyArray, name: string, file: string, config: DatasetConfig): SourceTarget => {
  const [rows = 0, outputs = 1] = y.shape;
  const fits = y.shape.length === 1 || (y.shape.length === 2 && (config.task === "regression" || outputs === 1));
  if (!fits) {
    const expected = config.task === "regression" ? "[samples] or [samples, outputs]" : "[samples]";
    throw new DataError(
      `data file ${file}, array ${name}: expected targets in the shape ${expected}, found (${y.shape.join(", ")}); save them so`,
      {
        file,
      },
    );
  }
  if (config.task === "regression") {
    const names = Array.from({ length: outputs }, (_, output) => (outputs === 1 ? name : `${name}[${output}]`));
    return { kind: "values", names, at: (row, output) => y.elements[row * outputs + output]! };
  }
  const values = [...new Set(Array.from({ length: rows }, (_, row) => y.elements[row]!))].sort((a, b) => a - b);
  checkClasses(config, file, `array ${name}`, values.length);
  const places = new Map(values.map((value, place) => [value, place]));
  return { kind: "classes", names: values.map(String), at: (row) => places.get(y.elements[row]!)! };
};

const imagesOf = (config: DatasetConfig, x: NpyArray, target: SourceTarget, testRows: number, file: string): DatasetBuffers => {
  if (target.kind !== "classes") {
    throw new InputError(
      `dataset.task: expected classification for the images in ${file}, found regression; flatten x to [samples, columns] for a regression`,
      { path: "dataset.task", file },
    );
  }
  const [count = 0, ...rest] = x.shape;
  const [channels = 1, height = 1, width = 1] = rest.length === 2 ? [1, ...rest] : rest;
  const inputShape = [channels, height, width] as const;
  checkBounds(config, count, channels * height * width);
  return ownImages(config, {
    pixels: Uint8Array.from(x.elements),
    labels: Int32Array.from({ length: count }, (_, row) => target.at(row)),
    inputShape,
    classes: target.names.length,
    classNames: target.names,
    testRows,
  });
};

export const loadNpz: DatasetLoader = async (config, ports) => {
  const file = required(config.file, "dataset.file", "the .npz file to learn from");
  const targetName = config.target ?? "y";
  const members = ["x", targetName, "x_test", `${targetName}_test`].map((name) => `${name}.npy`);
  const arrays = readArrays(await readBounded(ports.files, file, config.fileBytesMax), file, members, config.fileBytesMax);
  const [xTrain, yTrain, xTest, yTest] = members.map((name) => arrays.get(name));
  if ((xTest === undefined) !== (yTest === undefined)) {
    throw new DataError(
      `data file ${file}: expected ${members[2]} and ${members[3]} or neither, found one of them; add the other`,
      { file },
    );
  }
  const x = joined(xTrain!, xTest, "x", file);
  const y = joined(yTrain!, yTest, targetName, file);
  const rows = x.shape[0] ?? 0;
  if (y.shape[0] !== rows || x.shape.length === 0 || x.elements.length === 0) {
    throw new DataError(
      `data file ${file}: expected as many targets as inputs, found x (${x.shape.join(", ")}) and ${targetName} (${y.shape.join(", ")}); save them row by row`,
      { file },
    );
  }
  checkFinite(x, "x", file);
  checkFinite(y, targetName, file);
  const target = targetOf(y, targetName, file, config);
  const testRows = xTest?.shape[0] ?? 0;
  const form = `x (${x.shape.join(", ")}) of ${x.type}`;
  if (x.shape.length <= 2) {
    const columns = x.shape[1] ?? 1;
    const inputs = Array.from({ length: columns }, (_, column) => ({
      kind: "number" as const,
      name: `x[${column}]`,
      at: (row: number) => x.elements[row * columns + column]!,
    }));
    return { source: file, notes: [form], buffers: buildTable(config, { file, rows, testRows, inputs, target }) };
  }
  if (x.shape.length > 4 || x.type !== "u1") {
    throw new DataError(
      `data file ${file}, array x: expected numbers in [samples, columns], or uint8 images in [samples, height, width] or [samples, channels, height, width], found (${x.shape.join(", ")}) of ${x.type}; save it so`,
      { file },
    );
  }
  return { source: file, notes: [form], buffers: imagesOf(config, x, target, testRows, file) };
};
