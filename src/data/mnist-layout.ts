/**
 * Sets of images in MNIST's layout: four IDX files. MNIST, Fashion-MNIST, and any of the user's own.
 *
 * A1 A set whose labels are those of another set is refused.
 * A2 Only files of the right shapes, counts and labels are used.
 */
import { join } from "node:path";
import type { DatasetConfig } from "../contracts/config.ts";
import type { DatasetBuffers, SampleBuffer } from "../contracts/dataset.ts";
import { DataError } from "../contracts/errors.ts";
import { checkBounds, checkClasses } from "./bounds.ts";
import { fashionMnist } from "./fashion-mnist.ts";
import { type IdxArray, parseIdx } from "./idx.ts";
import { fileNames, type MnistLike } from "./idx-description.ts";
import { mnist } from "./mnist.ts";
import { checkOriginal, findOriginal, type Original, searchFolder, sha256 } from "./originals.ts";
import { ownImages } from "./own-images.ts";
import type { DatasetLoader, DatasetPorts } from "./ports.ts";
import { decompress, readUnpacked, required } from "./read.ts";
import { gatherImages, indicesUpTo, limited, splitTraining } from "./split.ts";

const published: readonly MnistLike[] = [mnist, fashionMnist];

interface Samples {
  readonly images: IdxArray;
  readonly labels: IdxArray;
}

interface SamplesFiles {
  readonly imagesFile: string;
  readonly labelsFile: string;
}

const [trainImages, trainLabels, testImages, testLabels] = [
  fileNames.trainImages,
  fileNames.trainLabels,
  fileNames.testImages,
  fileNames.testLabels,
];

const allFiles = [trainImages, trainLabels, testImages, testLabels];

const countOf = ({ images }: Samples): number => images.shape[0] ?? 0;

/** A2. */
const checkSamples = (
  { images, labels }: Samples,
  { imagesFile, labelsFile }: SamplesFiles,
  [height, width]: readonly [number, number],
  classes: number,
): void => {
  const [count, rows, columns] = images.shape;
  if (rows !== height || columns !== width) {
    throw new DataError(`data file ${imagesFile}: expected images of ${height} × ${width}, found ${rows} × ${columns}`, {
      file: imagesFile,
    });
  }
  if (labels.shape[0] !== count) {
    throw new DataError(
      `data file ${labelsFile}: expected ${count} labels for the ${count} images of ${imagesFile}, found ${labels.shape[0]}`,
      { file: labelsFile },
    );
  }
  const wrong = labels.elements.findIndex((label) => label >= classes);
  if (wrong >= 0) {
    throw new DataError(
      `data file ${labelsFile}, label ${wrong}: expected a class below ${classes}, found ${labels.elements[wrong]}`,
      { file: labelsFile },
    );
  }
};

const checkIdentity = ({ name }: MnistLike, labels: Uint8Array, file: string): void => {
  const found = sha256(labels);
  const other = published.find((one) => one.name !== name && one.sha256.trainLabels === found);
  if (other === undefined) return;
  throw new DataError(
    `data file ${file}: expected ${name}, found the labels of ${other.name}; name the folder of ${name}, or set dataset.name to ${other.name}`,
    { file },
  ); // A1
};

const originalOf = ({ name, places, mirrors, sha256: hashes }: MnistLike): Original => ({
  name,
  fileNames: allFiles,
  folderNames: [],
  places,
  mirrors,
  fetch: async (mirror, download, bytesMax) => {
    const fetched = new Map<string, Uint8Array>();
    for (const role of ["trainImages", "trainLabels", "testImages", "testLabels"] as const) {
      const file = `${fileNames[role]}.gz`;
      const bytes = await download(`${mirror}${file}`, bytesMax);
      checkOriginal(await decompress(bytes, file, bytesMax), hashes[role], `${mirror}${file}`, " when unpacked");
      fetched.set(file, bytes);
    }
    return fetched;
  },
});

const gather = (samples: Samples, indices: Int32Array): SampleBuffer =>
  gatherImages(
    { pixels: samples.images.elements, labels: samples.labels.elements },
    samples.images.elements.length / (countOf(samples) || 1),
    indices,
  );

