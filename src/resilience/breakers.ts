/**
 * The breakers of a node: one for each external service, by name, with what there is to know of its calls.
 *
 * B6 Every call that a breaker admits ends in exactly one of succeeded, failed, cancelled; a rejected call never begins.
 * B7 Names come from a fixed list, and what is kept of calls is bounded: counts, the last error, the last durations.
 * B8 A change of state is told once, in order, after it happened.
 */
import type { BreakerEvent, BreakerStats } from "../contracts/breaker.ts";
import type { BreakerConfig } from "../contracts/config-calls.ts";
import type { Cancel, Clock } from "../contracts/ports.ts";
import type { RequestSubject } from "../contracts/subjects.ts";
import { type BreakerMachineEvent, breakerState, retryAfterMs, startBreaker, stepBreaker } from "../machines/breaker.ts";
import { latencyQuantiles } from "./quantiles.ts";

export type BreakerName = "lane.training" | "lane.twin" | "lane.forge" | "lane.experiment" | "download" | "nats" | RequestSubject;

/** What a call's end says of the service. A caller's own mistake is no failure of it. */
export type Verdict =
  | { readonly kind: "ok" }
  | { readonly kind: "failed"; readonly reason: string }
  /** The caller gave up: nothing is known. */
  | { readonly kind: "cancelled" };

export interface Judge<T> {
  value(value: T): Verdict;
  error(error: unknown): Verdict;
}

export type Guarded<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "rejected"; readonly reason: string; readonly retryAfterMs: number };

export interface Breaker {
  readonly name: BreakerName;
  /** Begins the work at once or not at all. Rejects as the work does. */
  call<T>(work: () => Promise<T>, judge: Judge<T>): Promise<Guarded<T>>;
  stats(): BreakerStats;
}

export interface Breakers {
  get(name: BreakerName): Breaker;
  /** Of those that were asked for, by name. */
  stats(): readonly BreakerStats[];
  onChange(listener: (event: BreakerEvent) => void): Cancel;
}

const durationsMax = 512;
const reasonMax = 2000;

export const createBreakers = ({ config, clock }: { readonly config: BreakerConfig; readonly clock: Clock }): Breakers => {
  const breakers = new Map<BreakerName, Breaker>();
  const listeners = new Set<(event: BreakerEvent) => void>();
  const tell = (event: BreakerEvent): void => {
    for (const listener of [...listeners]) listener(event);
  };

  const create = (name: BreakerName): Breaker => {
    let snapshot = startBreaker(config);
    const counts = { calls: 0, succeeded: 0, failed: 0, cancelled: 0, inFlight: 0, rejected: 0, opened: 0 };
    const durationsMs: number[] = [];
    let ended = 0;
    let last: { readonly lastError: string; readonly lastErrorAtMs: number } | undefined;

    /** False when the event does not fit the state. */
    const step = (event: BreakerMachineEvent): boolean => {
      const from = breakerState(snapshot);
      const stepped = stepBreaker(snapshot, event);
      snapshot = stepped.snapshot;
      const to = breakerState(snapshot);
      if (from !== to) {
        if (to === "OPEN") counts.opened++;
        const reason =
          to === "OPEN" ? snapshot.context.reason : to === "HALF_OPEN" ? "the recovery time is over" : "the probes succeeded";
        tell({ name, from, to, reason, atMs: clock.nowMs() }); // B8
      }
      return stepped.kind === "moved";
    };

    /** B6 */
    const end = (verdict: Verdict, period: number, startMs: number): void => {
      const atMs = clock.monotonicMs();
      counts.inFlight--;
      if (verdict.kind === "cancelled") {
        counts.cancelled++;
        step({ type: "CANCEL", atMs, period });
        return;
      }
      durationsMs[ended++ % durationsMax] = Math.max(0, atMs - startMs); // B7
      if (verdict.kind === "ok") {
        counts.succeeded++;
        step({ type: "SUCCEED", atMs, period });
        return;
      }
      const reason = verdict.reason.slice(0, reasonMax);
      counts.failed++;
      last = { lastError: reason, lastErrorAtMs: clock.nowMs() };
      step({ type: "FAIL", atMs, period, reason });
    };

    return {
      name,
      call: async (work, judge) => {
        const startMs = clock.monotonicMs();
        if (!step({ type: "ADMIT", atMs: startMs })) {
          counts.rejected++;
          const afterMs = Math.ceil(retryAfterMs(snapshot, startMs));
          const { reason } = snapshot.context;
          return {
            kind: "rejected",
            reason: `the breaker of ${name} is ${breakerState(snapshot)} and rejects calls${afterMs > 0 ? ` for ${afterMs} ms more` : " beyond its probes"}: ${reason}`,
            retryAfterMs: afterMs,
          };
        }
        counts.calls++;
        counts.inFlight++;
        const { period } = snapshot.context;
        let value: Awaited<ReturnType<typeof work>>;
        try {
          value = await work();
        } catch (error) {
          end(judge.error(error), period, startMs);
          throw error;
        }
        end(judge.value(value), period, startMs);
        return { kind: "done", value };
      },
      stats: () => {
        const latency = latencyQuantiles(durationsMs);
        return { name, state: breakerState(snapshot), ...counts, ...last, ...(latency === undefined ? {} : { latency }) };
      },
    };
  };

  return {
    get: (name) => {
      const known = breakers.get(name) ?? create(name);
      breakers.set(name, known);
      return known;
    },
    stats: () =>
      [...breakers.values()].map((breaker) => breaker.stats()).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};
