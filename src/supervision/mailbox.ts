/**
 * A bounded mailbox: the queue between an actor and everybody who talks to it.
 *
 * M1  Messages are handled one at a time, in the order of arrival.
 * M2  At most `capacity` messages wait; the next one is refused as overflow and is a dead letter.
 * M3  A handler runs in a turn of its own, never inside `enqueue`: a chain of peers cannot overflow the stack.
 * M4  A throw of the handler is the crash of the owner: reported once, after which nothing is handled.
 * M5  Every message is in the end exactly one of: processed, or a dead letter with a reason.
 * M6  After `burstMessages` messages in a row the event loop gets a turn.
 */
import { InputError } from "../contracts/errors.ts";
import type { Clock } from "../contracts/ports.ts";
import type { ChildStats } from "./spec.ts";

/**
 * - `overflow`: the mailbox was full.
 * - `failed`: the handler threw on this very message.
 * - `crashed`: it waited behind that message, or came after it.
 * - `closed`: it was dropped at close, or came after it.
 */
export type DeadLetterReason = "overflow" | "failed" | "crashed" | "closed";

export interface DeadLetter<M> {
  readonly message: M;
  readonly reason: DeadLetterReason;
}

export type Enqueued = { readonly kind: "accepted" } | { readonly kind: "overflow" } | { readonly kind: "closed" };

export interface MailboxOptions<M> {
  readonly capacity: number;
  readonly clock: Clock;
  readonly handler: (message: M) => void | Promise<void>;
  /** Called once, with what the handler threw. */
  readonly onCrash: (error: unknown) => void;
  /** A throw of this callback is counted in the statistics and goes no further. */
  readonly onDeadLetter?: (letter: DeadLetter<M>) => void;
  /** Default 1000. */
  readonly burstMessages?: number;
}

export interface MailboxStats extends ChildStats {
  readonly deadLettersByReason: Readonly<Record<DeadLetterReason, number>>;
  /** Throws of `onDeadLetter`. */
  readonly deadLetterErrors: number;
}

export interface Mailbox<M> {
  enqueue(message: M): Enqueued;
  /**
   * Takes no more messages. `drain` handles those that wait, `drop` makes them dead letters. Resolves when the last handler is
   * done; a handler that awaits it waits for itself, so an owner that closes from inside a handler must not await.
   */
  close(mode: "drain" | "drop"): Promise<void>;
  stats(): MailboxStats;
}

const accepted: Enqueued = { kind: "accepted" };
const overflow: Enqueued = { kind: "overflow" };
const closed: Enqueued = { kind: "closed" };

/** Throws an InputError when a bound is not a positive integer. */
export const createMailbox = <M>(options: MailboxOptions<M>): Mailbox<M> => {
  const { capacity, clock, handler } = options;
  const burstMessages = options.burstMessages ?? 1000;
  for (const [name, value] of Object.entries({ capacity, burstMessages })) {
    if (!Number.isInteger(value) || value < 1)
      throw new InputError(`mailbox: expected ${name} to be an integer ≥ 1, got ${value}`, { path: name });
  }

  let state: "open" | "closing" | "crashed" = "open";
  let pumping = false;
  // A queue as an array with a moving head: shift() of a long array is linear.
  let queue: M[] = [];
  let head = 0;
  const idleWaiters: (() => void)[] = [];

  let depthMax = 0;
  let processed = 0;
  let processingMsTotal = 0;
  let processingMsMax = 0;
  let deadLetterErrors = 0;
  const dead: Record<DeadLetterReason, number> = { overflow: 0, failed: 0, crashed: 0, closed: 0 };

  const depth = (): number => queue.length - head;

  const bury = (message: M, reason: DeadLetterReason): void => {
    dead[reason]++;
    try {
      options.onDeadLetter?.({ message, reason });
    } catch {
      deadLetterErrors++;
    }
  };

  const buryAll = (reason: DeadLetterReason): void => {
    const left = queue.slice(head);
    queue = [];
    head = 0;
    for (const message of left) bury(message, reason);
  };

  const take = (): M => {
    const message = queue[head] as M;
    head++;
    if (head === queue.length) {
      queue = [];
      head = 0;
    } else if (head >= 1024 && head * 2 >= queue.length) {
      queue = queue.slice(head);
      head = 0;
    }
    return message;
  };

  const handle = async (message: M): Promise<void> => {
    const startMs = clock.monotonicMs();
    try {
      await handler(message);
      processed++;
    } catch (error) {
      // M4, M5
      state = "crashed";
      bury(message, "failed");
      buryAll("crashed");
      options.onCrash(error);
    } finally {
      const tookMs = clock.monotonicMs() - startMs;
      processingMsTotal += tookMs;
      processingMsMax = Math.max(processingMsMax, tookMs);
    }
  };

  const pump = async (): Promise<void> => {
    try {
      for (let burst = 0; depth() > 0; burst++) {
        if (burst > 0 && burst % burstMessages === 0) {
          // M6
          await new Promise<void>((resolve) => clock.schedule(0, resolve));
          if (depth() === 0) break;
        }
        await handle(take());
      }
    } finally {
      // In the same turn as the last look at the queue, or a message that comes in between would never wake it.
      pumping = false;
      for (const resolve of idleWaiters.splice(0)) resolve();
    }
  };

  const wake = (): void => {
    if (pumping) return;
    pumping = true;
    // M3: the first handler starts in a microtask of its own.
    void Promise.resolve().then(pump);
  };

  return {
    enqueue(message) {
      if (state !== "open") {
        bury(message, state === "crashed" ? "crashed" : "closed");
        return closed;
      }
      if (depth() >= capacity) {
        // M2
        bury(message, "overflow");
        return overflow;
      }
      queue.push(message);
      depthMax = Math.max(depthMax, depth());
      wake();
      return accepted;
    },
    close(mode) {
      if (state === "open") state = "closing";
      if (mode === "drop") buryAll("closed");
      return pumping ? new Promise((resolve) => idleWaiters.push(resolve)) : Promise.resolve();
    },
    stats: () => ({
      mailboxDepth: depth(),
      mailboxDepthMax: depthMax,
      processed,
      deadLetters: dead.overflow + dead.failed + dead.crashed + dead.closed,
      deadLettersByReason: { ...dead },
      deadLetterErrors,
      processingMsTotal,
      processingMsMax,
    }),
  };
};
