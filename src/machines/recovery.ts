/** What Kasmina does when something was missed: a boundary that nobody could answer, a compilation whose outcome never came. */
import type { CompilationRequest } from "../contracts/compilation.ts";
import type { KasminaRunState } from "./kasmina-state.ts";
import { seedSnapshot } from "./kasmina-state.ts";
import { seedStateOf } from "./seed-context.ts";
import { nextWindow } from "./window-plan.ts";

/**
 * The state for a lane that trained host windows by itself up to `nowEpoch`. Undefined when that cannot have happened: the plan was
 * about a seed, or the lane is behind.
 */
export const skipAhead = (state: KasminaRunState, nowEpoch: number): KasminaRunState | undefined => {
  const { plan } = state;
  if (plan === null || plan.work.kind !== "host" || plan.before.length > 0 || nowEpoch <= plan.epoch) return undefined;
  const epoch = nowEpoch - 1;
  const passed: KasminaRunState = {
    ...state,
    epoch,
    plan: null,
    windowsSinceSignal: state.windowsSinceSignal + (nowEpoch - plan.epoch),
  };
  return { ...passed, plan: { ...nextWindow(passed), measureSignal: false } };
};

/** The compilation that the active seed waits for, made the same way each time. */
export const unansweredCompilation = (state: KasminaRunState): Omit<CompilationRequest, "deadlineAtMs"> | undefined => {
  const { activeSeedId: seedId, setup, host } = state;
  if (seedId === null) return undefined;
  const { context } = seedSnapshot(state, seedId);
  if (seedStateOf(context) !== "GERMINATED" || context.trial === null) return undefined;
  const { samples: signalSamples, features: signalFeatures } = setup.config.signal;
  const { blueprint: request, span } = context.trial;
  return {
    runId: setup.runId,
    seedId,
    key: { hostHash: host.hash, request, seedId, ...span, ...setup.kernel, signalSamples, signalFeatures },
  };
};
