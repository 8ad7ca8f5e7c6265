/**
 * CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) in their binary form: records of one label byte (CIFAR-100: a coarse and a fine one) and 3,072
 * pixel bytes, 1,024 each of red, green and blue, row by row. Files that hold fewer whole records than the original are used and told of.
 */
import { join } from "node:path";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { DataError } from "../contracts/errors.ts";
import { checkBounds } from "./bounds.ts";
import { checkOriginal, findOriginal, type Original, type OriginalFile } from "./originals.ts";
import type { DatasetLoader } from "./ports.ts";
import { decompress } from "./read.ts";
import { type ByteSamples, gatherImages, indicesUpTo, limited, splitTraining } from "./split.ts";
import { readTar } from "./tar.ts";

interface CifarDescription {
  readonly name: "cifar10" | "cifar100";
  readonly classes: number;
  /** Label bytes before the pixels; the last one is the class. */
  readonly labelBytes: 1 | 2;
  readonly trainFiles: readonly string[];
  readonly testFile: string;
  /** Of the original. */
  readonly trainImages: number;
  readonly testImages: number;
  /** Of the original's training pixels as fractions of 255, for red, green and blue. */
  readonly mean: readonly [number, number, number];
  readonly sd: readonly [number, number, number];
  /** The folder that the published archive unpacks to, and the archive with its SHA-256. */
  readonly folder: string;
  readonly archive: string;
  readonly sha256: string;
}

const cifar10: CifarDescription = {
  name: "cifar10",
  classes: 10,
  labelBytes: 1,
  trainFiles: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`),
  testFile: "test_batch.bin",
  trainImages: 50_000,
  testImages: 10_000,
  mean: [0.4914, 0.4822, 0.4465],
  sd: [0.247, 0.2435, 0.2616],
  folder: "cifar-10-batches-bin",
  archive: "cifar-10-binary.tar.gz",
  sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
};

const cifar100: CifarDescription = {
  name: "cifar100",
  classes: 100,
  labelBytes: 2,
  trainFiles: ["train.bin"],
  testFile: "test.bin",
  trainImages: 50_000,
  testImages: 10_000,
  mean: [0.5071, 0.4865, 0.4409],
  sd: [0.2673, 0.2564, 0.2762],
  folder: "cifar-100-binary",
  archive: "cifar-100-binary.tar.gz",
  sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
};

const pixelBytes = 3072;
const inputShape = [3, 32, 32] as const;

const originalOf = (description: CifarDescription): Original => {
  const { name, trainFiles, testFile, folder, archive } = description;
  const fileNames = [...trainFiles, testFile];
  return {
    name,
    fileNames,
    archive,
    folderNames: [folder, join(name, folder)],
    places: () => [`/usr/share/datasets/${folder}`, `/usr/share/datasets/${name}`],
    mirrors: ["https://www.cs.toronto.edu/~kriz/"],
    fetch: async (mirror, download, bytesMax) => {
      const url = `${mirror}${archive}`;
      const bytes = await download(url, bytesMax);
      checkOriginal(bytes, description.sha256, url, "");
      return readTar(await decompress(bytes, url, bytesMax), url, fileNames);
    },
  };
};

/** Cuts files into records. Throws DataError on a part of a record or a label that is no class. */
const readRecords = ({ name, labelBytes, classes }: CifarDescription, files: readonly OriginalFile[]): ByteSamples => {
  const recordBytes = labelBytes + pixelBytes;
  const counts = files.map(({ path, bytes }) => {
    if (bytes.length > 0 && bytes.length % recordBytes === 0) return bytes.length / recordBytes;
    throw new DataError(
      `data file ${path}: expected whole records of ${recordBytes} bytes for ${name}, found ${bytes.length} bytes; fetch the binary version of the set again`,
      { file: path },
    );
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const pixels = new Uint8Array(total * pixelBytes);
  const labels = new Uint8Array(total);
  let sample = 0;
  for (const { path, bytes } of files) {
    for (let offset = 0; offset < bytes.length; offset += recordBytes, sample++) {
      const label = bytes[offset + labelBytes - 1]!;
      if (label >= classes) {
        throw new DataError(
          `data file ${path}, record ${offset / recordBytes}: expected a class below ${classes}, found ${label}; is it the binary version of ${name}?`,
          { file: path },
        );
      }
      labels[sample] = label;
      pixels.set(bytes.subarray(offset + labelBytes, offset + recordBytes), sample * pixelBytes);
    }
  }
  return { pixels, labels };
};

const loadCifar =
  (description: CifarDescription): DatasetLoader =>
  async (config, ports) => {
    const files = await findOriginal(config, originalOf(description), ports);
    const trainFiles: OriginalFile[] = [];
    for (const name of description.trainFiles) trainFiles.push(await files.read(name));
    const train = readRecords(description, trainFiles);
    const test = readRecords(description, [await files.read(description.testFile)]);
    const [trainCount, testCount] = [train.labels.length, test.labels.length];
    checkBounds(config, trainCount + testCount, pixelBytes);
    const split = splitTraining(config, trainCount);
    const { name, classes, mean, sd, trainImages, testImages } = description;
    const isPart = trainCount < trainImages || testCount < testImages;
    const buffers: DatasetBuffers = {
      name,
      kind: "images",
      task: "classification",
      inputShape,
      rows: 1,
      classes,
      mean,
      sd,
      augmentation: config.augmentation,
      train: gatherImages(train, pixelBytes, limited(config, split.train)),
      validation: gatherImages(train, pixelBytes, split.validation),
      test: gatherImages(test, pixelBytes, indicesUpTo(testCount)),
    };
    const part = `a part of ${name}: ${trainCount} of ${trainImages} training and ${testCount} of ${testImages} test images`;
    return { source: files.source, buffers, notes: isPart ? [part] : [] };
  };

export const loadCifar10 = loadCifar(cifar10);
export const loadCifar100 = loadCifar(cifar100);
