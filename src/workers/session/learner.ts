/**
 * Parameters in training: one step program, the tensors that it changes, and where data order, dropout and schedules stand.
 *
 * T1 A step reads `frozen` and changes only what its program has outputs for.
 * T2 Tensors swap between two buffers: one that is kept longer than a step must be copied (`copy`, `tensors` say which).
 * T3 Two learners with equal tensors and state take bit-equal steps.
 */
import type { BatchCursorState, DatasetBuffers } from "../../contracts/dataset.ts";
import type { Tensor } from "../../contracts/graph.ts";
import type { OptimizerConfig } from "../../contracts/optimizer.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import { BatchCursor, fillTrainingBatch } from "../../data/batches.ts";
import type { Executable } from "../../engine/engine.ts";
import { optimizerScalars } from "../../graph/optimizers.ts";
import { restoreRandom } from "../../graph/random.ts";
import { updatedName } from "../../graph/step.ts";
import type { LearnerState } from "../session-state.ts";
import { type Batch, makeBatch, zerosFor } from "./batch.ts";

export type TensorMap = ReadonlyMap<string, Tensor>;

export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
}

/** The learning rate of a cohort as a multiple of the configured one, at a host step. */
export type RateOf = (cohort: string, hostStep: number) => number;

export interface LearnerOptions {
  readonly executable: Executable;
  readonly tensors: TensorMap;
  readonly state: LearnerState;
  readonly dataset: DatasetBuffers;
  readonly optimizer: OptimizerConfig;
  readonly rateOf: RateOf;
}

const copyTensor = ({ dtype, shape, data }: Tensor): Tensor => ({ dtype, shape, data: data.slice() });

export const copyTensors = (tensors: TensorMap): Map<string, Tensor> =>
  new Map(Array.from(tensors, ([name, tensor]) => [name, copyTensor(tensor)]));

export const allFinite = (tensors: TensorMap): boolean => {
  for (const { data } of tensors.values()) {
    for (let index = 0; index < data.length; index++) if (!Number.isFinite(data[index])) return false;
  }
  return true;
};

export const bytesOf = (tensors: TensorMap): number => {
  let bytes = 0;
  for (const { data } of tensors.values()) bytes += data.byteLength;
  return bytes;
};

export const scalar = (value: number): Tensor => ({ dtype: "float32", shape: [], data: Float32Array.of(value) });

const scalarInput = /^(?:stepSize|epsilon|decay):(.+)$/;

/** A cursor over the training samples that takes a stream of its own. */
export const startCursor = (dataset: DatasetBuffers, batchSize: number, random: RandomSource): BatchCursorState =>
  new BatchCursor(dataset.train.count, batchSize, random).state();

export class Learner {
  readonly executable: Executable;
  readonly #options: LearnerOptions;
  readonly #tensors: Map<string, Tensor>;
  readonly #spare = new Map<string, Tensor>();
  readonly #changed: readonly string[];
  readonly #cohorts: readonly string[];
  readonly #batch: Batch;
  #cohortSteps: Record<string, number>;
  #cursor: BatchCursor;
  #random: RandomSource;
  #hostStep: number;

