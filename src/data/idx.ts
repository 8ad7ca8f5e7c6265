/**
 * The IDX format of the MNIST files (LeCun et al., 1998): two zero bytes, a type code, the number of dimensions, each dimension
 * as 32 bits big endian, then the elements. Only unsigned bytes are read. Strict: a file of any other length is a DataError.
 */
import { DataError } from "../contracts/errors.ts";

export interface IdxArray {
  readonly shape: readonly number[];
  /** Row-major; as many as the product of `shape`. */
  readonly elements: Uint8Array;
}

const unsignedByte = 0x08;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

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
