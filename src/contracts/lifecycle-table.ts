/** The eleven states of a seed and the only legal ways between them, as plain tables: the page reads them too, and carries no validator. */

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

export type LifecycleState = (typeof lifecycleStates)[number];

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
