/** CSV tables: columns, targets, statistics of the training rows, and what a person is told of a table that will not do. */
import { describe, expect, test } from "vitest";
import { DataError, InputError } from "../../src/contracts/errors.ts";
import { fillBatch } from "../../src/data/batches.ts";
import { createRandom } from "../../src/graph/random.ts";
import { classesOf, floatsOf, load, useFolder, valuesOf } from "./support.ts";

/** Gardens: the harvest follows from size, sun and soil, with noise. Numbers are written as a person would. */
const gardens = (
  rows: number,
): { readonly text: string; readonly harvest: number[]; readonly size: number[]; readonly soil: string[] } => {
  const random = createRandom(4);
  const soils = ["clay", "loam", "sand"];
  const drawn = Array.from({ length: rows }, () => {
    const [size, sun, soil] = [
      Math.round(10 + 90 * random.uniform()),
      (12 * random.uniform()).toFixed(2),
      soils[random.integer(3)]!,
    ];
    const harvest = 3 * size + 10 * Number(sun) + 40 * soils.indexOf(soil) + 5 * random.normal();
    return { size, sun, soil, harvest: Number(harvest.toFixed(3)) };
  });
  const lines = drawn.map(({ size, sun, soil, harvest }) => `${size}, ${sun}, ${soil}, ${harvest}`);
  return {
    text: ["size, sun, soil, harvest", ...lines, ""].join("\n"),
    harvest: drawn.map(({ harvest }) => harvest),
    size: drawn.map(({ size }) => size),
    soil: drawn.map(({ soil }) => soil),
  };
};

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: readonly number[]): number => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));

