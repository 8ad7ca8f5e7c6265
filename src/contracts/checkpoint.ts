/** What a checkpoint holds beside its tensors. */
import { z } from "zod";
import { ArmName, EsperConfig } from "./config.ts";
import { SeedTransition } from "./lifecycle.ts";

export const CheckpointState = z.strictObject({
  version: z.literal(1),
  runId: z.string(),
  arm: ArmName,
  /** The last complete window. */
  epoch: z.int().min(0),
  elapsedMs: z.number().min(0),
  /** Host step last rolled back to, how often in a row, and how often in all. */
  rollbacks: z.strictObject({ place: z.int().min(0).nullable(), rollbacksHere: z.int().min(0), rollbacks: z.int().min(0) }),
  config: EsperConfig,
  /** The lane's session: host graph, step counts, random state, data cursors. Parsed by the lane. */
  session: z.unknown(),
  /** Kasmina's record of the boundary after that window: seeds and the plan that follows. Parsed by Kasmina. */
  boundary: z.unknown(),
  /** What Tamiyo remembered of the run; absent when she had not heard of it. */
  policy: z.unknown().optional(),
  /** Every transition of the run so far, so that a resumed run's log is complete in itself. */
  transitions: z.array(SeedTransition).max(1_000_000),
});
export type CheckpointState = z.infer<typeof CheckpointState>;
