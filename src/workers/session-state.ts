/**
 * A session's whole state as it stands in a checkpoint: tensors by name, and the rest as JSON.
 *
 * Tensor names: `host/<name>` the host's parameters and optimizer slots, `good/<name>` those of the last good snapshot where
 * they differ, `kernel/<name>` the kernel in trial, `grown/<name>` and `twin/<name>` the two ends of an open verdict.
 */
import { z } from "zod";
import { KernelKey } from "../contracts/assets.ts";
import type { Tensor } from "../contracts/graph.ts";
import { Host } from "../contracts/graph.ts";
import { FlopsAccount } from "../contracts/measure.ts";
import { EpochPlan, EpochResult } from "../contracts/plan.ts";

const count = z.int().min(0);
const jsonNumber = z.union([z.number(), z.null()]);

/** A place in the shuffled training data: what `BatchCursor` needs to go on. */
export const CursorState = z.strictObject({
  pass: count,
  position: count,
  passState: z.array(z.number()).max(64),
});
export type CursorState = z.infer<typeof CursorState>;

/** What a learner carries beside its tensors. */
export const LearnerState = z.strictObject({
  /** Optimizer steps of each cohort. */
  cohortSteps: z.record(z.string(), count),
  cursor: z.unknown(),
  /** Stream of dropout masks. */
  random: z.array(z.number()).max(64),
  /** Position in the learning-rate schedule. */
  hostStep: count,
});
export type LearnerState = z.infer<typeof LearnerState>;

/** Step losses that the governor judges by; null stands for a loss that was not finite. */
export const GovernorState = z.strictObject({ losses: z.array(z.number()).max(1_000_000), spikes: count });
export type GovernorState = z.infer<typeof GovernorState>;

export const TrialState = z.strictObject({
  seedId: z.string(),
  fromSite: z.string(),
  toSite: z.string(),
  kernelHash: z.string(),
  key: KernelKey,
  kernel: LearnerState,
  /** Mean gradient norm of the kernel in its last window of TRAINING. */
  trainingGradNorm: z.number().optional(),
  alpha: z.number().min(0).max(1),
  /** Set between the end of FINE_TUNING and the verdict. */
  verdict: z
    .strictObject({
      grown: LearnerState,
      twin: LearnerState,
      grownFlops: count,
      twinFlops: count,
    })
    .optional(),
});
export type TrialState = z.infer<typeof TrialState>;

/** A window that the stop flag ended early; the same plan continues it. */
export const OpenWindow = z.strictObject({
  plan: EpochPlan,
  steps: count,
  losses: z.array(jsonNumber).max(1_000_000),
  gradNorms: z.array(jsonNumber).max(1_000_000),
});
export type OpenWindow = z.infer<typeof OpenWindow>;
