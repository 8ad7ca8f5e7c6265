/** Children that a test makes crash, hang or end at will, and a supervisor over them that writes down what happens. */
import type { SupervisionEvent } from "../../src/supervision/events.ts";
import type { ChildSpec, Exit, RestartType, RunningChild, StartContext, SupervisorSpec } from "../../src/supervision/spec.ts";
import { Supervisor } from "../../src/supervision/supervisor.ts";
import { createSimulatedClock } from "../support/clock.ts";

export type StartBehaviour = "ok" | "reject" | "throw" | "hang" | "hang-until-abort" | "exit-at-once";
export type StopBehaviour = "ok" | "reject" | "throw" | "ignore" | "resolve-but-stay";

export interface Generation {
  readonly ref: string;
  alive: boolean;
  exit(exit: Exit): void;
  /** Lets a hanging start come up after all. */
  arrive(): void;
}

/** Plain child whose behaviour is read at each call. Its doings go to `log` as `+a#1` (up), `-a#1` (down), `stop a#1`, `kill a#1`. */
export class TestChild {
  start: StartBehaviour = "ok";
  stop: StopBehaviour = "ok";
  killable = true;
  killWorks = true;
  exitAtOnce: Exit = { kind: "crash", error: new Error("at once") };
  readonly id: string;
  readonly generations: Generation[] = [];
  readonly #log: string[];

  constructor(id: string, log: string[]) {
    this.id = id;
    this.#log = log;
  }

  get last(): Generation {
    const last = this.generations.at(-1);
    if (!last) throw new Error(`${this.id} never started`);
    return last;
  }

  get alive(): number {
    return this.generations.filter((generation) => generation.alive).length;
  }

  crash(message = `${this.id} broke`): void {
    this.last.exit({ kind: "crash", error: new Error(message) });
  }

  spec(restart: RestartType = "permanent", bounds: Partial<ChildSpec> = {}): ChildSpec {
    return {
      id: this.id,
      kind: "worker",
      restart,
      maxStartMs: 500,
      shutdownMs: 300,
      killMs: 50,
      start: (context) => this.#begin(context),
      ...bounds,
    };
  }

  #begin(context: StartContext): Promise<RunningChild> {
    const { ref } = context;
    let resolveExit: (exit: Exit) => void = () => {};
    let arrive: () => void = () => {};
    const exited = new Promise<Exit>((resolve) => {
      resolveExit = resolve;
    });
    const generation: Generation = {
      ref,
      alive: false,
      exit: (exit) => {
        if (generation.alive) this.#log.push(`-${ref}`);
        generation.alive = false;
        resolveExit(exit);
      },
      arrive: () => arrive(),
    };
    this.generations.push(generation);
    const running = (): RunningChild => {
      generation.alive = true;
      this.#log.push(`+${ref}`);
      return {
        exited,
        stop: () => this.#stop(generation),
        ...(this.killable ? { kill: () => this.#kill(generation) } : {}),
      };
    };
    switch (this.start) {
      case "throw":
        throw new Error(`${ref} throws in start`);
      case "reject":
        return Promise.reject(new Error(`${ref} rejects in start`));
      case "ok":
        return Promise.resolve(running());
      case "exit-at-once": {
        const child = running();
        generation.exit(this.exitAtOnce);
        return Promise.resolve(child);
      }
      case "hang":
      case "hang-until-abort":
        return new Promise((resolve, reject) => {
          arrive = () => resolve(running());
          if (this.start === "hang-until-abort") context.signal.addEventListener("abort", () => reject(context.signal.reason));
        });
    }
  }

  #stop(generation: Generation): Promise<void> {
    this.#log.push(`stop ${generation.ref}`);
    switch (this.stop) {
      case "throw":
        throw new Error("throws in stop");
      case "reject":
        return Promise.reject(new Error("rejects in stop"));
      case "ignore":
        return new Promise(() => {});
      case "resolve-but-stay":
        return Promise.resolve();
      case "ok":
        generation.exit({ kind: "shutdown" });
        return Promise.resolve();
    }
  }

  #kill(generation: Generation): void {
    this.#log.push(`kill ${generation.ref}`);
    if (this.killWorks) generation.exit({ kind: "crash", error: new Error("SIGKILL") });
  }
}

export const defaultPolicy = {
  intensity: { restartsMax: 3, periodMs: 10_000 },
  backoff: { initialMs: 100, factor: 2, maxMs: 1000 },
} as const;

export interface RigOptions extends Partial<Omit<SupervisorSpec, "children">> {
  readonly restart?: Readonly<Record<string, RestartType>>;
}

/** A supervisor over TestChildren named by the letters of `ids`. Not started yet. */
export const rig = (ids: string, options: RigOptions = {}) => {
  const { restart = {}, ...policy } = options;
  const clock = createSimulatedClock();
  const log: string[] = [];
  const events: SupervisionEvent[] = [];
  const child: Record<string, TestChild> = Object.fromEntries([...ids].map((id) => [id, new TestChild(id, log)]));
  const get = (id: string): TestChild => {
    const found = child[id];
    if (!found) throw new Error(`no child ${id}`);
    return found;
  };
  const supervisor = new Supervisor(
    {
      id: "top",
      strategy: "one_for_one",
      ...defaultPolicy,
      ...policy,
      children: [...ids].map((id) => get(id).spec(restart[id] ?? "permanent")),
    },
    { clock },
  );
  supervisor.onEvent((event) => events.push(event));
  let exit: Exit | null = null;
  void supervisor.exited.then((value) => {
    exit = value;
  });
  return {
    clock,
    log,
    events,
    supervisor,
    child: get,
    exit: () => exit,
    kinds: () => events.map((event) => event.kind),
    up: async (): Promise<void> => {
      const started = supervisor.start();
      await clock.flush();
      await started;
    },
    /** What was logged since the last call. */
    since: (): string[] => log.splice(0),
    status: (id: string) => supervisor.find(id)?.status ?? "gone",
    crash: async (id: string): Promise<void> => {
      get(id).crash();
      await clock.flush();
    },
  };
};
