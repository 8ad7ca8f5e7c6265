/** A small problem for experiments: 8 × 8 images of four classes, hosts of three layers, everything drawn from fixed seeds. */
import type { DatasetBuffers, SampleBuffer } from "../../src/contracts/dataset.ts";
import { ExperimentConfig, type JobResult } from "../../src/contracts/experiment.ts";
import { createRandom } from "../../src/graph/random.ts";

const side = 8;
const classes = 4;

/** Each class has three prototypes, so that a linear model does not suffice; pixels carry noise. */
const makeSplit = (count: number, seed: number): SampleBuffer => {
  const prototypes = createRandom(7).fork("prototypes");
  const patterns = Array.from({ length: classes * 3 }, () =>
    Array.from({ length: side * side }, () => (prototypes.uniform() < 0.5 ? 60 : 190)),
  );
  const random = createRandom(seed);
  const inputs = new SharedArrayBuffer(count * side * side);
  const targets = new SharedArrayBuffer(4 * count);
  const [pixels, labels] = [new Uint8Array(inputs), new Int32Array(targets)];
  for (let sample = 0; sample < count; sample++) {
    const pattern = random.integer(patterns.length);
    labels[sample] = pattern % classes;
    for (let pixel = 0; pixel < side * side; pixel++) {
      const value = patterns[pattern]![pixel]! + 110 * random.normal();
      pixels[sample * side * side + pixel] = Math.max(0, Math.min(255, Math.round(value)));
    }
  }
  return { count, inputs, targets };
};

export const patterns = (): DatasetBuffers => ({
  name: "patterns",
  kind: "images",
  task: "classification",
  inputShape: [1, side, side],
  rows: 1,
  classes,
  mean: [0.5],
  sd: [0.4],
  augmentation: { cropPixels: 0, flip: false },
  train: makeSplit(1024, 1),
  validation: makeSplit(300, 2),
  test: makeSplit(200, 3),
});

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

const noFlops = { host: 0, kernel: 0, trial: 0, signal: 0, gate: 0, total: 100, monitoring: 0 };

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
  flops: noFlops,
  flopsMax: 100,
  stepFlops: [1, 1],
  parameters: [10, 12],
  hostSteps: 100,
  windows: 5,
  seconds: 1,
  ...changes,
});
