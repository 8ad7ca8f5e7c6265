/** A small host, measurements that pass, fail or are missing, and a lane that answers plans from a script. */
import type { KernelTags } from "../../src/contracts/characterization.ts";
import type { CompilationOutcome } from "../../src/contracts/compilation.ts";
import { MorphogeneticConfig, readingConfidence } from "../../src/contracts/config-morphogenetic.ts";
import {
  type Anomaly,
  type FlopsAccount,
  type Judgement,
  type JudgeName,
  type KernelMeasurement,
  type PairedGain,
  zeroFlops,
} from "../../src/contracts/measure.ts";
import type { EpochPlan, EpochResult, HostSummary } from "../../src/contracts/plan.ts";
import type { Signal } from "../../src/contracts/signal.ts";
import type { KasminaSetup } from "../../src/machines/boundary.ts";
import type { GerminationFacts } from "../../src/machines/gates.ts";
import type { SeedEvent, SeedInput } from "../../src/machines/seed-context.ts";

export const runId = "r-1";
export const kernelHash = "a".repeat(64);
export const blueprintHash = "b".repeat(64);

export const host: HostSummary = {
  name: "mlp",
  hash: "c".repeat(64),
  parameters: 1000,
  batchSize: 2,
  stepFlops: 3000,
  forwardFlops: 1000,
  sites: [
    {
      site: "h1",
      kind: "dense",
      inputWidth: 16,
      width: 8,
      inputShape: [16],
      shape: [8],
      slopeFlops: 300,
      legalTargets: ["h2", "h3", "output"],
    },
    {
      site: "h2",
      kind: "dense",
      inputWidth: 8,
      width: 12,
      inputShape: [8],
      shape: [12],
      slopeFlops: 200,
      legalTargets: ["h3", "output"],
    },
    {
      site: "h3",
      kind: "dense",
      inputWidth: 12,
      width: 8,
      inputShape: [12],
      shape: [8],
      slopeFlops: 100,
      legalTargets: ["output"],
    },
    { site: "output", kind: "output", inputWidth: 8, width: 4, inputShape: [8], shape: [4], slopeFlops: 0, legalTargets: [] },
  ],
};

export const config = MorphogeneticConfig.parse({
  signal: { warmupSteps: 20, everyEpochs: 1 },
  kernelLeadEpochs: 0,
  training: { steps: 10 },
  grafting: { steps: 10 },
  stabilization: { epochsMax: 2 },
  fineTuning: { steps: 10 },
  embargo: { epochs: 3 },
});

export const seedInput: SeedInput = { runId, seedId: "seed:h2", site: "h2", config, epochSteps: 10 };

export const facts: GerminationFacts = {
  siteKnown: true,
  spanLegal: true,
  parameters: 100,
  parametersLeft: 1000,
  flops: 1e6,
  flopsLeft: 1e7,
  lockHolder: null,
  embargoUntilEpoch: 0,
  adaptations: 0,
  adaptationsMax: 2,
};

export const paired = (lower: number, lossWithout = 0.5): PairedGain => ({
  mean: lower + 0.01,
  lower,
  upper: lower + 0.02,
  confidence: 0.99,
  samples: 1000,
  lossWithout,
  lossWith: lossWithout - lower - 0.01,
});

/** A contest's reading, of a twin with a loss of 1. */
const reading = (lower: number): PairedGain => ({ ...paired(lower, 1), confidence: readingConfidence(config) });

/** A judge whose interval lies wholly on one side of its bound, or across it. */
export const judged = (judge: JudgeName, vote: Judgement["vote"]): Judgement => ({
  judge,
  vote,
  bound: 0,
  measured:
    vote === "keep"
      ? { mean: 0.2, lower: 0.1, upper: 0.3, confidence: 0.99 }
      : vote === "cull"
        ? { mean: -0.2, lower: -0.3, upper: -0.1, confidence: 0.99 }
        : { mean: 0, lower: -0.1, upper: 0.1, confidence: 0.99 },
});

export const unanimous: Judgement[] = [
  judged("loss", "keep"),
  judged("accuracy", "keep"),
  judged("calibration", "keep"),
  judged("cost", "keep"),
];
/** 3 of 5 to keep: between `cullMax` and `keepMin`. */
export const split: Judgement[] = [
  judged("loss", "keep"),
  judged("accuracy", "cull"),
  judged("calibration", "cull"),
  judged("cost", "abstain"),
];

