/**
 * Lanes with a breaker in front of them: a lane whose thread dies again and again is given time before it gets more work.
 *
 * A lost thread is the lane's failure, and so is work that was given up at its deadline. A typed error is the caller's mistake.
 * What a breaker rejects is `lost`; a job of an experiment waits instead. Closing a session and the lane always passes.
 */
import { DeadlineError, describeError, EsperError } from "../contracts/errors.ts";
import { type Clock, delay } from "../contracts/ports.ts";
import type { ExperimentLanes } from "../workers/experiment-lanes.ts";
import type { ForgeLane, LaneOutcome, TrainingLane } from "../workers/lane.ts";
import type { Seated, TwinThread } from "../workers/twin-thread.ts";
import type { Breaker, Judge } from "./breakers.ts";

const judge = (signal?: AbortSignal): Judge<LaneOutcome<unknown>> => ({
  value: (outcome) => (outcome.kind === "lost" ? { kind: "failed", reason: outcome.reason } : { kind: "ok" }),
  error: (error) => {
    if (signal?.aborted === true)
      return signal.reason instanceof DeadlineError
        ? { kind: "failed", reason: describeError(signal.reason) }
        : { kind: "cancelled" };
    return error instanceof EsperError ? { kind: "ok" } : { kind: "failed", reason: describeError(error) };
  },
});

const through = async <T>(
  breaker: Breaker,
  work: () => Promise<LaneOutcome<T>>,
  signal?: AbortSignal,
): Promise<LaneOutcome<T>> => {
  const guarded = await breaker.call<LaneOutcome<T>>(work, judge(signal));
  return guarded.kind === "done" ? guarded.value : { kind: "lost", reason: guarded.reason };
};

export const guardTrainingLane = (lane: TrainingLane, breaker: Breaker): TrainingLane => ({
  ...lane,
  open: (request) => through(breaker, () => lane.open(request)),
  run: (plan, kernels) => through(breaker, () => lane.run(plan, kernels)),
  status: (runId) => through(breaker, () => lane.status(runId)),
  host: (runId) => through(breaker, () => lane.host(runId)),
  snapshot: (runId) => through(breaker, () => lane.snapshot(runId)),
  restore: (runId, snapshot, kernels) => through(breaker, () => lane.restore(runId, snapshot, kernels)),
  test: (runId) => through(breaker, () => lane.test(runId)),
});

export const guardForgeLane = (lane: ForgeLane, breaker: Breaker): ForgeLane => ({
  ...lane,
  compile: (key, host, signal) => through(breaker, () => lane.compile(key, host, signal), signal),
  characterize: (artifact, host, config, signal) =>
    through(breaker, () => lane.characterize(artifact, host, config, signal), signal),
  warm: (engine) => through(breaker, () => lane.warm(engine)),
});

/** A seat is one call, that lasts until the seat is left. Whoever gets none takes the twin's steps itself. */
export const guardTwinThread = (twins: TwinThread, breaker: Breaker): TwinThread => ({
  ...twins,
  seat: (request) => {
    let seated: Seated | undefined;
    const sit = async (): Promise<LaneOutcome<void> | "full"> => {
      seated = twins.seat(request);
      return seated === undefined ? "full" : seated.left;
    };
    // A breaker begins the work at once or not at all.
    breaker
      .call(sit, {
        value: (outcome) => (outcome === "full" ? { kind: "cancelled" } : judge().value(outcome)),
        error: (error) => judge().error(error),
      })
      .catch(() => undefined);
    return seated;
  },
});

/** Where other jobs are the probes: a job that the breaker rejects asks again no sooner than this. */
const probeWaitMs = 1_000;

/** A job that the breaker rejects waits for its turn, until the lanes are stopped: it is as good afterwards as it is now. */
export const guardExperimentLanes = <Job, Outcome>(
  lanes: ExperimentLanes<Job, Outcome>,
  breaker: Breaker,
  clock: Clock,
): ExperimentLanes<Job, Outcome> => {
  type Reply = Awaited<ReturnType<typeof lanes.run>>;
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  return {
    ...lanes,
    run: async (job) => {
      for (;;) {
        const guarded = await breaker.call<Reply>(() => lanes.run(job), judge());
        if (guarded.kind === "done") return guarded.value;
        const waited = delay(clock, Math.max(guarded.retryAfterMs, probeWaitMs), stopped.signal);
        const ended = await waited.then(
          () => false,
          () => true,
        );
        if (ended) return { kind: "lost", reason: guarded.reason };
      }
    },
    stop: () => {
      stop();
      lanes.stop();
    },
    destroy: () => {
      stop();
      return lanes.destroy();
    },
  };
};
