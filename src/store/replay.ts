/**
 * Rebuilds the lifecycle of every seed of a run from its event log alone, and says how a transition is followed wherever it was told.
 *
 * P1 Only `system.events.seed` is read. A transition told again is passed over when it is the same, and damage when it is not.
 * P2 A gap in a seed's sequence, a step that is not legal, or one that starts elsewhere than the seed stands is a DataError.
 * P3 A log that was cut cannot tell: a DataError, not an older state.
 */
import type { Envelope } from "../contracts/envelope.ts";
import { DataError } from "../contracts/errors.ts";
import { type LifecycleState, legalTransitions, SeedTransition } from "../contracts/lifecycle.ts";
import { cutSubject } from "./event-log.ts";
import { encodeJson } from "./json.ts";

/** Where a seed stands after the transitions so far. */
export interface SeedStanding {
  readonly state: LifecycleState;
  /** The last transition's number. */
  readonly sequence: number;
}

/** P2. A seed that never moved stands nowhere. */
export const followTransition = (
  seed: SeedStanding | undefined,
  { sequence, from, to }: Pick<SeedTransition, "sequence" | "from" | "to">,
  what: string,
): SeedStanding => {
  const { state, sequence: last } = seed ?? { state: "DORMANT" as const, sequence: 0 };
  if (sequence !== last + 1)
    throw new DataError(`${what}: expected transition ${last + 1}, found a gap; lines are missing from the log`);
  if (from !== state || !legalTransitions[from].includes(to))
    throw new DataError(`${what}: expected a legal step from ${state}, found ${from} → ${to}; the log is damaged`);
  return { state: to, sequence };
};

/** The last state of each seed that the log tells of; a seed that never moved is not in it. */
export const replaySeeds = async (events: AsyncIterable<Envelope> | Iterable<Envelope>): Promise<Map<string, LifecycleState>> => {
  const seeds = new Map<string, SeedStanding>();
  /** Canonical JSON of every seed's transitions so far, by sequence from 1. */
  const told = new Map<string, string[]>();
  let run: string | undefined;
  for await (const { id, subject, payload } of events) {
    if (subject === cutSubject) {
      throw new DataError("event log: expected all events, found that it was cut at its bound; raise logging.eventLogBytesMax"); // P3
    }
    if (subject !== "system.events.seed") continue; // P1
    const transition = readTransition(payload, id);
    const { runId, seedId, sequence } = transition;
    const what = `event log, transition ${sequence} of ${seedId}`;
    run ??= runId;
    if (runId !== run) throw new DataError(`${what}: expected run ${run}, found ${runId}; a log holds one run`);
    const before = told.get(seedId) ?? [];
    const json = encodeJson(transition, what);
    if (sequence <= before.length) {
      if (before[sequence - 1] === json) continue; // P1
      throw new DataError(
        `${what}: expected what was told before, found another transition of the same number; the log is damaged`,
      );
    }
    seeds.set(seedId, followTransition(seeds.get(seedId), transition, what)); // P2
    told.set(seedId, before);
    before.push(json);
  }
  return new Map([...seeds].map(([seedId, { state }]) => [seedId, state]));
};

const readTransition = (payload: unknown, id: string): SeedTransition => {
  const parsed = SeedTransition.safeParse(payload);
  if (parsed.success) return parsed.data;
  throw new DataError(`event log, event ${id}: expected a seed transition, found: ${parsed.error.message}; the log is damaged`);
};
