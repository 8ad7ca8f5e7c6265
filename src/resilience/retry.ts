/**
 * Tries an idempotent call again, with exponential backoff and full jitter (M. Brooker, "Exponential Backoff and Jitter",
 * AWS Architecture Blog, 2015).
 *
 * Y1 At most `attemptsMax` attempts.
 * Y2 The pause after attempt n is drawn uniformly below min(delayMsMax, delayMsMin · 2^(n−1)), and not shorter than the service asks.
 * Y3 Nothing begins after the deadline: a pause that would reach it is not waited for.
 * Y4 An end of the caller ends the pause.
 */
import type { RetryConfig } from "../contracts/config-calls.ts";
import { type Clock, delay } from "../contracts/ports.ts";

export type Attempt<T> =
  | { readonly kind: "settled"; readonly value: T }
  /** `value` is the outcome when no further attempt is made; `afterMs` the least pause before the next. */
  | { readonly kind: "again"; readonly value: T; readonly afterMs?: number };

export interface RetryPorts {
  readonly config: RetryConfig;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly uniform: () => number;
}

export interface RetryOptions extends RetryPorts {
  readonly signal?: AbortSignal;
  /** Milliseconds since the Unix epoch. */
  readonly deadlineAtMs?: number | undefined;
}

/** Y2, in milliseconds. */
export const backoffMs = (attempt: number, { delayMsMin, delayMsMax }: RetryConfig, uniform: () => number): number =>
  uniform() * Math.min(delayMsMax, delayMsMin * 2 ** Math.min(attempt - 1, 52));

/** Rejects as the attempt does, or with the signal's reason. */
export const withRetry = async <T>(
  attempt: (number: number) => Promise<Attempt<T>>,
  { config, clock, uniform, signal, deadlineAtMs }: RetryOptions,
): Promise<T> => {
  for (let number = 1; ; number += 1) {
    signal?.throwIfAborted();
    const outcome = await attempt(number);
    if (outcome.kind === "settled" || number >= config.attemptsMax) return outcome.value; // Y1
    signal?.throwIfAborted();
    const pauseMs = Math.max(outcome.afterMs ?? 0, backoffMs(number, config, uniform));
    if (deadlineAtMs !== undefined && clock.nowMs() + pauseMs >= deadlineAtMs) return outcome.value; // Y3
    await delay(clock, pauseMs, signal); // Y4
  }
};
