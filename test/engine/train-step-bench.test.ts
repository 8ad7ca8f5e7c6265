import { expect, it } from "vitest";
import { benchTrainStep } from "../../bench/train-step.ts";

it("the training step's bench measures every contestant", async () => {
  const rows = await benchTrainStep({ rounds: 1, stepsPerRound: 2 });
  expect(rows.map((row) => row.name)).toEqual([
    "tensorflow.js wasm, as shipped",
    "wasm, our lowering",
    "native, 1 thread",
    "native, 2 threads",
  ]);
  expect(rows[0]!.speedup).toBe(1);
  for (const row of rows) {
    expect(row.p10Ms).toBeGreaterThan(0);
    expect(row.medianMs).toBeGreaterThanOrEqual(row.p10Ms);
    expect(row.p90Ms).toBeGreaterThanOrEqual(row.medianMs);
    expect(row.speedup).toBeCloseTo(rows[0]!.medianMs / row.medianMs, 10);
  }
});