describe("csv", () => {
  const folder = useFolder();
  const table = (text: string): string => folder.write("table.csv", text);

  test("S1: a regression is standardised by its training rows, and the encoding leads back to the file's own values", async () => {
    const { text, harvest, size, soil } = gardens(200);
    const { buffers, notes } = await load({ name: "csv", file: table(text), task: "regression", validationSamples: 30 });
    expect(buffers).toMatchObject({ kind: "table", task: "regression", inputShape: [5], rows: 1, classes: 1 });
    expect([buffers.train.count, buffers.validation.count, buffers.test.count]).toEqual([150, 30, 20]);
    expect(notes).toEqual(["2 columns of numbers and 1 of texts; to predict: the value of harvest"]);
    const { inputs, targets } = buffers.table!;
    expect(inputs.map(({ name }) => name)).toEqual(["size", "sun", "soil"]);
    expect(inputs[2]).toEqual({ kind: "text", name: "soil", categories: ["clay", "loam", "sand"] });
    const scale = targets[0]!;
    // Every row of the file is in one part, with its own inputs beside its own target.
    const parts = [buffers.train, buffers.validation, buffers.test];
    const rows = parts.flatMap((part) => {
      const x = floatsOf(part);
      return valuesOf(part).map((value, row) => ({ harvest: value * scale.sd + scale.mean, x: x.slice(5 * row, 5 * row + 5) }));
    });
    const sizeColumn = inputs[0]!;
    if (sizeColumn.kind !== "number") throw new Error("expected numbers");
    const found = rows.map(({ harvest: value, x }) => {
      const distances = harvest.map((own) => Math.abs(own - value));
      const at = distances.indexOf(Math.min(...distances));
      expect(x[0]! * sizeColumn.sd + sizeColumn.mean).toBeCloseTo(size[at]!, 3);
      expect(x.slice(2)).toEqual(["clay", "loam", "sand"].map((name) => (name === soil[at] ? 1 : 0)));
      return at;
    });
    expect(found.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, row) => row));
    const trainValues = valuesOf(buffers.train);
    expect(mean(trainValues)).toBeCloseTo(0, 5);
    expect(deviation(trainValues)).toBeCloseTo(1, 5);
    expect(Math.abs(mean(valuesOf(buffers.test)))).toBeGreaterThan(1e-3);
  });

  test("a classification by a named column numbers its classes in order; the parts do not depend on the task", async () => {
    const { text } = gardens(60);
    const file = table(text);
    const { buffers } = await load({ name: "csv", file, target: "soil", validationSamples: 16 });
    expect(buffers).toMatchObject({ task: "classification", inputShape: [3], classes: 3, classNames: ["clay", "loam", "sand"] });
    expect(buffers.table!.targets).toEqual([]);
    expect(new Set(classesOf(buffers.train))).toEqual(new Set([0, 1, 2]));
    const [x, y] = [new Float32Array(6), new Int32Array(2)];
    fillBatch(buffers, "validation", [15, 0], x, y);
    expect([...x]).toEqual([...floatsOf(buffers.validation).slice(45, 48), ...floatsOf(buffers.validation).slice(0, 3)]);
    const fewer = await load({ name: "csv", file, target: "soil", validationSamples: 16, trainSamplesMax: 16 });
    expect(floatsOf(fewer.buffers.validation)).toEqual(floatsOf(buffers.validation));
    expect(floatsOf(fewer.buffers.train)).toEqual(floatsOf(buffers.train).slice(0, 48));
  });

  test("classes that are numbers are put in order as numbers; quotes, semicolons, a byte order mark and CRLF are read", async () => {
    const rows = Array.from({ length: 30 }, (_, row) => `"a;${row % 2}";${row};${[2, 10, 1][row % 3]}`);
    const file = table(`\uFEFFkind;n;class\r\n${rows.join("\r\n")}\r\n`);
    const { buffers } = await load({ name: "csv", file });
    expect(buffers.classNames).toEqual(["1", "2", "10"]);
    expect(buffers.table!.inputs[0]).toEqual({ kind: "text", name: "kind", categories: ["a;0", "a;1"] });
    expect([buffers.train.count, buffers.validation.count, buffers.test.count]).toEqual([23, 4, 3]);
  });

  test("a column without variation is zero everywhere", async () => {
    const file = table(`same,n,y\n${Array.from({ length: 20 }, (_, row) => `0.1,${row},${row % 2}`).join("\n")}`);
    const { buffers } = await load({ name: "csv", file });
    expect(buffers.table!.inputs[0]).toMatchObject({ sd: 1 });
    for (const part of [buffers.train, buffers.test]) {
      expect(
        floatsOf(part)
          .filter((_, at) => at % 2 === 0)
          .every((value) => Math.abs(value) < 1e-12),
      ).toBe(true);
    }
  });

  const rowsOf = (count: number, row: (n: number) => string): string =>
    Array.from({ length: count }, (_, n) => row(n)).join("\n");

  test.each<[string, string, object, typeof DataError | typeof InputError, RegExp]>([
    [
      "a missing value",
      `a,b,y\n1,2,0\n3,,1\n5,6,0\n${rowsOf(9, () => "1,2,1")}`,
      {},
      DataError,
      /line 3, column b: expected a value, found nothing/,
    ],
    [
      "NaN",
      `a,b,y\n1,2,0\n3,4,1\nNaN,6,0\n${rowsOf(9, () => "1,2,1")}`,
      {},
      DataError,
      /line 4, column a: expected a value, found "NaN"/,
    ],
    ["a row that is too short", "a,b,y\n1,2,0\n3,4\n", {}, DataError, /expected a CSV table, found: .*line 3/],
    ["a quote that stays open", 'a,b,y\n1,"2,0\n3,4,1\n', {}, DataError, /expected a CSV table, found: /],
    [
      "no rows",
      "a,b,y\n",
      {},
      DataError,
      /expected a header line of at least 2 column names and rows below it, found 1 lines of 3 columns/,
    ],
    ["one column", "a\n1\n", {}, DataError, /found 2 lines of 1 columns/],
    ["nothing", "", {}, DataError, /found 0 lines of 0 columns/],
    ["a name that stands twice", "a,a,y\n1,2,3\n", {}, DataError, /line 1: expected column names that differ, found "a"/],
    [
      "an unknown target",
      "a,b,y\n1,2,3\n",
      { target: "z" },
      InputError,
      /dataset\.target: expected one of the columns a, b, y of .*, found "z"/,
    ],
    [
      "too many texts",
      `a,y\n${rowsOf(70, (n) => `t${n},${n % 2}`)}`,
      {},
      InputError,
      /column a: expected numbers, or at most 64 different texts, found 70; the first that is no number is "t0" in line 2/,
    ],
    [
      "a text as value of a regression",
      "a,y\n1,2\n2,x\n",
      { task: "regression" },
      DataError,
      /line 3, column y: expected a number as target of a regression, found "x"/,
    ],
    [
      "a target that never varies",
      `a,y\n${rowsOf(9, (n) => `${n},5`)}`,
      { task: "regression" },
      InputError,
      /expected a target y that varies .* found 5 in all/,
    ],
    ["one class", `a,y\n${rowsOf(9, (n) => `${n},5`)}`, {}, InputError, /expected at least 2 classes in column y, found 1/],
    [
      "too many classes",
      `a,y\n${rowsOf(9, (n) => `${n},${n}`)}`,
      { classesMax: 8 },
      InputError,
      /expected at most 8 classes in column y, found 9; set dataset\.task to regression/,
    ],
    [
      "numbers with a fraction as classes",
      `a,y\n${rowsOf(30, (n) => `${n},${n / 4}`)}`,
      {},
      InputError,
      /column y: expected classes, found 30 different numbers such as \d+\.\d+; set dataset\.task to regression/,
    ],
    [
      "too many rows",
      `a,y\n${rowsOf(9, (n) => `${n},${n % 2}`)}`,
      { samplesMax: 8 },
      InputError,
      /expected at most 8 samples, found 9/,
    ],
    [
      "two rows",
      "a,y\n1,0\n2,1\n",
      {},
      InputError,
      /expected at least 3 samples, one each for training, validation and test, found 2/,
    ],
  ])("%s is refused with its place", async (_, text, over, kind, message) => {
    const loading = load({ name: "csv", file: table(text), ...over });
    await expect(loading).rejects.toThrow(kind);
    await expect(loading).rejects.toThrow(message);
    await expect(load({ name: "csv", file: table(text), ...over })).rejects.toMatchObject({ place: expect.any(Object) });
  });
});
