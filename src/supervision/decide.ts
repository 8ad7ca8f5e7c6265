/**
 * What a supervisor does next, as a pure function: (state, event) → [next state, effects]. No clock, no promise, no child.
 *
 * D1  An event of a generation other than the child's present one changes nothing.
 * D2  Children go down in reverse start order and come up in start order; with one_for_one each child goes its own way,
 *     except in the first start and in the last stop.
 * D3  More than `restartsMax` failures within any `periodMs`, both ends included, end the supervisor.
 * D4  A child is started only when nothing of an earlier generation of it is left to stop.
 * D5  A failure schedules the restart; only the later `restartDue` starts anything.
 * D6  Once the phase is stopping nothing starts.
 */
import { describeError, ServiceError } from "../contracts/errors.ts";
import { stepPhase } from "./lifecycle.ts";
import type { ChildStatus, Exit, RestartType, SupervisorPhase, SupervisorSpec } from "./spec.ts";

/** The part of a SupervisorSpec that decides. */
export type SupervisorPolicy = Pick<SupervisorSpec, "id" | "strategy" | "intensity" | "backoff">;

/** What becomes of a child that is to go down, once it is down. */
type Fate = "restart" | "finish" | "remove";

export interface ChildState {
  readonly id: string;
  readonly restart: RestartType;
  /** Counts starts; 0 before the first. */
  readonly generation: number;
  readonly status: ChildStatus;
  /** Set on a child that is to go down: `starting` or `up` while it waits for its turn, else `stopping`. */
  readonly fate: Fate | null;
  /** The failure whose delay it waits for; 0 when it may start at once. */
  readonly incident: number;
  /** Has been up at least once. */
  readonly admitted: boolean;
  /** Restarts in a row without a stable period between them. */
  readonly streak: number;
  /** Monotonic, valid while up. */
  readonly upSinceMs: number;
}

export interface SupervisorState {
  readonly phase: SupervisorPhase;
  /** In start order. */
  readonly children: readonly ChildState[];
  /** Monotonic times of the restarts that may still count. */
  readonly restartsAtMs: readonly number[];
  /** Number of the latest failure. */
  readonly incident: number;
  /** Why it gave up. */
  readonly failure: Error | null;
}

export type SupervisorInput =
  | { readonly kind: "start" }
  | { readonly kind: "childStarted"; readonly id: string; readonly generation: number; readonly atMs: number }
  | {
      readonly kind: "startFailed";
      readonly id: string;
      readonly generation: number;
      readonly error: unknown;
      readonly atMs: number;
    }
  | { readonly kind: "childExited"; readonly id: string; readonly generation: number; readonly exit: Exit; readonly atMs: number }
  | { readonly kind: "restartDue"; readonly incident: number }
  | { readonly kind: "addChild"; readonly id: string; readonly restart: RestartType }
  | { readonly kind: "removeChild"; readonly id: string }
  | { readonly kind: "restartChild"; readonly id: string }
  | { readonly kind: "stop" };

export type Effect =
  | { readonly kind: "start"; readonly id: string; readonly generation: number }
  | { readonly kind: "stop"; readonly id: string; readonly generation: number }
  /** After `delayMs` send `restartDue`. `stops` and `starts` tell the orders that follow. */
  | {
      readonly kind: "scheduleRestart";
      readonly incident: number;
      readonly id: string;
      readonly delayMs: number;
      readonly stops: readonly string[];
      readonly starts: readonly string[];
    }
  | { readonly kind: "finished"; readonly id: string }
  | { readonly kind: "removed"; readonly id: string; readonly error: unknown }
  /** Every child of the spec has been up. */
  | { readonly kind: "ready" }
  | { readonly kind: "escalate"; readonly error: Error }
  /** No child is left alive. */
  | { readonly kind: "exit"; readonly exit: Exit };

export type Decision = readonly [SupervisorState, readonly Effect[]];

const newChild = (id: string, restart: RestartType): ChildState => ({
  id,
  restart,
  generation: 0,
  status: "waiting",
  fate: null,
  incident: 0,
  admitted: false,
  streak: 0,
  upSinceMs: 0,
});

export const initialState = (spec: Pick<SupervisorSpec, "children">): SupervisorState => ({
  phase: "starting",
  children: spec.children.map((child) => newChild(child.id, child.restart)),
  restartsAtMs: [],
  incident: 0,
  failure: null,
});

const isAlive = (child: ChildState): boolean =>
  child.status === "starting" || child.status === "up" || child.status === "stopping";

/** To go down, but not told yet. */
const isCondemned = (child: ChildState): boolean => child.fate !== null && child.status !== "stopping";

const replace = (state: SupervisorState, id: string, change: Partial<ChildState>): SupervisorState => ({
  ...state,
  children: state.children.map((child) => (child.id === id ? { ...child, ...change } : child)),
});

const remove = (state: SupervisorState, id: string, error: unknown = null): Decision => [
  { ...state, children: state.children.filter((child) => child.id !== id) },
  [{ kind: "removed", id, error }],
];

