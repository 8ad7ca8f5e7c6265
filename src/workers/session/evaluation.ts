/** Loss and hits of every sample of a split, in order, with tensors that do not move meanwhile. */
import type { DatasetBuffers, SplitName } from "../../contracts/dataset.ts";
import type { Tensor } from "../../contracts/graph.ts";
import type { Validation } from "../../contracts/measure.ts";
import { fillBatch } from "../../data/batches.ts";
import type { Executable, Port } from "../../engine/engine.ts";
import { mean } from "../../growth/statistics.ts";
import { type Batch, makeBatch } from "./batch.ts";

export interface SplitLosses {
  /** Loss of each sample: nats, averaged over its rows, or the mean squared error of a regression. */
  readonly losses: Float32Array;
  /** Share of each sample's predictions that are right; for a regression its squared error, summed over the outputs. */
  readonly correct: Float32Array;
  /** Share of predictions that are right; for a regression R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)² over all outputs, and 0 where the targets do not vary. */
  readonly accuracy: number;
}

/** What one run of an evaluation gave, for a reader of its own. `logits` is [batch · rows, classes]; the first `count` samples count. */
export interface EvaluatedBatch {
  readonly start: number;
  readonly count: number;
  readonly logits: Float32Array;
  readonly targets: Float32Array | Int32Array;
}

/** Runs of an evaluation program that a split takes; the last is filled up with repeated samples that are not counted. */
export const evaluationRuns = (samples: number, batchSize: number): number => Math.ceil(samples / batchSize);

/** Feeds of a program that reads a batch: what it asks for and nothing else. */
export const feedsFor = (executable: Executable, sources: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(executable.inputs.flatMap(({ name }) => (sources[name] === undefined ? [] : [[name, sources[name]]])));

interface FilledBatch extends Batch {
  /** Samples that count; the rest of the last batch repeats the first ones. */
  readonly count: number;
}

/** Validation batches that are kept filled: the same ones are read in every window. Larger splits are filled anew each time. */
const keptBytesMax = 134_217_728;
const kept = new WeakMap<DatasetBuffers, Map<number, readonly FilledBatch[]>>();

const fillAt = (dataset: DatasetBuffers, split: SplitName, start: number, batch: Batch): FilledBatch => {
  const samples = dataset[split].count;
  const size = batch.x.shape[0]!;
  const indices = Int32Array.from({ length: size }, (_, row) => (start + row) % samples);
  fillBatch(dataset, split, indices, batch.x.data, batch.y.data);
  return { ...batch, count: Math.min(size, samples - start) };
};

/** Batches that cover the first `samples`, the last of them cut to what is asked for. */
function* firstOf(batches: Iterable<FilledBatch>, samples: number): Generator<FilledBatch> {
  let start = 0;
  for (const batch of batches) {
    yield { ...batch, count: Math.min(batch.count, samples - start) };
    start += batch.count;
    if (start >= samples) return;
  }
}

/** The split's batches in order. One that is not kept is overwritten by the next. */
const batchesOf = (dataset: DatasetBuffers, split: SplitName, inputs: readonly Port[]): Iterable<FilledBatch> => {
  const batch = makeBatch(inputs);
  const size = batch.x.shape[0]!;
  const samples = dataset[split].count;
  const starts = Array.from({ length: evaluationRuns(samples, size) }, (_, run) => run * size);
  const batchBytes = batch.x.data.byteLength + batch.y.data.byteLength;
  if (split !== "validation" || starts.length * batchBytes > keptBytesMax) {
    return (function* () {
      for (const start of starts) yield fillAt(dataset, split, start, batch);
    })();
  }
  const ofDataset = kept.get(dataset) ?? new Map<number, readonly FilledBatch[]>();
  kept.set(dataset, ofDataset);
  const known = ofDataset.get(size);
  if (known !== undefined) return known;
  const filled = starts.map((start) => fillAt(dataset, split, start, makeBatch(inputs)));
  ofDataset.set(size, filled);
  return filled;
};

/** Σ(y − ȳ)² over samples and outputs, each output about its own mean. */
const squaredDeviations = ({ classes, ...dataset }: DatasetBuffers, split: SplitName): number => {
  const { count, targets } = dataset[split];
  const values = new Float32Array(targets);
  let sum = 0;
  for (let output = 0; output < classes; output++) {
    const column = Float64Array.from({ length: count }, (_, sample) => values[sample * classes + output]!);
    const centre = mean(column);
    for (const value of column) sum += (value - centre) ** 2;
  }
  return sum;
};

const accuracyOf = (dataset: DatasetBuffers, split: SplitName, correct: Float32Array): number => {
  if (dataset.task === "classification") return mean(correct);
  const deviations = squaredDeviations(dataset, split);
  return deviations > 0 ? 1 - (mean(correct) * correct.length) / deviations : 0;
};

interface EvaluatedRun {
  readonly start: number;
  readonly batch: FilledBatch;
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/** One run after the other: an unkept batch is filled anew for the next. */
async function* runsOver(
  executable: Executable,
  tensors: Readonly<Record<string, Tensor>>,
  batches: Iterable<FilledBatch>,
): AsyncGenerator<EvaluatedRun> {
  let start = 0;
  for (const batch of batches) {
    const { x, y } = batch;
    yield { start, batch, outputs: await executable.run(feedsFor(executable, { ...tensors, x, y })) };
    start += batch.count;
  }
}

/** Values of the samples of a run that count. */
const countedOf = ({ batch, outputs }: EvaluatedRun, name: "lossPerSample" | "correct"): Float32Array =>
  (outputs[name]!.data as Float32Array).subarray(0, batch.count);

/** Losses of the first validation samples only: what a gate screens on. */
export const screenLosses = async (
  executable: Executable,
  tensors: Readonly<Record<string, Tensor>>,
  dataset: DatasetBuffers,
  samples: number,
): Promise<Float32Array> => {
  const losses = new Float32Array(Math.min(samples, dataset.validation.count));
  const first = firstOf(batchesOf(dataset, "validation", executable.inputs), losses.length);
  for await (const run of runsOver(executable, tensors, first)) losses.set(countedOf(run, "lossPerSample"), run.start);
  return losses;
};

/** @param read Called for each run in order, before its memory is used again. */
export const evaluateSplit = async (
  executable: Executable,
  tensors: Readonly<Record<string, Tensor>>,
  dataset: DatasetBuffers,
  split: SplitName,
  read?: (batch: EvaluatedBatch) => void,
): Promise<SplitLosses> => {
  const samples = dataset[split].count;
  const losses = new Float32Array(samples);
  const correct = new Float32Array(samples);
  for await (const run of runsOver(executable, tensors, batchesOf(dataset, split, executable.inputs))) {
    const { start, batch, outputs } = run;
    losses.set(countedOf(run, "lossPerSample"), start);
    correct.set(countedOf(run, "correct"), start);
    read?.({ start, count: batch.count, logits: outputs["logits"]!.data as Float32Array, targets: batch.y.data });
  }
  return { losses, correct, accuracy: accuracyOf(dataset, split, correct) };
};

export const toValidation = ({ losses, accuracy }: SplitLosses): Validation => ({
  loss: mean(losses),
  accuracy,
  samples: losses.length,
});
