/** The safetensors format: round trips, and every damage as a typed error. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ContractError, DataError } from "../../src/contracts/errors.ts";
import type { Tensor } from "../../src/contracts/graph.ts";
import { decodeSafetensors, encodeSafetensors, type TensorRecord } from "../../src/store/safetensors.ts";

fc.configureGlobal({ seed: 20, numRuns: 100 });

const decode = (bytes: Uint8Array, headerBytesMax = 100_000) => decodeSafetensors(bytes, headerBytesMax, "some/file");
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const tensor: fc.Arbitrary<Tensor> = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }).chain((shape) => {
  const count = { minLength: product(shape), maxLength: product(shape) };
  return fc.oneof(
    fc.float32Array(count).map((data): Tensor => ({ dtype: "float32", shape, data })),
    fc.int32Array(count).map((data): Tensor => ({ dtype: "int32", shape, data })),
  );
});
const names = fc.oneof(
  fc.string({ minLength: 1, maxLength: 8 }),
  fc.constantFrom("__proto__", "constructor", "ü→", '"', "host/w"),
);
const records: fc.Arbitrary<TensorRecord> = fc
  .uniqueArray(fc.tuple(names, tensor), { selector: ([name]) => name, maxLength: 5 })
  .map((entries): TensorRecord => Object.fromEntries(entries));
const bits = ({ dtype, shape, data }: Tensor): unknown => [
  dtype,
  shape,
  Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex"),
];
const asBits = (tensors: TensorRecord): Map<string, unknown> =>
  new Map(Object.entries(tensors).map(([name, each]) => [name, bits(each)]));
const outcome = (bytes: Uint8Array): unknown => {
  try {
    return decode(bytes);
  } catch (error) {
    return error;
  }
};

/** A file with any header text. */
const withHeader = (header: string, data = new Uint8Array()): Uint8Array => {
  const json = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
};

describe("round trip", () => {
  test("every tensor comes back bit for bit, special values included, from any place in a larger buffer", () => {
    fc.assert(
      fc.property(records, fc.dictionary(fc.string(), fc.string()), fc.nat(7), (tensors, metadata, shift) => {
        const file = encodeSafetensors(tensors, metadata);
        const larger = new Uint8Array(file.length + shift);
        larger.set(file, shift);
        const decoded = decode(larger.subarray(shift));
        expect(asBits(decoded.tensors)).toEqual(asBits(tensors));
        expect(new Map(Object.entries(decoded.metadata))).toEqual(new Map(Object.entries(metadata)));
      }),
    );
    const special = Float32Array.of(Number.NaN, -0, Number.POSITIVE_INFINITY, 1e-45);
    const back = decode(encodeSafetensors({ a: { dtype: "float32", shape: [4], data: special } })).tensors["a"]!;
    expect(bits(back)).toEqual(bits({ dtype: "float32", shape: [4], data: special }));
  });

  test("equal tensors give equal bytes, whatever the order of names; a view is written as its own part", () => {
    const a: Tensor = { dtype: "int32", shape: [2], data: new Int32Array([9, 1, 2, 9]).subarray(1, 3) };
    const b: Tensor = { dtype: "float32", shape: [], data: Float32Array.of(0.5) };
    expect(encodeSafetensors({ a, b })).toEqual(encodeSafetensors({ b, a }));
    expect([...decode(encodeSafetensors({ a, b })).tensors["a"]!.data]).toEqual([1, 2]);
  });

  test("the layout is that of the format", () => {
    const file = encodeSafetensors({ w: { dtype: "float32", shape: [1, 2], data: Float32Array.of(1, -2) } }, { note: "x" });
    const headerBytes = Number(new DataView(file.buffer).getBigUint64(0, true));
    expect(headerBytes % 8).toBe(0);
    expect(JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)))).toEqual({
      __metadata__: { note: "x" },
      w: { dtype: "F32", shape: [1, 2], data_offsets: [0, 8] },
    });
    expect(Buffer.from(file.subarray(8 + headerBytes)).toString("hex")).toBe("0000803f000000c0");
  });
});

