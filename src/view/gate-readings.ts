/**
 * What a gate measured against what it wanted, as rows for the page. The gates themselves say it in words and numbers (machines/gates.ts);
 * where a threshold is a setting it is read from the run's configuration, and without that it is not known: null, never passed.
 */
import type { MorphogeneticConfig } from "../contracts/config-morphogenetic.ts";
import type { LifecycleState, SeedTransition } from "../contracts/lifecycle.ts";
import { judgeNames, type KernelMeasurement } from "../contracts/measure.ts";
import type { GateReading, GateSide } from "../contracts/view.ts";

type Evidence = SeedTransition["evidence"];
type Value = GateReading["value"];
/** The setting that a threshold is; null where nothing is compared with it. */
type Setting = (config: MorphogeneticConfig) => number | null;
type Threshold =
  | { readonly evidence: string }
  | { readonly setting: Setting }
  | { readonly fixed: Value }
  | { readonly epoch: true };

interface Rule {
  readonly value: string;
  readonly side: GateSide;
  readonly threshold: Threshold;
  /** The value must be beyond the threshold, not at it. */
  readonly strict?: true;
}

const least = (value: string, threshold: Threshold): Rule => ({ value, side: "min", threshold });
const most = (value: string, threshold: Threshold): Rule => ({ value, side: "max", threshold });
const equal = (value: string, fixed: Value): Rule => ({ value, side: "equal", threshold: { fixed } });
const above = (value: string, threshold: Threshold): Rule => ({ value, side: "min", threshold, strict: true });

const gateZero: readonly Rule[] = [
  equal("siteKnown", true),
  equal("spanLegal", true),
  most("embargoUntilEpoch", { epoch: true }),
  most("parameters", { evidence: "parametersLeft" }),
  most("flops", { evidence: "flopsLeft" }),
  { ...most("adaptations", { setting: ({ adaptationsPerEpochMax }) => adaptationsPerEpochMax }), strict: true },
];
const validation: readonly Rule[] = [
  least("steps", { setting: (config) => config.validation.steps }),
  equal("finite", true),
  most("deadShare", { setting: (config) => config.validation.deadShareMax }),
  most("firstStepSpike", { setting: (config) => config.validation.spikeMax }),
  most("lossRatio", { setting: (config) => config.validation.lossRatioMax }),
  most("drift", { setting: (config) => config.validation.driftMax }),
];
const loading: readonly Rule[] = [
  most("staticProblems", { fixed: 0 }),
  equal("shapesMatch", true),
  equal("finite", true),
  most("latencyMs", { evidence: "latencyMsMax" }),
];
const gain = above("gainLower", { evidence: "boundMin" });
/** A pruning is judged by what it may lose. */
const loss: readonly Rule[] = [
  { ...most("lossUpper", { evidence: "lossMax" }), strict: true },
  { ...most("stepFlopsAfter", { evidence: "stepFlopsBefore" }), strict: true },
];

/** By the state that the gate leads out of. */
const rules: Readonly<Partial<Record<LifecycleState, readonly Rule[]>>> = {
  DORMANT: gateZero,
  GERMINATED: [...gateZero.slice(0, -1), ...validation],
  LOADING: loading,
  TRAINING: [least("steps", { setting: (config) => config.training.steps }), gain],
  GRAFTING: [
    least("alpha", { fixed: 1 }),
    most("drift", { setting: ({ grafting }) => (grafting.mode === "drift" ? grafting.driftMax : null) }),
    most("gradientRatio", { setting: ({ grafting }) => (grafting.mode === "gradient" ? grafting.gradientRatioMax : null) }),
  ],
  STABILIZATION: [most("slopeLower", { evidence: "slopeMax" })],
  EVALUATING: [gain, ...loss],
  FINE_TUNING: [
    least("grownSteps", { setting: (config) => config.fineTuning.steps }),
    least("twinSteps", { evidence: "grownSteps" }),
    gain,
    ...loss,
    ...judgeNames.map((judge) => equal(`vote.${judge}`, "keep")),
    least("quorum", { setting: (config) => config.jury.quorum }),
    least("keepShare", { setting: (config) => config.jury.keepMin }),
  ],
};

/** Standard errors from the change of the loss down to its lower bound, as the gate takes them. */
const slopeErrors = 2.326;

