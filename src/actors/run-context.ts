/** What a run's actors share beside the bus: the lane's session, the durable store and the small state that outlives a restart. */
import type { ArmName } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import type { Validation } from "../contracts/measure.ts";
import type { SessionSpec } from "../contracts/plan.ts";
import type { SeedStateTable } from "../contracts/seed-state.ts";
import type { CountedRollbacks, RunSnapshot } from "../machines/run-machine.ts";
import type { ImportedHost, TrainingLane } from "../workers/lane.ts";
import type { SessionSnapshot } from "../workers/session-state.ts";

/** A checkpoint as Tolaria needs it. */
export interface SavedRun {
  readonly epoch: number;
  readonly elapsedMs: number;
  readonly rollbacks: CountedRollbacks;
  readonly session: SessionSnapshot;
}

export interface FirstBoundary {
  /** The boundary is open: commands to the run are answered. */
  reached(): void;
  /** Every command has its receipt. */
  given: boolean;
}

export interface RunContext {
  readonly runId: string;
  readonly arm: ArmName;
  /** False trains the host alone: every command to grow is refused. */
  readonly growth: boolean;
  readonly spec: SessionSpec;
  /** The host and its weights when the specification names a file. */
  readonly imported?: ImportedHost;
  readonly dataset: DatasetBuffers;
  readonly lane: TrainingLane;
  readonly table: SeedStateTable;
  readonly seedIds: readonly string[];
  /** Aborted when a person asked to end the run (Ctrl-C). */
  readonly interrupt: AbortSignal;
  readonly boundaryTimeoutMs: number;
  readonly boundaryRetryMs: number;
  readonly boundaryAttemptsMax: number;
  readonly checkpointEveryEpochs: number;
  /** Start from here instead of from the beginning. */
  readonly resume?: SavedRun;
  /** Writes a checkpoint and returns its folder. */
  readonly saveCheckpoint: (epoch: number, elapsedMs: number, session: SessionSnapshot) => Promise<string>;
  /** Commands that came with the start: the first boundary stays open until each has its receipt. */
  readonly first?: FirstBoundary;
  readonly finished: (end: { readonly outcome: "done" | "stopped" | "failed" | "lost"; readonly reason: string }) => void;

  /** The lane holds a session of this run. */
  opened: boolean;
  /** Training time of earlier generations of Tolaria. */
  elapsedBeforeMs: number;
  /** Where the run's life stands: survives a restart of Tolaria, rollbacks counted. */
  machine: RunSnapshot;
  /** Host step at the end of the last window without an anomaly. */
  goodHostStep: number;
  /** The last window that was told on the bus. */
  toldEpoch: number;
  /** Read once, at the end. */
  test: Validation | undefined;
}
