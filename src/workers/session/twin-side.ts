/**
 * The twin's side of a contest: steps that are taken here in turn, or that a second lane has taken meanwhile.
 *
 * A1 The window records the twin's steps after the grown copy's, wherever they were taken: sums, alarms and FLOPs are those of one lane.
 * A2 The contest's twin moves when its steps are brought back; they are then recorded to the last, whatever the stop flag says.
 * A3 What is not brought back is taken here: a stop, a failure or a dead lane costs time and changes nothing.
 * A4 Once `settle` has resolved the second lane is at rest.
 */
import type { Contest } from "./contest.ts";
import type { FrozenHost } from "./frozen-host.ts";
import type { StepResult } from "./learner.ts";
import type { TwinLane } from "./twin-lane.ts";

export interface TwinSide {
  /** The twin's next step. */
  step(): Promise<StepResult>;
  /** A2: whether the next step is taken already. */
  taken(): boolean;
  /** Steps that the second lane took. */
  readonly aheadSteps: number;
  settle(): Promise<void>;
}

/** @param steps That a second lane may take ahead of time, from where the contest's twin stands. */
export const openTwinSide = (contest: Contest, host: FrozenHost, lane: TwinLane | undefined, steps: number): TwinSide => {
  const { executable, tensors, state } = contest.twin;
  let run = steps > 0 ? lane?.start({ host: host.set.host, tensors, state, steps }) : undefined;
  let ahead: readonly StepResult[] = [];
  let recorded = 0;
  return {
    step: async () => {
      const brought = await run?.done;
      run = undefined;
      if (brought !== undefined) {
        contest.twin = host.learnerOf(executable, brought.tensors, brought.state); // A2
        ahead = brought.results;
      }
      return ahead[recorded++] ?? contest.twin.step(); // A3
    },
    taken: () => recorded < ahead.length,
    get aheadSteps() {
      return ahead.length;
    },
    settle: async () => {
      await run?.cancel(); // A4
      run = undefined;
    },
  };
};
