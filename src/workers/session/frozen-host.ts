/** The host beside a trial, as the trial needs it. */
import type { GovernorConfig } from "../../contracts/config.ts";
import type { Executable } from "../../engine/engine.ts";
import type { SplitLosses } from "./evaluation.ts";
import type { Learner } from "./learner.ts";

export interface FrozenHost {
  readonly learner: Learner;
  /** The rule for losses of steps. */
  readonly governor: GovernorConfig;
  readonly stepFlops: number;
  readonly evaluate: Executable;
  readonly evaluateFlops: number;
  /** Validation losses of the host as it stands; measured once while it is frozen. */
  losses(): Promise<SplitLosses>;
}
