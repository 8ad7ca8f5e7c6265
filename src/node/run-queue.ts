/**
 * Runs that were asked for while a node stays: they wait for their turn, one after the other, and go with the node.
 *
 * Q1 At most `runsWaitingMax` wait; the next one is refused.
 * Q2 A node that does not stay, or that ends, takes no run.
 */
import type { StartConfig } from "../contracts/config.ts";

export interface WaitingRun {
  readonly requestId: string;
  /** Its report's name; the ids of its runs begin with it. */
  readonly name: string;
  readonly config: StartConfig;
  /** Under the data directory. */
  readonly resume?: string | undefined;
}

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
}

export const createRunQueue = ({ runsWaitingMax, stays, interrupt }: RunQueueOptions): RunQueue => {
  const waiting: WaitingRun[] = [];
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
      waiting.push(run);
      wake?.();
      return { kind: "queued", position: waiting.length };
    },
    end: (reason) => {
      waiting.length = 0;
      asked.abort(new Error(reason));
    },
    next: async () => {
      while (!signal.aborted) {
        const run = waiting.shift();
        if (run !== undefined) return run;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
      return undefined;
    },
  };
};
