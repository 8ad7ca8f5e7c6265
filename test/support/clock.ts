/** A clock that only tests move. Between two timers everything that is ready runs, so promises settle in simulated order. */
import type { Cancel, Clock } from "../../src/contracts/ports.ts";

export interface SimulatedClock extends Clock {
  /** Moves time on, running each timer at its own time, in order of due time and then of scheduling. */
  advance(ms: number): Promise<void>;
  /** Runs everything that is ready, timers due now included, without moving time. */
  flush(): Promise<void>;
  /** Timers scheduled and neither run nor cancelled. */
  pending(): number;
}

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

const timersPerAdvanceMax = 1_000_000;

// Taken at load, so that a test with fake timers does not stop this clock.
const immediate = globalThis.setImmediate;
const settle = (): Promise<void> => new Promise((resolve) => immediate(resolve));

/** `startMs` is the epoch time that `nowMs` begins at; `monotonicMs` begins at 0. */
export const createSimulatedClock = (options: { readonly startMs?: number } = {}): SimulatedClock => {
  const startMs = options.startMs ?? 1_700_000_000_000;
  const timers = new Set<Timer>();
  let elapsedMs = 0;
  let order = 0;

  const nextDue = (untilMs: number): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers) {
      if (timer.dueMs > untilMs) continue;
      if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) next = timer;
    }
    return next;
  };

  const advance = async (ms: number): Promise<void> => {
    if (!(ms >= 0)) throw new RangeError(`expected to advance by 0 ms or more, got ${ms}`);
    const untilMs = elapsedMs + ms;
    await settle();
    for (let count = 0; ; count++) {
      if (count === timersPerAdvanceMax)
        throw new Error(`expected at most ${timersPerAdvanceMax} timers in one advance; a timer reschedules itself`);
      const timer = nextDue(untilMs);
      if (!timer) break;
      timers.delete(timer);
      elapsedMs = Math.max(elapsedMs, timer.dueMs);
      timer.callback();
      await settle();
    }
    elapsedMs = untilMs;
  };

  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    schedule(delayMs: number, callback: () => void): Cancel {
      const timer: Timer = { dueMs: elapsedMs + Math.max(0, delayMs), order: order++, callback };
      timers.add(timer);
      return () => {
        timers.delete(timer);
      };
    },
    advance,
    flush: () => advance(0),
    pending: () => timers.size,
  };
};
