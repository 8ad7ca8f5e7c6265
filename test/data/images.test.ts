/** Images of the user's own: folders of PNG and JPEG files by class, and IDX files. */
import { encode as encodePng } from "fast-png";
import jpeg from "jpeg-js";
import { describe, expect, test } from "vitest";
import type { SampleBuffer } from "../../src/contracts/dataset.ts";
import { DataError } from "../../src/contracts/errors.ts";
import { fillBatch } from "../../src/data/batches.ts";
import { decodePicture, squareOf } from "../../src/data/picture.ts";
import { encodeIdx } from "./idx-support.ts";
import { classesOf, load, useFolder } from "./support.ts";

type Rgb = readonly [number, number, number];

const filled = (width: number, height: number, [red, green, blue]: Rgb): Uint8Array =>
  Uint8Array.from({ length: 3 * width * height }, (_, at) => [red, green, blue][at % 3]!);
const png = (width: number, height: number, colour: Rgb): Uint8Array =>
  encodePng({ width, height, data: filled(width, height, colour), channels: 3, depth: 8 });
const jpg = (width: number, height: number, [red, green, blue]: Rgb): Uint8Array =>
  jpeg.encode(
    { width, height, data: Uint8Array.from({ length: 4 * width * height }, (_, at) => [red, green, blue, 255][at % 4]!) },
    95,
  ).data;

const firstPixels = ({ inputs, count }: SampleBuffer, size: number): number[][] => {
  const bytes = new Uint8Array(inputs);
  const area = size * size;
  return Array.from({ length: count }, (_, sample) => [0, 1, 2].map((channel) => bytes[(3 * sample + channel) * area]!));
};

describe("a folder of images", () => {
  const folder = useFolder();

  test("classes are the folders' names; PNG and JPEG become squares of one size, each with its own class", async () => {
    for (let n = 0; n < 20; n++) {
      folder.write(`red/${n}.png`, png(6, 4, [200, 10, n]));
      folder.write(`blue/${n}.JPG`, jpg(16, 16, [0, 0, 240]));
    }
    folder.write("blue/notes.txt", "not an image");
    folder.write(".hidden/x.png", "nothing");
    const { buffers, source, notes } = await load({ name: "images", dataDir: folder.path, imageSize: 2, validationSamples: 16 });
    expect(source).toBe(folder.path);
    expect(notes).toEqual(["2 classes, images scaled to 2 × 2"]);
    expect(buffers).toMatchObject({ kind: "images", inputShape: [3, 2, 2], classes: 2, classNames: ["blue", "red"] });
    expect([buffers.train.count, buffers.validation.count, buffers.test.count]).toEqual([20, 16, 4]);
    const parts = [buffers.train, buffers.validation, buffers.test];
    const all = parts.flatMap((part) => firstPixels(part, 2).map((pixel, row) => ({ pixel, label: classesOf(part)[row]! })));
    expect(
      all
        .filter(({ label }) => label === 1)
        .map(({ pixel }) => pixel[2])
        .sort((a, b) => a! - b!),
    ).toEqual(Array.from({ length: 20 }, (_, n) => n));
    for (const { pixel, label } of all) {
      const [red, green, blue] = label === 1 ? [200, 10, pixel[2]!] : [0, 0, 240];
      for (const [channel, value] of [red, green, blue].entries())
        expect(Math.abs(pixel[channel]! - value!)).toBeLessThanOrEqual(4);
    }
    // Normalised by the training images: mean 0 and deviation 1 in each channel that varies.
    const x = new Float32Array(20 * 12);
    fillBatch(
      buffers,
      "train",
      Array.from({ length: 20 }, (_, row) => row),
      x,
      new Int32Array(20),
    );
    const red = [...x].filter((_, at) => Math.floor(at / 4) % 3 === 0);
    expect(red.reduce((sum, value) => sum + value, 0) / red.length).toBeCloseTo(0, 4);
    expect(red.reduce((sum, value) => sum + value * value, 0) / red.length).toBeCloseTo(1, 3);
  });

  test("folders train and test are the parts that the data bring", async () => {
    for (let n = 0; n < 24; n++) folder.write(`train/${n % 2 === 0 ? "a" : "b"}/${n}.png`, png(2, 2, [n, 0, 0]));
    for (let n = 0; n < 3; n++) folder.write(`test/b/${n}.png`, png(2, 2, [100 + n, 0, 0]));
    const { buffers } = await load({ name: "images", dataDir: folder.path, imageSize: 2, validationSamples: 16 });
    expect(firstPixels(buffers.test, 2).map(([red]) => red)).toEqual([100, 101, 102]);
    expect(classesOf(buffers.test)).toEqual([1, 1, 1]);
    expect(buffers.train.count).toBe(8);
    folder.write("test/c/0.png", png(2, 2, [0, 0, 0]));
    await expect(load({ name: "images", dataDir: folder.path })).rejects.toThrow(
      /expected one of the classes of .*train, found c/,
    );
  });

  test("files that cannot be read are named, and the bounds hold", async () => {
    const loading = () => load({ name: "images", dataDir: folder.path, imageSize: 2 });
    await expect(loading()).rejects.toThrow(
      /dataset\.dataDir: expected a folder with a folder of images for each class, found none in/,
    );
    await expect(load({ name: "images" })).rejects.toThrow(
      /dataset\.dataDir: expected the folder that holds a folder of images for each class/,
    );
    for (let n = 0; n < 5; n++) for (const name of ["a", "b"]) folder.write(`${name}/${n}.png`, png(3, 3, [n, n, n]));
    expect((await loading()).buffers.train.count).toBeGreaterThan(0);
    await expect(load({ name: "images", dataDir: folder.path, imagePixelsMax: 8 })).rejects.toThrow(
      /a\/0\.png: expected at most 8 pixels, found 9/,
    );
    await expect(load({ name: "images", dataDir: folder.path, samplesMax: 9 })).rejects.toThrow(
      /expected at most 9 samples, found 10/,
    );
    await expect(load({ name: "images", dataDir: folder.path, fileBytesMax: 20 })).rejects.toThrow(
      /a\/0\.png: expected at most 20 bytes/,
    );
    const broken = folder.write("b/broken.png", png(3, 3, [1, 2, 3]).subarray(0, 50));
    await expect(loading()).rejects.toThrow(DataError);
    await expect(loading()).rejects.toMatchObject({ place: { file: broken } });
    folder.write("b/broken.png", "GIF89a");
    await expect(loading()).rejects.toThrow(/broken\.png: expected a PNG or JPEG image, found bytes that begin with 47494638/);
    folder.write("b/broken.png", png(3, 3, [1, 2, 3]));
    folder.write("c/readme.md", "empty");
    await expect(loading()).rejects.toThrow(/c: expected PNG or JPEG files of the class c, found none/);
  });
});

