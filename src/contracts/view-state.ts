/**
 * The state of the view: everything that the page shows, as plain data. Types alone, so that the page carries no validator. Names and texts that
 * came from elsewhere are data, never markup. All lists are bounded (`viewBounds` in view/bounds.ts).
 */
import type { BlueprintRequest } from "./blueprint-kinds.ts";
import type { BreakerState } from "./breaker.ts";
import type { Decision, Forecast } from "./commands.ts";
import type { LifecycleState } from "./lifecycle.ts";
import type { JudgeName } from "./measure.ts";
import type { PruneTarget } from "./pruning.ts";
import type { CommandKind, Role } from "./roles.ts";

/** `null` in a column: not measured. */
export type Cell = number | null;

/** One column a quantity, one row a window; when it is full every second row goes. */
export interface ViewSeries {
  readonly epochs: number[];
  readonly trainLoss: Cell[];
  readonly validationLoss: Cell[];
  readonly validationAccuracy: Cell[];
  readonly gradNorm: Cell[];
  readonly stepsPerSecond: Cell[];
  /** FLOPs charged since the run began. */
  readonly flops: Cell[];
  /** Windows between two rows that are kept; a power of two. */
  stride: number;
}

/** One row of the series. */
export interface SeriesRow {
  readonly epoch: number;
  readonly trainLoss: Cell;
  readonly validationLoss: Cell;
  readonly validationAccuracy: Cell;
  readonly gradNorm: Cell;
  readonly stepsPerSecond: Cell;
  readonly flops: Cell;
}

/** What one measurement says of a layer. */
export interface ViewSignal {
  readonly epoch: number;
  readonly explainedIn: number;
  readonly explainedOut: number;
  readonly gap: number;
  /** Standard error of the gap. */
  readonly gapError: number;
  /** One-sided lower bound of the gap, as the trigger reads it; null where its setting is not known. */
  readonly gapLower: Cell;
  /** Above 1 the layer is a candidate. */
  readonly severity: Cell;
  /** 1 is sound, 0 is lost. */
  readonly health: Cell;
  readonly dimensionsIn: Cell;
  readonly dimensionsOut: Cell;
  readonly effectiveRank: Cell;
  readonly constantUnits: Cell;
  readonly weightGain: Cell;
}

export interface ViewLayer {
  readonly site: string;
  readonly kind: "dense" | "conv2d" | "output";
  readonly inputWidth: number;
  readonly width: number;
  readonly shape: readonly number[];
  /** Sites whose pre-activation a bypass from this layer's input may add to. */
  readonly targets: readonly string[];
}

/** A host as a graph: the layers in topological order are its nodes. */
export interface ViewHost {
  readonly name: string;
  readonly hash: string;
  readonly parameters: number;
  readonly stepFlops: number;
  readonly batchSize: number;
  readonly layers: readonly ViewLayer[];
}

/** `flow`: data goes on to the next layer. `trial`: a bypass that is tried. `graft`: one that was kept. `pruning`: parts that are tried without, or are gone. */
export interface ViewEdge {
  readonly kind: "flow" | "trial" | "graft" | "pruning";
  readonly from: string;
  readonly to: string;
  readonly seedId: string | null;
}

export type GateSide = "min" | "max" | "equal";

/** One quantity of a gate against its threshold. `passed` is null where the threshold is not known. */
export interface GateReading {
  readonly name: string;
  readonly value: number | string | boolean;
  readonly threshold: number | string | boolean | null;
  readonly side: GateSide;
  readonly passed: boolean | null;
}

export interface SeedStep {
  readonly sequence: number;
  readonly from: LifecycleState;
  readonly to: LifecycleState;
  readonly epoch: number;
  readonly atMs: number;
  readonly reason: string;
  readonly gates: readonly GateReading[];
}

export interface ViewInterval {
  readonly mean: number;
  readonly lower: number;
  readonly upper: number;
  readonly confidence: number;
}

export interface ViewJudgement extends Partial<ViewInterval> {
  readonly judge: JudgeName;
  readonly vote: "keep" | "cull" | "abstain";
  readonly bound: number;
}

/** What the seed's present or last trial tells. */
export interface ViewTrial {
  /** Window in which it germinated. */
  readonly sinceEpoch: number;
  fromSite: string | null;
  toSite: string | null;
  blueprint: BlueprintRequest | null;
  prune: PruneTarget | null;
  forecast: Forecast | null;
  rule: string | null;
  /** Who asked for it. */
  by: string | null;
  requestId: string | null;
  parameters: Cell;
  kernelHash: string | null;
  /** Alpha at the end of each window that grafted. */
  readonly alphaEpochs: number[];
  readonly alphas: number[];
  drift: Cell;
  gain: ViewInterval | null;
  judgements: readonly ViewJudgement[];
  /** What the last window told of the gate ahead. */
  gates: readonly GateReading[];
  outcome: LifecycleState | null;
  flops: Cell;
}

export interface ViewSeed {
  readonly seedId: string;
  readonly site: string;
  state: LifecycleState;
  sinceEpoch: number;
  sinceMs: number;
  /** Number of the last transition; 0 when it never moved. */
  sequence: number;
  reason: string;
  alpha: number;
  trial: ViewTrial | null;
  /** The last transitions, oldest first. */
  readonly history: SeedStep[];
}

export interface ViewProgress {
  readonly epoch: number;
  readonly work: string;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
}

export interface ViewDecision {
  readonly id: string;
  readonly atMs: number;
  readonly traceId: string;
  readonly epoch: number;
  readonly by: "tamiyo" | "emrakul";
  readonly rule: string;
  readonly outcome: Decision["outcome"];
  readonly reason: string;
  readonly confidence: Cell;
  readonly forecast: Forecast | null;
  readonly site: string | null;
  readonly seedId: string | null;
  readonly fromSite: string | null;
  readonly toSite: string | null;
  readonly requestId: string | null;
  readonly latencyMs: number;
}

