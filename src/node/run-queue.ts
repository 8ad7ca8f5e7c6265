/**
 * Runs that were asked for while a node stays: they wait for their turn, one after the other.
 *
 * Q1 At most `runsWaitingMax` wait; the next one is refused.
 * Q2 A node that does not stay, or that ends, takes no run.
 * Q3 What was told to wait is on the disk before it is told, and until its turn has come or a person ends the node by command: a node that stays takes
 *    up what an earlier one was told and had no time for. A run that began is not begun again.
 */
import type { WaitingRun, WaitingRunStore } from "../store/waiting-runs.ts";

export type Queued =
  | { readonly kind: "queued"; readonly position: number }
  | { readonly kind: "refused"; readonly code: "not_staying" | "limit"; readonly reason: string };

export interface RunQueue {
  /** Position 1 is next. The same request again keeps its place. */
  add(run: WaitingRun): Queued;
  /** Takes what waits away and ends the node. */
  end(reason: string): void;
  /** The next run; undefined when the node is to end. */
  next(): Promise<WaitingRun | undefined>;
  /** Aborted when the node is to end. */
  readonly signal: AbortSignal;
}

export interface RunQueueOptions {
  readonly runsWaitingMax: number;
  /** False: runs are refused. */
  readonly stays: boolean;
  /** Aborted when a person ends the node. */
  readonly interrupt: AbortSignal;
  readonly store: WaitingRunStore;
}

export const createRunQueue = ({ runsWaitingMax, stays, interrupt, store }: RunQueueOptions): RunQueue => {
  const waiting: WaitingRun[] = stays ? [...store.list()] : []; // Q2 Q3
  const asked = new AbortController();
  const signal = AbortSignal.any([asked.signal, interrupt]);
  let wake: (() => void) | undefined;
  signal.addEventListener("abort", () => wake?.(), { once: true });
  return {
    signal,
    add: (run) => {
      if (!stays)
        return {
          kind: "refused",
          code: "not_staying",
          reason: "this node ends with its runs; start it with `esper start --stay`",
        }; // Q2
      if (signal.aborted) return { kind: "refused", code: "not_staying", reason: "this node is ending" };
      const place = waiting.findIndex(({ requestId }) => requestId === run.requestId);
      if (place >= 0) return { kind: "queued", position: place + 1 };
      if (waiting.length >= runsWaitingMax)
        return {
          kind: "refused",
          code: "limit",
          reason: `${waiting.length} runs wait, at most ${runsWaitingMax} may (control.runsWaitingMax)`,
        }; // Q1
      store.put(run); // Q3
      waiting.push(run);
      wake?.();
      return { kind: "queued", position: waiting.length };
    },
    end: (reason) => {
      for (const { requestId } of waiting.splice(0)) store.remove(requestId);
      asked.abort(new Error(reason));
    },
    next: async () => {
      while (!signal.aborted) {
        const run = waiting.shift();
        if (run !== undefined) {
          store.remove(run.requestId); // Q3
          return run;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
      return undefined;
    },
  };
};