  /** Takes the tensors over; slots that are missing start at zero. */
  constructor(options: LearnerOptions) {
    const { executable, tensors, state } = options;
    this.#options = options;
    this.executable = executable;
    this.#tensors = new Map(tensors);
    const outputs = new Set(executable.outputs.map(({ name }) => name));
    const changed = executable.inputs.filter(({ name }) => outputs.has(updatedName(name)));
    for (const port of changed) {
      if (!this.#tensors.has(port.name)) this.#tensors.set(port.name, zerosFor(port));
      this.#spare.set(port.name, zerosFor(port));
    }
    this.#changed = changed.map(({ name }) => name);
    this.#cohorts = [...new Set(executable.inputs.flatMap(({ name }) => scalarInput.exec(name)?.[1] ?? []))];
    this.#cohortSteps = { ...state.cohortSteps };
    this.#cursor = BatchCursor.restore(state.cursor, restoreRandom);
    this.#random = restoreRandom(state.random);
    this.#hostStep = state.hostStep;
    this.#batch = makeBatch(executable.inputs);
  }

  /** T2: valid until the next step. */
  get tensors(): TensorMap {
    return this.#tensors;
  }

  get hostStep(): number {
    return this.#hostStep;
  }

  get state(): LearnerState {
    return {
      cohortSteps: { ...this.#cohortSteps },
      cursor: this.#cursor.state(),
      random: [...this.#random.state()],
      hostStep: this.#hostStep,
    };
  }

  /** T2. A learner of its own that takes the same steps from here; with another program when one is given. */
  copy(executable: Executable = this.executable, added: TensorMap = new Map()): Learner {
    const tensors = copyTensors(new Map([...this.#tensors, ...added]));
    return new Learner({ ...this.#options, executable, tensors, state: this.state });
  }

  /** Counts a cohort's steps on from what it did elsewhere. */
  adoptSteps(cohortSteps: Readonly<Record<string, number>>): void {
    this.#cohortSteps = { ...this.#cohortSteps, ...cohortSteps };
  }

  /** The next batch of this learner's order; its memory is reused by the next call. */
  nextBatch(): Batch {
    fillTrainingBatch(this.#options.dataset, this.#cursor, this.#batch.x.data, this.#batch.y.data);
    return this.#batch;
  }

  /**
   * One optimizer step on the next batch.
   * @param frozen Further inputs that the step does not change: host parameters, alpha. @param advance Host steps that it counts for.
   */
  async step(frozen: Readonly<Record<string, Tensor>> = {}, advance = 1): Promise<StepResult> {
    const batch = this.nextBatch();
    for (const cohort of this.#cohorts) this.#cohortSteps[cohort] = (this.#cohortSteps[cohort] ?? 0) + 1;
    const result = await this.#run(batch, frozen);
    for (const name of this.#changed) {
      const old = this.#tensors.get(name)!;
      this.#tensors.set(name, result[updatedName(name)]!);
      this.#spare.set(name, old);
    }
    this.#hostStep += advance;
    return { loss: result["loss"]!.data[0]!, gradNorm: result["gradNorm"]!.data[0]! };
  }

  /** A step whose result is thrown away: nothing moves but the cursor. All outputs are returned. */
  async rehearse(batch: Batch, frozen: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    return this.executable.run(this.#feeds(batch, frozen, restoreRandom(this.#random.state())));
  }

  #run(batch: Batch, frozen: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const into = Object.fromEntries(this.#changed.map((name) => [updatedName(name), this.#spare.get(name)!]));
    return this.executable.run(this.#feeds(batch, frozen, this.#random), { into });
  }

  #feeds(batch: Batch, frozen: Readonly<Record<string, Tensor>>, random: RandomSource): Record<string, Tensor> {
    const scalars: Record<string, Tensor> = {};
    for (const cohort of this.#cohorts) {
      const steps = Math.max(1, this.#cohortSteps[cohort] ?? 0);
      Object.assign(
        scalars,
        optimizerScalars(this.#options.optimizer, cohort, steps, this.#options.rateOf(cohort, this.#hostStep)),
      );
    }
    const feeds: Record<string, Tensor> = {};
    for (const { name, shape } of this.executable.inputs) {
      const known = name === "x" ? batch.x : name === "y" ? batch.y : (this.#tensors.get(name) ?? frozen[name] ?? scalars[name]);
      feeds[name] = known ?? draws(shape, random);
    }
    return feeds;
  }
}

/** Uniform draws in [0, 1): what is left of a step's inputs are its dropout masks. */
const draws = (shape: readonly number[], random: RandomSource): Tensor => {
  const tensor = zerosFor({ dtype: "float32", shape });
  for (let index = 0; index < tensor.data.length; index++) tensor.data[index] = random.uniform();
  return tensor;
};
