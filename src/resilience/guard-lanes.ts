/**
 * Lanes with a breaker in front of them: a lane whose thread dies again and again is given time before it gets more work.
 *
 * A lost thread is the lane's failure, and so is work that was given up at its deadline. A typed error is the caller's mistake.
 * What a breaker rejects is `lost`. Closing a session and the lane always passes.
 */
import { DeadlineError, describeError, EsperError } from "../contracts/errors.ts";
import type { ForgeLane, LaneOutcome, TrainingLane } from "../workers/lane.ts";
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
