/** NumPy's arrays: every type, order and version, tables and images, and what is refused. */
import fc from "fast-check";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/contracts/errors.ts";
import { fillBatch } from "../../src/data/batches.ts";
import { parseNpy } from "../../src/data/npy.ts";
import { bytesOf, encodeNpy, floatsOf, load, useFolder, valuesOf } from "./support.ts";

/** One sequence of cases for every run of the tests. */
fc.configureGlobal({ seed: 20, numRuns: 100 });

const written: Readonly<
  Record<
    string,
    {
      readonly bytes: number;
      readonly values: readonly number[];
      readonly write: (view: DataView, at: number, value: number, little: boolean) => void;
    }
  >
> = {
  f4: { bytes: 4, values: [0, -1.5, 3.25], write: (view, at, value, little) => view.setFloat32(at, value, little) },
  f8: { bytes: 8, values: [0, 0.1, -1e300], write: (view, at, value, little) => view.setFloat64(at, value, little) },
  i1: { bytes: 1, values: [0, -128, 127], write: (view, at, value) => view.setInt8(at, value) },
  u1: { bytes: 1, values: [0, 255, 7], write: (view, at, value) => view.setUint8(at, value) },
  b1: { bytes: 1, values: [0, 1, 1], write: (view, at, value) => view.setUint8(at, value) },
  i2: { bytes: 2, values: [0, -32768, 32767], write: (view, at, value, little) => view.setInt16(at, value, little) },
  u2: { bytes: 2, values: [0, 65535, 258], write: (view, at, value, little) => view.setUint16(at, value, little) },
  i4: { bytes: 4, values: [0, -2147483648, 66051], write: (view, at, value, little) => view.setInt32(at, value, little) },
  u4: { bytes: 4, values: [0, 4294967295, 66051], write: (view, at, value, little) => view.setUint32(at, value, little) },
  i8: {
    bytes: 8,
    values: [0, -9007199254740991, 5],
    write: (view, at, value, little) => view.setBigInt64(at, BigInt(value), little),
  },
  u8: {
    bytes: 8,
    values: [0, 9007199254740991, 5],
    write: (view, at, value, little) => view.setBigUint64(at, BigInt(value), little),
  },
};

const encode = (type: string, values: readonly number[], little: boolean): Uint8Array => {
  const { bytes, write } = written[type]!;
  const view = new DataView(new ArrayBuffer(bytes * values.length));
  for (const [index, value] of values.entries()) write(view, index * bytes, value, little);
  return new Uint8Array(view.buffer);
};

describe("parseNpy", () => {
  test.each(Object.keys(written))("reads %s in either byte order and every version", (type) => {
    const { values, bytes } = written[type]!;
    for (const little of [true, false]) {
      const mark = bytes === 1 ? "|" : little ? "<" : ">";
      for (const version of [1, 2, 3] as const) {
        const parsed = parseNpy(encodeNpy(`${mark}${type}`, [3], encode(type, values, little), { version }), "f");
        expect([parsed.shape, parsed.type, [...Array.from(parsed.elements)]]).toEqual([[3], type, values]);
      }
    }
  });

  test("puts columns first into rows first, whatever the shape", () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(shapes, (shape) => {
        const count = shape.reduce((product, dim) => product * dim, 1);
        // In the file the first index changes fastest: element (i, j, …) stands at i + j · shape[0] + …
        const inColumns = new Int32Array(count);
        for (let row = 0; row < count; row++) {
          let [rest, place] = [row, 0];
          for (let axis = shape.length - 1; axis >= 0; axis--) {
            place += (rest % shape[axis]!) * shape.slice(0, axis).reduce((product, dim) => product * dim, 1);
            rest = Math.floor(rest / shape[axis]!);
          }
          inColumns[place] = row;
        }
        const parsed = parseNpy(encodeNpy("<i4", shape, bytesOf(inColumns), { fortran: true }), "f");
        expect(Array.from(parsed.elements)).toEqual(Array.from({ length: count }, (_, row) => row));
      }),
    );
  });

  test("a single number and an empty array have their shapes", () => {
    expect(parseNpy(encodeNpy("<f8", [], bytesOf(Float64Array.of(2.5))), "f")).toMatchObject({
      shape: [],
      elements: Float64Array.of(2.5),
    });
    expect(parseNpy(encodeNpy("<f4", [0, 3], new Uint8Array()), "f").shape).toEqual([0, 3]);
  });

  test("any cut and any other file is a DataError that names it", () => {
    const file = encodeNpy("<f4", [2, 2], bytesOf(Float32Array.of(1, 2, 3, 4)));
    for (let length = 0; length < file.length; length++)
      expect(() => parseNpy(file.subarray(0, length), "some/file")).toThrow(DataError);
    expect(() => parseNpy(Buffer.concat([file, Buffer.of(0)]), "some/file")).toThrow(
      `data file some/file, length: expected ${file.length} bytes for (2, 2) of f4, found ${file.length + 1} bytes; save it again with numpy.savez`,
    );
    expect(() => parseNpy(encodeNpy("<c8", [1], new Uint8Array(8)), "f")).toThrow(/type: expected one of f4, f8, .* found c8/);
    expect(() => parseNpy(encodeNpy("|O", [1], new Uint8Array(8)), "f")).toThrow(/header: expected descr/);
    expect(() =>
      parseNpy(
        file.map((byte, at) => (at === 6 ? 4 : byte)),
        "f",
      ),
    ).toThrow(/version: expected 1, 2 or 3, found 4/);
    expect(() => parseNpy(encodeNpy("<i8", [1], bytesOf(BigInt64Array.of(2n ** 60n))), "f")).toThrow(
      /expected an integer within ±2\^53/,
    );
  });
});

