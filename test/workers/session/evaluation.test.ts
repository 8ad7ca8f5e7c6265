/** Losses and accuracy of a split on the real engine, against plain arrays. */
import { describe, expect, test } from "vitest";
import type { DatasetBuffers } from "../../../src/contracts/dataset.ts";
import type { Graph, Tensor } from "../../../src/contracts/graph.ts";
import type { Executable } from "../../../src/engine/engine.ts";
import { GraphBuilder } from "../../../src/graph/builder.ts";
import { evaluate } from "../../../src/graph/programs.ts";
import { makeBatch } from "../../../src/workers/session/batch.ts";
import { type EvaluatedBatch, evaluateSplit, evaluationRuns, toValidation } from "../../../src/workers/session/evaluation.ts";
import { nativeEngine } from "../fixture.ts";
import { floats, table, tokens } from "./samples.ts";

const open = async (graph: Graph, { task }: DatasetBuffers, batch: number): Promise<Executable> => {
  const engine = await nativeEngine();
  return engine.load(await engine.compile(evaluate({ host: { graph, task }, batch })));
};
const tensor = (shape: readonly number[], data: readonly number[]): Tensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(data),
});
const zero = { kind: "constant", value: 0 } as const;

/** logits = x · w, three columns to two outputs. */
const linear = (): Graph => {
  const b = new GraphBuilder();
  const x = b.input("x", [-1, 3]);
  const w = b.parameter("w", [3, 2], zero);
  b.output("logits", b.op("matMul", [x, w], { transposeA: false, transposeB: false }));
  return b.build();
};
const weights = [1, 0.1, -1.8, 0, 0.2, 0.4];

/** Each token's row of a 5 × 5 table: [N, 6] → [N · 6, 5]. */
const lookup = (): Graph => {
  const b = new GraphBuilder();
  const x = b.input("x", [-1, 6], "int32");
  const w = b.parameter("w", [5, 5], zero);
  b.output("logits", b.op("reshape", [b.op("gather", [w, x], {})], { shape: [-1, 5] }));
  return b.build();
};
const logitsOf = Array.from({ length: 25 }, (_, at) => ((at * 7) % 5) - (at % 3));

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe("evaluateSplit", () => {
  test("a regression: squared errors of each sample and R² over both outputs, however the split is cut into batches", async () => {
    const x = new Float32Array(table.validation.inputs);
    const y = new Float32Array(table.validation.targets);
    const errors = Array.from({ length: table.validation.count }, (_, row) =>
      [0, 1].map((output) => {
        const predicted = [0, 1, 2].reduce((total, column) => total + x[3 * row + column]! * weights[2 * column + output]!, 0);
        return (y[2 * row + output]! - predicted) ** 2;
      }),
    );
    const means = [0, 1].map((output) => sum([...y].filter((_, at) => at % 2 === output)) / table.validation.count);
    const deviations = sum([...y].map((value, at) => (value - means[at % 2]!) ** 2));
    const expected = 1 - sum(errors.flat()) / deviations;
    expect(expected).toBeGreaterThan(0.8);
    for (const batch of [1, 8, 45, 64]) {
      const executable = await open(linear(), table, batch);
      const split = await evaluateSplit(executable, { w: tensor([3, 2], weights) }, table, "validation");
      expect(split.accuracy).toBeCloseTo(expected, 5);
      for (const [row, error] of errors.entries()) {
        expect(split.losses[row]).toBeCloseTo(sum(error) / 2, 4);
        expect(split.correct[row]).toBeCloseTo(sum(error), 4);
      }
      expect(toValidation(split)).toMatchObject({ samples: 45, accuracy: split.accuracy });
      await executable.dispose();
    }
  });

  test("targets that do not vary have nothing to explain: R² is 0", async () => {
    const { inputs, count } = table.validation;
    const still = { ...table, validation: { inputs, count, targets: floats(new Array<number>(2 * count).fill(1)) } };
    const executable = await open(linear(), still, 16);
    expect((await evaluateSplit(executable, { w: tensor([3, 2], weights) }, still, "validation")).accuracy).toBe(0);
  });

  test("tokens: losses are means over a window, and the share of right tokens is counted", async () => {
    const executable = await open(lookup(), tokens, 8);
    const x = new Int32Array(tokens.validation.inputs);
    const y = new Int32Array(tokens.validation.targets);
    const rowLoss = (at: number): number => {
      const logits = logitsOf.slice(5 * x[at]!, 5 * x[at]! + 5);
      return Math.log(sum(logits.map(Math.exp))) - logits[y[at]!]!;
    };
    const isRight = (at: number): number => {
      const logits = logitsOf.slice(5 * x[at]!, 5 * x[at]! + 5);
      return logits.indexOf(Math.max(...logits)) === y[at] ? 1 : 0;
    };
    const read: EvaluatedBatch[] = [];
    const split = await evaluateSplit(executable, { w: tensor([5, 5], logitsOf) }, tokens, "validation", (batch) => {
      read.push({ ...batch, logits: batch.logits.slice(), targets: batch.targets.slice() });
    });
    for (let sample = 0; sample < tokens.validation.count; sample++) {
      const rows = Array.from({ length: 6 }, (_, row) => 6 * sample + row);
      expect(split.losses[sample]).toBeCloseTo(sum(rows.map(rowLoss)) / 6, 5);
      expect(split.correct[sample]).toBeCloseTo(sum(rows.map(isRight)) / 6, 6);
    }
    expect(split.accuracy).toBeCloseTo(sum(Array.from(y, (_, at) => isRight(at))) / y.length, 6);
    expect(evaluationRuns(21, 8)).toBe(3);
    expect(read.map(({ start, count }) => [start, count])).toEqual([
      [0, 8],
      [8, 8],
      [16, 5],
    ]);
    expect([...read[2]!.targets.slice(0, 30)]).toEqual([...y.slice(96)]);
    expect([...read[1]!.logits.slice(0, 5)]).toEqual(logitsOf.slice(5 * x[48]!, 5 * x[48]! + 5));
  });
});

test("a program without samples or targets has no batch", () => {
  expect(() => makeBatch([{ name: "x", dtype: "float32", shape: [1] }])).toThrow(
    "batch: expected a program with inputs x and y, found x; give it its samples and targets",
  );
});