describe("decodePicture", () => {
  const decode = (bytes: Uint8Array): number[] => [...decodePicture(bytes, "f", 1000).rgb];

  test("greys, transparency, 16 bits and palettes become RGB", () => {
    const image = { width: 2, height: 1 };
    expect(decode(encodePng({ ...image, data: Uint8Array.of(7, 9), channels: 1 }))).toEqual([7, 7, 7, 9, 9, 9]);
    expect(decode(encodePng({ ...image, data: Uint8Array.of(100, 255, 100, 0), channels: 2 }))).toEqual([100, 100, 100, 0, 0, 0]);
    expect(decode(encodePng({ ...image, data: Uint8Array.of(1, 2, 3, 255, 100, 50, 0, 51), channels: 4 }))).toEqual([
      1, 2, 3, 20, 10, 0,
    ]);
    expect(decode(encodePng({ ...image, data: Uint16Array.of(65535, 0, 257, 0, 0, 514), channels: 3, depth: 16 }))).toEqual([
      255, 0, 1, 0, 0, 2,
    ]);
  });

  test("a JPEG is near its colours, within its bound, and refused when it is cut", () => {
    const file = jpg(8, 8, [10, 200, 60]);
    const { width, height, rgb } = decodePicture(file, "f", 64);
    expect([width, height, rgb.length]).toEqual([8, 8, 192]);
    for (const [at, value] of rgb.entries()) expect(Math.abs(value - [10, 200, 60][at % 3]!)).toBeLessThanOrEqual(4);
    expect(() => decodePicture(file, "f", 63)).toThrow(DataError);
    expect(() => decodePicture(file.subarray(0, 100), "f", 64)).toThrow(DataError);
  });
});

