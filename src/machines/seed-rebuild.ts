/** A seed's state and history from its transitions alone. */
import type { LifecycleState, LifecycleStep, SeedTransition } from "../contracts/lifecycle.ts";
import { legalTransitions } from "../contracts/lifecycle.ts";
import { appendStep, plantedStep } from "./seed-context.ts";

export type RebuiltSeed =
  | {
      readonly kind: "rebuilt";
      readonly state: LifecycleState;
      readonly sequence: number;
      /** Bounded like the machine's own. */
      readonly history: readonly LifecycleStep[];
    }
  | { readonly kind: "broken"; readonly reason: string };

/**
 * Replays the transitions of one seed, in order. A transition that was delivered twice counts once; a gap in the sequence,
 * a way that is not legal or a start elsewhere than the present state breaks the log.
 */
export const rebuildSeed = (transitions: readonly SeedTransition[]): RebuiltSeed => {
  let state: LifecycleState = plantedStep.state;
  let sequence = 0;
  let history: readonly LifecycleStep[] = [plantedStep];
  for (const each of transitions) {
    if (each.sequence <= sequence) continue;
    const at = `${each.seedId} ${each.sequence}`;
    if (each.sequence !== sequence + 1)
      return { kind: "broken", reason: `${at}: expected sequence ${sequence + 1}; lines are missing` };
    if (each.from !== state) return { kind: "broken", reason: `${at}: expected a step from ${state}, got one from ${each.from}` };
    if (!legalTransitions[state].includes(each.to))
      return { kind: "broken", reason: `${at}: ${state} → ${each.to} is not legal` };
    sequence = each.sequence;
    state = each.to;
    history = appendStep(history, { state, epoch: each.epoch, reason: each.reason });
  }
  return { kind: "rebuilt", state, sequence, history };
};
