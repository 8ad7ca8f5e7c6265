/**
 * The gates of a seed's life as pure predicates over measurements. Machine guards, reports and tests share them.
 *
 * G1 A measurement that is absent, of another kind, or not a number fails its gate; it never passes.
 * G2 Every outcome says in words what was measured against which threshold, and carries the numbers.
 */
import type { KernelTags } from "../contracts/characterization.ts";
import type { RefusalCode } from "../contracts/commands.ts";
import { type MorphogeneticConfig, readingConfidence } from "../contracts/config-morphogenetic.ts";
import type { SeedTransition } from "../contracts/lifecycle.ts";
import type { Anomaly, KernelMeasurement, PairedGain } from "../contracts/measure.ts";
import { type Claim, shortfallOf } from "./budget.ts";

export type Evidence = SeedTransition["evidence"];

export interface GateOutcome {
  readonly passed: boolean;
  /** False when what the gate looks at was not measured. */
  readonly measured: boolean;
  readonly reason: string;
  readonly evidence: Evidence;
}

type MeasurementOf<K extends KernelMeasurement["kind"]> = Extract<KernelMeasurement, { kind: K }>;

/** The measurement of a window if it is of the wanted kind. */
export const measuredAs = <K extends KernelMeasurement["kind"]>(
  measurement: KernelMeasurement | undefined,
  kind: K,
): MeasurementOf<K> | undefined => (measurement?.kind === kind ? (measurement as MeasurementOf<K>) : undefined);

/** Four significant digits: enough to compare, short enough to read. */
export const shown = (value: number): string => String(Number(value.toPrecision(4)));

const pass = (reason: string, evidence: Evidence): GateOutcome => ({ passed: true, measured: true, reason, evidence });
const fail = (reason: string, evidence: Evidence): GateOutcome => ({ passed: false, measured: true, reason, evidence });
/** G1 */
const notMeasured = (what: string, evidence: Evidence = {}): GateOutcome => ({
  passed: false,
  measured: false,
  reason: `${what} was not measured`,
  evidence,
});

/** What gate 0 looks at, gathered at the boundary. */
export interface GerminationFacts {
  readonly siteKnown: boolean;
  readonly spanLegal: boolean;
  /** What the trial is expected to add and to cost; absent when nobody could tell. */
  readonly parameters: number | undefined;
  readonly parametersLeft: number;
  readonly flops: number | undefined;
  readonly flopsLeft: number;
  /** Of what else is limited. */
  readonly others?: readonly Claim[];
  /** The seed that holds the run's grafting lock; null when it is free. */
  readonly lockHolder: string | null;
  readonly embargoUntilEpoch: number;
  /** Germinations already accepted in this window, and how many there may be. */
  readonly adaptations: number;
  readonly adaptationsMax: number;
}

const unitOf = { parameters: "parameters", flops: "FLOPs", seconds: "seconds", deviceBytes: "bytes on the device" } as const;

export interface GateZeroOutcome extends GateOutcome {
  /** Why a command is refused; null when it passed. */
  readonly code: RefusalCode | null;
}

/** Gate 0: ids, span, embargo, grafting lock, germinations in this window, parameters and FLOPs. */
export const gateZero = (facts: GerminationFacts, seedId: string, epoch: number): GateZeroOutcome => {
  const evidence: Evidence = {
    siteKnown: facts.siteKnown,
    spanLegal: facts.spanLegal,
    parametersLeft: facts.parametersLeft,
    flopsLeft: facts.flopsLeft,
    embargoUntilEpoch: facts.embargoUntilEpoch,
    lock: facts.lockHolder ?? "free",
    adaptations: facts.adaptations,
    ...(facts.parameters === undefined ? {} : { parameters: facts.parameters }),
    ...(facts.flops === undefined ? {} : { flops: facts.flops }),
  };
  const refuse = (code: RefusalCode, reason: string): GateZeroOutcome => ({ ...fail(`gate 0: ${reason}`, evidence), code });
  if (!facts.siteKnown) return refuse("unknown_seed", "the host has no such site");
  if (!facts.spanLegal) return refuse("span", "a bypass from this site to that target is not legal in this host");
  if (epoch < facts.embargoUntilEpoch)
    return refuse("embargo", `the site is under embargo until window ${facts.embargoUntilEpoch}; now ${epoch}`);
  if (facts.lockHolder !== null && facts.lockHolder !== seedId)
    return refuse("lock_held", `${facts.lockHolder} holds the grafting lock; one trial at a time in a run`);
  if (!(facts.adaptations < facts.adaptationsMax))
    return refuse("limit", `${facts.adaptations} germinations in this window; at most ${facts.adaptationsMax}`);
  const short = shortfallOf([
    { resource: "parameters", needed: facts.parameters, left: facts.parametersLeft },
    { resource: "flops", needed: facts.flops, left: facts.flopsLeft },
    ...(facts.others ?? []),
  ]);
  if (short !== undefined && !short.measured) return { ...notMeasured("gate 0: what the trial costs", evidence), code: "budget" };
  if (short !== undefined) {
    const exact = short.resource === "parameters" ? String : shown;
    return refuse("budget", `needs ${exact(short.needed)} ${unitOf[short.resource]}; ${exact(short.left)} left`);
  }
  return {
    ...pass(
      `gate 0: reserved ${facts.parameters} of ${facts.parametersLeft} parameters and ${shown(facts.flops ?? 0)} of ${shown(facts.flopsLeft)} FLOPs`,
      evidence,
    ),
    code: null,
  };
};

