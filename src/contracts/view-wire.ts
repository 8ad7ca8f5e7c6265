/**
 * What travels to the page: the changes that build the state of the view, and the messages that carry them. Types alone. The server makes every
 * change, from messages that the bus or the log has checked.
 */
import type { CommandKind } from "./roles.ts";
import type {
  Cell,
  GateReading,
  SeedStep,
  SeriesRow,
  SupervisionNote,
  ViewActor,
  ViewAlert,
  ViewBreaker,
  ViewCheckpoint,
  ViewCommand,
  ViewDeadLetter,
  ViewDecision,
  ViewEscalation,
  ViewHost,
  ViewProgress,
  ViewRun,
  ViewSeed,
  ViewSignal,
  ViewState,
  ViewTrial,
} from "./view-state.ts";

/** The header fields of a run that a change may set. */
export type RunPatch = Partial<
  Pick<
    ViewRun,
    | "arm"
    | "dataset"
    | "engine"
    | "startedAtMs"
    | "epochSteps"
    | "hostSteps"
    | "hostStep"
    | "epoch"
    | "work"
    | "elapsedMs"
    | "flops"
    | "flopsMax"
    | "flopsByUse"
    | "parameters"
    | "paused"
    | "holds"
    | "growth"
    | "rollbacks"
    | "outcome"
    | "outcomeReason"
    | "testAccuracy"
    | "waiting"
    | "activeSeedId"
  >
>;

export type TrialPatch = Partial<Omit<ViewTrial, "sinceEpoch" | "alphaEpochs" | "alphas">>;

/**
X
 */
export type ViewChange =
  /** A run is known from here on; one that is known stays as it is. */
  | { readonly k: "run"; readonly r: string; readonly arm: string; readonly atMs: number }
  | { readonly k: "header"; readonly r: string; readonly atMs: number; readonly set: RunPatch }
  /** Host of the run, and its seeds as [id, site] in the order of their rows; seeds that are known stay. */
  | { readonly k: "host"; readonly r: string; readonly host: ViewHost; readonly seeds: readonly (readonly [string, string])[] }
  | { readonly k: "row"; readonly r: string; readonly row: SeriesRow }
  | { readonly k: "progress"; readonly r: string; readonly progress: ViewProgress }
  /** A measurement of the whole host: sites that are not in it were not measured. */
  | { readonly k: "signals"; readonly r: string; readonly signals: Readonly<Record<string, ViewSignal>> }
  | { readonly k: "embargoes"; readonly r: string; readonly until: Readonly<Record<string, number>> }
  | {
      readonly k: "step";
      readonly r: string;
      readonly seedId: string;
      readonly step: SeedStep;
      readonly trial: TrialPatch | null;
    }
  | { readonly k: "trial"; readonly r: string; readonly seedId: string; readonly set: TrialPatch }
  | {
      readonly k: "alpha";
      readonly r: string;
      readonly seedId: string;
      readonly epoch: number;
      readonly alpha: number;
      readonly drift: Cell;
    }
  | { readonly k: "decision"; readonly r: string; readonly decision: ViewDecision }
  | { readonly k: "escalation"; readonly r: string; readonly escalation: ViewEscalation }
  | {
      readonly k: "settled";
      readonly r: string;
      readonly seedId: string;
      readonly settled: NonNullable<ViewEscalation["settled"]>;
    }
  | { readonly k: "checkpoint"; readonly r: string; readonly checkpoint: ViewCheckpoint }
  | { readonly k: "command"; readonly command: ViewCommand }
  | { readonly k: "alert"; readonly alert: ViewAlert }
  /** The whole tree of actors with their queues. */
  | { readonly k: "actors"; readonly actors: readonly ViewActor[] }
  | { readonly k: "breaker"; readonly breaker: Pick<ViewBreaker, "name" | "state" | "reason" | "atMs"> }
  /** Counts of all breakers. */
  | { readonly k: "breakers"; readonly breakers: readonly Omit<ViewBreaker, "reason" | "atMs">[] }
  | { readonly k: "supervision"; readonly note: SupervisionNote }
  | { readonly k: "letter"; readonly letter: ViewDeadLetter }
  | { readonly k: "letterState"; readonly messageId: string; readonly state: ViewDeadLetter["state"] }
  /** From here on what the node did is told too. */
  | { readonly k: "nodeTold" }
  | { readonly k: "count"; readonly atMs: number; readonly events: number; readonly unreadable: number };

