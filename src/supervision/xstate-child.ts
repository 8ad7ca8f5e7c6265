/**
 * An XState actor as a supervised child.
 *
 * X1  However the actor ends, no child of it stays running.
 * X2  Its error becomes an exit; it never surfaces as an uncaught exception.
 * X3  An error of a child that only a wildcard transition would take is a crash, not an event like any other.
 * X4  A machine with `after` is not restored from a snapshot: its timers would be lost. Keep deadlines in the context.
 * X5  Each generation is a root with a system of its own, so a systemId that a failed spawn leaves behind ends with it.
 */
import {
  Actor,
  type ActorRefLike,
  type AnyActor,
  type AnyActorRef,
  type AnyEventObject,
  type AnyStateMachine,
  fromCallback,
  type InspectionEvent,
  isMachineSnapshot,
  StateMachine,
  type StateNode,
} from "xstate";
import { InputError } from "../contracts/errors.ts";
import type { Cancel, Clock } from "../contracts/ports.ts";
import { Deferred } from "./deferred.ts";
import type { Exit, RunningChild } from "./spec.ts";

/** XState's own clock interface over the clock port. Ids are numbers, as `setTimeout` of browsers gives. */
export const xstateClock = (clock: Clock) => {
  const running = new Map<number, Cancel>();
  let last = 0;
  return {
    setTimeout(callback: (...args: unknown[]) => void, delayMs: number): number {
      const id = ++last;
      const cancel = clock.schedule(delayMs, () => {
        running.delete(id);
        callback();
      });
      running.set(id, cancel);
      return id;
    },
    clearTimeout(id: number): void {
      running.get(id)?.();
      running.delete(id);
    },
  };
};

/** To be spread into the options of `createActor`. */
export interface SafeActorOptions {
  readonly clock: ReturnType<typeof xstateClock>;
  readonly inspect: (event: InspectionEvent) => void;
}

export interface XstateChild<A extends AnyActor> extends RunningChild {
  readonly actor: A;
}

/**
 * Starts the root actor that `create` makes. Rejects when its first actions throw; after that every end shows in `exited`:
 * final state → normal, `stop` → shutdown, error → crash.
 *
 * @example startActor(clock, (options) => createActor(machine, { ...options, input }))
 */
export const startActor = async <A extends AnyActor>(
  clock: Clock,
  create: (options: SafeActorOptions) => A,
): Promise<XstateChild<A>> => {
  const ended = new Deferred<Exit>();
  let swallowed: { readonly error: unknown } | null = null;

  const end = (exit: Exit): void => {
    stopChildren(actor);
    ended.resolve(swallowed ? { kind: "crash", error: swallowed.error } : exit);
  };
  const inspect = (event: InspectionEvent): void => {
    if (event.type !== "@xstate.event" || !event.event.type.startsWith("xstate.error.")) return;
    const { sourceRef, actorRef } = event;
    // Inside XState's own delivery nothing may be stopped, so wait for the turn's end.
    // X1: also where the parent handles the error and goes on.
    if (sourceRef instanceof Actor) queueMicrotask(() => stopChildren(sourceRef));
    if (!isSwallowed(actorRef, event.event)) return;
    // X3
    swallowed ??= { error: event.event["error"] };
    queueMicrotask(() => stopActor(actor));
  };

  const actor = create({ clock: xstateClock(clock), inspect });
  expectNoLostTimers(actor);
  // X2: a subscriber without an error handler would turn a handled error into an uncaught exception.
  actor.subscribe({
    error: (error) => end({ kind: "crash", error }),
    complete: () => end({ kind: actor.getSnapshot().status === "done" ? "normal" : "shutdown" }),
  });
  actor.start();
  const first = actor.getSnapshot();
  if (first.status === "error") throw first.error;
  return {
    actor,
    exited: ended.promise,
    stop: async () => stopActor(actor),
    kill: () => stopActor(actor),
  };
};

/** Subscribes with an error handler always set; a throw of `next` goes there too. Returns the function that unsubscribes. */
export const observe = <A extends AnyActor>(
  actor: A,
  next: (snapshot: ReturnType<A["getSnapshot"]>) => void,
  onError: (error: unknown) => void,
): (() => void) => {
  const subscription = actor.subscribe({
    next: (snapshot) => {
      try {
        next(snapshot);
      } catch (error) {
        onError(error);
      }
    },
    error: onError,
  });
  return () => subscription.unsubscribe();
};