describe("damage", () => {
  const file = encodeSafetensors(
    {
      "host/w": { dtype: "float32", shape: [2, 3], data: new Float32Array(6) },
      "host/b": { dtype: "int32", shape: [3], data: new Int32Array(3) },
    },
    { format: "esper-checkpoint" },
  );
  const headerEnd = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));

  test("T3: every bit of every header byte flipped gives a DataError or a file that still covers its data", () => {
    let refused = 0;
    for (let at = 0; at < headerEnd; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const result = outcome(file.with(at, file[at]! ^ (1 << bit)));
        if (result instanceof DataError) {
          refused++;
          expect(result.message).toMatch(/^safetensors file some\/file, .+: expected .+, found .+; the file is damaged$/s);
        } else {
          // Only a name, the metadata or white space can change unseen: the bytes described are the same.
          expect(result).not.toBeInstanceOf(Error);
          const shapes = Object.values((result as { tensors: TensorRecord }).tensors).map(({ shape }) => product(shape));
          expect(shapes.sort()).toEqual([3, 6]);
        }
      }
    }
    expect(refused).toBeGreaterThan(headerEnd * 4);
  });

  test("T3: every cut and every addition is a DataError", () => {
    for (let bytes = 0; bytes < file.length; bytes++) expect(outcome(file.subarray(0, bytes))).toBeInstanceOf(DataError);
    expect(outcome(Uint8Array.from([...file, 0]))).toBeInstanceOf(DataError);
  });

  test("T3: no bytes at all make another error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.json(), (bytes, json) => {
        for (const input of [bytes, withHeader(json), withHeader(`{"a":${json}}`), withHeader(`{"__metadata__":${json}}`)]) {
          const result = outcome(input);
          if (result instanceof Error) expect(result).toBeInstanceOf(DataError);
        }
      }),
    );
  });

  const entry = (begin: number, end: number, shape = [(end - begin) / 4]): unknown => ({
    dtype: "F32",
    shape,
    data_offsets: [begin, end],
  });
  test.each<[string, Uint8Array, RegExp]>([
    [
      "an overlap",
      withHeader(JSON.stringify({ a: entry(0, 8), b: entry(4, 8) }), new Uint8Array(8)),
      /tensor "b": expected data from byte 8 on, found byte 4/,
    ],
    [
      "a gap",
      withHeader(JSON.stringify({ a: entry(4, 8) }), new Uint8Array(8)),
      /tensor "a": expected data from byte 0 on, found byte 4/,
    ],
    [
      "bytes behind the last tensor",
      withHeader(JSON.stringify({ a: entry(0, 4) }), new Uint8Array(8)),
      /data: expected 4 bytes, found 8 bytes/,
    ],
    [
      "offsets past the end",
      withHeader(JSON.stringify({ a: entry(0, 12) }), new Uint8Array(8)),
      /expected data_offsets within 8 bytes, found \[0,12\]/,
    ],
    [
      "a shape of another size",
      withHeader(JSON.stringify({ a: entry(0, 8, [3]) }), new Uint8Array(8)),
      /expected 12 bytes for shape \[3\], found 8 bytes/,
    ],
    [
      "a negative dimension",
      withHeader(JSON.stringify({ a: entry(0, 8, [-2]) }), new Uint8Array(8)),
      /expected a shape of whole numbers, found \[-2\]/,
    ],
    ["offsets the wrong way round", withHeader(JSON.stringify({ a: entry(8, 0, [0]) }), new Uint8Array(8)), /found -8 bytes/],
    [
      "an unknown type",
      withHeader('{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}', new Uint8Array(8)),
      /expected dtype F32 or I32, found F64/,
    ],
    [
      "a shape whose size overflows",
      withHeader(JSON.stringify({ a: entry(0, 8, [2 ** 52, 2 ** 52]) }), new Uint8Array(8)),
      /expected 8 bytes|expected .* bytes for shape/,
    ],
    [
      "the same tensor twice",
      withHeader(`{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(4, 8))}}`, new Uint8Array(8)),
      /expected data from byte 0 on/,
    ],
    ["metadata that is no text", withHeader('{"__metadata__":{"a":1}}'), /__metadata__ "a": expected text, found 1/],
    ["a header that is a list", withHeader("[]"), /header: expected an object, found \[\]/],
    ["broken UTF-8", Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 0xff]), /header: expected JSON/],
    [
      "a huge header",
      Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255]),
      /header length: expected at most 0 bytes, found 18446744073709551615 bytes/,
    ],
  ])("T1, T2: %s is refused", (_, bytes, message) => {
    expect(() => decode(bytes)).toThrow(DataError);
    expect(() => decode(bytes)).toThrow(message);
  });

  test("the header's bound holds before it is parsed", () => {
    expect(() => decode(file, headerEnd - 8)).not.toThrow();
    expect(() => decode(file, headerEnd - 9)).toThrow(/header length: expected at most/);
  });
});

test("what cannot be written is a ContractError", () => {
  const wrong = (over: Partial<Tensor>) => () =>
    encodeSafetensors({ a: { dtype: "float32", shape: [2], data: new Float32Array(2), ...over } });
  expect(wrong({ shape: [3] })).toThrow(/expected 3 elements of float32 for a, found 2 in a Float32Array/);
  expect(wrong({ data: new Int32Array(2) })).toThrow(ContractError);
  expect(() => encodeSafetensors({ __metadata__: { dtype: "int32", shape: [], data: new Int32Array(1) } })).toThrow(
    /it is reserved/,
  );
});
