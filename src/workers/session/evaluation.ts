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

interface FilledBatch extends Batch {
  /** Samples that count; the rest of the last batch repeats the first ones. */
  readonly count: number;
}

/** Validation batches that are kept filled: the same ones are read in every window. Larger splits are filled anew each time. */
const keptBytesMax = 134_217_728;
const kept = new WeakMap<DatasetBuffers, Map<number, readonly FilledBatch[]>>();

const fillAt = (dataset: DatasetBuffers, split: SplitName, start: number, batch: Batch): FilledBatch => {
  const samples = dataset[split].count;
  const size = batch.y.data.length;
  const indices = Int32Array.from({ length: size }, (_, row) => (start + row) % samples);
  fillBatch(dataset, split, indices, batch.x.data as Float32Array, batch.y.data as Int32Array);
  return { ...batch, count: Math.min(size, samples - start) };
};

/** The split's batches in order. One that is not kept is overwritten by the next. */
const batchesOf = (dataset: DatasetBuffers, split: SplitName, shape: readonly number[]): Iterable<FilledBatch> => {
  const size = shape[0]!;
  const samples = dataset[split].count;
  const starts = Array.from({ length: evaluationRuns(samples, size) }, (_, run) => run * size);
  const sampleBytes = 4 * shape.slice(1).reduce((product, dim) => product * dim, 1);
  if (split !== "validation" || samples * sampleBytes > keptBytesMax) {
    const batch = makeBatch(shape);
    return (function* () {
      for (const start of starts) yield fillAt(dataset, split, start, batch);
    })();
  }
  const ofDataset = kept.get(dataset) ?? new Map<number, readonly FilledBatch[]>();
  kept.set(dataset, ofDataset);
  const known = ofDataset.get(size);
  if (known !== undefined) return known;
  const filled = starts.map((start) => fillAt(dataset, split, start, makeBatch(shape)));
  ofDataset.set(size, filled);
  return filled;
};

export const evaluateSplit = async (
  executable: Executable,
  tensors: Readonly<Record<string, Tensor>>,
  dataset: DatasetBuffers,
  split: SplitName,
): Promise<SplitLosses> => {
  const x = executable.inputs.find(({ name }) => name === "x")!.shape;
  const samples = dataset[split].count;
  const losses = new Float32Array(samples);
  let hits = 0;
  let start = 0;
  for (const { count, ...batch } of batchesOf(dataset, split, x)) {
    const result = await executable.run(feedsFor(executable, { ...tensors, x: batch.x, y: batch.y }));
    losses.set((result["lossPerSample"]!.data as Float32Array).subarray(0, count), start);
    const correct = result["correct"]!.data;
    for (let row = 0; row < count; row++) hits += correct[row]!;
    start += count;
  }
  return { losses, accuracy: hits / samples };
};

export const toValidation = ({ losses, accuracy }: SplitLosses): Validation => ({
  loss: mean(losses),
  accuracy,
  samples: losses.length,
});
