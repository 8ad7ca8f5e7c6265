/**
 * The deadline of the work at hand, for whatever is asked on its behalf: a question put while a request is answered must not
 * outlive that request. It follows the work through promises and timers.
 */
import { AsyncLocalStorage } from "node:async_hooks";

const storage = new AsyncLocalStorage<number | undefined>();

/** Runs the work under this deadline alone (milliseconds since the Unix epoch), whatever it was started from; undefined for none. */
export const underDeadline = <T>(deadlineAtMs: number | undefined, work: () => T): T => storage.run(deadlineAtMs, work);

/** The deadline of the work at hand. */
export const currentDeadlineMs = (): number | undefined => storage.getStore();

/** The first of the deadlines that are given. */
export const earliestMs = (...deadlinesAtMs: readonly (number | undefined)[]): number | undefined => {
  const given = deadlinesAtMs.filter((each) => each !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
};
