/** The second training lane as a session sees it: it takes the twin's steps while the grown copy takes its own. */
import type { Host } from "../../contracts/graph.ts";
import type { LearnerState } from "../session-state.ts";
import type { StepResult, TensorMap } from "./learner.ts";

/** Where the twin stands, and how far it is to go. */
export interface TwinTask {
  readonly host: Host;
  readonly tensors: TensorMap;
  readonly state: LearnerState;
  readonly steps: number;
}

/** Where it stands after as many steps as there are results; fewer than asked for after a stop or an alarm of the governor. */
export interface TwinSteps {
  readonly tensors: TensorMap;
  readonly state: LearnerState;
  readonly results: readonly StepResult[];
}

export interface TwinRun {
  /** Undefined when the lane failed or died. Never rejects. */
  readonly done: Promise<TwinSteps | undefined>;
  /** Ends it after the step that is under way; resolves when the lane is at rest. */
  cancel(): Promise<void>;
}

export interface TwinLane {
  /** One task at a time. The tensors are copied. Undefined when the lane is gone. */
  start(task: TwinTask): TwinRun | undefined;
}
