/** What a session needs of its thread. */
import type { LaneProgress } from "../../contracts/plan.ts";
import type { Engine } from "../../engine/engine.ts";
import type { TwinLane } from "./twin-lane.ts";
import type { Stopwatch } from "./window.ts";

export interface SessionPorts {
  readonly engine: Engine;
  readonly nowMs: Stopwatch;
  readonly tell: (progress: LaneProgress) => void;
  /** Where a contest's twin trains beside the grown copy; left out, the two train in turn. */
  readonly twins?: TwinLane;
}
