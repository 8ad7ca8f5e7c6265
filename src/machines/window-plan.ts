/** The next window of a run, from the state of the seed that holds the lock and from what is remembered of the last signal. */
import type { EpochPlan, EpochResult, Work } from "../contracts/plan.ts";
import { rivalOf, type Signal, worstLayer } from "../contracts/signal.ts";
import { trainingSteps } from "../contracts/trial.ts";
import type { KasminaRunState } from "./kasmina-state.ts";
import { seedSnapshot } from "./kasmina-state.ts";
import type { SeedContext } from "./seed-context.ts";
import { nextGraftStretch, seedStateOf } from "./seed-context.ts";

const seedWork = (context: SeedContext): Work | undefined => {
  const { config, epochSteps, seedId, trial } = context;
  if (trial === null) return undefined;
  switch (seedStateOf(context)) {
    case "LOADING":
      return { kind: "load", seedId };
    case "TRAINING": {
      const left = Math.max(1, trainingSteps(config, trial.blueprint) - trial.trainedSteps);
      return { kind: "train_kernel", seedId, steps: Math.min(left, epochSteps) };
    }
    case "GRAFTING":
      return { kind: "graft", seedId, ...nextGraftStretch(trial, config.grafting, epochSteps) };
    case "STABILIZATION":
      return { kind: "stabilize", seedId, steps: config.stabilization.steps };
    case "EVALUATING":
      return { kind: "evaluate", seedId };
    case "FINE_TUNING":
      // In one window, so that grown copy and twin start from one snapshot and are compared once.
      // A further round takes another whole window of the contest, and so does an escalation.
      return {
        kind: "fine_tune",
        seedId,
        steps: trial.rounds === 0 ? Math.max(1, config.fineTuning.steps - trial.grownSteps) : config.fineTuning.steps,
      };
    default:
      return undefined;
  }
};

/** The last signal as the next one's time depends on it: its cost, and for how long it has named the same layer. */
export const rememberSignal = (
  { signal: before, flops, setup }: KasminaRunState,
  { epoch, flops: { signal: spent, total } }: EpochResult,
  { layers, spans }: Signal,
): NonNullable<KasminaRunState["signal"]> => {
  const named = worstLayer(layers, setup.config.trigger)?.site ?? null;
  const followed = before !== null && before.epoch === epoch - 1;
  return {
    epoch,
    layers,
    spans,
    flops: spent - (flops?.signal ?? 0),
    atFlops: total,
    successive: followed ? before.successive + 1 : 1,
    named,
    streak: followed && before.named === named ? before.streak + 1 : 1,
  };
};

/**
 * A signal is due as soon as the warm-up is over, then every so many host windows when its share of the FLOPs allows, and at once after one that
 * named a candidate, until a decision has all its checks. Never while a trial holds the lock: no decision could follow.
 */
const signalIsDue = (state: KasminaRunState, steps: number): boolean => {
  const { growth, config } = state.setup;
  if (!growth || !config.enabled || state.activeSeedId !== null) return false;
  // A frozen base takes no steps: it was trained before.
  if (config.base === "trainable" && state.hostStep + steps < config.signal.warmupSteps) return false;
  const { signal, windowsSinceSignal } = state;
  if (signal === null) return true;
  const { checks } = config.trigger;
  // Layers that are named in turn are not followed for ever.
  if (signal.named !== null && signal.streak < checks && signal.successive < 2 * checks) return true;
  const spent = (state.flops?.total ?? 0) - signal.atFlops;
  return windowsSinceSignal + 1 >= config.signal.everyEpochs && spent * config.signal.flopsFractionMax >= signal.flops;
};

/** Where a bypass would end is asked for by a decision, and a decision needs its checks: the last of them measures the spans. */
const spansAreDue = ({ signal, setup: { config } }: KasminaRunState): boolean => {
  const { checks } = config.trigger;
  if (config.placement === "always" || checks === 1) return true;
  return signal !== null && signal.named !== null && signal.streak + 1 >= checks;
};

/** The host's parts are looked at every so many host windows without a trial. */
const partsAreDue = (state: KasminaRunState, steps: number): boolean => {
  const { growth, config } = state.setup;
  const { enabled, everyEpochs } = config.pruning;
  if (!growth || !config.enabled || !enabled || config.base === "frozen" || state.activeSeedId !== null) return false;
  return state.hostStep + steps >= config.signal.warmupSteps && (state.windowsSinceLook ?? 0) + 1 >= everyEpochs;
};

/** How many batches the next measurement pools: more after one that could not tell its two worst sites apart. */
const batchesDue = ({ signal, setup: { config } }: KasminaRunState): number => {
  const worst = signal === null ? undefined : worstLayer(signal.layers, config.trigger);
  const rival = worst === undefined || signal === null ? undefined : rivalOf(worst, signal.layers, config.trigger);
  return rival === undefined ? 1 : config.signal.probeBatches;
};

export const nextWindow = (state: KasminaRunState): EpochPlan => {
  const { runId, epochSteps } = state.setup;
  const context = state.activeSeedId === null ? undefined : seedSnapshot(state, state.activeSeedId).context;
  const work = context === undefined ? undefined : seedWork(context);
  const steps = state.hostStepsLeft > 0 ? state.hostStepsLeft : epochSteps;
  const measureSignal = work === undefined && signalIsDue(state, steps);
  const measureParts = work === undefined && partsAreDue(state, steps);
  const signalBatches = measureSignal ? batchesDue(state) : 1;
  return {
    runId,
    epoch: state.epoch + 1,
    before: [...state.owed],
    work: work ?? { kind: "host", steps },
    measureSignal,
    ...(measureSignal && !spansAreDue(state) ? { measureSpans: false } : {}),
    ...(signalBatches === 1 ? {} : { signalBatches }),
    ...(measureParts ? { measureParts } : {}),
    ...(state.checkpointDue === true ? { checkpoint: true } : {}),
    ...(measureSignal && state.policy !== undefined ? { trigger: state.policy.policy.trigger } : {}),
  };
};
