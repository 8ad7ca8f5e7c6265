/** The next window of a run, from the state of the seed that holds the lock. */
import type { EpochPlan, Work } from "../contracts/plan.ts";
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
      const left = Math.max(1, config.training.steps - trial.trainedSteps);
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
      return { kind: "fine_tune", seedId, steps: Math.max(1, config.fineTuning.steps - trial.grownSteps) };
    default:
      return undefined;
  }
};

/**
 * A signal is due as soon as the warm-up is over, then every so many host windows, and in the window after one that named a candidate. Never while a trial holds
 * the lock: no decision could follow.
 */
const signalIsDue = (state: KasminaRunState, steps: number): boolean => {
  const { growth, config } = state.setup;
  if (!growth || !config.enabled || state.activeSeedId !== null) return false;
  if (state.hostStep + steps < config.signal.warmupSteps) return false;
  if (state.signal === null) return true;
  const named = state.signal.layers.some(({ gap }) => gap > config.trigger.gapMin);
  return named || state.windowsSinceSignal + 1 >= config.signal.everyEpochs;
};

export const nextWindow = (state: KasminaRunState): EpochPlan => {
  const { runId, epochSteps } = state.setup;
  const context = state.activeSeedId === null ? undefined : seedSnapshot(state, state.activeSeedId).context;
  const work = context === undefined ? undefined : seedWork(context);
  const steps = state.hostStepsLeft > 0 ? state.hostStepsLeft : epochSteps;
  return {
    runId,
    epoch: state.epoch + 1,
    before: [...state.owed],
    work: work ?? { kind: "host", steps },
    measureSignal: work === undefined && signalIsDue(state, steps),
  };
};