/** Names of the states with delayed transitions (`after`), as paths joined by dots; the root is its id. */
export const statesWithAfter = (machine: AnyStateMachine): readonly string[] => {
  const walk = (node: StateNode): string[] => [
    ...(node.after.length > 0 ? [node.path.join(".") || node.key] : []),
    ...Object.values(node.states).flatMap(walk),
  ];
  return walk(machine.root);
};

export interface GuardedScope<E extends AnyEventObject, I> {
  readonly input: I;
  readonly sendBack: (event: AnyEventObject) => void;
  readonly receive: (listener: (event: E) => void) => void;
  /** A timer of this callback: a throw in it is the callback's error, and its end cancels the timer. */
  readonly schedule: (delayMs: number, callback: () => void) => Cancel;
  /** Makes a listener for a foreign emitter whose throw is the callback's error. */
  readonly guard: <T extends readonly unknown[]>(listener: (...args: T) => void) => (...args: T) => void;
}

/**
 * `fromCallback` for code with timers and listeners of its own. XState does not see what those throw; here it reaches the parent
 * as the error event of this child, after which the callback is stopped and its disposer has run.
 */
export const guardedCallback = <E extends AnyEventObject, I = undefined>(
  clock: Clock,
  setup: (scope: GuardedScope<E, I>) => undefined | (() => void),
) =>
  fromCallback<E, I>(({ input, sendBack, receive, self }) => {
    const timers = new Set<Cancel>();
    let over = false;
    const guard =
      <T extends readonly unknown[]>(listener: (...args: T) => void) =>
      (...args: T): void => {
        if (over) return;
        try {
          listener(...args);
        } catch (error) {
          sendBack({ type: `xstate.error.actor.${self.id}`, error, actorId: self.id });
          stopActor(self);
        }
      };
    const schedule = (delayMs: number, callback: () => void): Cancel => {
      const guardedTimer = guard(callback);
      const cancelTimer = clock.schedule(delayMs, () => {
        timers.delete(cancelTimer);
        guardedTimer();
      });
      timers.add(cancelTimer);
      return () => {
        timers.delete(cancelTimer);
        cancelTimer();
      };
    };
    const dispose = setup({ input, sendBack, receive: (listener) => receive(guard(listener)), schedule, guard });
    return () => {
      over = true;
      for (const cancel of timers) cancel();
      timers.clear();
      dispose?.();
    };
  });

/** Works for a child as well, which has no public `stop`. */
const stopActor = (actor: AnyActorRef): void => {
  if (actor.getSnapshot().status === "active") actor.send({ type: "xstate.stop" });
};

/** X1: a machine whose own action throws leaves its children running. */
const stopChildren = (actor: AnyActorRef): void => {
  const snapshot: unknown = actor.getSnapshot();
  if (!isMachineSnapshot(snapshot)) return;
  for (const child of Object.values(snapshot.children)) {
    if (!(child instanceof Actor)) continue;
    stopActor(child);
  }
};

/** True when the machine's present states name no transition for the error of a child, but have a wildcard. */
const isSwallowed = (target: ActorRefLike, event: AnyEventObject): boolean => {
  if (!(target instanceof Actor)) return false;
  const snapshot: unknown = target.getSnapshot();
  if (!isMachineSnapshot(snapshot)) return false;
  const descriptors: string[] = snapshot._nodes.flatMap((node) => [...node.ownEvents]);
  const named = descriptors.some(
    (descriptor) => descriptor === event.type || (descriptor.endsWith(".*") && event.type.startsWith(descriptor.slice(0, -1))),
  );
  return !named && descriptors.includes("*");
};

/** X4 */
const expectNoLostTimers = (actor: AnyActor): void => {
  if (!actor.options.snapshot || !(actor.logic instanceof StateMachine)) return;
  const states = statesWithAfter(actor.logic);
  if (states.length === 0) return;
  throw new InputError(
    `machine ${actor.logic.id}: expected no "after" in a machine that is restored from a snapshot, got it in ${states.join(", ")}; ` +
      "its timers would be lost: keep the deadline in the context",
  );
};
