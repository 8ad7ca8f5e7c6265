/**
 * What a supervisor is told: child specs, strategy, restart intensity and backoff, in the words of the Erlang/OTP supervisor.
 * Only data and the interfaces that a child has to keep; `decide.ts` decides and `supervisor.ts` carries out.
 */
import { InputError } from "../contracts/errors.ts";
import type { Clock } from "../contracts/ports.ts";
import type { SupervisionEvent } from "./events.ts";

/**
 * - `permanent`: always restarted, whatever the exit.
 * - `transient`: restarted after a crash only.
 * - `temporary`: never restarted, and forgotten once it is down.
 */
export type RestartType = "permanent" | "transient" | "temporary";

/**
 * - `one_for_one`: only the child that failed is restarted.
 * - `one_for_all`: all children are stopped, in reverse start order, and started again.
 * - `rest_for_one`: the child that failed and those started after it.
 */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/** How a child ended. `shutdown` is an end that was asked for; `normal` is one of its own accord. */
export type Exit =
  | { readonly kind: "normal" }
  | { readonly kind: "shutdown" }
  | { readonly kind: "crash"; readonly error: unknown };

/** What a child tells about itself for status and metrics. Counts are since this generation started. */
export interface ChildStats {
  readonly mailboxDepth: number;
  readonly mailboxDepthMax: number;
  readonly processed: number;
  readonly deadLetters: number;
  readonly processingMsTotal: number;
  readonly processingMsMax: number;
}

/** One generation of a child, started. */
export interface RunningChild {
  /** Settles once, when the child is down. This alone counts as its end; a rejection counts as a crash. */
  readonly exited: Promise<Exit>;
  /** Asks the child to end. The promise may settle before `exited`; a rejection makes the supervisor kill at once. */
  stop(reason: string): Promise<void>;
  /** Ends it by force, for example by SIGKILL. May throw; must not wait. */
  kill?(): void;
  inspect?(): ChildStats;
  /** Set by a nested supervisor, so that its parent can show and search the whole tree. */
  readonly nested?: NestedSupervisor;
}

/** What a parent sees of a nested supervisor. */
export interface NestedSupervisor {
  tree(): SupervisorTree;
  restartChild(id: string): Promise<void>;
  killChild(id: string): void;
}

export interface StartContext {
  /** `id#generation`: no two generations of a child share it. */
  readonly ref: string;
  /** Counts the starts of this child, from 1. */
  readonly generation: number;
  /** Ids from the root to this child, joined by `/`. */
  readonly path: string;
  /** Aborted as soon as the supervisor wants this generation gone, also in mid-start. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Hands an event of a nested supervisor to the listeners of this one. */
  readonly report: (event: SupervisionEvent) => void;
}

export interface ChildSpec {
  /** Unique among the children of one supervisor. */
  readonly id: string;
  readonly kind: "worker" | "supervisor";
  readonly restart: RestartType;
  /** Resolves when the child serves; a rejection or a throw is a failed start. */
  start(context: StartContext): Promise<RunningChild>;
  /** A start that takes longer is given up; a child that comes later is stopped on arrival. */
  readonly maxStartMs: number;
  /** From the request to stop until it is killed, or abandoned when it has no `kill`. */
  readonly shutdownMs: number;
  /** From the kill until it is abandoned. Default 1000. */
  readonly killMs?: number;
  /** What a supervisor among the children is told itself, so that the whole tree can be read before anything is started. */
  readonly supervises?: SupervisorSpec;
}

/** More than `restartsMax` restarts within any `periodMs` end the supervisor. */
export interface Intensity {
  readonly restartsMax: number;
  readonly periodMs: number;
}

/**
 * The n-th restart in a row of a child waits min(maxMs, initialMs · factorⁿ⁻¹). A child that was up for `intensity.periodMs`
 * starts again at `initialMs`. The sum of the delays should stay below `periodMs`, or the intensity is never exceeded.
 */
export interface Backoff {
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;
}

export interface SupervisorSpec {
  readonly id: string;
  readonly strategy: Strategy;
  readonly intensity: Intensity;
  readonly backoff: Backoff;
  /** In start order. */
  readonly children: readonly ChildSpec[];
}

export const defaultKillMs = 1000;

/** The state of one child in a snapshot of the tree. `waiting` is down with a start ahead; `finished` is down for good. */
export type ChildStatus = "waiting" | "starting" | "up" | "stopping" | "finished";

export interface ChildNode {
  readonly id: string;
  readonly path: string;
  readonly ref: string;
  readonly kind: ChildSpec["kind"];
  readonly restart: RestartType;
  readonly status: ChildStatus;
  readonly generation: number;
  readonly stats: ChildStats | null;
  /** The children of a nested supervisor, while it runs. */
  readonly nested: SupervisorTree | null;
}

export type SupervisorPhase = "starting" | "running" | "restarting" | "stopping" | "stopped" | "escalated";

export interface SupervisorTree {
  readonly id: string;
  readonly path: string;
  readonly strategy: Strategy;
  readonly phase: SupervisorPhase;
  /** Restarts that count towards the intensity now. */
  readonly restartsInPeriod: number;
  /** Generations that ignored stop and kill and were left behind. */
  readonly abandoned: number;
  readonly children: readonly ChildNode[];
}

const expectNumber = (place: string, name: string, value: number, min: number, integer = false): void => {
  const fits = value >= min && (integer ? Number.isInteger(value) : Number.isFinite(value));
  if (!fits) {
    throw new InputError(
      `${place}: expected ${name} to be ${integer ? "an integer" : "a finite number"} ≥ ${min}, got ${value}`,
      {
        path: `${place}.${name}`,
      },
    );
  }
};

/** Throws an InputError when a bound of the spec makes no sense. */
export const checkChildSpec = (supervisor: string, spec: ChildSpec): void => {
  const place = `${supervisor}/${spec.id}`;
  if (spec.id === "" || /[/#]/.test(spec.id)) {
    throw new InputError(`${supervisor}: expected a child id without / and #, got "${spec.id}"`, { path: place });
  }
  expectNumber(place, "maxStartMs", spec.maxStartMs, 0);
  expectNumber(place, "shutdownMs", spec.shutdownMs, 0);
  expectNumber(place, "killMs", spec.killMs ?? defaultKillMs, 0);
};

/** Throws an InputError when a bound makes no sense or two children share an id. */
export const checkSupervisorSpec = (spec: SupervisorSpec): void => {
  expectNumber(spec.id, "intensity.restartsMax", spec.intensity.restartsMax, 0, true);
  expectNumber(spec.id, "intensity.periodMs", spec.intensity.periodMs, 1);
  expectNumber(spec.id, "backoff.initialMs", spec.backoff.initialMs, 0);
  expectNumber(spec.id, "backoff.factor", spec.backoff.factor, 1);
  expectNumber(spec.id, "backoff.maxMs", spec.backoff.maxMs, spec.backoff.initialMs);
  const seen = new Set<string>();
  for (const child of spec.children) {
    checkChildSpec(spec.id, child);
    if (seen.has(child.id)) {
      throw new InputError(`${spec.id}: expected each child id once, got "${child.id}" twice; rename one of them`, {
        path: spec.id,
      });
    }
    seen.add(child.id);
  }
};