/** Urabrask's word on a kernel: measured on this machine, alive, calm, stable, and the same on two engines. */
export const validationGate = (
  tags: KernelTags | undefined,
  kernelHash: string,
  config: MorphogeneticConfig["validation"],
): GateOutcome => {
  const what = "validation";
  if (tags === undefined || tags.kernelHash !== kernelHash) return notMeasured(`${what}: the kernel`);
  const { measured, problem } = tags;
  if (measured === undefined)
    return { ...notMeasured(`${what}: the kernel`), reason: `${what}: ${problem ?? "nothing was measured"}` };
  // The control adds nothing whatever it learns, so no gradient ever reaches it; that is for the verdict to find out.
  const deadShareMax = tags.blueprint.kind === "no-op" ? 1 : config.deadShareMax;
  const limits = [
    ["share of parameters without gradient", "deadShare", measured.deadShare, deadShareMax],
    ["rise of the loss in the first step", "firstStepSpike", measured.firstStepSpike, config.spikeMax],
    ["loss at the end as a multiple of the first", "lossRatio", measured.stability.lossRatio, config.lossRatioMax],
    ["difference of the logits between engines", "drift", measured.drift?.relative, config.driftMax],
  ] as const;
  const evidence: Evidence = {
    steps: measured.stability.steps,
    finite: measured.stability.finite,
    latencyMs: measured.latency.kernelStep.medianMs,
    hostLatencyMs: measured.latency.hostStep.medianMs,
    memoryBytes: measured.memoryBytes,
    tags: tags.tags.join(" "),
    ...Object.fromEntries(limits.flatMap(([, name, value]) => (value === undefined ? [] : [[name, value]]))),
  };
  if (!measured.stability.finite)
    return fail(`${what}: the loss was not finite within ${measured.stability.steps} steps`, evidence);
  if (measured.stability.steps < config.steps)
    return fail(`${what}: ${measured.stability.steps} steps measured, ${config.steps} are needed`, evidence);
  for (const [name, , value, max] of limits) {
    if (value === undefined) return notMeasured(`${what}: the ${name}`, evidence);
    if (!(value <= max)) return fail(`${what}: ${name} ${shown(value)}, at most ${shown(max)}`, evidence);
  }
  return pass(`${what}: ${tags.tags.join(", ") || "no tags"}`, evidence);
};

/** Gate 1: schema, hash and shapes of the loaded kernel fit this host. */
export const gateOne = (measurement: KernelMeasurement | undefined): GateOutcome => {
  const loaded = measuredAs(measurement, "loaded");
  if (loaded === undefined) return notMeasured("gate 1: the kernel's fit to the host");
  const evidence: Evidence = {
    kernelHash: loaded.kernelHash,
    parameters: loaded.parameters,
    staticProblems: loaded.staticProblems.length,
  };
  return loaded.staticProblems.length === 0
    ? pass("gate 1: the kernel fits the host", evidence)
    : fail(`gate 1: ${loaded.staticProblems.slice(0, 3).join("; ")}`, evidence);
};

/** Gate 2: a dry run on a real batch gave the right shapes, finite numbers, in time. */
export const gateTwo = (measurement: KernelMeasurement | undefined, latencyMsMax: number): GateOutcome => {
  const dryRun = measuredAs(measurement, "loaded")?.dryRun;
  if (dryRun === undefined) return notMeasured("gate 2: the dry run");
  const evidence: Evidence = { ...dryRun, latencyMsMax };
  if (!dryRun.shapesMatch) return fail("gate 2: the dry run's shapes differ from the host's", evidence);
  if (!dryRun.finite) return fail("gate 2: the dry run gave values that are not finite", evidence);
  return dryRun.latencyMs <= latencyMsMax
    ? pass(`gate 2: dry run in ${shown(dryRun.latencyMs)} ms, at most ${shown(latencyMsMax)}`, evidence)
    : fail(`gate 2: dry run took ${shown(dryRun.latencyMs)} ms, at most ${shown(latencyMsMax)}`, evidence);
};

