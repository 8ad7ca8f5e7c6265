/** What the routes of the page's data need of the node, or of whoever shows recorded runs without one. */
import type { ViewConfig } from "../contracts/config-view.ts";
import type { Clock } from "../contracts/ports.ts";
import type { RecordedCheckpoints, RecordedRun } from "../contracts/view.ts";
import type { ViewHub } from "../view/hub.ts";

/** Runs as their logs on the disk tell them. A run that is not there is undefined. */
export interface RecordedRuns {
  /** The newest first. */
  list(): Promise<readonly RecordedRun[]>;
  /** A `RecordedChunk` as JSON, in pieces; none of them takes long to make. */
  events(runId: string, from: number): Promise<AsyncIterable<string> | undefined>;
  checkpoints(runId: string): Promise<RecordedCheckpoints | undefined>;
}

/** Of a node that is up. */
export interface LiveView {
  /** Outlives the server: a server that is started again goes on with it. */
  readonly hub: ViewHub;
}

export interface ViewPorts {
  readonly config: ViewConfig;
  readonly streamsMax: number;
  readonly clock: Clock;
  /** Aborted when the server is to end. */
  readonly signal: AbortSignal;
  /** Undefined where there is no node. */
  readonly live: LiveView | undefined;
  readonly recorded: RecordedRuns;
  /** Descriptions and layouts of every machine. */
  readonly machines: unknown;
}