const loadPublished =
  (description: MnistLike): DatasetLoader =>
  async (config, ports) => {
    const files = await findOriginal(config, originalOf(description), ports);
    const read = async (imagesName: string, labelsName: string): Promise<Samples> => {
      const labels = await files.read(labelsName);
      if (labelsName === trainLabels) checkIdentity(description, labels.bytes, labels.path);
      const images = await files.read(imagesName);
      const samples = { labels: parseIdx(labels.bytes, 1, labels.path), images: parseIdx(images.bytes, 3, images.path) };
      const [, height, width] = description.inputShape;
      checkSamples(samples, { imagesFile: images.path, labelsFile: labels.path }, [height, width], description.classes);
      return samples;
    };
    const train = await read(trainImages, trainLabels);
    const test = await read(testImages, testLabels);
    checkBounds(config, countOf(train) + countOf(test), train.images.elements.length / countOf(train));
    const split = splitTraining(config, countOf(train));
    const { inputShape, classes, mean, sd } = description;
    const buffers: DatasetBuffers = {
      name: config.name,
      kind: "images",
      task: "classification",
      rows: 1,
      augmentation: config.augmentation,
      inputShape,
      classes,
      mean: [mean],
      sd: [sd],
      train: gather(train, limited(config, split.train)),
      validation: gather(train, split.validation),
      test: gather(test, indicesUpTo(countOf(test))),
    };
    return { source: files.source, buffers, notes: [] };
  };

export const loadMnist = loadPublished(mnist);
export const loadFashionMnist = loadPublished(fashionMnist);

const readOwn = async (
  { fileBytesMax }: DatasetConfig,
  { files }: DatasetPorts,
  { imagesFile, labelsFile }: SamplesFiles,
): Promise<Samples> => ({
  images: parseIdx(await readUnpacked(files, imagesFile, fileBytesMax), 3, imagesFile),
  labels: parseIdx(await readUnpacked(files, labelsFile, fileBytesMax), 1, labelsFile),
});

/** Which files there are. Throws DataError when those of the training data, or one of the test data's two, are missing. */
const findOwn = async (ports: DatasetPorts, folder: string) => {
  const { paths, missing } = await searchFolder(ports, folder, { fileNames: allFiles });
  const [images, labels] = [paths.get(testImages), paths.get(testLabels)];
  if (!paths.has(trainImages) || !paths.has(trainLabels) || (images === undefined) !== (labels === undefined)) {
    throw new DataError(
      `dataset idx: expected ${trainImages} and ${trainLabels} (plain or .gz), and ${testImages} with ${testLabels} or neither, in ${folder}; ` +
        `found it without ${missing.join(", ")}; put the files there or set dataset.dataDir`,
      { file: join(folder, missing[0]!) },
    );
  }
  return {
    train: { imagesFile: paths.get(trainImages)!, labelsFile: paths.get(trainLabels)! },
    test: images === undefined || labels === undefined ? undefined : { imagesFile: images, labelsFile: labels },
  };
};

/** Images of the user's own in `dataset.dataDir`. The two test files may be left out. */
export const loadIdx: DatasetLoader = async (config, ports) => {
  const folder = required(config.dataDir, "dataset.dataDir", "the folder that holds the IDX files");
  const files = await findOwn(ports, folder);
  const parts = [];
  for (const part of [files.train, files.test]) {
    if (part !== undefined) parts.push({ files: part, samples: await readOwn(config, ports, part) });
  }
  const labels = Uint8Array.from(parts.flatMap(({ samples }) => [...samples.labels.elements]));
  const classes = labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  checkClasses(config, files.train.labelsFile, "its labels", classes);
  const [, height = 0, width = 0] = parts[0]!.samples.images.shape;
  if (height * width === 0) {
    const { imagesFile } = files.train;
    throw new DataError(`data file ${imagesFile}: expected images with pixels, found ${height} × ${width}; bring images`, {
      file: imagesFile,
    });
  }
  for (const part of parts) checkSamples(part.samples, part.files, [height, width], classes);
  checkBounds(config, labels.length, height * width);
  const pixels = new Uint8Array(labels.length * height * width);
  let start = 0;
  for (const { samples } of parts) {
    pixels.set(samples.images.elements, start);
    start += samples.images.elements.length;
  }
  const testRows = parts[1] === undefined ? 0 : countOf(parts[1].samples);
  const inputShape = [1, height, width] as const;
  return { source: folder, notes: [], buffers: ownImages(config, { pixels, labels, inputShape, classes, testRows }) };
};
