/** Loss and hits of every sample of a split, in order, with tensors that do not move meanwhile. */
import type { DatasetBuffers, SplitName } from "../../contracts/dataset.ts";
import type { Tensor } from "../../contracts/graph.ts";
import type { Validation } from "../../contracts/measure.ts";
import { fillBatch } from "../../data/batches.ts";
import type { Executable } from "../../engine/engine.ts";
import { mean } from "../../growth/statistics.ts";
import type { Batch } from "./learner.ts";

export interface SplitLosses {
  /** Loss of each sample in nats. */
  readonly losses: Float32Array;
  readonly accuracy: number;
}

/** Runs of an evaluation program that a split takes; the last is filled up with repeated samples that are not counted. */
export const evaluationRuns = (samples: number, batchSize: number): number => Math.ceil(samples / batchSize);

/** Feeds of a program that reads a batch: what it asks for and nothing else. */
export const feedsFor = (executable: Executable, sources: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(executable.inputs.flatMap(({ name }) => (sources[name] === undefined ? [] : [[name, sources[name]]])));

/** An empty batch for a program whose `x` has this shape. */
export const makeBatch = (shape: readonly number[]): Batch => ({
  x: { dtype: "float32", shape, data: new Float32Array(shape.reduce((product, dim) => product * dim, 1)) },
  y: { dtype: "int32", shape: [shape[0]!], data: new Int32Array(shape[0]!) },
});

export const evaluateSplit = async (
  executable: Executable,
  tensors: Readonly<Record<string, Tensor>>,
  dataset: DatasetBuffers,
  split: SplitName,
): Promise<SplitLosses> => {
  const x = executable.inputs.find(({ name }) => name === "x")!.shape;
  const size = x[0]!;
  const samples = dataset[split].count;
  const batch = makeBatch(x);
  const losses = new Float32Array(samples);
  const indices = new Int32Array(size);
  let hits = 0;
  for (let start = 0; start < samples; start += size) {
    for (let row = 0; row < size; row++) indices[row] = (start + row) % samples;
    fillBatch(dataset, split, indices, batch.x.data as Float32Array, batch.y.data as Int32Array);
    const result = await executable.run(feedsFor(executable, { ...tensors, x: batch.x, y: batch.y }));
    const count = Math.min(size, samples - start);
    losses.set((result["lossPerSample"]!.data as Float32Array).subarray(0, count), start);
    const correct = result["correct"]!.data;
    for (let row = 0; row < count; row++) hits += correct[row]!;
  }
  return { losses, accuracy: hits / samples };
};

export const toValidation = ({ losses, accuracy }: SplitLosses): Validation => ({
  loss: mean(losses),
  accuracy,
  samples: losses.length,
});