/** The part of the state that a change touches: what has to be drawn again. */
export type ViewSlice =
  | "header"
  | "host"
  | "series"
  | "progress"
  | "signals"
  | "seeds"
  | "decisions"
  | "escalations"
  | "checkpoints"
  | "commands"
  | "alerts"
  | "actors"
  | "breakers"
  | "deadLetters"
  | "clock";

/** A gate's reading: place of its name in `gateNames`, value, threshold, side, passed. */
export type GateTuple = readonly [number, GateReading["value"], GateReading["threshold"], GateReading["side"], boolean | null];

/**
 * The seeds of a run as columns. Most of many seeds rest, and what a seed is follows from its last transition: only ids, sites, transitions and trials
 * are told. `src/view/pack.ts` writes and reads it.
 */
export interface SeedColumns {
  readonly ids: readonly string[];
  /** Each site once; `siteOf[i]` is the place of the site of `ids[i]` in it. */
  readonly sites: readonly string[];
  readonly siteOf: readonly number[];
  /** Seeds whose alpha is not zero, and their alphas. */
  readonly alphaOf: readonly number[];
  readonly alphas: readonly number[];
  /** Seeds with transitions, and how many are kept of each. */
  readonly moved: readonly number[];
  readonly counts: readonly number[];
  /** One row a transition, those of a seed together. States are places in the order of `lifecycleStates`. */
  readonly sequence: readonly number[];
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly epoch: readonly number[];
  readonly atMs: readonly number[];
  readonly reasons: readonly string[];
  readonly reasonOf: readonly number[];
  /** Transitions with readings, and those. */
  readonly gated: readonly number[];
  readonly gateNames: readonly string[];
  readonly gates: readonly (readonly GateTuple[])[];
  /** Seeds with a trial, and of it what is known. */
  readonly tried: readonly number[];
  readonly trials: readonly Partial<ViewTrial>[];
  /** Seeds that are not what their last transition says, whole. */
  readonly odd: readonly (readonly [number, ViewSeed])[];
}

export type WireRun = Omit<ViewRun, "seeds"> & { readonly seeds: SeedColumns };
export type WireState = Omit<ViewState, "runs"> & { readonly runs: readonly WireRun[] };

/** `event: snapshot` of `GET /view/stream`; its id is `<instance>:<sequence>`. */
export interface ViewSnapshot {
  readonly state: WireState;
  /** Why the page gets the whole state: it is new, its gap was too long, or it was too slow. */
  readonly cause: "new" | "gap" | "slow";
}

/** `event: delta`: the changes since the message before. */
export interface ViewDelta {
  readonly changes: readonly ViewChange[];
}

/** One recorded run of `GET /view/runs`. */
export interface RecordedRun {
  readonly runId: string;
  readonly bytes: number;
  /** True while the node trains it. */
  readonly live: boolean;
}

/** `GET /view/runs`: the newest first. `node`: there is a node behind the page, so that it can be watched and commanded. */
export interface RecordedList {
  readonly node: boolean;
  readonly runs: readonly RecordedRun[];
}

/**
 * A chunk of `GET /view/runs/{id}/events?from=`: every event as its changes, in order. `epochs[i]` and `at[i]` are the window and time of
 * `changes[i]`. `next` is the `from` of the next chunk; null at the end.
 */
export interface RecordedChunk {
  readonly runId: string;
  readonly from: number;
  readonly next: number | null;
  /** Events of the whole log; null until it was read to its end. */
  readonly total: number | null;
  readonly epochs: readonly number[];
  readonly at: readonly number[];
  readonly changes: readonly (readonly ViewChange[])[];
}

/** `GET /view/runs/{id}/checkpoints`: those on the disk, oldest first. */
export interface RecordedCheckpoints {
  readonly runId: string;
  readonly checkpoints: readonly { readonly epoch: number; readonly file: string; readonly bytes: number }[];
}

/** What `legalCommands` says of one command. */
export interface CommandStanding {
  readonly kind: CommandKind;
  readonly legal: boolean;
  /** Why not; empty when it is legal. */
  readonly reason: string;
  /** Cannot be undone by another command: the page asks again. */
  readonly irreversible: boolean;
}
