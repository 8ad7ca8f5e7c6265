/**
 * The safetensors format, written and read here: 8 bytes of header length (little endian), a JSON header, then the tensors' bytes.
 * A header entry is `{"dtype": "F32" | "I32", "shape": […], "data_offsets": [begin, end]}`, offsets from the end of the header.
 *
 * T1 The tensors cover the data exactly: in order of offset there is no gap, no overlap and nothing behind the last.
 * T2 Every entry's shape, type and offsets agree.
 * T3 Any other file gives a DataError that names the place, what was expected and what was found; never another error.
 */
import { endianness } from "node:os";
import { ContractError, DataError, describeError } from "../contracts/errors.ts";
import type { DType, Tensor } from "../contracts/graph.ts";

export type TensorRecord = Readonly<Record<string, Tensor>>;

export interface Safetensors {
  readonly tensors: TensorRecord;
  readonly metadata: Readonly<Record<string, string>>;
}

const metadataKey = "__metadata__";
const lengthBytes = 8;
const elementBytes = 4;
const dtypeNames: Readonly<Record<DType, string>> = { float32: "F32", int32: "I32" };

const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** The same words with the other byte order, on a machine that needs it. */
const littleEndian = (bytes: Uint8Array): Uint8Array => (endianness() === "LE" ? bytes : Buffer.from(bytes).swap32());

/** Tensors are written in order of name, so that equal tensors give equal bytes. Throws ContractError for a tensor at odds with its shape. */
export const encodeSafetensors = (tensors: TensorRecord, metadata: Readonly<Record<string, string>> = {}): Uint8Array => {
  const names = Object.keys(tensors).sort();
  const header: [string, unknown][] = Object.keys(metadata).length === 0 ? [] : [[metadataKey, metadata]];
  let offset = 0;
  for (const name of names) {
    const { dtype, shape, data } = tensors[name]!;
    if (name === metadataKey)
      throw new ContractError(`safetensors: expected a tensor of another name, found ${metadataKey}; it is reserved`);
    const fits = dtype === "float32" ? data instanceof Float32Array : data instanceof Int32Array;
    if (!fits || data.length !== elements(shape)) {
      throw new ContractError(
        `safetensors: expected ${elements(shape)} elements of ${dtype} for ${name}, found ${data.length} in a ${data.constructor.name}`,
      );
    }
    const end = offset + data.byteLength;
    header.push([name, { dtype: dtypeNames[dtype], shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(json.length / 8) * 8; // The data starts at a multiple of 8.
  const file = new Uint8Array(lengthBytes + headerBytes + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, lengthBytes, lengthBytes + headerBytes);
  file.set(json, lengthBytes);
  let position = lengthBytes + headerBytes;
  for (const name of names) {
    const { data } = tensors[name]!;
    file.set(littleEndian(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)), position);
    position += data.byteLength;
  }
  return file;
};

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

type Fail = (place: string, expected: string, found: unknown) => never;

/** T2. */
const readEntry = (name: string, value: unknown, dataBytes: number, fail: Fail): Entry => {
  const place = `tensor ${JSON.stringify(name)}`;
  if (!isObject(value)) return fail(place, "an object with dtype, shape and data_offsets", value);
  const dtype =
    value["dtype"] === "F32" ? "float32" : value["dtype"] === "I32" ? "int32" : fail(place, "dtype F32 or I32", value["dtype"]);
  const shape: unknown = value["shape"];
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail(place, "a shape of whole numbers", shape);
  const offsets: unknown = value["data_offsets"];
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) return fail(place, "two data_offsets", offsets);
  const [begin, end] = [Number(offsets[0]), Number(offsets[1])];
  if (end > dataBytes) return fail(place, `data_offsets within ${dataBytes} bytes`, [begin, end]);
  if (end - begin !== elements(shape) * elementBytes) {
    return fail(place, `${elements(shape) * elementBytes} bytes for shape [${shape.join(", ")}]`, `${end - begin} bytes`);
  }
  return { name, dtype, shape, begin, end };
};

const readMetadata = (value: unknown, fail: Fail): Readonly<Record<string, string>> => {
  if (value === undefined) return {};
  if (!isObject(value)) return fail(metadataKey, "an object of texts", value);
  const pairs = Object.entries(value).map(([key, item]): [string, string] => [
    key,
    typeof item === "string" ? item : fail(`${metadataKey} ${JSON.stringify(key)}`, "text", item),
  ]);
  return Object.fromEntries(pairs);
};

const shown = (found: unknown): string =>
  (typeof found === "string" ? found : (JSON.stringify(found) ?? String(found))).slice(0, 200);

/** `headerBytesMax` bounds the header before it is parsed; `file` is named in errors. */
export const decodeSafetensors = (bytes: Uint8Array, headerBytesMax: number, file: string): Safetensors => {
  const fail: Fail = (place, expected, found) => {
    throw new DataError(`safetensors file ${file}, ${place}: expected ${expected}, found ${shown(found)}; the file is damaged`, {
      file,
    });
  };
  if (bytes.length < lengthBytes) return fail("start", `at least ${lengthBytes} bytes`, `${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const declared = view.getBigUint64(0, true);
  const headerMax = Math.min(headerBytesMax, bytes.length - lengthBytes);
  if (declared > BigInt(headerMax)) return fail("header length", `at most ${headerMax} bytes`, `${declared} bytes`);
  const headerEnd = lengthBytes + Number(declared);

  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(lengthBytes, headerEnd)));
  } catch (error) {
    return fail("header", "JSON", describeError(error));
  }
  if (!isObject(header)) return fail("header", "an object", header);

  const dataBytes = bytes.length - headerEnd;
  const entries = Object.entries(header)
    .filter(([name]) => name !== metadataKey)
    .map(([name, value]) => readEntry(name, value, dataBytes, fail))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) return fail(`tensor ${JSON.stringify(name)}`, `data from byte ${covered} on`, `byte ${begin}`); // T1
    covered = end;
  }
  if (covered !== dataBytes) return fail("data", `${covered} bytes`, `${dataBytes} bytes`); // T1

  const tensors = entries.map(({ name, dtype, shape, begin, end }): [string, Tensor] => {
    // A copy of its own: aligned, and free of the file's buffer.
    const { buffer } = Uint8Array.from(littleEndian(bytes.subarray(headerEnd + begin, headerEnd + end)));
    return [name, { dtype, shape, data: dtype === "float32" ? new Float32Array(buffer) : new Int32Array(buffer) }];
  });
  const own = Object.hasOwn(header, metadataKey) ? header[metadataKey] : undefined;
  return { tensors: Object.fromEntries(tensors), metadata: readMetadata(own, fail) };
};
