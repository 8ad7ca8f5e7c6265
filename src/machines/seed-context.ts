/** What a seed remembers, and what it can be told. Everything but the configuration is plain JSON. */

import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { AdaptationSignal, RefusalCode } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { LifecycleState, LifecycleStep, SeedTransition } from "../contracts/lifecycle.ts";
import type { Anomaly, Judgement, KernelMeasurement, PairedGain } from "../contracts/measure.ts";
import type { PruneTarget } from "../contracts/pruning.ts";
import type { GerminationFacts } from "./gates.ts";
import type { Escalation } from "./jury.ts";

/** Steps of a seed's history that are kept; the event log has them all. */
export const historyStepsMax = 256;
/** Parts that a controlled graft (`drift`, `gradient`) is cut into, so that its alarm is heard on the way. */
export const controlledGraftWindows = 4;

export interface Span {
  readonly fromSite: string;
  readonly toSite: string;
}

/** One trial, from GERMINATED to its end. Kept after the end for the report, until the seed is dormant again. */
export interface Trial {
  readonly startedAtEpoch: number;
  readonly span: Span;
  readonly blueprint: BlueprintRequest;
  /** What is to go, where the trial is of a pruning. */
  readonly prune?: PruneTarget;
  readonly adaptation: AdaptationSignal | null;
  /** Reserved at GERMINATED; the kernel's own count once it is known. */
  readonly parameters: number;
  readonly flopsReserved: number;
  readonly kernelHash: string | null;
  readonly blueprintHash: string | null;
  readonly trainedSteps: number;
  readonly graft: {
    /** Of the schedule, 0 to 1. */
    readonly progress: number;
    /** Last measured value. */
    readonly alpha: number;
    /** The alarm was on in the last window. */
    readonly held: boolean;
    readonly pausedEpochs: number;
  };
  readonly unsteadyEpochs: number;
  readonly grownSteps: number;
  readonly twinSteps: number;
  /** Rounds of the contest that were read. */
  readonly rounds: number;
  /** The gain that the round before the last was read with. */
  readonly gainBefore: PairedGain | null;
  /** The last gain that a gate looked at. */
  readonly gain: PairedGain | null;
  /** What the jury said last. */
  readonly judgements: readonly Judgement[] | null;
  /** Open from the first split on. */
  readonly escalation: Escalation | null;
}

export type SeedOutcome =
  | { readonly kind: "transition"; readonly transition: SeedTransition }
  | { readonly kind: "stayed"; readonly reason: string }
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly reason: string };

export interface SeedIdentity {
  readonly runId: string;
  readonly seedId: string;
  readonly site: string;
}

export interface SeedInput extends SeedIdentity {
  readonly config: MorphogeneticConfig;
  /** Optimizer steps of an ordinary window. */
  readonly epochSteps: number;
}

export interface SeedContext extends SeedInput {
  /** Transitions so far. */
  readonly sequence: number;
  /** The last window that was judged; the same window is never judged twice. */
  readonly judgedEpoch: number;
  /** At least one step; the last one is the present state. */
  readonly history: readonly LifecycleStep[];
  readonly embargoUntilEpoch: number;
  readonly trial: Trial | null;
  /** What became of the last event. */
  readonly outcome: SeedOutcome | null;
}

/** `epoch` is the number of windows that are complete at the boundary where the event takes effect. */
export type SeedEvent =
  | {
      readonly type: "GERMINATE";
      readonly epoch: number;
      readonly span: Span;
      readonly blueprint: BlueprintRequest;
      readonly prune?: PruneTarget;
      readonly adaptation: AdaptationSignal | null;
      readonly reason: string;
      readonly gate0: GerminationFacts;
    }
  | {
      readonly type: "KERNEL_READY";
      readonly epoch: number;
      readonly kernelHash: string;
      readonly blueprintHash: string;
      /** Gate 0 again, with the kernel's own parameters. */
      readonly gate0: GerminationFacts;
      /** Urabrask's word; absent when it never came. */
      readonly characterized: KernelTags | undefined;
    }
  | { readonly type: "KERNEL_FAILED"; readonly epoch: number; readonly reason: string }
  | {
      readonly type: "WINDOW";
      readonly epoch: number;
      /** Steps done in the window. */
      readonly steps: number;
      /** The window was cut short by a command. */
      readonly interrupted: boolean;
      readonly measurement: KernelMeasurement | undefined;
      readonly anomalies: readonly Anomaly[];
    }
  | { readonly type: "CULL"; readonly epoch: number; readonly reason: string }
  | { readonly type: "ROLLBACK"; readonly epoch: number; readonly reason: string }
  /** The operator's answer to an escalation; it counts at the next verdict. */
  | { readonly type: "RESOLVE"; readonly epoch: number; readonly verdict: "keep" | "cull"; readonly reason: string }
  | { readonly type: "EMBARGO_OVER"; readonly epoch: number }
  | { readonly type: "RELEASE"; readonly epoch: number; readonly reason: string };

