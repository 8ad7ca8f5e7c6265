/** Reads a file of a data set within its bound. */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { DataError, describeError, InputError } from "../contracts/errors.ts";
import type { DataFiles } from "./ports.ts";

const inflate = promisify(gunzip);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The bytes of a file that may be compressed; more than `bytesMax` are refused. */
export const decompress = async (bytes: Uint8Array, file: string, bytesMax: number): Promise<Uint8Array> => {
  const compressed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!compressed && file.endsWith(".gz")) {
    throw new DataError(
      `data file ${file}: expected gzip, found bytes that begin with ${hex(bytes.subarray(0, 2)) || "nothing"}`,
      { file },
    );
  }
  if (!compressed) return bytes;
  try {
    return await inflate(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    throw new DataError(
      `data file ${file}: expected gzip of at most ${bytesMax} bytes, found ${bytes.length} bytes that do not unpack (${describeError(error)}); fetch the file again, or raise dataset.fileBytesMax`,
      { file },
      { cause: error },
    );
  }
};

/** The stored bytes of a file. Throws DataError when it is missing, larger than `bytesMax` or not readable. */
export const readBounded = async (files: DataFiles, path: string, bytesMax: number): Promise<Uint8Array> => {
  const stat = await files.stat(path);
  if (stat?.kind !== "file") {
    throw new DataError(
      `data file ${path}: expected a file, found ${stat === undefined ? "nothing" : "a folder"}; check the path`,
      {
        file: path,
      },
    );
  }
  if (stat.bytes > bytesMax) {
    throw new DataError(
      `data file ${path}: expected at most ${bytesMax} bytes, found ${stat.bytes}; raise dataset.fileBytesMax`,
      {
        file: path,
      },
    );
  }
  return files.read(path).catch((error: unknown) => {
    throw new DataError(
      `data file ${path}: expected to read it, found: ${describeError(error)}; check its permissions`,
      { file: path },
      { cause: error },
    );
  });
};

/** A file, unpacked when it is gzip. */
export const readUnpacked = async (files: DataFiles, path: string, bytesMax: number): Promise<Uint8Array> =>
  decompress(await readBounded(files, path, bytesMax), path, bytesMax);

/** A setting that a set cannot do without. Throws InputError that names it. */
export const required = (value: string | undefined, path: string, what: string): string => {
  if (value !== undefined) return value;
  throw new InputError(`${path}: expected ${what}, found none; set it, for example with --config or in the environment`, {
    path,
  });
};