const latency = { medianMs: 1, p99Ms: 2, runs: 20 };

/** A kernel that Urabrask has nothing against. */
export const characterized: KernelTags = {
  kernelHash,
  machine: "test",
  engine: "native",
  hostHash: "c".repeat(64),
  blueprint: { kind: "dense", hiddenWidth: 12, initialization: "zero" },
  tags: ["stable"],
  measured: {
    latency: { kernelStep: latency, grownEvaluate: latency, hostStep: latency, hostEvaluate: latency },
    flops: { kernelStep: 4000, grownEvaluate: 1200, hostStep: 3000, hostEvaluate: 1000 },
    memoryBytes: 1000,
    parameters: 100,
    drift: { engine: "wasm", maxAbsolute: 1e-6, relative: 1e-6 },
    deadShare: 0,
    firstStepSpike: -0.1,
    stability: { steps: 50, finite: true, lossRatio: 0.9 },
  },
};

const anomaly = (kind: Anomaly["kind"]): Anomaly => ({ kind, step: 3, detail: "seen by the governor" });
export const nonFiniteLoss = anomaly("non_finite_loss");
export const lossSpike = anomaly("loss_spike");
export const kernelFailed = anomaly("kernel_failed");

/** Per kind: a measurement that passes its gate, one that fails it, and one in which the decisive value is missing. */
export const measurements = {
  loaded: {
    passed: {
      kind: "loaded",
      kernelHash,
      parameters: 100,
      staticProblems: [],
      dryRun: { shapesMatch: true, finite: true, latencyMs: 1 },
      loadMs: 1,
      cached: false,
    },
    failed: {
      kind: "loaded",
      kernelHash,
      parameters: 100,
      staticProblems: ["shape of out"],
      dryRun: { shapesMatch: true, finite: true, latencyMs: 1 },
      loadMs: 1,
      cached: false,
    },
    missing: { kind: "loaded", kernelHash, parameters: 100, staticProblems: [], loadMs: 1, cached: false },
  },
  trained: {
    passed: { kind: "trained", steps: 10, loss: 0.4, gradNorm: 1, finite: true, gain: paired(0.1) },
    failed: { kind: "trained", steps: 10, loss: 0.4, gradNorm: 1, finite: true, gain: paired(-0.1) },
    missing: { kind: "trained", steps: 10, loss: 0.4, gradNorm: 1, finite: true },
  },
  grafted: {
    passed: { kind: "grafted", alpha: 1, finite: true, drift: 0, gradientRatio: 1 },
    failed: { kind: "grafted", alpha: 0.5, finite: true, drift: 9, gradientRatio: 99 },
    missing: { kind: "grafted", alpha: Number.NaN, finite: true },
  },
  stabilized: {
    passed: { kind: "stabilized", finite: true, meanLoss: 0.4, relativeSlope: 0.01, relativeSlopeError: 0.02 },
    failed: { kind: "stabilized", finite: true, meanLoss: 0.4, relativeSlope: 0.9, relativeSlopeError: 0.02 },
    missing: { kind: "stabilized", finite: true, meanLoss: 0.4 },
  },
  evaluated: {
    passed: { kind: "evaluated", gain: paired(0.1) },
    failed: { kind: "evaluated", gain: paired(0) },
    missing: { kind: "evaluated" },
  },
  fine_tuned: {
    passed: { kind: "fine_tuned", finite: true, grownSteps: 10, twinSteps: 11, gain: reading(0.02), judgements: unanimous },
    failed: { kind: "fine_tuned", finite: true, grownSteps: 10, twinSteps: 11, gain: reading(0.01), judgements: unanimous },
    missing: { kind: "fine_tuned", finite: true, grownSteps: 10, twinSteps: 11 },
  },
} as const satisfies Record<string, Record<"passed" | "failed" | "missing", KernelMeasurement>>;

export type Quality = "passed" | "failed" | "missing";

export const window = (
  epoch: number,
  measurement: KernelMeasurement | undefined,
  more: Partial<Extract<SeedEvent, { type: "WINDOW" }>> = {},
): SeedEvent => ({ type: "WINDOW", epoch, steps: 10, interrupted: false, measurement, anomalies: [], ...more });

