/**
 * How an experiment's calls do, for whoever looks from outside: its breakers in performance.json of its folder.
 *
 * F1 The file is written when the experiment begins, after each finished job, at each change of a breaker, and at the end.
 * F2 One write at a time; what changes meanwhile is in the next one. A reader finds a whole file.
 */
import { Performance } from "../contracts/performance.ts";
import type { Clock } from "../contracts/ports.ts";
import type { Breakers } from "../resilience/breakers.ts";
import type { ResultFolder } from "./results.ts";

export const performanceFile = "performance.json";

export interface PerformanceTeller {
  tell(): void;
  /** @throws what kept the last write from being done. */
  end(): Promise<void>;
}

export const tellPerformance = ({
  folder,
  breakers,
  clock,
}: {
  readonly folder: Pick<ResultFolder, "write">;
  readonly breakers: Breakers;
  readonly clock: Clock;
}): PerformanceTeller => {
  let writing: Promise<unknown> = Promise.resolve();
  let waiting = false;
  const write = (): Promise<string> => {
    waiting = false;
    const now = Performance.parse({ atMs: clock.nowMs(), breakers: breakers.stats(), queues: [] });
    return folder.write(performanceFile, `${JSON.stringify(now)}\n`);
  };
  /** F2. A write that failed is made good by the next; the last one is told. */
  const tell = (): void => {
    if (waiting) return;
    waiting = true;
    writing = writing.then(write, write);
    writing.catch(() => undefined);
  };
  const off = breakers.onChange(tell);
  tell(); // F1
  return {
    tell,
    end: async () => {
      off();
      tell();
      await writing;
    },
  };
};
