/**
 * The disk as the stores see it: a port with a few operations, the real one over node:fs, and the two durable writes built on it.
 *
 * F1 Nothing counts as stored before the file and then the folder that names it were synced.
 * F2 A name appears only by rename of a complete, synced file.
 */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DataError, describeError, EsperError, ServiceError } from "../contracts/errors.ts";

export interface FileStat {
  readonly kind: "file" | "folder";
  readonly bytes: number;
}

/** Operations fail with the system's error (`code` is ENOENT, ENOSPC …); see `diskError`. */
export interface FileSystem {
  /** Undefined when nothing is there. */
  stat(path: string): Promise<FileStat | undefined>;
  /** The whole file, or `length` bytes from `offset`; fewer when the file ends. */
  read(path: string, offset?: number, length?: number): Promise<Uint8Array>;
  /** Names in a folder, sorted; none when there is no such folder. */
  list(path: string): Promise<readonly string[]>;
  /** One folder; its parent exists. Nothing happens when it is there already. */
  makeFolder(path: string): Promise<void>;
  /** Makes or replaces a file. Not durable before `sync`. `mode`: who may use a new file, as in chmod. */
  write(path: string, bytes: Uint8Array, mode?: number): Promise<void>;
  append(path: string, bytes: Uint8Array): Promise<void>;
  truncate(path: string, bytes: number): Promise<void>;
  /** Forces a file's contents, or a folder's names, to the disk. */
  sync(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A file, or a folder with all in it; nothing happens when it is missing. */
  remove(path: string): Promise<void>;
}

export const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;

const syncPath = async (path: string): Promise<void> => {
  const handle = await fs.open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

export const nodeFileSystem: FileSystem = {
  async stat(path) {
    try {
      const stat = await fs.stat(path);
      return { kind: stat.isDirectory() ? "folder" : "file", bytes: stat.size };
    } catch (error) {
      if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
      throw error;
    }
  },
  async read(path, offset, length) {
    if (offset === undefined || length === undefined) return fs.readFile(path);
    const handle = await fs.open(path, constants.O_RDONLY);
    try {
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    } finally {
      await handle.close();
    }
  },
  async list(path) {
    try {
      return (await fs.readdir(path)).sort();
    } catch (error) {
      if (errorCode(error) === "ENOENT") return [];
      throw error;
    }
  },
  async makeFolder(path) {
    try {
      await fs.mkdir(path);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
  },
  write: (path, bytes, mode) => fs.writeFile(path, bytes, mode === undefined ? {} : { mode }),
  append: (path, bytes) => fs.appendFile(path, bytes),
  truncate: (path, bytes) => fs.truncate(path, bytes),
  sync: syncPath,
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
};

/** A failed operation in words. `what` names the thing that was to be read or written. */
export const diskError = (what: string, file: string, error: unknown): EsperError => {
  const code = errorCode(error);
  const place = { file };
  const options = { cause: error };
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new ServiceError(
      `${what} (${file}): expected room on the disk, found it full (${code}); free some space or set services.dataDir to another disk`,
      place,
      options,
    );
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new ServiceError(
      `${what} (${file}): expected to be allowed to use it, found ${code}; change its permissions or set services.dataDir`,
      place,
      options,
    );
  }
  if (code === "ENOENT") {
    return new DataError(`${what} (${file}): expected a file, found nothing there; check the path`, place, options);
  }
  return new ServiceError(
    `${what} (${file}): expected the disk to do it, found: ${describeError(error)}; check the disk and try again`,
    place,
    options,
  );
};

/** What the disk says against the work is told in words; an error that is in words already passes. */
export const guardDisk = async <T>(what: string, file: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw error instanceof EsperError ? error : diskError(what, file, error);
  }
};

/** Makes a folder and the missing ones above it, each durable (F1). */
export const ensureFolder = async (fileSystem: FileSystem, path: string): Promise<void> => {
  const stat = await fileSystem.stat(path);
  if (stat?.kind === "folder") return;
  const parent = dirname(path);
  if (parent !== path) await ensureFolder(fileSystem, parent);
  await fileSystem.makeFolder(path);
  await fileSystem.sync(parent);
};

/**
 * Makes or replaces a file so that after a crash either the old or the new one is there, whole (F1, F2).
 * `temporary` is a name on the same disk that nobody else uses; it is gone afterwards, also after an error.
 */
export const writeDurably = async (
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
  temporary: string = join(dirname(path), `.${basename(path)}.tmp`),
  mode?: number,
): Promise<void> => {
  try {
    await fileSystem.write(temporary, bytes, mode);
    await fileSystem.sync(temporary);
    await fileSystem.rename(temporary, path);
  } catch (error) {
    await fileSystem.remove(temporary).catch(() => undefined); // The first error is the one to tell.
    throw error;
  }
  await fileSystem.sync(dirname(path));
};

/** `writeDurably` into a folder that is made when it is missing. */
export const saveDurably = async (fileSystem: FileSystem, path: string, bytes: Uint8Array): Promise<void> => {
  await ensureFolder(fileSystem, dirname(path));
  await writeDurably(fileSystem, path, bytes);
};