export const germinate = (epoch: number, gate0: GerminationFacts = facts): SeedEvent => ({
  type: "GERMINATE",
  epoch,
  span: { fromSite: "h2", toSite: "h3" },
  blueprint: { kind: "dense", hiddenWidth: 12, initialization: "zero" },
  adaptation: null,
  reason: "for the test",
  gate0,
});

export const kernelReady = (
  epoch: number,
  gate0: GerminationFacts = facts,
  told: KernelTags | null = characterized,
): SeedEvent => ({
  type: "KERNEL_READY",
  epoch,
  kernelHash,
  blueprintHash,
  gate0: { ...gate0, lockHolder: gate0.lockHolder ?? "seed:h2" },
  characterized: told ?? undefined,
});

export const setup: KasminaSetup = {
  runId,
  arm: "grown",
  growth: true,
  config,
  epochSteps: 10,
  flopsMax: 100_000_000,
  validationBatches: 2,
  kernel: {
    engine: "native",
    engineVersion: "1.0.0",
    optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0.9, weightDecay: 0, clipNorm: 0 },
    batchSize: 8,
  },
  askAgainMs: 100,
};

export const ready = (seedId = "seed:h2"): CompilationOutcome => ({
  kind: "ready",
  taskId: "task-1",
  runId,
  keyHash: "d".repeat(64),
  seedId,
  kernelHash,
  blueprintHash,
  parameters: 100,
  flops: { kernelStep: 4000 },
  compileMs: 5,
});

export const signal = (gaps: Readonly<Record<string, number>>): Signal => ({
  samples: 2048,
  errorPower: 0.5,
  trainLoss: 0.5,
  layers: Object.entries(gaps).map(([site, gap]) => ({
    site,
    explainedIn: 0.5,
    explainedOut: 0.5 - gap,
    gap,
    gapError: 0.001,
    dimensionsIn: 8,
    dimensionsOut: gap > 0.1 ? 1 : 8,
  })),
  spans: [
    { fromSite: "h2", toSite: "h3", energy: 1 },
    { fromSite: "h2", toSite: "output", energy: 2 },
  ],
});

const charge = (flops: FlopsAccount, kind: "host" | "kernel" | "trial" | "gate", value: number): FlopsAccount => ({
  ...flops,
  [kind]: flops[kind] + value,
  total: flops.total + value,
});

const measuredIn = (work: EpochPlan["work"]["kind"], quality: Quality): KernelMeasurement | undefined => {
  switch (work) {
    case "load":
      return measurements.loaded[quality];
    case "train_kernel":
      return measurements.trained[quality];
    case "graft":
      return measurements.grafted[quality];
    case "stabilize":
      return measurements.stabilized[quality];
    case "evaluate":
      return measurements.evaluated[quality];
    case "fine_tune":
      return measurements.fine_tuned[quality];
    case "host":
      return undefined;
  }
};

/** What a lane would answer: all gates pass unless told otherwise. */
export const laneResult = (
  plan: EpochPlan,
  before: EpochResult | undefined,
  script: { readonly quality?: Quality; readonly change?: Partial<EpochResult> } = {},
): EpochResult => {
  const { work } = plan;
  const steps = "steps" in work ? work.steps : 0;
  const account = before?.flops ?? zeroFlops;
  const kind = work.kind === "host" ? "host" : work.kind === "evaluate" ? "gate" : work.kind === "fine_tune" ? "trial" : "kernel";
  const measured = measuredIn(work.kind, script.quality ?? "passed");
  return {
    runId,
    epoch: plan.epoch,
    work: work.kind,
    ...("seedId" in work ? { seedId: work.seedId } : {}),
    interrupted: false,
    budgetUsed: false,
    steps,
    hostStep: (before?.hostStep ?? 0) + (work.kind === "host" || work.kind === "fine_tune" ? steps : 0),
    durationMs: 1,
    trainLoss: 0.5,
    flops: charge(account, kind, steps * 3000),
    parameters: 1000,
    ...(plan.measureSignal ? { signal: signal({ h1: 0.001, h2: 0.2, h3: 0.002 }) } : {}),
    ...(measured === undefined ? {} : { kernel: measured }),
    anomalies: [],
    tensorBytes: 0,
    ...script.change,
  };
};