describe("npz", () => {
  const folder = useFolder();
  const write = (arrays: Readonly<Record<string, Uint8Array>>): string =>
    folder.write("data.npz", zipSync(Object.fromEntries(Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, bytes]))));
  const column = (count: number, value: (row: number) => number): Uint8Array =>
    bytesOf(Float64Array.from({ length: count }, (_, row) => value(row)));

  test("a table with two targets is standardised, and its own test rows stay test rows", async () => {
    const x = (rows: number, from: number) =>
      encodeNpy(
        "<f8",
        [rows, 2],
        column(2 * rows, (at) => from + at),
      );
    const y = (rows: number, from: number) =>
      encodeNpy(
        "<f8",
        [rows, 2],
        column(2 * rows, (at) => from + 10 * at),
      );
    const file = write({ x: x(40, 0), out: y(40, 0), x_test: x(5, 1000), out_test: y(5, 7000) });
    const { buffers, notes } = await load({ name: "npz", file, target: "out", task: "regression", validationSamples: 16 });
    expect(buffers).toMatchObject({ kind: "table", task: "regression", inputShape: [2], classes: 2 });
    expect([buffers.train.count, buffers.validation.count, buffers.test.count]).toEqual([24, 16, 5]);
    expect(notes).toEqual(["x (45, 2) of f8"]);
    const { inputs, targets } = buffers.table!;
    expect(targets.map(({ name }) => name)).toEqual(["out[0]", "out[1]"]);
    const back = (values: readonly number[], scales: readonly { mean: number; sd: number }[]): number[] =>
      values.map((value, at) => Math.round(value * scales[at % 2]!.sd + scales[at % 2]!.mean));
    expect(back(valuesOf(buffers.test), targets)).toEqual(Array.from({ length: 10 }, (_, at) => 7000 + 10 * at));
    const numbers = inputs.flatMap((input) => (input.kind === "number" ? [input] : []));
    expect(back(floatsOf(buffers.test), numbers)).toEqual(Array.from({ length: 10 }, (_, at) => 1000 + at));
    const [batchX, batchY] = [new Float32Array(2), new Float32Array(2)];
    fillBatch(buffers, "test", [4], batchX, batchY);
    expect([back([...batchX], numbers), back([...batchY], targets)]).toEqual([
      [1008, 1009],
      [7080, 7090],
    ]);
  });

  test("a classification by integers keeps their names; a single column of inputs is one", async () => {
    const file = write({
      x: encodeNpy(
        "<f8",
        [30],
        column(30, (row) => row),
      ),
      y: encodeNpy("<i8", [30, 1], bytesOf(BigInt64Array.from({ length: 30 }, (_, row) => BigInt(row % 3) * 5n))),
    });
    const { buffers } = await load({ name: "npz", file, validationSamples: 16 });
    expect(buffers).toMatchObject({ inputShape: [1], classes: 3, classNames: ["0", "5", "10"] });
  });

  test.each<[string, number[], number[]]>([
    ["[samples, height, width]", [24, 2, 3], [1, 2, 3]],
    ["[samples, channels, height, width]", [24, 2, 1, 3], [2, 1, 3]],
  ])("bytes in %s are images", async (_, shape, inputShape) => {
    const pixels = Uint8Array.from({ length: 24 * 6 }, (__, at) => (at * 7) % 256);
    const y = encodeNpy(
      "|u1",
      [24],
      Uint8Array.from({ length: 24 }, (__, row) => row % 2),
    );
    const { buffers } = await load({
      name: "npz",
      file: write({ x: encodeNpy("|u1", shape, pixels), y }),
      validationSamples: 16,
    });
    expect(buffers).toMatchObject({ kind: "images", inputShape, classes: 2 });
    const x = new Float32Array(buffers.train.count * 6);
    fillBatch(
      buffers,
      "train",
      Array.from({ length: buffers.train.count }, (__, row) => row),
      x,
      new Int32Array(buffers.train.count),
    );
    // Normalised by the training images: mean 0 over each channel.
    expect(x.reduce((sum, value) => sum + value, 0) / x.length).toBeCloseTo(0, 4);
    const images = [buffers.train, buffers.validation, buffers.test].flatMap(({ inputs }) => [...new Uint8Array(inputs)]);
    expect(images.sort((a, b) => a - b)).toEqual([...pixels].sort((a, b) => a - b));
  });

  const y = encodeNpy(
    "<f8",
    [4],
    column(4, (row) => row),
  );
  test.each<[string, () => Record<string, Uint8Array>, object, RegExp]>([
    [
      "no target",
      () => ({ x: y, z: y }),
      {},
      /expected the arrays x\.npy and y\.npy, found x\.npy, z\.npy; name the target by dataset\.target/,
    ],
    [
      "a number that is not finite",
      () => ({
        x: encodeNpy(
          "<f8",
          [4, 2],
          column(8, (at) => (at === 5 ? Number.NaN : at)),
        ),
        y,
      }),
      {},
      /array x, row 2, column 1: expected a finite number, found NaN/,
    ],
    [
      "fewer targets",
      () => ({
        x: encodeNpy(
          "<f8",
          [5, 1],
          column(5, (at) => at),
        ),
        y,
      }),
      {},
      /expected as many targets as inputs, found x \(5, 1\) and y \(4\)/,
    ],
    ["half of the test data", () => ({ x: y, y, x_test: y }), {}, /expected x_test\.npy and y_test\.npy or neither/],
    [
      "test data of another form",
      () => ({
        x: y,
        y,
        x_test: encodeNpy(
          "<f8",
          [4, 2],
          column(8, (at) => at),
        ),
        y_test: y,
      }),
      {},
      /x_test: expected samples of \(\) f8 as in x, found \(2\) f8/,
    ],
    [
      "several columns of classes",
      () => ({
        x: y,
        y: encodeNpy(
          "<f8",
          [4, 2],
          column(8, (at) => at),
        ),
      }),
      {},
      /array y: expected targets in the shape \[samples\], found \(4, 2\)/,
    ],
    [
      "floats of rank 3",
      () => ({
        x: encodeNpy(
          "<f8",
          [4, 1, 2],
          column(8, (at) => at),
        ),
        y,
      }),
      {},
      /array x: expected numbers in \[samples, columns\], or uint8 images/,
    ],
    [
      "a regression on images",
      () => ({ x: encodeNpy("|u1", [4, 1, 2], new Uint8Array(8)), y }),
      { task: "regression" },
      /dataset\.task: expected classification for the images/,
    ],
    [
      "more than the bound",
      () => ({
        x: encodeNpy(
          "<f8",
          [4, 100],
          column(400, () => 0),
        ),
        y,
      }),
      { fileBytesMax: 2000 },
      /x\.npy: expected at most 2000 bytes, found 3328/,
    ],
  ])("%s is refused", async (_, arrays, over, message) => {
    await expect(load({ name: "npz", file: write(arrays()), ...over })).rejects.toThrow(message);
  });

  test("another file and a damaged one are DataErrors", async () => {
    const file = folder.write("not.npz", "this is no archive");
    await expect(load({ name: "npz", file })).rejects.toThrow(/not\.npz: expected a \.npz file of NumPy, found: /);
    const whole = zipSync({ "x.npy": y, "y.npy": y });
    await expect(load({ name: "npz", file: folder.write("cut.npz", whole.subarray(0, whole.length - 30)) })).rejects.toThrow(
      DataError,
    );
  });
});
