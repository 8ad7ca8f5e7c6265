/** The order of batches and their contents. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BatchCursorState, type DatasetBuffers } from "../../src/contracts/dataset.ts";
import { DataError } from "../../src/contracts/errors.ts";
import { BatchCursor, fillBatch, fillTrainingBatch, shuffledIndices } from "../../src/data/batches.ts";
import { createRandom, restoreRandom } from "../../src/graph/random.ts";

/** One sequence of cases for every run of the tests. */
fc.configureGlobal({ seed: 20, numRuns: 100 });

const shape = fc
  .record({ samples: fc.integer({ min: 1, max: 200 }), batchSize: fc.integer({ min: 1, max: 50 }), seed: fc.nat() })
  .filter(({ samples, batchSize }) => samples >= batchSize);
const take = (cursor: BatchCursor, count: number): number[][] => Array.from({ length: count }, () => [...cursor.next()]);

describe("BatchCursor", () => {
  test("B1, B2: a pass takes full batches of samples that differ, and the passes differ in order", () => {
    fc.assert(
      fc.property(shape, ({ samples, batchSize, seed }) => {
        const cursor = new BatchCursor(samples, batchSize, createRandom(seed));
        for (let pass = 0; pass < 3; pass++) {
          const batches = take(cursor, cursor.batchesPerPass);
          const all = batches.flat();
          expect(batches.every((batch) => batch.length === batchSize)).toBe(true);
          expect(new Set(all).size).toBe(Math.floor(samples / batchSize) * batchSize);
          expect(all.every((sample) => sample >= 0 && sample < samples)).toBe(true);
          expect(cursor.state().pass).toBe(pass);
        }
      }),
    );
    const cursor = new BatchCursor(50_000, 100, createRandom(1));
    const [first, second] = [take(cursor, 500).flat(), take(cursor, 500).flat()];
    expect(second).not.toEqual(first);
    expect([...second].sort((a, b) => a - b)).toEqual([...first].sort((a, b) => a - b));
  });

  test("B3: a restored cursor goes on bit for bit, from any place and through JSON", () => {
    fc.assert(
      fc.property(shape, fc.nat(40), ({ samples, batchSize, seed }, taken) => {
        const cursor = new BatchCursor(samples, batchSize, createRandom(seed).fork("batches"));
        take(cursor, taken);
        const state = BatchCursorState.parse(JSON.parse(JSON.stringify(cursor.state())));
        const restored = BatchCursor.restore(state, restoreRandom);
        expect(restored.state()).toEqual(state);
        expect(take(restored, 30)).toEqual(take(cursor, 30));
        expect(restored.state()).toEqual(cursor.state());
      }),
    );
  });

  test("the same stream gives the same order, another one another", () => {
    const order = (seed: number): number[][] => take(new BatchCursor(1000, 10, createRandom(seed)), 5);
    expect(order(7)).toEqual(order(7));
    expect(order(8)).not.toEqual(order(7));
  });

  test("too few samples and a damaged state are told", () => {
    expect(() => new BatchCursor(9, 10, createRandom(1))).toThrow(/expected at least 10 training samples for one batch, found 9/);
    const state = new BatchCursor(100, 10, createRandom(1)).state();
    expect(() => BatchCursor.restore({ ...state, position: 11 }, restoreRandom)).toThrow(DataError);
    expect(() => BatchCursor.restore({ ...state, position: 11 }, restoreRandom)).toThrow(/at most 10 batches, found 11/);
  });

  test("a shuffle is a permutation in which every place is as likely", () => {
    const random = createRandom(3);
    const counts = Array.from({ length: 4 }, () => new Array<number>(4).fill(0));
    const draws = 8000;
    for (let draw = 0; draw < draws; draw++) {
      const order = shuffledIndices(4, random);
      expect([...order].sort()).toEqual([0, 1, 2, 3]);
      for (const [place, sample] of order.entries()) counts[sample]![place]!++;
    }
    // Chi-squared with 9 degrees of freedom stays below 27.9 in 99.9 % of the seeds.
    const expected = draws / 4;
    expect(counts.flat().reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(27.9);
  });
});

const bytes = (values: readonly number[]): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(values.length);
  new Uint8Array(buffer).set(values);
  return buffer;
};
const integers = (values: readonly number[]): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(4 * values.length);
  new Int32Array(buffer).set(values);
  return buffer;
};
const floats = (values: readonly number[]): SharedArrayBuffer => {
  const buffer = new SharedArrayBuffer(4 * values.length);
  new Float32Array(buffer).set(values);
  return buffer;
};
const empty = { count: 0, inputs: bytes([]), targets: bytes([]) };
const noAugmentation = { cropPixels: 0, flip: false };
const images: DatasetBuffers = {
  name: "tiny",
  kind: "images",
  task: "classification",
  inputShape: [2, 1, 2],
  rows: 1,
  classes: 3,
  mean: [0.25, 0.5],
  sd: [0.5, 0.1],
  augmentation: noAugmentation,
  train: { count: 3, inputs: bytes([0, 255, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8]), targets: integers([2, 0, 1]) },
  validation: empty,
  test: empty,
};