const finish = (state: SupervisorState, id: string): Decision => [
  replace(state, id, { status: "finished", fate: null }),
  [{ kind: "finished", id }],
];

/** Restarts that count towards the intensity at a time. */
export const restartsWithin = (state: SupervisorState, periodMs: number, atMs: number): readonly number[] =>
  state.restartsAtMs.filter((time) => atMs - time <= periodMs);

/** Milliseconds before the restart that follows `streak` earlier ones in a row. */
export const backoffMs = (backoff: SupervisorPolicy["backoff"], streak: number): number =>
  Math.min(backoff.maxMs, backoff.initialMs * backoff.factor ** streak);

/** Sends every child down and takes no more starts. */
const shutDown = (state: SupervisorState, failure: Error | null): SupervisorState => ({
  ...state,
  phase: stepPhase(state.phase, { type: failure ? "gave.up" : "stop" }),
  failure,
  children: state.children.map((child) => {
    if (isAlive(child)) return { ...child, fate: child.fate === "remove" ? "remove" : "finish" };
    return child.status === "waiting" ? { ...child, status: "finished" } : child;
  }),
});

const giveUp = (state: SupervisorState, failure: Error): Decision => [
  shutDown(state, failure),
  [{ kind: "escalate", error: failure }],
];

/** What a failure elsewhere does to a child of the same group. */
const joinRestart = (child: ChildState, incident: number): ChildState => {
  if (!isAlive(child)) return { ...child, status: "waiting", incident };
  if (child.fate === "remove") return child;
  return { ...child, fate: child.restart === "temporary" ? "remove" : "restart", incident };
};

const failed = (policy: SupervisorPolicy, state: SupervisorState, child: ChildState, error: unknown, atMs: number): Decision => {
  const { restartsMax, periodMs } = policy.intensity;
  const restartsAtMs = [...restartsWithin(state, periodMs, atMs), atMs];
  if (restartsAtMs.length > restartsMax) {
    // D3
    const message =
      `supervisor ${policy.id}: expected at most ${restartsMax} restarts within ${periodMs} ms, ` +
      `got ${restartsAtMs.length}; the last was ${child.id}#${child.generation}: ${describeError(error)}`;
    return giveUp(
      { ...replace(state, child.id, { status: "waiting" }), restartsAtMs },
      new ServiceError(message, {}, { cause: error }),
    );
  }
  const incident = state.incident + 1;
  const stable = child.status === "up" && atMs - child.upSinceMs >= periodMs;
  const streak = stable ? 0 : child.streak;
  const culprit = state.children.indexOf(child);
  const first = policy.strategy === "one_for_all" ? 0 : culprit;
  const end = policy.strategy === "one_for_one" ? culprit + 1 : state.children.length;
  const children = state.children.map((other, index): ChildState => {
    if (other === child) return { ...child, status: "waiting", fate: null, incident, streak: streak + 1 };
    return index >= first && index < end ? joinRestart(other, incident) : other;
  });
  const group = children.filter((other) => other.incident === incident);
  const scheduled: Effect = {
    kind: "scheduleRestart",
    incident,
    id: child.id,
    delayMs: backoffMs(policy.backoff, streak),
    stops: children
      .filter((other, index) => index >= first && index < end && other.fate !== null)
      .map((other) => other.id)
      .reverse(),
    starts: group.filter((other) => other.fate !== "remove").map((other) => other.id),
  };
  return [{ ...state, children, restartsAtMs, incident, phase: stepPhase(state.phase, { type: "child.failed" }) }, [scheduled]];
};

/** A child that was to go down is down. */
const settled = (state: SupervisorState, child: ChildState): Decision => {
  if (child.fate === "remove") return remove(state, child.id);
  return [replace(state, child.id, { status: child.fate === "restart" ? "waiting" : "finished", fate: null }), []];
};

const wantsRestart = (restart: RestartType, exit: Exit): boolean =>
  restart === "permanent" || (restart === "transient" && exit.kind === "crash");

const exited = (policy: SupervisorPolicy, state: SupervisorState, child: ChildState, exit: Exit, atMs: number): Decision => {
  if (child.fate) return settled(state, child);
  if (wantsRestart(child.restart, exit)) {
    const error = exit.kind === "crash" ? exit.error : new ServiceError(`${child.id} ended (${exit.kind}) and is permanent`);
    return failed(policy, state, child, error, atMs);
  }
  return child.restart === "temporary" ? remove(state, child.id) : finish(state, child.id);
};

const startFailed = (
  policy: SupervisorPolicy,
  state: SupervisorState,
  child: ChildState,
  error: unknown,
  atMs: number,
): Decision => {
  if (child.fate) return settled(state, child);
  if (child.admitted && child.restart !== "temporary") return failed(policy, state, child, error, atMs);
  // A child that never was up has no place to go back to: the first start fails as a whole, an added child is taken out again.
  if (state.phase !== "starting") return remove(state, child.id, error);
  const message = `supervisor ${policy.id}: expected ${child.id} to start, got: ${describeError(error)}`;
  return giveUp(replace(state, child.id, { status: "waiting" }), new ServiceError(message, {}, { cause: error }));
};