/** Gates 1 and 2 together: what LOADING needs. */
export const loadingGate = (measurement: KernelMeasurement | undefined, config: MorphogeneticConfig): GateOutcome => {
  const one = gateOne(measurement);
  if (!one.passed) return one;
  const two = gateTwo(measurement, config.kernelLatencyMsMax);
  return {
    ...two,
    reason: two.passed ? `${one.reason}; ${two.reason}` : two.reason,
    evidence: { ...one.evidence, ...two.evidence },
  };
};

export const gainEvidence = (gain: PairedGain): Evidence => ({
  gain: gain.mean,
  gainLower: gain.lower,
  gainUpper: gain.upper,
  lossWithout: gain.lossWithout,
  lossWith: gain.lossWith,
  samples: gain.samples,
  confidence: gain.confidence,
});

/** A paired gain whose lower bound exceeds `boundMin`, measured with at least the wanted confidence. */
const gainGate = (
  what: string,
  gain: PairedGain | undefined,
  boundMin: (gain: PairedGain) => number,
  confidence: number,
): GateOutcome => {
  if (gain === undefined) return notMeasured(`${what}: the gain`);
  const bound = boundMin(gain);
  const evidence: Evidence = { ...gainEvidence(gain), boundMin: bound };
  if (![gain.mean, gain.lower, gain.lossWithout, gain.lossWith, bound].every(Number.isFinite))
    return fail(`${what}: the gain is not finite`, evidence);
  if (gain.confidence < confidence - 1e-9)
    return fail(`${what}: measured with confidence ${shown(gain.confidence)}, ${shown(confidence)} is needed`, evidence);
  const interval = `${shown(gain.mean)}, lower ${shown(100 * gain.confidence)} % bound ${shown(gain.lower)}`;
  return gain.lower > bound
    ? pass(`${what}: gain ${interval} > ${shown(bound)}`, evidence)
    : fail(`${what}: gain ${interval}, needs > ${shown(bound)}`, evidence);
};

/** TRAINING: enough steps, and the kernel's loss on validation is lower beyond its interval. */
export const trainingGate = (
  measurement: KernelMeasurement | undefined,
  stepsDone: number,
  { steps, confidence }: { readonly steps: number; readonly confidence: number },
): GateOutcome => {
  const trained = measuredAs(measurement, "trained");
  if (trained === undefined) return notMeasured("training: the kernel's loss");
  const outcome = gainGate(`training (${stepsDone} steps)`, trained.gain, () => 0, confidence);
  const evidence: Evidence = { ...outcome.evidence, steps: stepsDone, loss: trained.loss };
  return stepsDone >= steps ? { ...outcome, evidence } : fail(`training: ${stepsDone} of ${steps} steps done`, evidence);
};

/**
 * The alarm of the graft's mode: passed means that it is off. `fixed` has none. The quantity that a mode watches must be measured.
 */
export const graftAlarmGate = (
  measurement: KernelMeasurement | undefined,
  config: MorphogeneticConfig["grafting"],
): GateOutcome => {
  const grafted = measuredAs(measurement, "grafted");
  if (grafted === undefined) return notMeasured("grafting: alpha");
  const evidence: Evidence = {
    alpha: grafted.alpha,
    mode: config.mode,
    ...(grafted.drift === undefined ? {} : { drift: grafted.drift }),
    ...(grafted.gradientRatio === undefined ? {} : { gradientRatio: grafted.gradientRatio }),
  };
  if (config.mode === "fixed") return pass("grafting: fixed schedule, no alarm", evidence);
  const [name, value, limit] =
    config.mode === "drift"
      ? (["drift", grafted.drift, config.driftMax] as const)
      : (["gradient ratio", grafted.gradientRatio, config.gradientRatioMax] as const);
  if (value === undefined) return notMeasured(`grafting: ${name}`, evidence);
  return value <= limit
    ? pass(`grafting: ${name} ${shown(value)}, at most ${shown(limit)}`, evidence)
    : fail(`grafting: ${name} ${shown(value)} exceeds ${shown(limit)}`, evidence);
};

/** GRAFTING is complete: the schedule is at its end, alpha was measured as 1, and no alarm is on. */
export const graftGate = (
  measurement: KernelMeasurement | undefined,
  progress: number,
  config: MorphogeneticConfig["grafting"],
): GateOutcome => {
  const alarm = graftAlarmGate(measurement, config);
  const grafted = measuredAs(measurement, "grafted");
  if (!alarm.passed || grafted === undefined) return alarm;
  const evidence: Evidence = { ...alarm.evidence, progress };
  return progress >= 1 && Math.abs(grafted.alpha - 1) <= 1e-6
    ? pass(`grafting: alpha is 1; ${alarm.reason}`, evidence)
    : fail(`grafting: alpha is ${shown(grafted.alpha)} at progress ${shown(progress)}, 1 is needed`, evidence);
};