describe("fillBatch", () => {
  test("normalises each channel of the chosen images and copies their classes", () => {
    const x = new Float32Array(12);
    const y = new Int32Array(3);
    fillBatch(images, "train", [1, 0, 1], x, y);
    const scaled = (pixel: number, at: number): number =>
      Math.fround((pixel / 255 - images.mean[Math.floor(at / 2)]!) / images.sd[Math.floor(at / 2)]!);
    const expected = [
      [1, 2, 3, 4],
      [0, 255, 51, 102],
      [1, 2, 3, 4],
    ].flatMap((image) => image.map(scaled));
    expect([...x]).toEqual(expected);
    expect([...y]).toEqual([0, 2, 0]);
  });

  test("copies tokens, whole or as floats, and a class for each of them", () => {
    const text: DatasetBuffers = {
      ...images,
      kind: "tokens",
      inputShape: [2],
      rows: 2,
      classes: 9,
      mean: [],
      sd: [],
      train: { count: 2, inputs: integers([1, 2, 3, 4]), targets: integers([2, 3, 4, 5]) },
    };
    for (const x of [new Int32Array(4), new Float32Array(4)]) {
      const y = new Int32Array(4);
      fillBatch(text, "train", [1, 0], x, y);
      expect([[...x], [...y]]).toEqual([
        [3, 4, 1, 2],
        [4, 5, 2, 3],
      ]);
    }
  });

  test("copies a table's columns and the values of a regression", () => {
    const table: DatasetBuffers = {
      ...images,
      kind: "table",
      task: "regression",
      inputShape: [3],
      classes: 2,
      mean: [],
      sd: [],
      train: { count: 2, inputs: floats([0.5, -1, 2, 3, 4, 5]), targets: floats([-0.25, 1, 7, 8]) },
    };
    const [x, y] = [new Float32Array(3), new Float32Array(2)];
    fillBatch(table, "train", [1], x, y);
    expect([[...x], [...y]]).toEqual([
      [3, 4, 5],
      [7, 8],
    ]);
    expect(() => fillBatch(table, "train", [1], new Int32Array(3), y)).toThrow(
      "dataset tiny (table, regression): expected a model whose inputs are float32, found another type; choose a model for such data",
    );
    expect(() => fillBatch(table, "train", [1], x, new Int32Array(2))).toThrow(/targets are float32/);
  });

  test("refuses wrong sizes and samples that do not exist", () => {
    const fill = (indices: number[], pixels: number, labels: number) => () =>
      fillBatch(images, "train", indices, new Float32Array(pixels), new Int32Array(labels));
    expect(fill([0], 5, 1)).toThrow(/expected 4 inputs and 1 targets for 1 samples of tiny, found 5 and 1/);
    expect(fill([0], 4, 2)).toThrow(RangeError);
    expect(fill([3], 4, 1)).toThrow(/train sample below 3, found 3/);
    expect(fill([-1], 4, 1)).toThrow(RangeError);
    expect(fill([Number.NaN], 4, 1)).toThrow(RangeError);
  });
});

