/**
 * Finds a data set's four files, checks them and puts them into shared memory.
 *
 * A1 Never a substitute: a folder that the config names is the only one looked in; a set whose labels are those of another set is refused.
 * A2 Only files of the right shapes, counts and labels are used; a downloaded file also has the pinned SHA-256 of the original.
 * A3 The validation samples are the last ones of one fixed permutation of the training files: the same for every run, arm and random seed.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { DatasetConfig } from "../contracts/config.ts";
import type { DatasetBuffers, SampleBuffer } from "../contracts/dataset.ts";
import { DataError, describeError, InputError } from "../contracts/errors.ts";
import { createRandom } from "../graph/random.ts";
import { shuffledIndices } from "./batches.ts";
import { type DatasetDescription, type FileRole, fileNames, fileRoles } from "./description.ts";
import type { Download } from "./download.ts";
import { fashionMnist } from "./fashion-mnist.ts";
import { decompress, type IdxArray, parseIdx } from "./idx.ts";
import { mnist } from "./mnist.ts";

const descriptions: Readonly<Record<DatasetConfig["name"], DatasetDescription>> = { mnist, "fashion-mnist": fashionMnist };

/** A file of these sets, unpacked; the largest original has 47,040,016 bytes. */
const fileBytesMax = 268_435_456;
/** Of the permutation that sets the validation samples apart. Part of what a result means: it never changes. */
const splitSeed = 1;

export interface DatasetPorts {
  readonly files: {
    stat(path: string): Promise<{ readonly kind: "file" | "folder"; readonly bytes: number } | undefined>;
    read(path: string): Promise<Uint8Array>;
  };
  /** Where downloads are kept: `<services.dataDir>/datasets`. */
  readonly folder: string;
  /** Both or neither: without them nothing is fetched. */
  readonly download?: Download;
  /** Stores a file durably, its folder included. */
  readonly save?: (path: string, bytes: Uint8Array) => Promise<void>;
}

export interface LoadedDataset {
  readonly buffers: DatasetBuffers;
  /** The folder or mirror that the files came from. */
  readonly source: string;
}

type FilePaths = Readonly<Record<FileRole, string>>;

interface Searched {
  readonly folder: string;
  readonly missing: readonly string[];
  /** Present when nothing is missing. */
  readonly paths?: FilePaths;
}

const searchFolder = async (files: DatasetPorts["files"], folder: string): Promise<Searched> => {
  const found: Partial<Record<FileRole, string>> = {};
  for (const role of fileRoles) {
    for (const name of [fileNames[role], `${fileNames[role]}.gz`]) {
      const path = join(folder, name);
      if ((await files.stat(path))?.kind !== "file") continue;
      found[role] = path;
      break;
    }
  }
  const { trainImages, trainLabels, testImages, testLabels } = found;
  const missing = fileRoles.filter((role) => found[role] === undefined).map((role) => fileNames[role]);
  const complete = trainImages !== undefined && trainLabels !== undefined && testImages !== undefined && testLabels !== undefined;
  return { folder, missing, ...(complete ? { paths: { trainImages, trainLabels, testImages, testLabels } } : {}) };
};

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Fetches the four files from the first mirror that has all of them as they should be. A2. */
const fetchAll = async (
  description: DatasetDescription,
  folder: string,
  download: Download,
  save: NonNullable<DatasetPorts["save"]>,
) => {
  const problems: string[] = [];
  for (const mirror of description.mirrors) {
    try {
      const fetched = new Map<string, Uint8Array>();
      for (const role of fileRoles) {
        const url = `${mirror}${fileNames[role]}.gz`;
        const bytes = await download(url, fileBytesMax);
        const found = sha256(await decompress(bytes, url, fileBytesMax));
        if (found !== description.sha256[role]) {
          throw new DataError(`download ${url}: expected SHA-256 ${description.sha256[role]} when unpacked, found ${found}`);
        }
        fetched.set(join(folder, `${fileNames[role]}.gz`), bytes);
      }
      for (const [path, bytes] of fetched) await save(path, bytes);
      return { kind: "fetched", mirror } as const;
    } catch (error) {
      problems.push(describeError(error));
    }
  }
  return { kind: "failed", reason: problems.join("; ") } as const;
};

const missingError = (name: string, searched: readonly Searched[], own: string, downloading: string): DataError => {
  const places = searched.map(({ folder, missing }) => `${folder} (missing: ${missing.join(", ")})`).join("; ");
  return new DataError(
    `dataset ${name}: expected ${Object.values(fileNames).join(", ")} (plain or .gz) in one folder, found none with all four. ` +
      `Looked in ${places}. ${downloading} Put the four files into ${own}, or name their folder by --data-dir or dataset.dataDir`,
    { file: own },
  );
};

