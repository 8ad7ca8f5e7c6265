/** The host beside a trial, as the trial needs it. */
import type { GovernorConfig } from "../../contracts/config.ts";
import type { Executable } from "../../engine/engine.ts";
import type { LearnerState } from "../session-state.ts";
import type { SplitLosses } from "./evaluation.ts";
import type { HostSet } from "./host-set.ts";
import type { Learner, TensorMap } from "./learner.ts";

export interface FrozenHost {
  readonly learner: Learner;
  readonly set: Pick<HostSet, "host">;
  /** The rule for losses of steps. */
  readonly governor: GovernorConfig;
  readonly stepFlops: number;
  readonly evaluate: Executable;
  readonly evaluateFlops: number;
  /** Validation losses of the host as it stands; measured once while it is frozen. */
  losses(): Promise<SplitLosses>;
  /** A learner on the session's data, optimizer and schedule. */
  learnerOf(executable: Executable, tensors: TensorMap, state: LearnerState): Learner;
}
