/**
 * Finds the files of a set that is published under fixed names, or fetches them.
 *
 * A1 Never a substitute: a folder that the config names is the only one looked in.
 * A2 What is downloaded has the pinned SHA-256 of the original; else nothing of it is kept.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { DatasetConfig } from "../contracts/config.ts";
import { DataError, describeError } from "../contracts/errors.ts";
import type { Download } from "./download.ts";
import type { DatasetPorts } from "./ports.ts";
import { decompress, readBounded, readUnpacked } from "./read.ts";
import { readTar } from "./tar.ts";

export interface Original {
  readonly name: DatasetConfig["name"];
  /** Plain names; `.gz` may follow. All of them are needed. */
  readonly fileNames: readonly string[];
  /** A packed folder of the files (.tar.gz) that is as good as they are. */
  readonly archive?: string;
  /** Names of folders that may hold the files, besides the set's own. */
  readonly folderNames: readonly string[];
  /** Folders of this machine that may hold the files, best first. */
  readonly places: () => readonly string[];
  readonly mirrors: readonly string[];
  /** Fetches what to keep, by file name. Throws when something is not the original (A2). */
  readonly fetch: (mirror: string, download: Download, bytesMax: number) => Promise<ReadonlyMap<string, Uint8Array>>;
}

export interface OriginalFile {
  /** For messages. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface OriginalFiles {
  /** The folder or mirror that they came from. */
  readonly source: string;
  /** One of the set's files, unpacked. */
  read(name: string): Promise<OriginalFile>;
}

interface Searched {
  readonly folder: string;
  readonly missing: readonly string[];
  /** By plain name. */
  readonly paths: ReadonlyMap<string, string>;
  readonly archive?: string;
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Throws DataError when the bytes are not those of the original (A2). */
export const checkOriginal = (bytes: Uint8Array, expected: string, url: string, form: string): void => {
  const found = sha256(bytes);
  if (found !== expected) throw new DataError(`download ${url}: expected SHA-256 ${expected}${form}, found ${found}`);
};

const isFile = async (ports: DatasetPorts, path: string): Promise<boolean> => (await ports.files.stat(path))?.kind === "file";

/** Which of the files a folder holds. */
export const searchFolder = async (
  ports: DatasetPorts,
  folder: string,
  { fileNames, archive }: Pick<Original, "fileNames" | "archive">,
): Promise<Searched> => {
  const paths = new Map<string, string>();
  for (const name of fileNames) {
    for (const stored of [name, `${name}.gz`]) {
      if (paths.has(name) || !(await isFile(ports, join(folder, stored)))) continue;
      paths.set(name, join(folder, stored));
    }
  }
  const missing = fileNames.filter((name) => !paths.has(name));
  const packed = archive === undefined ? undefined : join(folder, archive);
  const hasArchive = packed !== undefined && missing.length > 0 && (await isFile(ports, packed));
  return { folder, missing, paths, ...(hasArchive ? { archive: packed } : {}) };
};

const filesOf = (ports: DatasetPorts, bytesMax: number, { paths }: Searched, source: string): OriginalFiles => ({
  source,
  read: async (name) => {
    const path = paths.get(name)!;
    return { path, bytes: await readUnpacked(ports.files, path, bytesMax) };
  },
});

const filesInArchive = async (
  ports: DatasetPorts,
  bytesMax: number,
  archive: string,
  { fileNames }: Original,
): Promise<OriginalFiles> => {
  const members = readTar(
    await decompress(await readBounded(ports.files, archive, bytesMax), archive, bytesMax),
    archive,
    fileNames,
  );
  return {
    source: archive,
    read: async (name) => ({ path: `${archive} (${name})`, bytes: members.get(name)! }),
  };
};

/** Fetches the files from the first mirror that has all of them as they should be (A2). */
const fetchAll = async (original: Original, folder: string, download: Download, ports: DatasetPorts, bytesMax: number) => {
  const problems: string[] = [];
  for (const mirror of original.mirrors) {
    try {
      const fetched = await original.fetch(mirror, download, bytesMax);
      for (const [name, bytes] of fetched) await ports.save?.(join(folder, name), bytes);
      return { kind: "fetched", mirror } as const;
    } catch (error) {
      problems.push(describeError(error));
    }
  }
  return { kind: "failed", reason: problems.join("; ") } as const;
};

const missingError = (original: Original, searched: readonly Searched[], own: string, downloading: string): DataError => {
  const places = searched.map(({ folder, missing }) => `${folder} (missing: ${missing.join(", ")})`).join("; ");
  const packed = original.archive === undefined ? "" : `, or ${original.archive} as it is published,`;
  return new DataError(
    `dataset ${original.name}: expected ${original.fileNames.join(", ")} (plain or .gz) in one folder, found none with all of them. ` +
      `Looked in ${places}. ${downloading} Put the files${packed} into ${own}, or name their folder by --data-dir or dataset.dataDir`,
    { file: own },
  );
};

/** From `config.dataDir` when given (A1), else the places that the set is installed to, the node's own folder, or a download. */
export const findOriginal = async (config: DatasetConfig, original: Original, ports: DatasetPorts): Promise<OriginalFiles> => {
  const { dataDir, fileBytesMax } = config;
  const own = join(ports.folder, original.name);
  const within = (folder: string): string[] => [original.name, ...original.folderNames].map((name) => join(folder, name));
  const places = dataDir === undefined ? [...original.places(), ...within(ports.folder)] : [dataDir, ...within(dataDir)];
  const searched: Searched[] = [];
  for (const place of places) {
    const result = await searchFolder(ports, place, original);
    if (result.missing.length === 0) return filesOf(ports, fileBytesMax, result, place);
    if (result.archive !== undefined) return filesInArchive(ports, fileBytesMax, result.archive, original);
    searched.push(result);
  }
  if (dataDir !== undefined) {
    throw missingError(original, searched, dataDir, "No other place was tried, because the config names this folder.");
  }
  if (ports.download === undefined || ports.save === undefined)
    throw missingError(original, searched, own, "Downloading is off.");
  const fetched = await fetchAll(original, own, ports.download, ports, fileBytesMax);
  if (fetched.kind === "failed") throw missingError(original, searched, own, `Downloading failed: ${fetched.reason}.`);
  const result = await searchFolder(ports, own, original);
  if (result.missing.length > 0) {
    throw missingError(original, searched, own, `Downloading from ${fetched.mirror} left files out.`);
  }
  return filesOf(ports, fileBytesMax, result, fetched.mirror);
};
