/** From a configuration to what a lane needs for one run: nodes, experiments and a user's own program build their sessions here. */
import type { EsperConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
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

export const sessionSpecOf = ({ runId, config, dataset, engine, damaged, flopsMax }: SessionSpecOptions): SessionSpec => {
  const { optimization, dataset: data } = config;
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
    morphogenetic: config.morphogenetic,
    governor: config.governor,
    progressHz: config.services.progressHz,
  };
};