describe("augmentation", () => {
  const [height, width, count] = [4, 5, 40];
  const area = height * width;
  /** Two channels; the pixel of channel c at (row, column) of image n tells c, row and column; 0 is kept for the frame. */
  const dataset: DatasetBuffers = {
    ...images,
    inputShape: [2, height, width],
    mean: [0, 0],
    sd: [1 / 255, 1 / 255],
    augmentation: { cropPixels: 2, flip: true },
    train: {
      count,
      inputs: bytes(Array.from({ length: count * 2 * area }, (_, at) => 1 + (at % (2 * area)))),
      targets: integers(Array.from({ length: count }, (_, sample) => sample)),
    },
    validation: { count: 1, inputs: bytes(Array.from({ length: 2 * area }, (_, at) => at)), targets: integers([0]) },
  };
  const batchOf = (cursor: BatchCursor, from: DatasetBuffers = dataset): { x: number[]; y: number[] } => {
    const [x, y] = [new Float32Array(cursor.batchSize * 2 * area), new Int32Array(cursor.batchSize)];
    fillTrainingBatch(from, cursor, x, y);
    return { x: [...x], y: [...y] };
  };
  const open = (): BatchCursor => new BatchCursor(count, 8, createRandom(5).fork("batches"));

  /** The image as the view sees it, computed pixel by pixel. */
  const seen = (down: number, right: number, mirrored: boolean): number[] =>
    Array.from({ length: 2 * area }, (_, at) => {
      const [channel, row, column] = [Math.floor(at / area), Math.floor((at % area) / width), at % width];
      const [fromRow, fromColumn] = [row + down, (mirrored ? width - 1 - column : column) + right];
      const inside = fromRow >= 0 && fromRow < height && fromColumn >= 0 && fromColumn < width;
      return inside ? Math.fround(1 + channel * area + fromRow * width + fromColumn) : 0;
    });

  test("every image of a batch is one of the possible views, both channels alike, and all views come", () => {
    const views = new Map<string, number>();
    for (const down of [-2, -1, 0, 1, 2])
      for (const right of [-2, -1, 0, 1, 2])
        for (const mirrored of [false, true]) views.set(seen(down, right, mirrored).map(Math.round).join(), 0);
    expect(views.size).toBe(50);
    const cursor = open();
    for (let batch = 0; batch < 100; batch++) {
      const { x } = batchOf(cursor);
      for (let image = 0; image < 8; image++) {
        const view = x
          .slice(image * 2 * area, (image + 1) * 2 * area)
          .map(Math.round)
          .join();
        expect(views.has(view)).toBe(true);
        views.set(view, views.get(view)! + 1);
      }
    }
    expect(Math.min(...views.values())).toBeGreaterThan(0);
    // 800 draws of 50 views: chi-squared with 49 degrees of freedom stays below 85.4 in 99.9 % of the seeds.
    expect([...views.values()].reduce((sum, found) => sum + (found - 16) ** 2 / 16, 0)).toBeLessThan(85.4);
  });

  test("B3, B4: a restored cursor and a twin see bit-equal batches in every pass; the order is that without augmentation", () => {
    const [cursor, twin, plain] = [open(), open(), open()];
    const batches = Array.from({ length: 13 }, () => batchOf(cursor));
    expect(Array.from({ length: 13 }, () => batchOf(twin))).toEqual(batches);
    const state = BatchCursorState.parse(JSON.parse(JSON.stringify(cursor.state())));
    const restored = BatchCursor.restore(state, restoreRandom);
    expect(Array.from({ length: 13 }, () => batchOf(restored))).toEqual(Array.from({ length: 13 }, () => batchOf(cursor)));
    const unchanged = { ...dataset, augmentation: noAugmentation };
    const order = Array.from({ length: 13 }, () => batchOf(plain, unchanged).y);
    expect(order).toEqual(batches.map(({ y }) => y));
    // The same images in another pass are seen otherwise.
    expect(new Set(batches.map(({ x }) => x.join())).size).toBe(13);
  });

  test("B4: nothing is augmented but training batches", () => {
    const x = new Float32Array(2 * area);
    fillBatch(dataset, "validation", [0], x, new Int32Array(1));
    expect([...x].map(Math.round)).toEqual(Array.from({ length: 2 * area }, (_, at) => at));
  });
});
