/** Hosts for the growth bench, drawn from a seeded generator: mixed depth, width, kind, optimizer, data set and damage. */
import type { DamageConfig, ModelConfig } from "../src/contracts/config.ts";
import { EsperConfig } from "../src/contracts/config.ts";
import type { ExperimentArm } from "../src/contracts/experiment.ts";
import type { RandomSource } from "../src/contracts/ports.ts";
import { mergeTrees, type Tree } from "../src/experiment/merge.ts";
import type { CellSpec } from "../src/experiment/plan.ts";
import { createRandom } from "../src/graph/random.ts";

/** How much data and training a cell gets: small in the tests and with --quick. */
export interface Effort {
  readonly trainSamples: number;
  readonly validationSamples: number;
  readonly epochs: number;
}

export const fullEffort: Effort = { trainSamples: 16_000, validationSamples: 5_000, epochs: 12 };
export const quickEffort: Effort = { trainSamples: 6_000, validationSamples: 1_000, epochs: 24 };

/**
 * Shorter than the defaults, whose trial alone would use up a budget of some 1,500 steps. An experiment compiles at the boundary itself, so that
 * a kernel need not wait for a forge beside it.
 */
const shortTrial: Tree = {
  training: { steps: 64 },
  grafting: { steps: 32 },
  fineTuning: { steps: 64 },
  kernelLeadEpochs: 1,
};

/** Far from the random seeds that calibrate the trigger and the forecast. */
export const firstSeed = 50_001;

/** Digits and clothing cost the same; every host of the generator takes one of them. */
export const imageSets = ["mnist", "fashion-mnist"] as const;
export type ImageSet = (typeof imageSets)[number];

export interface CellRequest {
  readonly host: string;
  readonly model: ModelConfig | Tree;
  readonly dataset: string;
  readonly data?: Tree;
  readonly damage?: Partial<DamageConfig> & { readonly name: string };
  readonly optimization?: Tree;
  readonly morphogenetic?: Tree;
  readonly randomSeed: number;
  readonly arms: readonly ExperimentArm[];
  readonly effort: Effort;
  /** Part of the effort's training samples that are used. */
  readonly effortShare?: number;
}

export const cellOf = (request: CellRequest): CellSpec => {
  const { host, model, dataset, data, damage, optimization, morphogenetic, randomSeed, arms, effort, effortShare = 1 } = request;
  const { name: damageName = "none", ...done } = damage ?? {};
  const config = EsperConfig.parse({
    model,
    randomSeed,
    dataset: {
      name: dataset,
      trainSamplesMax: Math.round(effort.trainSamples * effortShare),
      validationSamples: effort.validationSamples,
      ...data,
    },
    optimization: { epochs: effort.epochs, epochSteps: 98, ...optimization },
    ...(damage === undefined ? {} : { damage: done }),
    morphogenetic: mergeTrees(shortTrial, morphogenetic ?? {}),
  });
  return { host, dataset, damage: damageName, config, arms };
};

const pick = <T>(items: readonly T[], random: RandomSource): T => items[random.integer(items.length)]!;

interface DrawnHost {
  readonly host: string;
  readonly model: Tree;
  readonly widthMin: number;
  readonly optimization: Tree;
  readonly data?: Tree;
  readonly effortShare?: number;
}

/** Weights a hundred times too large end a host under SGD at once: there is nothing left to repair. */
const adamOnly: ReadonlySet<DamageConfig["kind"]> = new Set(["initialization"]);

const drawMlp = (random: RandomSource, kind: DamageConfig["kind"] | undefined): DrawnHost => {
  const depth = pick([2, 3, 3, 4, 5, 6, 8, 12, 20], random);
  // Wide and deep at once would cost more than it tells. A host that lost most of its units takes tens of steps for one of the whole host's.
  const widthMax = kind === "narrow" || depth > 6 ? 64 : depth > 3 ? 256 : 512;
  const width = pick(
    [16, 32, 64, 128, 256, 512].filter((each) => each <= widthMax && (depth <= 6 || each >= 32)),
    random,
  );
  const sgd = depth <= 6 && random.uniform() < 0.4 && (kind === undefined || !adamOnly.has(kind));
  const optimizer = sgd ? { kind: "sgd", learningRate: 0.05, momentum: 0.9 } : { kind: "adam", learningRate: 0.001 };
  return {
    host: `mlp-${depth}x${width}-${optimizer.kind}`,
    model: { name: "mlp", widths: new Array<number>(depth).fill(width) },
    widthMin: width,
    optimization: { optimizer },
  };
};