const find = async (config: DatasetConfig, description: DatasetDescription, ports: DatasetPorts) => {
  const { name, dataDir } = config;
  const own = join(ports.folder, name);
  // A1
  const places = dataDir === undefined ? [...description.places(), own] : [dataDir, join(dataDir, name)];
  const searched: Searched[] = [];
  for (const place of places) {
    const result = await searchFolder(ports.files, place);
    if (result.paths !== undefined) return { source: place, paths: result.paths };
    searched.push(result);
  }
  if (dataDir !== undefined) {
    throw missingError(name, searched, dataDir, "No other place was tried, because the config names this folder.");
  }
  const { download, save } = ports;
  if (download === undefined || save === undefined) throw missingError(name, searched, own, "Downloading is off.");
  const fetched = await fetchAll(description, own, download, save);
  if (fetched.kind === "failed") throw missingError(name, searched, own, `Downloading failed: ${fetched.reason}.`);
  const { paths } = await searchFolder(ports.files, own);
  if (paths === undefined) throw missingError(name, searched, own, `Downloading from ${fetched.mirror} left files out.`);
  return { source: fetched.mirror, paths };
};

interface Samples {
  readonly images: IdxArray;
  readonly labels: IdxArray;
}

/** A2. */
const checkSamples = (
  description: DatasetDescription,
  { images, labels }: Samples,
  imagesFile: string,
  labelsFile: string,
): void => {
  const [, height, width] = description.inputShape;
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
  const wrong = labels.elements.findIndex((label) => label >= description.classes);
  if (wrong >= 0) {
    throw new DataError(
      `data file ${labelsFile}, label ${wrong}: expected a class below ${description.classes}, found ${labels.elements[wrong]}`,
      { file: labelsFile },
    );
  }
};

/** The samples of `indices`, in that order, in shared memory. */
const gather = ({ images, labels }: Samples, indices: Int32Array): SampleBuffer => {
  const stride = images.elements.length / (images.shape[0] ?? 1);
  const pixels = new SharedArrayBuffer(indices.length * stride);
  const labelBuffer = new SharedArrayBuffer(indices.length);
  const pixelBytes = new Uint8Array(pixels);
  const labelBytes = new Uint8Array(labelBuffer);
  for (const [row, sample] of indices.entries()) {
    pixelBytes.set(images.elements.subarray(sample * stride, (sample + 1) * stride), row * stride);
    labelBytes[row] = labels.elements[sample]!;
  }
  return { count: indices.length, pixels, labels: labelBuffer };
};

const checkIdentity = (description: DatasetDescription, labels: Uint8Array, file: string): void => {
  const found = sha256(labels);
  const other = Object.values(descriptions).find(({ name, sha256 }) => name !== description.name && sha256.trainLabels === found);
  if (other === undefined) return;
  throw new DataError(
    `data file ${file}: expected ${description.name}, found the labels of ${other.name}; name the folder of ${description.name}, or set dataset.name to ${other.name}`,
    { file },
  ); // A1
};

/**
 * Loads a data set: from `config.dataDir` when given, else the places that the set is installed to, `<ports.folder>/<name>`, or a download.
 * Throws DataError (missing or damaged files) or InputError (more validation samples than there are).
 */
export const loadDataset = async (config: DatasetConfig, ports: DatasetPorts): Promise<LoadedDataset> => {
  const description = descriptions[config.name];
  const { source, paths } = await find(config, description, ports);
  const readIdx = async (path: string, rank: number, check?: (bytes: Uint8Array) => void): Promise<IdxArray> => {
    const stat = await ports.files.stat(path);
    if (stat !== undefined && stat.bytes > fileBytesMax) {
      throw new DataError(`data file ${path}: expected at most ${fileBytesMax} bytes, found ${stat.bytes}`, { file: path });
    }
    const stored = await ports.files.read(path).catch((error: unknown) => {
      throw new DataError(`data file ${path}: expected to read it, found: ${describeError(error)}; check its permissions`, {
        file: path,
      });
    });
    const bytes = await decompress(stored, path, fileBytesMax);
    check?.(bytes);
    return parseIdx(bytes, rank, path);
  };
  const train: Samples = {
    labels: await readIdx(paths.trainLabels, 1, (bytes) => checkIdentity(description, bytes, paths.trainLabels)),
    images: await readIdx(paths.trainImages, 3),
  };
  const test: Samples = { labels: await readIdx(paths.testLabels, 1), images: await readIdx(paths.testImages, 3) };
  checkSamples(description, train, paths.trainImages, paths.trainLabels);
  checkSamples(description, test, paths.testImages, paths.testLabels);

  const trainCount = train.images.shape[0] ?? 0;
  const kept = trainCount - config.validationSamples;
  if (kept < 1) {
    throw new InputError(
      `dataset.validationSamples: expected fewer than the ${trainCount} training samples of ${config.name}, found ${config.validationSamples}`,
      { path: "dataset.validationSamples" },
    );
  }
  const order = shuffledIndices(trainCount, createRandom(splitSeed).fork("validation split")); // A3
  const { name, inputShape, classes, mean, sd } = description;
  return {
    source,
    buffers: {
      name,
      inputShape,
      classes,
      mean,
      sd,
      train: gather(train, order.subarray(0, Math.min(kept, config.trainSamplesMax ?? kept))),
      validation: gather(train, order.subarray(kept)),
      test: gather(
        test,
        Int32Array.from({ length: test.images.shape[0] ?? 0 }, (_, sample) => sample),
      ),
    },
  };
};
