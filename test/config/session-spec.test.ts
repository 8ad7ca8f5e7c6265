/** What a session is given when the data are few. */
import { expect, test } from "vitest";
import { sessionSpecOf } from "../../src/config/session-spec.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import type { DatasetBuffers } from "../../src/contracts/dataset.ts";

const part = (count: number) => ({ count, inputs: new SharedArrayBuffer(0), targets: new SharedArrayBuffer(0) });
const specFor = (count: number, rows: number, batchSize: number, samples = 2048) => {
  const dataset: DatasetBuffers = {
    name: "few",
    kind: "table",
    task: "classification",
    inputShape: [4],
    rows,
    classes: 2,
    mean: [],
    sd: [],
    augmentation: { cropPixels: 0, flip: false },
    train: part(count),
    validation: part(16),
    test: part(16),
  };
  const config = EsperConfig.parse({ dataset: { batchSize }, morphogenetic: { signal: { samples } } });
  return sessionSpecOf({ runId: "r", config, dataset, engine: "native", damaged: false });
};

test("a measurement takes no more rows than there are, and as many as it is told where there are enough", () => {
  expect(specFor(180, 1, 16).morphogenetic.signal.samples).toBe(180);
  expect(specFor(180, 64, 16).morphogenetic.signal.samples).toBe(2048);
  expect(specFor(5000, 1, 16).morphogenetic.signal.samples).toBe(2048);
  expect(specFor(180, 1, 16, 100).morphogenetic.signal.samples).toBe(100);
});

test("too few for a measurement or a batch are refused before anything is started", () => {
  expect(() => specFor(63, 1, 16)).toThrow(/training samples: expected at least 64 for a measurement, found 63/);
  expect(() => specFor(100, 1, 128)).toThrow(/dataset\.batchSize: expected at most the 100 training samples, found 128/);
});