/** A command with the last receipt that is known of it. `state` is the receipt's kind. */
export interface ViewCommand {
  readonly requestId: string;
  readonly runId: string | null;
  readonly kind: CommandKind;
  readonly seedId: string | null;
  /** The seed, layer or request that a pin, an approval or a veto names. */
  readonly target: string | null;
  /** What it is about, in words. */
  readonly about: string;
  readonly sender: string;
  readonly role: Role | null;
  readonly atMs: number;
  readonly state: "accepted" | "done" | "held" | "queued" | "refused";
  readonly code: string | null;
  readonly detail: string;
  readonly appliesAtEpoch: number | null;
  /** Waits for approval until then. */
  readonly expiresAtMs: number | null;
  readonly approvers: readonly string[];
}

export interface ViewEscalation {
  readonly runId: string;
  readonly seedId: string;
  readonly sinceEpoch: number;
  readonly atMs: number;
  readonly reason: string;
  readonly judgements: readonly ViewJudgement[];
  readonly windowsLeft: number;
  readonly otherwise: "keep" | "cull";
  /** Null while a person is waited for. */
  readonly settled: {
    readonly epoch: number;
    readonly verdict: "keep" | "cull";
    readonly by: string;
    readonly reason: string;
  } | null;
}

export interface ViewAlert {
  readonly id: string;
  readonly atMs: number;
  readonly severity: "info" | "warning" | "critical";
  readonly source: string;
  readonly text: string;
  readonly runId: string | null;
  readonly epoch: number | null;
  readonly seedId: string | null;
}

export interface ViewHolds {
  readonly adaptationPaused: boolean;
  readonly pausedSites: readonly string[];
  readonly pins: readonly string[];
}

export type RunOutcome = "running" | "done" | "stopped" | "failed";

export interface ViewRun {
  readonly runId: string;
  arm: string;
  dataset: string;
  engine: string;
  startedAtMs: number;
  /** Time of the last event. */
  atMs: number;
  epochSteps: number;
  hostSteps: number;
  hostStep: number;
  /** The last window that is complete. */
  epoch: number;
  work: string;
  elapsedMs: number;
  flops: number;
  flopsMax: number;
  flopsByUse: { host: number; kernel: number; trial: number; signal: number; gate: number };
  parameters: number;
  paused: boolean;
  holds: ViewHolds;
  /** False where the arm trains without growth; null where it is not told. */
  growth: boolean | null;
  rollbacks: number;
  outcome: RunOutcome;
  outcomeReason: string;
  testAccuracy: Cell;
  /** The kernel that training waits for. */
  waiting: { readonly seedId: string; readonly outstanding: string; readonly waitedMs: number } | null;
  host: ViewHost | null;
  edges: ViewEdge[];
  /** By site. */
  signals: Record<string, ViewSignal>;
  /** Window until which a site is under embargo, by site; only those that are. */
  embargoes: Record<string, number>;
  progress: ViewProgress | null;
  readonly series: ViewSeries;
  /** In the order of their rows: the index of a seed never changes. */
  readonly seeds: ViewSeed[];
  readonly decisions: ViewDecision[];
  readonly escalations: ViewEscalation[];
  readonly checkpoints: ViewCheckpoint[];
  /** The seed in trial, which holds the grafting lock. */
  activeSeedId: string | null;
}

export interface ViewCheckpoint {
  readonly epoch: number;
  readonly file: string;
}

export interface ViewActor {
  /** Ids from the root, joined by `/`. */
  readonly path: string;
  readonly id: string;
  readonly kind: "worker" | "supervisor";
  /** Of a supervisor. */
  readonly strategy: string | null;
  readonly status: string;
  /** Counts its starts. */
  readonly generation: number;
  readonly mailboxDepth: Cell;
  readonly mailboxDepthMax: Cell;
  readonly processed: Cell;
  readonly deadLetters: Cell;
  readonly processingMsTotal: Cell;
  readonly processingMsMax: Cell;
}

export interface ViewBreaker {
  readonly name: string;
  readonly state: BreakerState;
  readonly reason: string;
  readonly atMs: number;
  readonly calls: Cell;
  readonly failed: Cell;
  readonly rejected: Cell;
  readonly p99Ms: Cell;
}

export interface SupervisionNote {
  readonly id: string;
  readonly atMs: number;
  readonly kind: string;
  readonly child: string;
  readonly detail: string;
}

export interface ViewDeadLetter {
  readonly messageId: string;
  readonly atMs: number;
  readonly principal: string;
  readonly subject: string;
  readonly reason: string;
  readonly deliveries: number;
  readonly state: "waiting" | "retried" | "dropped";
}

/** Everything the page shows. */
export interface ViewState {
  /** `live`: fed by a node. `recorded`: rebuilt from a log, so that no command is taken. */
  source: "live" | "recorded";
  /** Time of the last event. */
  atMs: number;
  /** Events that built this state. */
  events: number;
  /** Lines of a log that are no event of this program. */
  unreadable: number;
  /** Who may send which command; empty for a recorded run. */
  commandRoles: Partial<Record<CommandKind, readonly Role[]>>;
  readonly runs: ViewRun[];
  /** The run that was started last. */
  currentRunId: string | null;
  actors: readonly ViewActor[];
  readonly breakers: ViewBreaker[];
  readonly supervision: SupervisionNote[];
  readonly commands: ViewCommand[];
  readonly alerts: ViewAlert[];
  readonly deadLetters: ViewDeadLetter[];
  /** False where nothing is known of the node: no actor, breaker or dead letter is then not the same as none. */
  nodeTold: boolean;
}