const due = (state: SupervisorState, matches: (child: ChildState) => boolean): SupervisorState => ({
  ...state,
  children: state.children.map((child) => (matches(child) ? { ...child, incident: 0 } : child)),
});

const restartAsked = (state: SupervisorState, child: ChildState): SupervisorState => {
  if (child.fate === "finish" || child.fate === "remove") return state;
  if (isAlive(child)) return replace(state, child.id, { fate: "restart", incident: 0 });
  return replace(state, child.id, { status: "waiting", incident: 0 });
};

const handle = (policy: SupervisorPolicy, state: SupervisorState, input: SupervisorInput): Decision => {
  switch (input.kind) {
    case "start":
      return [state, []];
    case "restartDue":
      return [due(state, (child) => child.incident === input.incident), []];
    case "stop":
      return [state.phase === "stopping" ? state : shutDown(state, null), []];
    case "addChild":
      return [{ ...state, children: [...state.children, newChild(input.id, input.restart)] }, []];
  }
  const child = state.children.find((other) => other.id === input.id);
  if (!child) return [state, []];
  switch (input.kind) {
    case "removeChild":
      return isAlive(child) ? [replace(state, child.id, { fate: "remove" }), []] : remove(state, child.id);
    case "restartChild":
      return [restartAsked(state, child), []];
  }
  // D1
  if (!isAlive(child) || child.generation !== input.generation) return [state, []];
  switch (input.kind) {
    case "childStarted":
      if (child.status !== "starting") return [state, []];
      return [replace(state, child.id, { status: "up", admitted: true, upSinceMs: input.atMs }), []];
    case "startFailed":
      return startFailed(policy, state, child, input.error, input.atMs);
    case "childExited":
      return exited(policy, state, child, input.exit, input.atMs);
  }
};

/** D2: the children to tell to stop now. */
const nextStops = (policy: SupervisorPolicy, state: SupervisorState): readonly ChildState[] => {
  const condemned = state.children.filter(isCondemned);
  if (policy.strategy === "one_for_one" && state.phase !== "stopping") return condemned;
  const busy = state.children.some((child) => child.status === "stopping");
  return busy ? [] : condemned.slice(-1);
};

/** D2, D4, D6: the children to start now. */
const nextStarts = (policy: SupervisorPolicy, state: SupervisorState): readonly ChildState[] => {
  if (state.phase === "stopping") return [];
  const waiting = state.children.filter((child) => child.status === "waiting");
  const isDue = (child: ChildState): boolean => child.incident === 0;
  if (policy.strategy === "one_for_one") {
    if (state.phase !== "starting") return waiting.filter(isDue);
    const busy = state.children.some((child) => !child.admitted && child.status === "starting");
    const first = busy ? undefined : waiting.find((child) => !child.admitted);
    return waiting.filter((child) => isDue(child) && (child.admitted || child === first));
  }
  const busy = state.children.some((child) => child.status === "starting" || child.fate !== null);
  return busy ? [] : waiting.slice(0, 1).filter(isDue);
};

const isComing = (child: ChildState): boolean =>
  child.status === "waiting" || child.status === "starting" || child.fate === "restart";

const nextPhase = (state: SupervisorState): Decision => {
  if (state.phase === "stopping") {
    if (state.children.some(isAlive)) return [state, []];
    const exit: Exit = state.failure ? { kind: "crash", error: state.failure } : { kind: "shutdown" };
    return [
      { ...state, phase: stepPhase("stopping", { type: "children.down", failed: state.failure !== null }) },
      [{ kind: "exit", exit }],
    ];
  }
  const [started, effects]: Decision =
    state.phase === "starting" && state.children.every((child) => child.admitted)
      ? [{ ...state, phase: stepPhase("starting", { type: "children.started" }) }, [{ kind: "ready" }]]
      : [state, []];
  const recovering = started.children.some((child) => child.admitted && isComing(child));
  const phase = stepPhase(started.phase, { type: recovering ? "child.failed" : "children.restarted" });
  return [phase === started.phase ? started : { ...started, phase }, effects];
};

/** The next state and what to do, in order. Ended supervisors answer nothing. */
export const decide = (policy: SupervisorPolicy, state: SupervisorState, input: SupervisorInput): Decision => {
  if (state.phase === "stopped" || state.phase === "escalated") return [state, []];
  const [handled, effects] = handle(policy, state, input);
  const out: Effect[] = [...effects];
  let next = handled;
  for (const { id, generation } of nextStops(policy, next)) {
    next = replace(next, id, { status: "stopping" });
    out.push({ kind: "stop", id, generation });
  }
  for (const { id, generation } of nextStarts(policy, next)) {
    next = replace(next, id, { status: "starting", generation: generation + 1 });
    out.push({ kind: "start", id, generation: generation + 1 });
  }
  const [settledState, last] = nextPhase(next);
  return [settledState, [...out, ...last]];
};