export const seedEventTypes = [
  "GERMINATE",
  "KERNEL_READY",
  "KERNEL_FAILED",
  "WINDOW",
  "CULL",
  "ROLLBACK",
  "RESOLVE",
  "EMBARGO_OVER",
  "RELEASE",
] as const satisfies readonly SeedEvent["type"][];

/** The first step of every history. */
export const plantedStep: LifecycleStep = { state: "DORMANT", epoch: 0, reason: "planted" };

export const initialSeedContext = (input: SeedInput): SeedContext => ({
  runId: input.runId,
  seedId: input.seedId,
  site: input.site,
  config: input.config,
  epochSteps: input.epochSteps,
  sequence: 0,
  judgedEpoch: 0,
  history: [plantedStep],
  embargoUntilEpoch: 0,
  trial: null,
  outcome: null,
});

const lastStep = (context: SeedContext): LifecycleStep => context.history.at(-1) ?? plantedStep;
export const seedStateOf = (context: SeedContext): LifecycleState => lastStep(context).state;
export const seedReasonOf = (context: SeedContext): string => lastStep(context).reason;
export const seedSinceEpoch = (context: SeedContext): number => lastStep(context).epoch;

/** A history with one more step, cut to its bound. */
export const appendStep = (history: readonly LifecycleStep[], step: LifecycleStep): readonly LifecycleStep[] => [
  ...history.slice(-(historyStepsMax - 1)),
  step,
];

/** The steps of the present or last trial, from its GERMINATED on. */
export const trialHistory = (context: SeedContext): LifecycleStep[] => {
  const start = context.history.findLastIndex((step) => step.state === "GERMINATED");
  return start < 0 ? [] : context.history.slice(start);
};

/** The bypass's weight at the site as it was last measured: 0 before GRAFTING, 1 from STABILIZATION on. */
export const seedAlpha = (context: SeedContext): number => {
  switch (seedStateOf(context)) {
    case "GRAFTING":
      return context.trial?.graft.alpha ?? 0;
    case "STABILIZATION":
    case "EVALUATING":
    case "FINE_TUNING":
    case "FOSSILIZED":
      return 1;
    default:
      return 0;
  }
};

export interface GraftStretch {
  readonly steps: number;
  readonly progressFrom: number;
  readonly progressTo: number;
}

/** The part of the graft's schedule that the next window covers. While the alarm is on, alpha is held. */
export const nextGraftStretch = (trial: Trial, config: MorphogeneticConfig["grafting"], epochSteps: number): GraftStretch => {
  const windows = Math.max(
    Math.ceil(config.steps / epochSteps),
    config.mode === "fixed" ? 1 : Math.min(controlledGraftWindows, config.steps),
  );
  const from = trial.graft.progress;
  const steps = Math.ceil(config.steps / windows);
  if (trial.graft.held) return { steps, progressFrom: from, progressTo: from };
  // A whole number of parts, so that the last one ends at exactly 1.
  const part = Math.min(windows, Math.floor(from * windows + 1e-9) + 1);
  const progressTo = part / windows;
  return { steps: Math.max(1, Math.ceil((progressTo - from) * config.steps - 1e-9)), progressFrom: from, progressTo };
};

/** Progress after a window that did `steps` of its stretch. */
export const progressAfter = (stretch: GraftStretch, steps: number, interrupted: boolean): number =>
  interrupted && steps < stretch.steps
    ? stretch.progressFrom + ((stretch.progressTo - stretch.progressFrom) * steps) / stretch.steps
    : stretch.progressTo;
