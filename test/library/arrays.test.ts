/** What a user may hand over as numbers, and how wrong input is named. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ArrayInput, readArray, readSamples } from "../../src/library/arrays.ts";
import { measure, probabilitiesOf } from "../../src/library/metrics.ts";
import { datasetOf, readTargets, type UserDataset } from "../../src/library/user-data.ts";

describe("arrays", () => {
  const six = [1, 2, 3, 4, 5, 6];
  const forms: readonly (readonly [string, ArrayInput, readonly number[] | undefined])[] = [
    [
      "nested arrays",
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      [2, 3],
    ],
    ["a typed array", Int32Array.from(six), undefined],
    ["a tensor of tensorflow.js", { shape: [2, 3], dataSync: () => Float32Array.from(six) }, [2, 3]],
    ["a tensor of onnxruntime", { dims: [3, 2], data: BigInt64Array.from(six, BigInt) }, [3, 2]],
    ["data with a shape", { shape: [6, 1], data: six }, [6, 1]],
  ];
  test.each(forms)("%s", (_, input, shape) => {
    expect(readArray(input, "x")).toEqual({ shape, data: Float32Array.from(six) });
  });

  /** What a program without types may pass. */
  const untyped = (value: unknown): ArrayInput => value as ArrayInput;
  const faults: readonly (readonly [string, ArrayInput, RegExp])[] = [
    ["ragged rows", [[1, 2], [3]], /x: expected 2 elements in each array of level 2, found 1 at \[1\]/],
    ["text", untyped([[1, "2"]]), /x: expected a number, found string at \[0, 1\]/],
    ["nothing", [], /x: expected numbers, found an empty array/],
    ["not a number", [[1, Number.NaN]], /x: expected finite numbers, found NaN at element 1/],
    ["too few elements", { shape: [2, 4], data: six }, /x: expected 8 elements for \[2, 4\], found 6/],
    ["another object", untyped({ rows: 3 }), /x: expected a tensor with its shape and data, found rows/],
  ];
  test.each(faults)("%s are refused by name", (_, input, message) => {
    expect(() => readArray(input, "x")).toThrow(message);
  });

  test("images come with their channels first or last", () => {
    const last = [
      [
        [
          [1, 10],
          [2, 20],
        ],
        [
          [3, 30],
          [4, 40],
        ],
        [
          [5, 50],
          [6, 60],
        ],
      ],
    ];
    const first = [
      [
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
        [
          [10, 20],
          [30, 40],
          [50, 60],
        ],
      ],
    ];
    const wanted = Float32Array.of(1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60);
    expect(readSamples(last, [2, 3, 2], true, "x").data).toEqual(wanted);
    expect(readSamples(first, [2, 3, 2], false, "x").data).toEqual(wanted);
    expect(() =>
      readSamples(
        [
          [
            [[1], [2], [3], [4]],
            [[5], [6], [7], [8]],
            [[9], [10], [11], [12]],
          ],
        ],
        [2, 3, 2],
        true,
        "x",
      ),
    ).toThrow(/images of \[2, 3, 2\] or \[3, 2, 2\], found \[3, 4, 1\]/);
    expect(() => readSamples(new Float32Array(7), [2, 3], false, "x")).toThrow(
      /samples of \[2, 3\] \(6 numbers each\), found 7 numbers/,
    );
  });
});

describe("targets", () => {
  test("classes, one-hot rows and values are told apart", () => {
    expect(readTargets([0, 2, 1], 3, {})).toEqual({ task: "classification", rows: 1, classes: 3, data: Int32Array.of(0, 2, 1) });
    expect(
      readTargets(
        [
          [0, 1],
          [1, 0],
        ],
        2,
        {},
      ),
    ).toEqual({ task: "classification", rows: 1, classes: 2, data: Int32Array.of(1, 0) });
    expect(readTargets([0.5, -1], 2, {})).toMatchObject({ task: "regression", classes: 1 });
    expect(readTargets([1, 2], 2, { task: "regression" })).toMatchObject({ task: "regression", data: Float32Array.of(1, 2) });
    expect(
      readTargets(
        [
          [0, 1, 2],
          [2, 1, 0],
        ],
        2,
        { rows: 3, classes: 4 },
      ),
    ).toMatchObject({ rows: 3, classes: 4 });
  });

  test("what does not fit is refused", () => {
    expect(() => readTargets([0, 1], 3, {})).toThrow(/y: expected targets for 3 samples, found \[2\]/);
    expect(() => readTargets([0, 5], 2, { classes: 3 })).toThrow(/classes from 0 to 2.*found 5/);
    expect(() => readTargets([0.5, 1], 2, { task: "classification" })).toThrow(
      /class numbers from 0 on.*set task to "regression"/,
    );
    expect(() =>
      readTargets(
        [
          [1, 2],
          [3, 4],
        ],
        2,
        { task: "regression", classes: 1 },
      ),
    ).toThrow(/1 values for each sample.*found 2/);
  });
});

describe("U1: a user's data set", () => {
  const options: UserDataset = {
    inputShape: [1],
    channelsLast: false,
    tokens: false,
    validationSplit: 0.25,
    randomSeed: 3,
    known: {},
  };

  test("every sample is in one part, with its own target, and equal seeds part alike", () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 60 }), fc.integer({ min: 0, max: 1000 }), (count, randomSeed) => {
        const x = Array.from({ length: count }, (_, i) => [i]);
        const make = () => datasetOf({ x, y: x.map(([i]) => [i! + 0.5]) }, undefined, { ...options, randomSeed });
        const { train, validation } = make();
        const seen = [train, validation].flatMap(({ inputs }) => [...new Float32Array(inputs)]);
        expect(seen.toSorted((a, b) => a - b)).toEqual(x.map(([i]) => i));
        for (const { inputs, targets } of [train, validation])
          expect([...new Float32Array(targets)]).toEqual([...new Float32Array(inputs)].map((i) => i + 0.5));
        expect(validation.count).toBe(Math.round(count * 0.25));
        expect(new Float32Array(make().train.inputs)).toEqual(new Float32Array(train.inputs));
      }),
    );
  });

  test("without validation samples there is no growth, and it says so", () => {
    expect(() => datasetOf({ x: [[1], [2]], y: [0, 1] }, undefined, { ...options, validationSplit: 0 })).toThrow(
      /validationSplit: .*found 0/,
    );
  });
});

describe("metrics", () => {
  test("cross-entropy and accuracy against a plain sum, R² of the mean is 0 and of the truth 1", () => {
    const logits = Float32Array.of(1, 2, 0.5, -1, 300, 299);
    const found = measure({ task: "classification", rows: 1, classes: 3, logits, targets: Int32Array.of(1, 1) });
    const loss = [Math.log(Math.exp(1) + Math.exp(2) + Math.exp(0.5)) - 2, Math.log(1 + Math.exp(-1))];
    expect(found.loss).toBeCloseTo((loss[0]! + loss[1]!) / 2, 5);
    expect(found).toMatchObject({ accuracy: 1, samples: 2 });
    expect(
      probabilitiesOf(logits, 3)
        .slice(3)
        .reduce((sum, p) => sum + p, 0),
    ).toBeCloseTo(1, 6);
    const targets = Float32Array.of(1, 10, 3, 30);
    const judge = (given: Float32Array) => measure({ task: "regression", rows: 1, classes: 2, logits: given, targets });
    expect(judge(targets)).toEqual({ loss: 0, accuracy: 1, samples: 2 });
    expect(judge(Float32Array.of(2, 20, 2, 20)).accuracy).toBeCloseTo(0, 6);
  });
});
