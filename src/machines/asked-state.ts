/** States of a seed that a person may ask for, each by the order that brings it about. All others the machine reaches by its gates alone. */
import type { KasminaControlCommand } from "../contracts/commands.ts";
import { type LifecycleState, lifecycleStates } from "../contracts/lifecycle.ts";
import type { Refusal } from "./holds.ts";
import { type KasminaRunState, locateSeed, type PendingCommand, seedSnapshot } from "./kasmina-state.ts";
import { type SeedContext, seedStateOf } from "./seed-context.ts";

type Transition = Extract<KasminaControlCommand, { kind: "transition" }>;
type OrderKind = "germinate" | "cull" | "rollback" | "release" | "keep";

/** From each state, the states that may be asked for. A subset of `legalTransitions`: a test holds it to that. */
export const askableStates: Readonly<Record<LifecycleState, Readonly<Partial<Record<LifecycleState, OrderKind>>>>> = {
  DORMANT: { GERMINATED: "germinate" },
  GERMINATED: { DORMANT: "cull" },
  LOADING: { CULLED: "cull" },
  TRAINING: { CULLED: "cull", ROLLED_BACK: "rollback" },
  GRAFTING: { CULLED: "cull", ROLLED_BACK: "rollback" },
  STABILIZATION: { CULLED: "cull", ROLLED_BACK: "rollback" },
  EVALUATING: { CULLED: "cull", ROLLED_BACK: "rollback" },
  FINE_TUNING: { FOSSILIZED: "keep", CULLED: "cull", ROLLED_BACK: "rollback" },
  FOSSILIZED: {},
  CULLED: {},
  ROLLED_BACK: { DORMANT: "release" },
};

/** What may be asked of a seed now. To keep it is for a split jury alone. */
export const askableNow = (context: SeedContext): readonly LifecycleState[] => {
  const split = (context.trial?.escalation ?? null) !== null;
  const ways = askableStates[seedStateOf(context)];
  return lifecycleStates.filter((to) => ways[to] !== undefined && (ways[to] !== "keep" || split));
};

export const askedFor = (state: KasminaRunState, command: Transition): PendingCommand | Refusal => {
  const { to, seedId, reason, requestId, runId } = command;
  if (locateSeed(state, seedId) === undefined)
    return { code: "unknown_seed", reason: `expected a seed of this run, got ${seedId}; ask for the seeds` };
  const { context } = seedSnapshot(state, seedId);
  const from = seedStateOf(context);
  const askable = askableNow(context);
  const order = askableStates[from][to];
  if (order === undefined || !askable.includes(to))
    return {
      code: "illegal_transition",
      reason: `${seedId} is ${from}; from there a person may ask for ${askable.join(" or ") || "no state"}, got ${to}`,
    };
  const base = { requestId, seedId, reason, ...(runId === undefined ? {} : { runId }) };
  return order === "keep" ? { ...base, kind: "resolve", verdict: "keep" } : { ...base, kind: order };
};
