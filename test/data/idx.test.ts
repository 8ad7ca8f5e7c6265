/** The IDX reader is strict: whatever is not exactly such a file gives a DataError that names it. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/contracts/errors.ts";
import { parseIdx } from "../../src/data/idx.ts";
import { decompress } from "../../src/data/read.ts";
import { encodeIdx } from "./idx-support.ts";

/** One sequence of cases for every run of the tests. */
fc.configureGlobal({ seed: 20, numRuns: 100 });

const arrays = fc
  .array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 3 })
  .chain((shape) => fc.tuple(fc.constant(shape), fc.uint8Array({ minLength: product(shape), maxLength: product(shape) })));
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

describe("parseIdx", () => {
  test("reads back what was written, plain or compressed", async () => {
    await fc.assert(
      fc.asyncProperty(arrays, async ([shape, elements]) => {
        const file = encodeIdx(shape, elements);
        const parsed = parseIdx(await decompress(gzipSync(file), "a.gz", 1000), shape.length, "a.gz");
        expect([parsed.shape, [...parsed.elements]]).toEqual([shape, [...elements]]);
        expect(parseIdx(file, shape.length, "a")).toEqual({ shape, elements });
      }),
    );
  });

  test("any cut, any byte too many and any changed header byte is a DataError that names the file", () => {
    fc.assert(
      fc.property(arrays, fc.nat(), fc.integer({ min: 1, max: 255 }), ([shape, elements], place, flip) => {
        const file = encodeIdx(shape, elements);
        const cut = file.subarray(0, place % file.length);
        const longer = Uint8Array.from([...file, flip]);
        const header = file.slice();
        const at = place % (4 + 4 * shape.length);
        header[at] = header[at]! ^ flip;
        for (const damaged of [cut, longer]) expect(() => parseIdx(damaged, shape.length, "some/file")).toThrow(DataError);
        // A changed dimension of an array without elements may still describe none.
        const sameCount = elements.length === 0 && at >= 4;
        if (!sameCount)
          expect(() => parseIdx(header, shape.length, "some/file")).toThrow(/data file some\/file, .*expected .*, found /);
      }),
    );
  });

  test("tells the bytes expected and found", () => {
    const file = encodeIdx([2, 3], new Uint8Array(6));
    expect(() => parseIdx(file.subarray(0, 15), 2, "f")).toThrow(
      "data file f, length: expected 18 bytes for dimensions 2 × 3, found 15 bytes; fetch the file again",
    );
    expect(() => parseIdx(file, 3, "f")).toThrow(
      "magic number: expected 0x00000803 (3 dimensions of unsigned bytes), found 0x00000802",
    );
  });
});

describe("decompress", () => {
  test("damaged gzip, a wrong name and more than the bound are DataErrors", async () => {
    const packed = gzipSync(new Uint8Array(1000));
    await expect(decompress(packed.subarray(0, packed.length - 9), "f.gz", 5000)).rejects.toThrow(
      /f\.gz: expected gzip of at most 5000/,
    );
    await expect(decompress(packed, "f.gz", 999)).rejects.toThrow(DataError);
    await expect(decompress(packed, "f.gz", 1000)).resolves.toHaveLength(1000);
    await expect(decompress(Uint8Array.of(1, 2, 3), "f.gz", 99)).rejects.toThrow(
      "expected gzip, found bytes that begin with 0102",
    );
    await expect(decompress(new Uint8Array(), "f.gz", 99)).rejects.toThrow("begin with nothing");
  });
});
