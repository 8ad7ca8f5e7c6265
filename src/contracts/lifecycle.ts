/** The states of a seed and its transitions as they cross a boundary. The machine, the event log, the page and the tests all read one table. */
import { z } from "zod";
import { lifecycleStates } from "./lifecycle-table.ts";

export { isActive, legalTransitions, lifecycleCode, lifecycleStates } from "./lifecycle-table.ts";

export const LifecycleState = z.enum(lifecycleStates);
export type LifecycleState = z.infer<typeof LifecycleState>;

/** One step of a seed's life, as it stands in the event log and in the report. */
export const LifecycleStep = z.strictObject({
  state: LifecycleState,
  epoch: z.int().min(0),
  reason: z.string(),
});
export type LifecycleStep = z.infer<typeof LifecycleStep>;

/** A transition that has taken effect. `sequence` counts a seed's transitions from 1, so that a gap or a repetition shows. */
export const SeedTransition = z.strictObject({
  runId: z.string(),
  seedId: z.string(),
  sequence: z.int().min(1),
  from: LifecycleState,
  to: LifecycleState,
  epoch: z.int().min(0),
  reason: z.string(),
  /** What the gate measured, by name; absent values failed the gate. */
  evidence: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
});
export type SeedTransition = z.infer<typeof SeedTransition>;
