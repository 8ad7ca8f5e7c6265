/**
 * One generation of a child, from the call of `start` to its end. Every wait has a deadline.
 *
 * I1  The owner hears exactly one of: `startFailed`; or `exited`, with `started` before it when the child came up unasked to stop.
 * I2  The child's code runs in a turn of its own, never within the owner's call: one that throws at once cannot recurse.
 * I3  A child that comes up after its start was given up is stopped at once, and killed at its deadline.
 * I4  Stopping takes at most shutdownMs + killMs; a child that outlives them is abandoned.
 */
import { ServiceError } from "../contracts/errors.ts";
import type { Cancel, Clock } from "../contracts/ports.ts";
import type { SupervisionEvent } from "./events.ts";
import { type ChildSpec, type ChildStats, defaultKillMs, type Exit, type RunningChild } from "./spec.ts";

export interface IncarnationOwner {
  started(startMs: number): void;
  startFailed(error: unknown): void;
  exited(exit: Exit): void;
  overrun(action: "killed" | "abandoned", waitedMs: number): void;
  stopFailed(error: unknown): void;
  orphanReaped(): void;
}

export interface IncarnationContext {
  readonly generation: number;
  readonly path: string;
  readonly clock: Clock;
  readonly report: (event: SupervisionEvent) => void;
}

/** Calls a child's own code; whatever it throws, at once or later, arrives at `onError`. */
const guarded = (call: () => unknown, onError: (error: unknown) => void): void => {
  void Promise.resolve().then(call).then(undefined, onError);
};

export class Incarnation {
  readonly ref: string;
  readonly generation: number;
  readonly #spec: ChildSpec;
  readonly #clock: Clock;
  readonly #owner: IncarnationOwner;
  readonly #controller = new AbortController();
  #child: RunningChild | null = null;
  #phase: "starting" | "up" | "stopping" | "over" = "starting";
  #killed: Error | null = null;
  #forced = false;
  #stopAtMs = 0;
  #cancelDeadline: Cancel;

