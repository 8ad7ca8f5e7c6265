/** CIFAR's binary form: whole sets, parts of them, archives, and what is wrong with a file. */
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { DatasetConfig } from "../../src/contracts/config.ts";
import { DataError } from "../../src/contracts/errors.ts";
import { fillBatch } from "../../src/data/batches.ts";
import { loadDataset } from "../../src/data/datasets.ts";
import { readTar } from "../../src/data/tar.ts";
import { nodeFileSystem, saveDurably } from "../../src/store/file-system.ts";
import { createSimulatedDisk } from "../support/simulated-disk.ts";
import { classesOf, encodeTar, load, useFolder } from "./support.ts";

const pixelBytes = 3072;

/** Record n of a file has the class (first + n) mod classes; its red, green and blue are n, n + 1 and n + 2. */
const records = (count: number, labels: (sample: number) => readonly number[]): Uint8Array =>
  Uint8Array.from(
    Array.from({ length: count }, (_, sample) => [
      ...labels(sample),
      ...Array.from({ length: pixelBytes }, (_, at) => sample + Math.floor(at / 1024)),
    ]).flat(),
  );
const cifar10Files = (): Record<string, Uint8Array> => ({
  ...Object.fromEntries([1, 2, 3, 4, 5].map((batch) => [`data_batch_${batch}.bin`, records(8, (n) => [(n + batch) % 10])])),
  "test_batch.bin": records(6, (n) => [n]),
});
const cifar100Files = (): Record<string, Uint8Array> => ({
  "train.bin": records(30, (n) => [n % 20, 70 + n]),
  "test.bin": records(5, (n) => [n, 99 - n]),
});

