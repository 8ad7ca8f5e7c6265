/** From a configuration to what a lane needs for one run: nodes, experiments and a user's own program build their sessions here. */
import type { EsperConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { InputError } from "../contracts/errors.ts";
import type { SessionSpec } from "../contracts/plan.ts";

export interface SessionSpecOptions {
  readonly runId: string;
  readonly config: EsperConfig;
  readonly dataset: DatasetBuffers;
  readonly engine: SessionSpec["engine"];
  /** False leaves the damage of the configuration out. */
  readonly damaged: boolean;
  /** FLOPs of the run; left out, what the undamaged host costs for `optimization.epochs`. */
  readonly flopsMax?: number;
}

/** Rows that a measurement needs at least: the least that the configuration may ask for. */
const signalRowsMin = 64;

/** A measurement takes no more rows than there are: samples, or tokens where each has a prediction of its own. */
const signalSamplesFor = ({ train, rows }: DatasetBuffers, { batchSize }: EsperConfig["dataset"], wanted: number): number => {
  const found = train.count * rows;
  if (found < signalRowsMin) {
    throw new InputError(
      `training samples: expected at least ${signalRowsMin} for a measurement, found ${found} after validation and test samples were set apart; give more data, or lower dataset.validationSamples`,
      { path: "dataset" },
    );
  }
  if (train.count < batchSize) {
    throw new InputError(
      `dataset.batchSize: expected at most the ${train.count} training samples, found ${batchSize}; lower it, or give more data`,
      { path: "dataset.batchSize" },
    );
  }
  return Math.min(wanted, found);
};

/** @throws InputError when the data are fewer than a batch or a measurement. */
export const sessionSpecOf = ({ runId, config, dataset, engine, damaged, flopsMax }: SessionSpecOptions): SessionSpec => {
  const { optimization, dataset: data, morphogenetic } = config;
  const { signal } = morphogenetic;
  const samples = signalSamplesFor(dataset, data, signal.samples);
  return {
    runId,
    model: config.model,
    optimizer: optimization.optimizer,
    schedule: optimization.schedule,
    warmupSteps: optimization.warmupSteps,
    batchSize: data.batchSize,
    randomSeed: config.randomSeed,
    ...(config.damage === undefined || !damaged ? {} : { damage: config.damage }),
    engine,
    threads: config.threads,
    hostSteps: Math.max(1, Math.floor((optimization.epochs * dataset.train.count) / data.batchSize)),
    epochSteps: optimization.epochSteps,
    ...(flopsMax === undefined ? {} : { flopsMax }),
    morphogenetic: samples === signal.samples ? morphogenetic : { ...morphogenetic, signal: { ...signal, samples } },
    governor: config.governor,
    progressHz: config.services.progressHz,
  };
};
