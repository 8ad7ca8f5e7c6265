/** A small problem for experiments: 8 × 8 images of four classes, hosts of three layers, everything drawn from fixed seeds. */
import { ExperimentConfig, type JobResult } from "../../src/contracts/experiment.ts";
import { zeroFlops } from "../../src/contracts/measure.ts";

export { patterns } from "../support/patterns.ts";

export const smallExperiment = (changes: object = {}): ExperimentConfig =>
  ExperimentConfig.parse({
    name: "small",
    base: {
      dataset: { batchSize: 32 },
      optimization: { epochs: 16, epochSteps: 20, optimizer: { kind: "adam", learningRate: 0.003 } },
      morphogenetic: {
        signal: { samples: 256, features: 16, warmupSteps: 40, everyEpochs: 1 },
        training: { steps: 20 },
        grafting: { steps: 10 },
        fineTuning: { steps: 20 },
      },
    },
    hosts: [{ name: "mlp", model: { name: "mlp", widths: [16, 16, 16] } }],
    damages: [{ name: "dead", damage: { site: "h2", kind: "dead", live: 1 } }],
    randomSeeds: [11],
    ...changes,
  });

/** A finished job as an analysis sees it. */
export const resultOf = (key: string, accuracy: number, changes: Partial<JobResult> = {}): JobResult => ({
  version: 1,
  key: key.padStart(64, "0"),
  label: key,
  randomSeed: 1,
  outcome: "done",
  reason: "done",
  sites: ["h1", "h2", "h3"],
  damagedSites: [],
  test: { loss: 1, accuracy, samples: 100 },
  curve: [],
  checks: [],
  trials: [],
  refusals: [],
  timeline: [],
  flops: { ...zeroFlops, total: 100 },
  flopsMax: 100,
  stepFlops: [1, 1],
  parameters: [10, 12],
  hostSteps: 100,
  windows: 5,
  seconds: 1,
  ...changes,
});