/** Quantities that a gate compares and its evidence holds in parts. */
const derived = (evidence: Evidence): Evidence => {
  const { relativeSlope, relativeSlopeError, gainLower, lossWithout, lossMax } = evidence;
  return {
    ...evidence,
    ...(typeof relativeSlope === "number" && typeof relativeSlopeError === "number"
      ? { slopeLower: Math.max(0, relativeSlope - slopeErrors * relativeSlopeError) }
      : {}),
    ...(lossMax !== undefined && typeof gainLower === "number" && typeof lossWithout === "number" && lossWithout > 0
      ? { lossUpper: -gainLower / lossWithout }
      : {}),
  };
};

const thresholdOf = (
  { threshold }: Rule,
  evidence: Evidence,
  epoch: number,
  config: MorphogeneticConfig | undefined,
): Value | null => {
  if ("fixed" in threshold) return threshold.fixed;
  if ("epoch" in threshold) return epoch;
  if ("evidence" in threshold) return evidence[threshold.evidence] ?? null;
  return config === undefined ? null : threshold.setting(config);
};

const passes = ({ side, strict }: Rule, value: Value, threshold: Value | null): boolean | null => {
  if (threshold === null) return null;
  if (side === "equal") return value === threshold;
  if (typeof value !== "number" || typeof threshold !== "number") return false;
  if (value === threshold) return strict !== true;
  return side === "min" ? value > threshold : value < threshold;
};

/** The rows of the gate out of `from`, as far as it was measured. */
export const gateReadings = (
  from: LifecycleState,
  told: Evidence,
  epoch: number,
  config: MorphogeneticConfig | undefined,
): readonly GateReading[] => {
  const evidence = derived(told);
  return (rules[from] ?? []).flatMap((rule) => {
    const value = evidence[rule.value];
    if (value === undefined) return [];
    const threshold = thresholdOf(rule, evidence, epoch, config);
    return [{ name: rule.value, value, threshold, side: rule.side, passed: passes(rule, value, threshold) }];
  });
};

/** The state whose gate a measurement is for. */
const stateOf: Readonly<Record<KernelMeasurement["kind"], LifecycleState>> = {
  loaded: "LOADING",
  trained: "TRAINING",
  grafted: "GRAFTING",
  stabilized: "STABILIZATION",
  evaluated: "EVALUATING",
  fine_tuned: "FINE_TUNING",
};

/** The numbers of a measurement under the names that the gates give them. */
const evidenceOf = (measured: KernelMeasurement, config: MorphogeneticConfig | undefined): Evidence => {
  const paired = "gain" in measured ? measured.gain : undefined;
  const boundMin = measured.kind !== "fine_tuned" ? 0 : config && paired && config.fineTuning.gainMin * paired.lossWithout;
  const flops = "stepFlops" in measured ? measured.stepFlops : undefined;
  const all: Record<string, Value | undefined> = {
    gainLower: paired?.lower,
    lossWithout: paired?.lossWithout,
    boundMin: flops === undefined ? boundMin : undefined,
    lossMax: flops === undefined ? undefined : config?.pruning.lossMax,
    stepFlopsBefore: flops?.before,
    stepFlopsAfter: flops?.after,
    ...(measured.kind === "loaded"
      ? { staticProblems: measured.staticProblems.length, ...measured.dryRun, latencyMsMax: config?.kernelLatencyMsMax }
      : {}),
    ...(measured.kind === "grafted"
      ? { alpha: measured.alpha, drift: measured.drift, gradientRatio: measured.gradientRatio }
      : {}),
    ...(measured.kind === "stabilized"
      ? {
          relativeSlope: measured.relativeSlope,
          relativeSlopeError: measured.relativeSlopeError,
          slopeMax: config?.stabilization.slopeMax,
        }
      : {}),
    ...(measured.kind === "fine_tuned"
      ? {
          grownSteps: measured.grownSteps,
          twinSteps: measured.twinSteps,
          ...Object.fromEntries((measured.judgements ?? []).map(({ judge, vote }) => [`vote.${judge}`, vote])),
        }
      : {}),
  };
  const told: Record<string, Value> = {};
  for (const [name, value] of Object.entries(all)) if (value !== undefined) told[name] = value;
  // Where the parts' own gate judges, the gain is no threshold of its own.
  if (flops !== undefined) delete told["boundMin"];
  return told;
};

/** What a window measured, against the gate that it is for. */
export const measuredReadings = (
  measured: KernelMeasurement,
  epoch: number,
  config: MorphogeneticConfig | undefined,
): readonly GateReading[] => gateReadings(stateOf[measured.kind], evidenceOf(measured, config), epoch, config);
