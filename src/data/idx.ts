/**
 * The IDX format of the MNIST files (LeCun et al., 1998): two zero bytes, a type code, the number of dimensions, each dimension
 * as 32 bits big endian, then the elements. Only unsigned bytes are read. Strict: a file of any other length is a DataError.
 */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { DataError, describeError } from "../contracts/errors.ts";

export interface IdxArray {
  readonly shape: readonly number[];
  /** Row-major; as many as the product of `shape`. */
  readonly elements: Uint8Array;
}

const unsignedByte = 0x08;
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
      `data file ${file}: expected gzip of at most ${bytesMax} bytes, found ${bytes.length} bytes that do not unpack (${describeError(error)}); fetch the file again`,
      { file },
      { cause: error },
    );
  }
};

/** Reads `bytes` as an IDX array with `rank` dimensions; `file` is named in errors. */
export const parseIdx = (bytes: Uint8Array, rank: number, file: string): IdxArray => {
  const fail = (what: string, expected: string, found: string): never => {
    throw new DataError(`data file ${file}, ${what}: expected ${expected}, found ${found}; fetch the file again`, { file });
  };
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) return fail("header", `at least ${headerBytes} bytes`, `${bytes.length} bytes`);
  const magic = Uint8Array.of(0, 0, unsignedByte, rank);
  if (hex(bytes.subarray(0, 4)) !== hex(magic)) {
    return fail("magic number", `0x${hex(magic)} (${rank} dimensions of unsigned bytes)`, `0x${hex(bytes.subarray(0, 4))}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const count = shape.reduce((product, dim) => product * dim, 1);
  const expected = headerBytes + count;
  if (bytes.length !== expected) {
    return fail("length", `${expected} bytes for dimensions ${shape.join(" × ")}`, `${bytes.length} bytes`);
  }
  return { shape, elements: bytes.subarray(headerBytes) };
};