/** Standard errors from the change down to its lower bound, one-sided 99 %. */
const slopeErrors = 2.326;

/** STABILIZATION: the loss is steady over the window, beyond what its batches differ in. */
export const stabilizationGate = (measurement: KernelMeasurement | undefined, slopeMax: number): GateOutcome => {
  const stabilized = measuredAs(measurement, "stabilized");
  if (stabilized?.relativeSlope === undefined || stabilized.relativeSlopeError === undefined)
    return notMeasured("stabilization: the loss's slope");
  const { relativeSlope, relativeSlopeError, meanLoss } = stabilized;
  const evidence: Evidence = { relativeSlope, relativeSlopeError, slopeMax, meanLoss };
  const lower = Math.max(0, relativeSlope - slopeErrors * relativeSlopeError);
  const changed = `stabilization: loss changed by ${shown(relativeSlope)} ± ${shown(relativeSlopeError)} of its mean`;
  return lower <= slopeMax
    ? pass(`${changed}, lower 99 % bound ${shown(lower)}, at most ${shown(slopeMax)}`, evidence)
    : fail(`${changed}, lower 99 % bound ${shown(lower)}, at most ${shown(slopeMax)} is steady`, evidence);
};

/** EVALUATING: with beats without beyond the paired interval, on the host that did not move. */
export const screenGate = (measurement: KernelMeasurement | undefined, config: MorphogeneticConfig): GateOutcome =>
  gainGate("screen (with against without)", measuredAs(measurement, "evaluated")?.gain, () => 0, config.evaluation.confidence);

/** Gate 3, the verdict: the grown host beats its twin of equal FLOPs by more than `gainMin` of the twin's loss. */
export const verdictGate = (
  measurement: KernelMeasurement | undefined,
  grownSteps: number,
  twinSteps: number,
  config: MorphogeneticConfig,
): GateOutcome => {
  const tuned = measuredAs(measurement, "fine_tuned");
  if (tuned === undefined) return notMeasured("gate 3: grown against twin");
  const { gainMin, steps } = config.fineTuning;
  const confidence = readingConfidence(config);
  const outcome = gainGate("gate 3 (grown against twin)", tuned.gain, (gain) => gainMin * gain.lossWithout, confidence);
  const evidence: Evidence = { ...outcome.evidence, grownSteps, twinSteps, gainMin };
  if (grownSteps < steps) return fail(`gate 3: ${grownSteps} of ${steps} joint steps done`, evidence);
  // Beside a frozen base the twin is the base itself: it saw the same data and may not learn.
  if (config.base === "trainable" && twinSteps < grownSteps)
    return fail(`gate 3: the twin had ${twinSteps} steps, the grown host ${grownSteps}: not a fair comparison`, evidence);
  return { ...outcome, evidence };
};

const describeAnomaly = (anomaly: Anomaly): string => `${anomaly.kind} at step ${anomaly.step}: ${anomaly.detail}`;

/** Passed means that the window reported a value that is not finite. */
export const nonFiniteCheck = (measurement: KernelMeasurement | undefined, anomalies: readonly Anomaly[]): GateOutcome => {
  const anomaly = anomalies.find((each) => each.kind === "non_finite_loss" || each.kind === "non_finite_parameters");
  if (anomaly !== undefined) return pass(describeAnomaly(anomaly), { anomaly: anomaly.kind, step: anomaly.step });
  const finite = measurement !== undefined && "finite" in measurement ? measurement.finite : true;
  return finite ? fail("all values finite", {}) : pass("the kernel's values are not finite", { finite: false });
};

const anomalyCheck = (kind: Anomaly["kind"], none: string, anomalies: readonly Anomaly[]): GateOutcome => {
  const anomaly = anomalies.find((each) => each.kind === kind);
  return anomaly === undefined ? fail(none, {}) : pass(describeAnomaly(anomaly), { anomaly: anomaly.kind, step: anomaly.step });
};

/** Passed means that the governor reported a loss spike. */
export const lossSpikeCheck = (anomalies: readonly Anomaly[]): GateOutcome =>
  anomalyCheck("loss_spike", "no loss spike", anomalies);

/** Passed means that a program of the kernel threw. */
export const kernelFailedCheck = (anomalies: readonly Anomaly[]): GateOutcome =>
  anomalyCheck("kernel_failed", "the kernel ran", anomalies);
