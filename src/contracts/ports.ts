/** What the program may reach for in the outside world. Only `main` picks the real ones; tests and the simulator pass their own. */

export interface Clock {
  /** Milliseconds since the Unix epoch: for records. */
  nowMs(): number;
  /** Milliseconds that only grow, with a fraction: for durations. */
  monotonicMs(): number;
  /** Calls back once after the delay, unless cancelled. */
  schedule(delayMs: number, callback: () => void): Cancel;
}

export type Cancel = () => void;

/** Resolves after the delay; rejects with the signal's reason when aborted. */
export const delay = (clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.schedule(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });

/** A named stream of numbers: the same seed gives the same numbers on every machine. */
export interface RandomSource {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** Uniform integer in [0, bound). */
  integer(bound: number): number;
  /** An independent stream for a purpose, for example `fork("batches")`. Does not advance this one. */
  fork(label: string): RandomSource;
  /** The state, to be saved in a checkpoint and handed to `restoreRandom`. */
  state(): readonly number[];
}

/** Random letters and digits from a cryptographic source: for ids and passwords. */
export interface Entropy {
  token(bytes: number): string;
}

/** Structured log; `fields` never hold a secret. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** A log that writes nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
