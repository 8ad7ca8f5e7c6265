/**
 * The supervisor: carries out what `decide.ts` decides, with real children and a clock.
 *
 * S1  Inputs are handled one at a time from a queue; an effect never runs inside the handling of another input.
 * S2  At most one generation of a child is in the table; events of any other change nothing.
 * S3  A restart is a delayed input, never a call from an error handler.
 * S4  `start`, `stop` and `exited` always settle: every wait below has a deadline.
 * S5  After `exited` no restart is scheduled any more.
 * S6  A listener that throws harms nobody.
 */
import { describeError, InputError, ServiceError } from "../contracts/errors.ts";
import type { Cancel, Clock } from "../contracts/ports.ts";
import {
  type ChildState,
  decide,
  type Effect,
  initialState,
  restartsWithin,
  type SupervisorInput,
  type SupervisorState,
} from "./decide.ts";
import { Deferred } from "./deferred.ts";
import { exitReason, type SupervisionEvent } from "./events.ts";
import { Incarnation } from "./incarnation.ts";
import {
  type ChildNode,
  type ChildSpec,
  checkChildSpec,
  checkSupervisorSpec,
  type Exit,
  type NestedSupervisor,
  type RunningChild,
  type SupervisorSpec,
  type SupervisorTree,
} from "./spec.ts";
import { findNode } from "./tree.ts";

export interface SupervisorOptions {
  readonly clock: Clock;
  /** Path of this supervisor in the tree. Default: its id. */
  readonly path?: string;
}

/** An event before it is stamped with place and time. Distributes over the union, which a plain Omit does not. */
type Untimed<E> = E extends SupervisionEvent ? Omit<E, "supervisor" | "atMs"> : never;

export class Supervisor implements RunningChild, NestedSupervisor {
  readonly #spec: SupervisorSpec;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #specs = new Map<string, ChildSpec>();
  readonly #live = new Map<string, Incarnation>();
  readonly #listeners = new Set<(event: SupervisionEvent) => void>();
  readonly #timers = new Set<Cancel>();
  readonly #inputs: SupervisorInput[] = [];
  readonly #added = new Map<string, Deferred<void>>();
  readonly #restarted = new Map<string, Deferred<void>>();
  readonly #removed = new Map<string, Deferred<void>>();
  readonly #ready = new Deferred<void>();
  readonly #ended = new Deferred<Exit>();
  readonly exited: Promise<Exit> = this.#ended.promise;
  #state: SupervisorState;
  #started = false;
  #draining = false;
  #forsaking = false;
  #abandoned = 0;

  /** Throws an InputError when the spec makes no sense. */
  constructor(spec: SupervisorSpec, options: SupervisorOptions) {
    checkSupervisorSpec(spec);
    this.#spec = spec;
    this.#clock = options.clock;
    this.#path = options.path ?? spec.id;
    this.#state = initialState(spec);
    for (const child of spec.children) this.#specs.set(child.id, child);
  }

  get nested(): NestedSupervisor {
    return this;
  }

  /** Starts the children in order. Rejects, with every child stopped again, when one cannot start. */
  start(): Promise<void> {
    if (!this.#started) {
      this.#started = true;
      this.#send({ kind: "start" });
    }
    return this.#ready.promise;
  }

  /** Stops the children in reverse start order; resolves when none is left. */
  async stop(_reason = "shutdown"): Promise<void> {
    this.#send({ kind: "stop" });
    await this.#ended.promise;
  }