/** Half the samples in batches half as large: as many steps as an MLP takes, for the half of the work. */
const smallBatches = { data: { batchSize: 64 }, effortShare: 0.5 } as const;

const drawCnn = (random: RandomSource, kind: DamageConfig["kind"] | undefined): DrawnHost => {
  const depth = pick([3, 4, 5], random);
  const channels = pick([8, 12, 16], random);
  const batchNorm = random.uniform() < 0.4;
  const sgd = random.uniform() < 0.3 && (kind === undefined || !adamOnly.has(kind));
  const optimizer = sgd ? { kind: "sgd", learningRate: 0.05, momentum: 0.9 } : { kind: "adam", learningRate: 0.003 };
  return {
    host: `cnn-${depth}x${channels}${batchNorm ? "-bn" : ""}-${optimizer.kind}`,
    // The first convolution already halves the image: the rest is cheap.
    model: {
      name: "cnn",
      channels: new Array<number>(depth).fill(channels),
      strides: Array.from({ length: depth }, (_, layer) => (layer === 0 || layer === 2 ? 2 : 1)),
      batchNorm,
    },
    widthMin: channels,
    optimization: { optimizer },
    ...smallBatches,
  };
};

const drawHost = (index: number, random: RandomSource, kind?: DamageConfig["kind"]): DrawnHost =>
  index % 3 === 2 ? drawCnn(random, kind) : drawMlp(random, kind);

const kinds = ["dead", "rank", "narrow", "dead", "saturated", "initialization"] as const;

/** Damaged hosts, every kind in turn; one layer each, drawn by the run. */
export const damagedHosts = (count: number, effort: Effort, first = firstSeed): readonly CellSpec[] => {
  const root = createRandom(first).fork("damaged hosts");
  return Array.from({ length: count }, (_, index) => {
    const random = root.fork(String(index));
    // Every kind of host meets every kind of damage.
    const kind = kinds[(index + Math.floor(index / kinds.length)) % kinds.length]!;
    const { widthMin, ...drawn } = drawHost(index, random, kind);
    const live = Math.min(1 + random.integer(3), widthMin - 1);
    return cellOf({
      ...drawn,
      dataset: pick(imageSets, random),
      damage: { name: `${kind}-${live}`, site: "random", kind, live },
      randomSeed: first + index,
      arms: ["no-growth", "grown", "healthy"],
      effort,
    });
  });
};

/** Whole hosts with a layer that is narrow on purpose, no narrower than the ten classes need. */
const bottlenecks: readonly DrawnHost[] = [
  [128, 10, 128],
  [64, 12, 64],
  [128, 64, 16, 64],
  [64, 64, 10, 64, 64],
].map((widths) => ({ host: `waist-${widths.join("-")}`, model: { name: "mlp", widths }, widthMin: 10, optimization: {} }));

const squeezed: readonly DrawnHost[] = [
  { host: "squeeze-16-8-16", model: { name: "cnn", channels: [16, 8, 16], strides: [2, 1, 2] }, widthMin: 8, optimization: {} },
];

/** Whole hosts: the generator's, and every third one with a deliberate bottleneck. */
export const wholeHosts = (count: number, effort: Effort, first = firstSeed): readonly CellSpec[] => {
  const root = createRandom(first).fork("whole hosts");
  const narrow = [...bottlenecks, ...squeezed];
  return Array.from({ length: count }, (_item, index) => {
    const random = root.fork(String(index));
    const { widthMin: _, ...drawn } = index % 3 === 0 ? narrow[Math.floor(index / 3) % narrow.length]! : drawHost(index, random);
    return cellOf({
      ...drawn,
      dataset: pick(imageSets, random),
      randomSeed: first + 1000 + index,
      arms: ["healthy", "watched"],
      effort,
    });
  });
};
