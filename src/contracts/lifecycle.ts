/** The eleven states of a seed and the only legal ways between them. The machine, the event log, the page and the tests all read this table. */
import { z } from "zod";

export const lifecycleStates = [
  "DORMANT",
  "GERMINATED",
  "LOADING",
  "TRAINING",
  "GRAFTING",
  "STABILIZATION",
  "EVALUATING",
  "FINE_TUNING",
  "FOSSILIZED",
  "CULLED",
  "ROLLED_BACK",
] as const;

export const LifecycleState = z.enum(lifecycleStates);
export type LifecycleState = z.infer<typeof LifecycleState>;

/** From each state, the states that it may go to. Everything else is refused with a reason. */
export const legalTransitions: Readonly<Record<LifecycleState, readonly LifecycleState[]>> = {
  DORMANT: ["GERMINATED"],
  GERMINATED: ["LOADING", "DORMANT"],
  LOADING: ["TRAINING", "GRAFTING", "CULLED"],
  TRAINING: ["GRAFTING", "CULLED", "ROLLED_BACK"],
  GRAFTING: ["STABILIZATION", "CULLED", "ROLLED_BACK"],
  STABILIZATION: ["EVALUATING", "CULLED", "ROLLED_BACK"],
  EVALUATING: ["FINE_TUNING", "CULLED", "ROLLED_BACK"],
  FINE_TUNING: ["FOSSILIZED", "CULLED", "ROLLED_BACK"],
  FOSSILIZED: [],
  CULLED: ["DORMANT"],
  ROLLED_BACK: ["DORMANT"],
};

/** States in which a seed holds the grafting lock and a reserved budget. */
export const activeStates: readonly LifecycleState[] = [
  "GERMINATED",
  "LOADING",
  "TRAINING",
  "GRAFTING",
  "STABILIZATION",
  "EVALUATING",
  "FINE_TUNING",
];

export const isActive = (state: LifecycleState): boolean => activeStates.includes(state);

/** The code of a state in the shared seed-state buffer: its index in `lifecycleStates`. */
export const lifecycleCode = (state: LifecycleState): number => lifecycleStates.indexOf(state);

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
