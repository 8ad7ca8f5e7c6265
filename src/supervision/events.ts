/** What a supervisor tells the world: plain data, ready to be published or logged. */
import { describeError } from "../contracts/errors.ts";
import type { Exit } from "./spec.ts";

interface Place {
  /** Path of the supervisor that tells it. */
  readonly supervisor: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

interface ChildPlace extends Place {
  readonly id: string;
  readonly generation: number;
}

export type SupervisionEvent =
  | (Place & { readonly kind: "supervisorStarted" })
  | (Place & { readonly kind: "supervisorExited"; readonly exit: Exit["kind"]; readonly reason: string })
  /** Too many restarts: all children are stopped, then the supervisor exits with a crash. */
  | (Place & { readonly kind: "escalated"; readonly reason: string })
  | (ChildPlace & { readonly kind: "childStarted"; readonly startMs: number })
  | (ChildPlace & { readonly kind: "childStartFailed"; readonly reason: string })
  | (ChildPlace & { readonly kind: "childExited"; readonly exit: Exit["kind"]; readonly reason: string })
  /** `id` failed; `stops` go down in that order, then after the delay `starts` come up in that order. */
  | (Place & {
      readonly kind: "restarting";
      readonly id: string;
      readonly delayMs: number;
      readonly stops: readonly string[];
      readonly starts: readonly string[];
      readonly restartsInPeriod: number;
    })
  /** Down, and not to be restarted by its restart type. */
  | (Place & { readonly kind: "childFinished"; readonly id: string })
  | (Place & { readonly kind: "childRemoved"; readonly id: string })
  /** The deadline of stop or of kill passed. `abandoned`: it may still be alive and nobody waits for it. */
  | (ChildPlace & { readonly kind: "shutdownOverrun"; readonly action: "killed" | "abandoned"; readonly waitedMs: number })
  | (ChildPlace & { readonly kind: "stopFailed"; readonly reason: string })
  /** Finished starting after it had been given up, and was stopped. */
  | (ChildPlace & { readonly kind: "orphanReaped" })
  /** A listener threw; the others go on. */
  | (Place & { readonly kind: "listenerFailed"; readonly reason: string });

/** The reason of an exit in words. */
export const exitReason = (exit: Exit): string => (exit.kind === "crash" ? describeError(exit.error) : exit.kind);