  constructor(spec: ChildSpec, context: IncarnationContext, owner: IncarnationOwner) {
    this.#spec = spec;
    this.#clock = context.clock;
    this.#owner = owner;
    this.generation = context.generation;
    this.ref = `${spec.id}#${context.generation}`;
    const { generation, path, clock, report } = context;
    const startedAtMs = clock.monotonicMs();
    this.#cancelDeadline = clock.schedule(spec.maxStartMs, () => this.#startOverran());
    Promise.resolve()
      .then(() => spec.start({ ref: this.ref, generation, path, signal: this.#controller.signal, clock, report }))
      .then(
        (child) => this.#arrived(child, clock.monotonicMs() - startedAtMs),
        (error) => this.#startRejected(error),
      );
  }

  /** The running child; null while it starts and after its end. */
  get child(): RunningChild | null {
    return this.#phase === "over" ? null : this.#child;
  }

  stats(): ChildStats | null {
    try {
      return this.child?.inspect?.() ?? null;
    } catch {
      // A child that cannot be inspected has no figures; its exit tells the rest.
      return null;
    }
  }

  /** Asks it to end, in mid-start too. `exited` follows within shutdownMs + killMs. */
  stop(reason: string): void {
    if (this.#phase === "stopping" || this.#phase === "over") return;
    const child = this.#phase === "up" ? this.#child : null;
    this.#phase = "stopping";
    this.#stopAtMs = this.#clock.monotonicMs();
    this.#setDeadline(this.#spec.shutdownMs, () => this.#stopOverran());
    this.#controller.abort(new ServiceError(`${this.ref} is to stop: ${reason}`));
    if (child) this.#askToStop(child, reason);
  }

  /** Ends it by force; counts as a crash with this error. Without `kill` it is asked to stop, and abandoned at the kill deadline. */
  kill(error: Error): void {
    if (this.#phase === "over") return;
    this.#killed = error;
    if (this.#phase !== "stopping") this.#stopAtMs = this.#clock.monotonicMs();
    this.#phase = "stopping";
    this.#setDeadline(this.#spec.killMs ?? defaultKillMs, () => this.#abandon());
    this.#controller.abort(error);
    if (this.#child) this.#force(this.#child, error.message);
  }

  /** Kills it and waits for nothing. */
  forsake(reason: string): void {
    if (this.#phase === "over") return;
    this.#controller.abort(new ServiceError(`${this.ref} is killed: ${reason}`));
    if (this.#child) this.#force(this.#child, reason);
    this.#end({ kind: "shutdown" });
  }

  #arrived(child: RunningChild, startMs: number): void {
    if (this.#phase === "over") {
      this.#reap(child);
      return;
    }
    this.#child = child;
    if (this.#phase === "starting") {
      this.#cancelDeadline();
      this.#phase = "up";
      this.#owner.started(startMs);
    } else if (this.#killed) {
      this.#force(child, this.#killed.message);
    } else {
      this.#askToStop(child, "stopped while it started");
    }
    Promise.resolve(child.exited).then(
      (exit) => this.#end(exit),
      (error) => this.#end({ kind: "crash", error }),
    );
  }

  #startRejected(error: unknown): void {
    if (this.#phase === "over") return;
    if (this.#phase === "stopping") {
      this.#end({ kind: "shutdown" });
      return;
    }
    this.#failStart(error);
  }

  #startOverran(): void {
    const error = new ServiceError(
      `expected ${this.ref} to start within ${this.#spec.maxStartMs} ms, it did not; raise maxStartMs or see why it hangs`,
    );
    this.#controller.abort(error);
    this.#failStart(error);
  }

  #failStart(error: unknown): void {
    this.#phase = "over";
    this.#cancelDeadline();
    this.#owner.startFailed(error);
  }

  #askToStop(child: RunningChild, reason: string): void {
    guarded(
      () => child.stop(reason),
      (error) => {
        if (this.#phase === "over" || this.#forced) return;
        this.#owner.stopFailed(error);
        // Without a kill its own end may still come before the deadline.
        if (child.kill) this.#stopOverran();
      },
    );
  }

  /** Neither waits nor throws. */
  #force(child: RunningChild, reason: string): void {
    this.#forced = true;
    try {
      if (child.kill) child.kill();
      else
        guarded(
          () => child.stop(reason),
          (error) => this.#owner.stopFailed(error),
        );
    } catch (error) {
      this.#owner.stopFailed(error);
    }
  }

  #stopOverran(): void {
    const child = this.#child;
    if (!child?.kill) {
      this.#abandon();
      return;
    }
    this.#setDeadline(this.#spec.killMs ?? defaultKillMs, () => this.#abandon());
    this.#owner.overrun("killed", this.#waitedMs());
    this.#force(child, "shutdown deadline");
  }

  #abandon(): void {
    this.#owner.overrun("abandoned", this.#waitedMs());
    this.#end({ kind: "shutdown" });
  }

  #waitedMs(): number {
    return this.#clock.monotonicMs() - this.#stopAtMs;
  }

  #end(exit: Exit): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#cancelDeadline();
    this.#controller.abort(new ServiceError(`${this.ref} has ended`));
    this.#owner.exited(this.#killed ? { kind: "crash", error: this.#killed } : exit);
  }

  /** I3 */
  #reap(child: RunningChild): void {
    const reason = "it started after it was given up";
    const arrivedAtMs = this.#clock.monotonicMs();
    this.#owner.orphanReaped();
    const cancel = this.#clock.schedule(this.#spec.shutdownMs, () => {
      this.#owner.overrun(child.kill ? "killed" : "abandoned", this.#clock.monotonicMs() - arrivedAtMs);
      if (child.kill) this.#force(child, reason);
    });
    Promise.resolve(child.exited).then(cancel, cancel);
    guarded(
      () => child.stop(reason),
      (error) => this.#owner.stopFailed(error),
    );
  }

  #setDeadline(ms: number, callback: () => void): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#clock.schedule(ms, callback);
  }
}
