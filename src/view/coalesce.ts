/**
 * Merging of changes that wait to be sent, so that a batch never holds more than what is new.
 *
 * C1 Applying the merged changes gives the same state as applying all of them in order.
 * C2 What tells a story (transitions, rows of the series, decisions, alerts …) is never merged.
 */
import type { ViewChange } from "../contracts/view.ts";

/** Changes of one key may be merged; undefined: never (C2). */
export const keyOf = (change: ViewChange): string | undefined => {
  switch (change.k) {
    case "header":
    case "progress":
    case "signals":
    case "embargoes":
      return `${change.k} ${change.r}`;
    case "trial":
      return `trial ${change.r} ${change.seedId}`;
    case "actors":
    case "breakers":
    case "count":
      return change.k;
    default:
      return undefined;
  }
};

/** The change that does what both do, the earlier one first. Both have the same key. */
export const mergeChanges = (earlier: ViewChange, later: ViewChange): ViewChange => {
  if (earlier.k === "header" && later.k === "header") return { ...later, set: { ...earlier.set, ...later.set } };
  if (earlier.k === "trial" && later.k === "trial") return { ...later, set: { ...earlier.set, ...later.set } };
  if (earlier.k === "breakers" && later.k === "breakers") {
    const names = new Set(later.breakers.map(({ name }) => name));
    return { k: "breakers", breakers: [...earlier.breakers.filter(({ name }) => !names.has(name)), ...later.breakers] };
  }
  if (earlier.k === "count" && later.k === "count") return { ...later, atMs: Math.max(earlier.atMs, later.atMs) };
  return later;
};

/** Keys that a change shuts: what comes under them afterwards must not be moved before it. */
const shuts = (change: ViewChange): readonly string[] => {
  switch (change.k) {
    // A transition may begin another trial, a patch made before it belongs to the one before.
    case "step":
    case "alpha":
      return [`trial ${change.r} ${change.seedId}`];
    case "breaker":
      return ["breakers"];
    case "run":
      return [`header ${change.r}`];
    default:
      return [];
  }
};

/** Changes in the order in which they have to be applied, merged where they may be (C1). */
export class ChangeQueue {
  readonly #changes: (ViewChange | undefined)[] = [];
  readonly #places = new Map<string, number>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(change: ViewChange): void {
    for (const key of shuts(change)) this.#places.delete(key);
    const key = keyOf(change);
    if (key === undefined) {
      this.#changes.push(change);
      this.#size += 1;
      return;
    }
    const place = this.#places.get(key);
    const earlier = place === undefined ? undefined : this.#changes[place];
    if (place !== undefined && earlier !== undefined) {
      // In the earlier one's place: nothing that stands between them reads or writes what the key names.
      this.#changes[place] = mergeChanges(earlier, change);
      return;
    }
    this.#places.set(key, this.#changes.length);
    this.#changes.push(change);
    this.#size += 1;
  }

  /** All of it, and nothing is left. */
  take(): ViewChange[] {
    const taken = this.#changes.filter((change) => change !== undefined);
    this.#changes.length = 0;
    this.#places.clear();
    this.#size = 0;
    return taken;
  }
}

export const coalesce = (changes: Iterable<ViewChange>): ViewChange[] => {
  const queue = new ChangeQueue();
  for (const change of changes) queue.push(change);
  return queue.take();
};
