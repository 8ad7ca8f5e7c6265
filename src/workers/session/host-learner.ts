/** A learner on a session's data, optimizer and schedule; every thread that trains for a session makes its learners here. */
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import type { SessionSpec } from "../../contracts/plan.ts";
import type { Executable } from "../../engine/engine.ts";
import type { LearnerState } from "../session-state.ts";
import { Learner, type TensorMap } from "./learner.ts";
import { scheduleFactor } from "./schedule.ts";

export interface LearnerSources {
  readonly spec: SessionSpec;
  readonly dataset: DatasetBuffers;
}

/** Takes the tensors over. */
export const hostLearner = (
  { spec, dataset }: LearnerSources,
  executable: Executable,
  tensors: TensorMap,
  state: LearnerState,
): Learner => {
  // The schedule is the host's; beside a frozen base it stands still.
  const factor = (step: number): number => (spec.morphogenetic.base === "frozen" ? 1 : scheduleFactor(spec, step));
  const rateOf = (cohort: string, step: number): number =>
    factor(step) * (cohort === "host" ? 1 : spec.morphogenetic.kernelLearningRateScale);
  return new Learner({ executable, tensors, state, dataset, optimizer: spec.optimizer, rateOf });
};
