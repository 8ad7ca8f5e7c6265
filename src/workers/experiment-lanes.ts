/**
 * Parallel lanes for experiments: a pool of threads, each with an engine of its own, that share the data sets.
 *
 * X1 `stop` ends what runs after the window under way; what was asked for afterwards is answered `stopped` too.
 * X2 No thread is ended amid a step of a native engine: `destroy` stops the work first.
 */
import type { LaneOutcome } from "./lane.ts";
import { entry, openPool, settle } from "./pool.ts";

/** What a thread is sent. */
export interface ExperimentTask<Job> {
  readonly job: Job;
  /** One int32: not zero asks the job to end after the window that is under way. */
  readonly stop: SharedArrayBuffer;
}

export interface ExperimentLanes<Job, Outcome> {
  readonly count: number;
  /** @throws what the job threw, but for a training that failed: that is an outcome. */
  run(job: Job): Promise<LaneOutcome<{ readonly outcome: Outcome; readonly seconds: number }>>;
  stop(): void;
  destroy(): Promise<void>;
}

/** @param count Threads, at least 1. */
export const createExperimentLanes = <Job, Outcome>(count: number): ExperimentLanes<Job, Outcome> => {
  const stop = new SharedArrayBuffer(4);
  const raise = (): void => {
    Atomics.store(new Int32Array(stop), 0, 1); // X1
  };
  const pool = openPool(
    {
      ...entry("experiment"),
      minThreads: count,
      maxThreads: count,
      idleTimeout: Number.POSITIVE_INFINITY,
    },
    () => {
      raise();
      return () => undefined;
    },
  );
  return {
    count,
    run: async (job) => {
      const reply = await pool.run({ job, stop } satisfies ExperimentTask<Job>);
      return reply.kind === "lost" ? reply : settle(reply.value);
    },
    stop: raise,
    destroy: () => pool.destroy("the lanes are closed"), // X2
  };
};
