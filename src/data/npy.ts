/**
 * The .npy format of NumPy (NEP 1), versions 1 to 3: magic, version, the length of a header, the header as a Python dictionary with type,
 * order and shape, then the elements. Columns first (Fortran order) are put into rows first (C order).
 */
import { DataError } from "../contracts/errors.ts";

export interface NpyArray {
  readonly shape: readonly number[];
  /** Row-major. Integers of 64 bits become numbers; one that no number can hold is refused. */
  readonly elements: ArrayLike<number>;
  /** Kind and bytes, for example `f4` or `u1`. */
  readonly type: string;
}

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const rankMax = 8;

type Read = (view: DataView, offset: number, littleEndian: boolean) => number;

const wide = (value: bigint, offset: number): number => {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new DataError(`element at byte ${offset}: expected an integer within ±2^53, found ${value}; store it as float64`);
};

const types: Readonly<
  Record<
    string,
    {
      readonly bytes: number;
      readonly read: Read;
      readonly make: (length: number) => Float32Array | Float64Array | Int32Array | Uint8Array;
    }
  >
> = {
  f4: { bytes: 4, read: (view, at, little) => view.getFloat32(at, little), make: (length) => new Float32Array(length) },
  f8: { bytes: 8, read: (view, at, little) => view.getFloat64(at, little), make: (length) => new Float64Array(length) },
  b1: { bytes: 1, read: (view, at) => view.getUint8(at), make: (length) => new Uint8Array(length) },
  u1: { bytes: 1, read: (view, at) => view.getUint8(at), make: (length) => new Uint8Array(length) },
  i1: { bytes: 1, read: (view, at) => view.getInt8(at), make: (length) => new Int32Array(length) },
  u2: { bytes: 2, read: (view, at, little) => view.getUint16(at, little), make: (length) => new Int32Array(length) },
  i2: { bytes: 2, read: (view, at, little) => view.getInt16(at, little), make: (length) => new Int32Array(length) },
  u4: { bytes: 4, read: (view, at, little) => view.getUint32(at, little), make: (length) => new Float64Array(length) },
  i4: { bytes: 4, read: (view, at, little) => view.getInt32(at, little), make: (length) => new Int32Array(length) },
  u8: {
    bytes: 8,
    read: (view, at, little) => wide(view.getBigUint64(at, little), at),
    make: (length) => new Float64Array(length),
  },
  i8: {
    bytes: 8,
    read: (view, at, little) => wide(view.getBigInt64(at, little), at),
    make: (length) => new Float64Array(length),
  },
};

const descriptor = /'descr'\s*:\s*'([<>|=])([a-zA-Z]\d+)'/;
const order = /'fortran_order'\s*:\s*(True|False)/;
const dimensions = /'shape'\s*:\s*\(((?:\s*\d+\s*,?)*)\)/;

/** Row-major place of each element of a column-major array: the first index changes fastest in the file. */
const toRowMajor = <A extends ReturnType<(typeof types)[string]["make"]>>(elements: A, shape: readonly number[], into: A): A => {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dim) => product * dim, 1));
  const index = shape.map(() => 0);
  let place = 0;
  for (let at = 0; at < elements.length; at++) {
    into[place] = elements[at]!;
    for (let axis = 0; axis < shape.length; axis++) {
      index[axis]!++;
      place += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      place -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return into;
};

/** Reads one array; `file` is named in errors. Throws DataError. */
export const parseNpy = (bytes: Uint8Array, file: string): NpyArray => {
  const fail = (what: string, expected: string, found: string): never => {
    throw new DataError(`data file ${file}, ${what}: expected ${expected}, found ${found}; save it again with numpy.savez`, {
      file,
    });
  };
  if (bytes.length < 12 || magic.some((byte, at) => bytes[at] !== byte)) {
    return fail(
      "magic",
      "an array of NumPy (.npy)",
      `bytes that begin with ${Buffer.from(bytes.subarray(0, 6)).toString("hex") || "nothing"}`,
    );
  }
  const version = bytes[6]!;
  if (version < 1 || version > 3) return fail("version", "1, 2 or 3", `${version}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  const end = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (end > bytes.length) return fail("header", `it within the ${bytes.length} bytes`, `an end at byte ${end}`);
  const header = Buffer.from(bytes.subarray(start, end)).toString(version === 3 ? "utf8" : "latin1");
  const [type, fortran, dims] = [descriptor.exec(header), order.exec(header), dimensions.exec(header)];
  if (type === null || fortran === null || dims === null)
    return fail("header", "descr, fortran_order and shape of one plain type", header.trim().slice(0, 200));
  const known = types[type[2]!];
  if (known === undefined) return fail("type", `one of ${Object.keys(types).join(", ")}`, type[2]!);
  const shape = dims[1]!
    .split(",")
    .filter((part) => part.trim() !== "")
    .map(Number);
  if (shape.length > rankMax) return fail("shape", `at most ${rankMax} dimensions`, `${shape.length}`);
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (end + count * known.bytes !== bytes.length) {
    return fail("length", `${end + count * known.bytes} bytes for (${shape.join(", ")}) of ${type[2]}`, `${bytes.length} bytes`);
  }
  const elements = known.make(count);
  const isLittleEndian = type[1] !== ">";
  for (let at = 0; at < count; at++) elements[at] = known.read(view, end + at * known.bytes, isLittleEndian);
  const inRows = fortran[1] === "True" && shape.length > 1 ? toRowMajor(elements, shape, known.make(count)) : elements;
  return { shape, elements: inRows, type: type[2]! };
};