  /** Kills every child at once and exits without waiting for any. */
  kill(): void {
    this.#forsaking = true;
    this.#send({ kind: "stop" });
    for (const incarnation of [...this.#live.values()]) incarnation.forsake(`supervisor ${this.#path} was killed`);
  }

  /** Returns the function that ends the subscription. */
  onEvent(listener: (event: SupervisionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Starts a further child, last in order; rejects and takes it out again when it cannot start. */
  addChild(spec: ChildSpec): Promise<void> {
    try {
      checkChildSpec(this.#path, spec);
      this.#expectServing(`add ${spec.id}`);
      if (this.#specs.has(spec.id)) throw new InputError(`${this.#path}: there is a child ${spec.id} already; remove it first`);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#specs.set(spec.id, spec);
    const added = new Deferred<void>();
    this.#added.set(spec.id, added);
    this.#send({ kind: "addChild", id: spec.id, restart: spec.restart });
    return added.promise;
  }

  /** Stops a child and forgets it. */
  removeChild(id: string): Promise<void> {
    return this.#request(this.#removed, id, { kind: "removeChild", id });
  }

  /** Stops a child, here or below, and starts it again at once; does not count towards the intensity. */
  restartChild(id: string): Promise<void> {
    const owner = this.#owner(id);
    if (owner && owner !== this) return owner.restartChild(id);
    return this.#request(this.#restarted, id, { kind: "restartChild", id });
  }

  /** Kills a child, here or below, as if it had crashed: what follows is its supervisor's usual answer. */
  killChild(id: string): void {
    const owner = this.#owner(id);
    if (owner && owner !== this) {
      owner.killChild(id);
      return;
    }
    const live = this.#live.get(id);
    if (!live)
      throw new InputError(
        `${this.#path}: expected a living child ${id} to kill, found ${this.#specs.has(id) ? "it down" : this.#known()}`,
      );
    live.kill(new ServiceError(`${live.ref} was killed by request`));
  }

  tree(): SupervisorTree {
    return {
      id: this.#spec.id,
      path: this.#path,
      strategy: this.#spec.strategy,
      phase: this.#state.phase,
      restartsInPeriod: this.#restartsInPeriod(),
      abandoned: this.#abandoned,
      children: this.#state.children.map((child) => this.#node(child)),
    };
  }

  /** The first node with this id, or with this path, depth first. */
  find(id: string): ChildNode | undefined {
    return findNode(this.tree(), id);
  }

  #node(child: ChildState): ChildNode {
    const live = this.#live.get(child.id);
    return {
      id: child.id,
      path: `${this.#path}/${child.id}`,
      ref: `${child.id}#${child.generation}`,
      kind: this.#specs.get(child.id)?.kind ?? "worker",
      restart: child.restart,
      status: child.status,
      generation: child.generation,
      stats: live?.stats() ?? null,
      nested: live?.child?.nested?.tree() ?? null,
    };
  }

  /** The supervisor, this one or one below, that has a child of this id or path. */
  #owner(id: string): NestedSupervisor | undefined {
    if (this.#specs.has(id)) return this;
    for (const live of this.#live.values()) {
      const nested = live.child?.nested;
      if (nested && findNode(nested.tree(), id)) return nested;
    }
    return undefined;
  }

  #known(): string {
    return `only ${[...this.#specs.keys()].join(", ") || "no child"}`;
  }

  #expectServing(what: string): void {
    const { phase } = this.#state;
    if (phase === "running" || phase === "restarting" || phase === "starting") return;
    throw new ServiceError(`${this.#path}: cannot ${what}, the supervisor is ${phase}`);
  }

  #request(table: Map<string, Deferred<void>>, id: string, input: SupervisorInput): Promise<void> {
    try {
      if (!this.#specs.has(id))
        throw new InputError(`${this.#path}: expected a child to ${input.kind}, there is no ${id}, ${this.#known()}`);
      this.#expectServing(`${input.kind} ${id}`);
    } catch (error) {
      return Promise.reject(error);
    }
    const asked = table.get(id) ?? new Deferred<void>();
    table.set(id, asked);
    this.#send(input);
    return asked.promise;
  }

  /** S1 */
  #send(input: SupervisorInput): void {
    this.#inputs.push(input);
    if (this.#draining) return;
    this.#draining = true;
    for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
      const [state, effects] = decide(this.#spec, this.#state, next);
      this.#state = state;
      for (const effect of effects) this.#run(effect);
    }
    this.#draining = false;
  }

  #run(effect: Effect): void {
    switch (effect.kind) {
      case "start":
        this.#startChild(effect.id, effect.generation);
        break;
      case "stop": {
        const live = this.#live.get(effect.id);
        if (this.#forsaking) live?.forsake(`supervisor ${this.#path} was killed`);
        else live?.stop("its supervisor asks");
        break;
      }
      case "scheduleRestart": {
        const { id, delayMs, stops, starts, incident } = effect;
        // S3
        this.#after(delayMs, () => this.#send({ kind: "restartDue", incident }));
        this.#emit({ kind: "restarting", id, delayMs, stops, starts, restartsInPeriod: this.#restartsInPeriod() });
        break;
      }
      case "finished":
        this.#emit({ kind: "childFinished", id: effect.id });
        break;
      case "removed": {
        const { id, error } = effect;
        const reason = error ?? new ServiceError(`${id} was removed`);
        this.#specs.delete(id);
        settle(this.#added, id, reason);
        settle(this.#restarted, id, reason);
        settle(this.#removed, id);
        this.#emit({ kind: "childRemoved", id });
        break;
      }
      case "ready":
        this.#ready.resolve();
        this.#emit({ kind: "supervisorStarted" });
        break;
      case "escalate":
        this.#emit({ kind: "escalated", reason: effect.error.message });
        break;
      case "exit":
        this.#exit(effect.exit);
        break;
    }
  }

  #startChild(id: string, generation: number): void {
    const spec = this.#specs.get(id);
    if (!spec) throw new Error(`${this.#path}: no spec of ${id}`);
    const path = `${this.#path}/${id}`;
    const context = { generation, path, clock: this.#clock, report: (event: SupervisionEvent) => this.#publish(event) };
    const atMs = (): number => this.#clock.monotonicMs();
    const gone = (): void => {
      if (this.#live.get(id) === incarnation) this.#live.delete(id);
    };
    const incarnation: Incarnation = new Incarnation(spec, context, {
      started: (startMs) => {
        this.#emit({ kind: "childStarted", id, generation, startMs });
        this.#send({ kind: "childStarted", id, generation, atMs: atMs() });
        // One that came up only to be stopped again is not what the caller waits for.
        if (this.#state.children.find((child) => child.id === id)?.fate) return;
        settle(this.#added, id);
        settle(this.#restarted, id);
      },
      startFailed: (error) => {
        gone();
        this.#emit({ kind: "childStartFailed", id, generation, reason: describeError(error) });
        settle(this.#restarted, id, error);
        this.#send({ kind: "startFailed", id, generation, error, atMs: atMs() });
      },
      exited: (exit) => {
        gone();
        this.#emit({ kind: "childExited", id, generation, exit: exit.kind, reason: exitReason(exit) });
        this.#send({ kind: "childExited", id, generation, exit, atMs: atMs() });
      },
      overrun: (action, waitedMs) => {
        if (action === "abandoned") this.#abandoned++;
        this.#emit({ kind: "shutdownOverrun", id, generation, action, waitedMs });
      },
      stopFailed: (error) => this.#emit({ kind: "stopFailed", id, generation, reason: describeError(error) }),
      orphanReaped: () => this.#emit({ kind: "orphanReaped", id, generation }),
    });
    this.#live.set(id, incarnation);
  }

  #after(delayMs: number, callback: () => void): void {
    const cancel = this.#clock.schedule(delayMs, () => {
      this.#timers.delete(cancel);
      callback();
    });
    this.#timers.add(cancel);
  }

  /** S4, S5 */
  #exit(exit: Exit): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    const reason = exit.kind === "crash" ? exit.error : new ServiceError(`supervisor ${this.#path} was stopped`);
    this.#ready.reject(reason);
    for (const id of [...this.#removed.keys()]) settle(this.#removed, id);
    for (const table of [this.#added, this.#restarted]) for (const id of [...table.keys()]) settle(table, id, reason);
    this.#emit({ kind: "supervisorExited", exit: exit.kind, reason: exitReason(exit) });
    this.#ended.resolve(exit);
  }

  #restartsInPeriod(): number {
    return restartsWithin(this.#state, this.#spec.intensity.periodMs, this.#clock.monotonicMs()).length;
  }

  #emit(event: Untimed<SupervisionEvent>): void {
    this.#publish({ ...event, supervisor: this.#path, atMs: this.#clock.nowMs() });
  }

  /** S6: the other listeners hear of the failure; a throw on that news itself goes no further. */
  #publish(event: SupervisionEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        if (event.kind !== "listenerFailed") this.#emit({ kind: "listenerFailed", reason: describeError(error) });
      }
    }
  }
}

/** Resolves a waiter, or rejects it when there is an error, and forgets it. */
const settle = (table: Map<string, Deferred<void>>, id: string, error?: unknown): void => {
  const waiter = table.get(id);
  table.delete(id);
  if (error === undefined) waiter?.resolve();
  else waiter?.reject(error);
};
