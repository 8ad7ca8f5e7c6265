/** What the node tells the terminal, and how commands start a node. The node knows no terminal; the terminal knows no actor. */
import type { EsperConfig } from "../contracts/config.ts";
import type { Envelope } from "../contracts/envelope.ts";
import type { Clock, Entropy, Log } from "../contracts/ports.ts";
import type { Report } from "../contracts/report.ts";
import type { Supervisor } from "../supervision/supervisor.ts";
import type { ViewHub } from "../view/hub.ts";

export interface NodeView {
  /** Every message on `system.events.*`, `telemetry.*` and `innovation.*`, in the order in which it came. Never throws. */
  onMessage(envelope: Envelope): void;
  /** A line of plain text for the person, for example which engine is used. */
  note(text: string): void;
}

export interface NodePorts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

export interface NodeHandle {
  /** The tree of actors, for inspection and for a restart by hand. */
  readonly supervisor: Supervisor;
  /** Process id of the embedded nats-server; undefined with an external one. */
  readonly serverPid: () => number | undefined;
  /** Where HTTP is served; undefined where it is not. */
  readonly httpUrl: () => string | undefined;
  /** What its pages are told. */
  readonly hub: ViewHub;
}

export interface RunNodeOptions {
  readonly config: EsperConfig;
  readonly ports: NodePorts;
  readonly view: NodeView;
  /** Aborted once to end cleanly. */
  readonly signal: AbortSignal;
  /** Checkpoint folder to continue from. */
  readonly resume?: string;
  /** What the person asked for beside `resume`: a checkpoint that holds something else is refused. */
  readonly asked?: readonly { readonly path: string; readonly value: unknown }[];
  readonly reportFile?: string;
  /** After its arms the node waits for runs that it is handed, until it is told to end. */
  readonly stay?: boolean;
  /** Called with each report of a node that stays. */
  readonly onReport?: (report: Report, file: string | undefined) => void;
  /** Called once the services are up, with what a program that holds the node may look at and touch. */
  readonly onUp?: (node: NodeHandle) => void;
}

export interface RunNodeResult {
  readonly report: Report;
  readonly exitCode: number;
}

export type RunNode = (options: RunNodeOptions) => Promise<RunNodeResult>;
