/** What Kasmina does when something was missed: a boundary that nobody could answer, a compilation whose outcome never came. */
import type { CompilationRequest } from "../contracts/compilation.ts";
import type { EpochPlan, EpochResult } from "../contracts/plan.ts";
import type { KasminaRunState } from "./kasmina-state.ts";
import { seedSnapshot } from "./kasmina-state.ts";
import { seedStateOf } from "./seed-context.ts";
import { nextWindow } from "./window-plan.ts";

export type Recovery =
  /** The lane did what was planned, or is doing it. */
  | { readonly kind: "in_step" }
  /** The lane trained host windows by itself; the boundary is decided from this state. */
  | { readonly kind: "ahead"; readonly state: KasminaRunState }
  /** The plan never reached the lane, which trained the host instead: it is given again for the next window. */
  | { readonly kind: "postponed"; readonly state: KasminaRunState; readonly plan: EpochPlan }
  /** The run was told to stop and did not hear it. */
  | { readonly kind: "stopped"; readonly reason: string };

/**
 * Compares what was planned with what the lane says it did. Without an answer at a boundary Tolaria trains a host window by herself, and only
 * after a host window without an anomaly: so a lost plan is one of a host window, or the loading of a kernel.
 */
export const recover = (
  state: KasminaRunState,
  { nowEpoch, result }: { readonly nowEpoch: number; readonly result?: EpochResult | undefined },
): Recovery => {
  const { plan, stopReason } = state;
  if (stopReason !== null && nowEpoch >= state.epoch) return { kind: "stopped", reason: stopReason };
  const trainedHost = result?.epoch === nowEpoch && result.work === "host";
  if (!trainedHost) return { kind: "in_step" };
  if (plan !== null && plan.work.kind !== "host" && nowEpoch >= plan.epoch) {
    const again: EpochPlan = { ...plan, epoch: nowEpoch + 1 };
    const { hostStep, flops } = result;
    return { kind: "postponed", state: { ...state, epoch: nowEpoch, plan: again, hostStep, flops }, plan: again };
  }
  const expected = plan?.epoch ?? state.epoch;
  if (nowEpoch <= expected || (plan !== null && plan.before.length > 0)) return { kind: "in_step" };
  const passed: KasminaRunState = {
    ...state,
    epoch: nowEpoch - 1,
    plan: null,
    windowsSinceSignal: state.windowsSinceSignal + (nowEpoch - expected),
  };
  return { kind: "ahead", state: { ...passed, plan: { ...nextWindow(passed), measureSignal: false } } };
};

/** The compilation that the active seed waits for, made the same way each time. */
export const unansweredCompilation = (state: KasminaRunState): CompilationRequest | undefined => {
  const { activeSeedId: seedId, setup, host } = state;
  if (seedId === null) return undefined;
  const { context } = seedSnapshot(state, seedId);
  if (seedStateOf(context) !== "GERMINATED" || context.trial === null) return undefined;
  const { samples: signalSamples, features: signalFeatures } = setup.config.signal;
  const { blueprint: request, span, prune } = context.trial;
  const pruned = prune === undefined ? {} : { prune };
  return {
    runId: setup.runId,
    seedId,
    key: { hostHash: host.hash, request, ...pruned, seedId, ...span, ...setup.kernel, signalSamples, signalFeatures },
  };
};