describe("cifar", () => {
  const folder = useFolder();
  const writeAll = (under: string, files: Record<string, Uint8Array>): void => {
    for (const [name, bytes] of Object.entries(files)) folder.write(`${under}${name}`, bytes);
  };

  test.each(["", "cifar-10-batches-bin/", "cifar10/", "cifar10/cifar-10-batches-bin/"])(
    "cifar10 in <dataDir>/%s: batches hold its pixels and classes, and a note says that it is a part",
    async (under) => {
      writeAll(under, cifar10Files());
      const { buffers, notes } = await load({ name: "cifar10", dataDir: folder.path, validationSamples: 16 });
      expect([buffers.train.count, buffers.validation.count, buffers.test.count]).toEqual([24, 16, 6]);
      expect(buffers).toMatchObject({ kind: "images", task: "classification", inputShape: [3, 32, 32], rows: 1, classes: 10 });
      expect(notes).toEqual(["a part of cifar10: 40 of 50000 training and 6 of 10000 test images"]);
      expect(classesOf(buffers.test)).toEqual([0, 1, 2, 3, 4, 5]);
      const [x, y] = [new Float32Array(2 * pixelBytes), new Int32Array(2)];
      fillBatch(buffers, "test", [4, 2], x, y);
      expect([...y]).toEqual([4, 2]);
      for (const [row, sample] of [4, 2].entries()) {
        for (const channel of [0, 1, 2]) {
          const expected = Math.fround(((sample + channel) / 255 - buffers.mean[channel]!) / buffers.sd[channel]!);
          const plane = x.subarray(row * pixelBytes + channel * 1024, row * pixelBytes + (channel + 1) * 1024);
          expect(plane.every((value) => value === expected)).toBe(true);
        }
      }
    },
  );

  test("cifar100 takes the fine label", async () => {
    writeAll("", cifar100Files());
    const { buffers } = await load({ name: "cifar100", dataDir: folder.path, validationSamples: 16 });
    expect(buffers.classes).toBe(100);
    expect(classesOf(buffers.test)).toEqual([99, 98, 97, 96, 95]);
    expect([...classesOf(buffers.train), ...classesOf(buffers.validation)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 30 }, (_, n) => 70 + n),
    );
  });

  test("the published archive is as good as its files", async () => {
    const members = Object.fromEntries(
      Object.entries(cifar10Files()).map(([name, bytes]) => [`cifar-10-batches-bin/${name}`, bytes]),
    );
    folder.write("cifar-10-binary.tar.gz", gzipSync(encodeTar(members)));
    const { buffers, source } = await load({ name: "cifar10", dataDir: folder.path, validationSamples: 16 });
    expect(source).toBe(`${folder.path}/cifar-10-binary.tar.gz`);
    expect(classesOf(buffers.test)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test.each<[string, string, Uint8Array, RegExp]>([
    [
      "part of a record",
      "data_batch_3.bin",
      records(8, () => [1]).subarray(0, 5000),
      /data_batch_3\.bin: expected whole records of 3073 bytes for cifar10, found 5000/,
    ],
    ["no record", "data_batch_5.bin", new Uint8Array(), /expected whole records of 3073 bytes for cifar10, found 0/],
    [
      "a label that is no class",
      "test_batch.bin",
      records(3, (n) => [9 + n]),
      /test_batch\.bin, record 1: expected a class below 10, found 10/,
    ],
  ])("%s is a DataError that names the file", async (_, name, bytes, message) => {
    writeAll("", { ...cifar10Files(), [name]: bytes });
    const loading = load({ name: "cifar10", dataDir: folder.path, validationSamples: 16 });
    await expect(loading).rejects.toThrow(DataError);
    await expect(loading).rejects.toThrow(message);
  });

  test("A1: a missing file is told with the places, and the archive that would do", async () => {
    const { "data_batch_2.bin": _, ...some } = cifar10Files();
    writeAll("", some);
    await expect(load({ name: "cifar10", dataDir: folder.path })).rejects.toThrow(
      new RegExp(
        `Looked in ${folder.path} \\(missing: data_batch_2\\.bin\\).* Put the files, or cifar-10-binary\\.tar\\.gz as it is published, into`,
      ),
    );
  });

  test("A2: an archive from the mirror that is not the original is refused and not kept", async () => {
    const disk = createSimulatedDisk();
    const urls: string[] = [];
    const download = async (url: string): Promise<Uint8Array> => {
      urls.push(url);
      return gzipSync(encodeTar(cifar10Files()));
    };
    const save = (path: string, bytes: Uint8Array): Promise<void> => saveDurably(disk, path, bytes);
    await expect(
      loadDataset(DatasetConfig.parse({ name: "cifar10" }), { files: disk, folder: "/node/datasets", download, save }),
    ).rejects.toThrow(/Downloading failed: .*expected SHA-256 c4a38c50.*, found /);
    expect(urls).toEqual(["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]);
    expect(disk.files()).toEqual([]);
  });

  // The genuine images, or the sample of them, where the environment names their folder.
  const genuine = process.env["CIFAR10_DIR"];
  for (const dataDir of genuine === undefined ? [] : [genuine]) {
    test("genuine images have ten classes of a like size, and the statistics that they are normalised by", async () => {
      const config = DatasetConfig.parse({ name: "cifar10", dataDir });
      const { buffers } = await loadDataset(config, { files: nodeFileSystem, folder: "/nowhere" });
      const { train, validation } = buffers;
      expect(validation.count).toBe(Math.min(10_000, Math.floor((train.count + validation.count) / 6)));
      const counts = new Array<number>(10).fill(0);
      for (const label of classesOf(train)) counts[label]!++;
      for (const count of counts) expect(Math.abs(count / train.count - 0.1)).toBeLessThan(0.02);
      const [x, y] = [new Float32Array(1000 * pixelBytes), new Int32Array(1000)];
      fillBatch(
        buffers,
        "train",
        Array.from({ length: 1000 }, (_, sample) => sample),
        x,
        y,
      );
      for (const channel of [0, 1, 2]) {
        let [sum, squares] = [0, 0];
        for (let sample = 0; sample < 1000; sample++) {
          const start = sample * pixelBytes + channel * 1024;
          for (const value of x.subarray(start, start + 1024)) {
            sum += value;
            squares += value * value;
          }
        }
        const mean = sum / 1_024_000;
        expect(Math.abs(mean)).toBeLessThan(0.06);
        expect(Math.abs(Math.sqrt(squares / 1_024_000 - mean * mean) - 1)).toBeLessThan(0.06);
      }
    });
  }
});

describe("readTar", () => {
  const members = {
    "folder/a.bin": Uint8Array.from({ length: 700 }, (_, at) => at % 251),
    "folder/b.bin": Uint8Array.of(1, 2, 3),
  };

  test("gives the named members, whatever their folder", () => {
    const found = readTar(encodeTar({ ...members, other: Uint8Array.of(9) }), "x.tar", ["b.bin", "a.bin"]);
    expect([...found.get("b.bin")!]).toEqual([1, 2, 3]);
    expect([...found.get("a.bin")!]).toEqual([...members["folder/a.bin"]]);
    expect(found.size).toBe(2);
  });

  test("a cut, a changed header and a missing member are DataErrors", () => {
    const archive = encodeTar(members);
    expect(() => readTar(archive.subarray(0, 900), "x.tar", ["a.bin"])).toThrow(
      /x\.tar, byte 0: expected a member within 900 bytes, found a size of 700/,
    );
    expect(() =>
      readTar(
        archive.map((byte, at) => (at === 3 ? byte ^ 1 : byte)),
        "x.tar",
        ["a.bin"],
      ),
    ).toThrow(/byte 0: expected a tar header with checksum/);
    expect(() => readTar(archive, "x.tar", ["a.bin", "c.bin"])).toThrow(/found an archive without c\.bin/);
    expect(() => readTar(new Uint8Array(), "x.tar", ["c.bin"])).toThrow(DataError);
  });
});
