/**
 * A session's whole state as it stands in a checkpoint: tensors by name, and the rest as JSON.
 *
 * Tensor names: `host/<name>` the host's parameters and optimizer slots, `good/<name>` those of the last good snapshot where it
 * is another, `kernel/<name>` the kernel in trial, `grown/<name>` and `twin/<name>` the two sides of a contest.
 */
import { z } from "zod";
import { KernelKey } from "../contracts/assets.ts";
import { BatchCursorState } from "../contracts/dataset.ts";
import type { Tensor } from "../contracts/graph.ts";
import { Host } from "../contracts/graph.ts";
import { ContentHash } from "../contracts/ids.ts";
import { FlopsAccount } from "../contracts/measure.ts";
import { EpochPlan, EpochResult, SessionSpec } from "../contracts/plan.ts";

const count = z.int().min(0);

/** What a learner carries beside its tensors. */
export const LearnerState = z.strictObject({
  /** Optimizer steps of each cohort. */
  cohortSteps: z.record(z.string(), count),
  cursor: BatchCursorState,
  /** Stream of dropout masks. */
  random: z.array(z.number()).max(64),
  /** Position in the learning-rate schedule. */
  hostStep: count,
});
export type LearnerState = z.infer<typeof LearnerState>;

export const GovernorRecord = z.strictObject({ losses: z.array(z.number()).max(1_000_000), spikes: count });

/** A kernel in trial beside the frozen host. */
export const TrialState = z.strictObject({
  seedId: z.string(),
  kernelHash: ContentHash,
  key: KernelKey,
  kernel: LearnerState,
  alpha: z.number().min(0).max(1),
  /** Mean gradient norm of the kernel in its last window of TRAINING. */
  trainingGradNorm: z.number().optional(),
  /** From the start of FINE_TUNING to the verdict: the grown copy and the host-only twin. */
  contest: z
    .strictObject({
      grown: LearnerState,
      twin: LearnerState,
      grownSteps: count,
      twinSteps: count,
      grownFlops: count,
      twinFlops: count,
      complete: z.boolean(),
    })
    .optional(),
});
export type TrialState = z.infer<typeof TrialState>;

/** A window that the stop flag ended early; the same plan continues it. */
export const OpenWindow = z.strictObject({
  plan: EpochPlan,
  steps: count,
  lossSum: z.number(),
  gradNormSum: z.number(),
  /** Every loss, while the host settles in STABILIZATION. */
  losses: z.array(z.number()).max(1_000_000),
  /** The host changed its shape at the window's start. */
  hostChanged: z.boolean(),
});
export type OpenWindow = z.infer<typeof OpenWindow>;

export const SessionState = z.strictObject({
  schemaVersion: z.literal(1),
  spec: SessionSpec,
  epoch: count,
  host: Host,
  /** The kernel whose folded programs are the host's own; absent for a host that never grew. */
  hostKernelHash: ContentHash.optional(),
  learner: LearnerState,
  governor: GovernorRecord,
  /** Absent while the host is the last good one itself. */
  good: z.strictObject({ learner: LearnerState, governor: GovernorRecord }).optional(),
  flops: FlopsAccount,
  trial: TrialState.optional(),
  window: OpenWindow.optional(),
  lastResult: EpochResult.optional(),
  /** True once the test samples were read. */
  tested: z.boolean(),
  /** Kernels that `restore` must be handed. */
  kernelHashes: z.array(ContentHash).max(2),
});
export type SessionState = z.infer<typeof SessionState>;

export interface SessionSnapshot {
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly state: SessionState;
}

/**
 * The session as its last good host stands: what came after it, a trial included, is left out; windows and FLOPs stay counted.
 * A host that has not moved since is its own last good one.
 */
export const lastGood = ({ tensors, state }: SessionSnapshot): SessionSnapshot => {
  const { good, trial: _trial, window: _window, kernelHashes: _hashes, ...rest } = state;
  const group = good === undefined ? "host/" : "good/";
  const kept = Object.entries(tensors).filter(([name]) => name.startsWith(group));
  return {
    tensors: Object.fromEntries(kept.map(([name, tensor]) => [`host/${name.slice(group.length)}`, tensor])),
    state: { ...rest, ...good, kernelHashes: rest.hostKernelHash === undefined ? [] : [rest.hostKernelHash] },
  };
};
