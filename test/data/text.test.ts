/** Texts as tokens: windows, vocabulary, and parts that share nothing. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SampleBuffer } from "../../src/contracts/dataset.ts";
import { DataError, InputError } from "../../src/contracts/errors.ts";
import { fillBatch } from "../../src/data/batches.ts";
import { decodeText, tokenize } from "../../src/data/text.ts";
import { load, useFolder } from "./support.ts";

/** One sequence of cases for every run of the tests. */
fc.configureGlobal({ seed: 20, numRuns: 100 });

const sentences = [
  "A seed sleeps until the layer under it starves.",
  "Nothing was grown that nobody had measured first.",
  "The twin went the old way, step by step, and lost.",
  "Größe ist kein Maß für Nutzen: 🌱 first, leaves later.",
];
const story = Array.from({ length: 60 }, (_, line) => `${line}. ${sentences[line % 4]}\n`).join("");

const tokensOf = ({ inputs }: SampleBuffer): number[] => [...new Int32Array(inputs)];

describe("text", () => {
  const folder = useFolder();

  test("X1: the windows of the three parts, put together, are the text in order, without a character in two parts", async () => {
    const file = folder.write("story.txt", story);
    const contextLength = 16;
    const { buffers, notes, source } = await load({
      name: "text",
      file,
      contextLength,
      validationSamples: 20,
      testFraction: 0.2,
    });
    const characters = [...story];
    const windows = Math.floor((characters.length - 3) / contextLength);
    expect(source).toBe(file);
    expect(buffers).toMatchObject({ kind: "tokens", task: "classification", inputShape: [16], rows: 16, mean: [], sd: [] });
    expect(buffers.classes).toBe(new Set(characters).size);
    expect(buffers.vocabulary).toContain("🌱");
    expect(notes[0]).toBe(`${characters.length} characters of ${buffers.classes} kinds, windows of 16`);
    expect([buffers.validation.count, buffers.test.count]).toEqual([20, Math.round(windows * 0.2)]);
    const say = (tokens: readonly number[]): string => tokens.map((token) => buffers.vocabulary![token]).join("");
    const { train, validation, test: held } = buffers;
    expect(say(tokensOf(train))).toBe(characters.slice(0, train.count * contextLength).join(""));
    const validationStart = characters.length - (held.count * contextLength + 1) - (20 * contextLength + 1);
    expect(validationStart).toBeGreaterThan(train.count * contextLength);
    expect(say(tokensOf(validation))).toBe(characters.slice(validationStart, validationStart + 320).join(""));
    expect(say(tokensOf(held))).toBe(characters.slice(characters.length - held.count * contextLength - 1, -1).join(""));
    // The last target of a part is its own last character, not the next part's first.
    expect(train.count * contextLength).toBeLessThan(validationStart);
  });

  test("a batch holds a window and the character after each of its places", async () => {
    const { buffers } = await load({
      name: "text",
      file: folder.write("story.txt", story),
      contextLength: 8,
      validationSamples: 16,
    });
    const [x, y] = [new Int32Array(16), new Int32Array(16)];
    fillBatch(buffers, "train", [3, 0], x, y);
    const expected = tokenize(story).tokens;
    expect([...x]).toEqual([...expected.slice(24, 32), ...expected.slice(0, 8)]);
    expect([...y]).toEqual([...expected.slice(25, 33), ...expected.slice(1, 9)]);
  });

  test("what does not fit is an InputError", async () => {
    const file = folder.write("short.txt", "abcabcabc");
    await expect(load({ name: "text", file, contextLength: 8 })).rejects.toThrow(InputError);
    await expect(load({ name: "text", file, contextLength: 8 })).rejects.toThrow(/expected at least 27 characters, .* found 9/);
    const long = folder.write("story.txt", story);
    await expect(load({ name: "text", file: long, classesMax: 20 })).rejects.toThrow(/at most 20 different characters, found/);
    await expect(load({ name: "text", file: long, samplesMax: 10 })).rejects.toThrow(/expected at most 10 samples/);
    await expect(load({ name: "text", file: long, memoryBytesMax: 1000 })).rejects.toThrow(
      /expected at most 1000 bytes in memory/,
    );
    await expect(load({ name: "text", file: long, fileBytesMax: 100 })).rejects.toThrow(
      /expected at most 100 bytes, found \d+; raise/,
    );
    await expect(load({ name: "text", file: long, validationSamples: 1000 })).rejects.toThrow(
      /dataset\.validationSamples: expected fewer than/,
    );
    await expect(load({ name: "text" })).rejects.toThrow(/dataset\.file: expected the text file to learn from, found none/);
    await expect(load({ name: "text", file: `${folder.path}/none` })).rejects.toThrow(/expected a file, found nothing/);
    await expect(load({ name: "text", file: long, task: "regression" })).rejects.toThrow(
      /expected classification for text, found regression/,
    );
    await expect(load({ name: "text", file: long, augmentation: { cropPixels: 1, flip: false } })).rejects.toThrow(
      /dataset\.augmentation: expected none for text \(tokens\)/,
    );
  });
});

describe("decodeText", () => {
  test("names the first byte that is not UTF-8, wherever it stands", () => {
    const decode =
      (...bytes: (string | number)[]) =>
      () =>
        decodeText(Buffer.concat(bytes.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.of(part)))), "f");
    expect(decode("grün 🌱")()).toBe("grün 🌱");
    expect(decode("\uFEFFa")()).toBe("a");
    expect(decode("caf", 0xe9, " au lait")).toThrow("data file f, byte 3: expected UTF-8, found 0xe9; save the file as UTF-8");
    expect(decode("🌱", 0xff)).toThrow(/byte 4: expected UTF-8, found 0xff/);
    expect(decode("ab", 0xc3)).toThrow(/byte 2: expected UTF-8, found 0xc3/);
    expect(decode(0x80)).toThrow(DataError);
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 50 }),
        fc.string({ unit: "grapheme", maxLength: 50 }),
        (before, after) => {
          const place = Buffer.byteLength(before);
          expect(decode(before, 0xff, after)).toThrow(new RegExp(`byte ${place}: `));
        },
      ),
    );
  });
});

test("tokenize numbers the characters in the order of their code points", () => {
  const { vocabulary, tokens } = tokenize("ba🌱ab");
  expect(vocabulary).toEqual(["a", "b", "🌱"]);
  expect([...tokens]).toEqual([1, 0, 2, 0, 1]);
});