describe("squareOf", () => {
  const grey = (width: number, height: number, values: readonly number[]) => ({
    width,
    height,
    rgb: Uint8Array.from(values.flatMap((value) => [value, value, value])),
  });
  const scaled = (width: number, height: number, values: readonly number[], size: number): number[] => {
    const into = new Uint8Array(3 * size * size);
    squareOf(grey(width, height, values), size, into);
    expect([...into.subarray(size * size, 2 * size * size)]).toEqual([...into.subarray(0, size * size)]);
    return [...into.subarray(0, size * size)];
  };

  test("crops the middle, averages areas, and repeats pixels where it enlarges", () => {
    expect(scaled(2, 2, [10, 20, 30, 40], 2)).toEqual([10, 20, 30, 40]);
    expect(scaled(2, 2, [10, 20, 30, 40], 1)).toEqual([25]);
    expect(scaled(4, 2, [0, 10, 20, 0, 0, 30, 40, 0], 2)).toEqual([10, 20, 30, 40]);
    expect(scaled(1, 3, [0, 8, 0], 1)).toEqual([8]);
    expect(scaled(2, 2, [10, 20, 30, 40], 4)).toEqual([10, 10, 20, 20, 10, 10, 20, 20, 30, 30, 40, 40, 30, 30, 40, 40]);
    // Three pixels into two: each takes one and a half.
    expect(scaled(3, 3, [90, 30, 60, 90, 30, 60, 90, 30, 60], 2)).toEqual([70, 50, 70, 50]);
  });
});

describe("idx", () => {
  const folder = useFolder();
  const images = (count: number, from = 0): Uint8Array =>
    encodeIdx(
      [count, 2, 3],
      Uint8Array.from({ length: count * 6 }, (_, at) => (from + Math.floor(at / 6)) % 256),
    );
  const labels = (count: number, classes: number): Uint8Array =>
    encodeIdx(
      [count],
      Uint8Array.from({ length: count }, (_, at) => at % classes),
    );

  test("reads images of any size; classes are counted; test files may be left out", async () => {
    folder.write("train-images-idx3-ubyte", images(60));
    folder.write("train-labels-idx1-ubyte", labels(60, 4));
    const drawn = (await load({ name: "idx", dataDir: folder.path, validationSamples: 16 })).buffers;
    expect(drawn).toMatchObject({ kind: "images", inputShape: [1, 2, 3], classes: 4 });
    expect([drawn.train.count, drawn.validation.count, drawn.test.count]).toEqual([38, 16, 6]);
    const parts = [drawn.train, drawn.validation, drawn.test];
    const first = parts.flatMap((part) => [...new Uint8Array(part.inputs)].filter((_, at) => at % 6 === 0));
    expect(parts.flatMap(classesOf)).toEqual(first.map((image) => image % 4));
    expect(first.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, n) => n));
    folder.write("t10k-images-idx3-ubyte", images(5, 200));
    await expect(load({ name: "idx", dataDir: folder.path })).rejects.toThrow(
      /found it without t10k-labels-idx1-ubyte; put the files there/,
    );
    folder.write("t10k-labels-idx1-ubyte", labels(5, 5));
    const brought = (await load({ name: "idx", dataDir: folder.path, validationSamples: 16 })).buffers;
    expect([brought.train.count, brought.test.count, brought.classes]).toEqual([44, 5, 5]);
    expect([...new Uint8Array(brought.test.inputs)].filter((_, at) => at % 6 === 0)).toEqual([200, 201, 202, 203, 204]);
  });

  test("a folder without training files, and test images of another size, are DataErrors", async () => {
    await expect(load({ name: "idx" })).rejects.toThrow(/dataset\.dataDir: expected the folder that holds the IDX files/);
    await expect(load({ name: "idx", dataDir: folder.path })).rejects.toThrow(DataError);
    folder.write("train-images-idx3-ubyte", images(60));
    folder.write("train-labels-idx1-ubyte", labels(60, 4));
    folder.write("t10k-images-idx3-ubyte", encodeIdx([5, 3, 3], new Uint8Array(45)));
    folder.write("t10k-labels-idx1-ubyte", labels(5, 4));
    await expect(load({ name: "idx", dataDir: folder.path })).rejects.toThrow(
      /t10k-images-idx3-ubyte: expected images of 2 × 3, found 3 × 3/,
    );
    folder.write("train-labels-idx1-ubyte", labels(60, 1));
    await expect(load({ name: "idx", dataDir: folder.path })).rejects.toThrow(DataError);
  });
});
