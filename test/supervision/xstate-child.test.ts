/** Each trap of XState first shown bare, then disarmed: if a later XState mends one, the first half says so. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type AnyActorRef,
  type AnyStateMachine,
  assign,
  createActor,
  createMachine,
  fromCallback,
  fromPromise,
  setup,
} from "xstate";
import { createMailbox } from "../../src/supervision/mailbox.ts";
import type { Exit, RunningChild } from "../../src/supervision/spec.ts";
import { Supervisor } from "../../src/supervision/supervisor.ts";
import { guardedCallback, observe, startActor, statesWithAfter, xstateClock } from "../../src/supervision/xstate-child.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { defaultPolicy } from "./support.ts";

const throws = (message: string) => () => {
  throw new Error(message);
};

/** XState reports what nobody handles by a throw in a timer of its own; this collects instead of ending the process. */
let unhandled: unknown[] = [];
beforeEach(() => {
  unhandled = [];
  vi.stubGlobal("setTimeout", (callback: () => void) => {
    try {
      callback();
    } catch (error) {
      unhandled.push(error);
    }
    return 0;
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

const watch = (child: RunningChild): (() => Exit | null) => {
  let exit: Exit | null = null;
  void child.exited.then((value) => {
    exit = value;
  });
  return () => exit;
};

/** A parent with a running callback child and a grandchild, whose own action throws on `break`. */
const family = () => {
  const running = new Set<string>();
  const resource = (name: string) =>
    fromCallback(() => {
      running.add(name);
      return () => {
        running.delete(name);
      };
    });
  const middle = createMachine({ id: "middle", invoke: { id: "grandchild", src: resource("grandchild") } });
  const machine = createMachine({
    id: "family",
    invoke: [
      { id: "child", src: resource("child") },
      { id: "middle", src: middle },
    ],
    on: { break: { actions: throws("own action") } },
  });
  return { running, machine };
};

describe("X1 a machine whose own action throws", () => {
  it("bare: leaves its children running", () => {
    const { running, machine } = family();
    const actor = createActor(machine);
    actor.subscribe({ error: () => {} });
    actor.start();
    actor.send({ type: "break" });
    expect(actor.getSnapshot().status).toBe("error");
    expect([...running]).toEqual(["child", "grandchild"]);
  });

  it("as a child: is a crash, and children and grandchildren are stopped", async () => {
    const clock = createSimulatedClock();
    const { running, machine } = family();
    const child = await startActor(clock, (options) => createActor(machine, options));
    const exit = watch(child);
    expect(running.size).toBe(2);
    child.actor.send({ type: "break" });
    await clock.flush();
    expect(exit()).toEqual({ kind: "crash", error: new Error("own action") });
    expect(running.size).toBe(0);
    expect(unhandled).toEqual([]);
  });

  it("a throw in the first entry action is a failed start with nothing left", async () => {
    const { machine, running } = family();
    const broken = createMachine({ ...machine.config, entry: throws("first") });
    await expect(startActor(createSimulatedClock(), (options) => createActor(broken, options))).rejects.toThrow("first");
    expect(running.size).toBe(0);
    expect(unhandled).toEqual([]);
  });

  it("a child machine that throws leaves nothing running, though its parent handles the error and goes on", async () => {
    const clock = createSimulatedClock();
    const { running, machine } = family();
    const parent = createMachine({ invoke: { id: "family", src: machine, onError: { actions: () => {} } } });
    const child = await startActor(clock, (options) => createActor(parent, options));
    const inner: AnyActorRef | undefined = child.actor.getSnapshot().children["family"];
    inner?.send({ type: "break" });
    await clock.flush();
    expect(child.actor.getSnapshot().status).toBe("active");
    expect(running.size).toBe(0);
  });

  it("final state is a normal exit, stop a shutdown", async () => {
    const clock = createSimulatedClock();
    const machine = createMachine({ initial: "on", states: { on: { on: { end: "off" } }, off: { type: "final" } } });
    const ended = await startActor(clock, (options) => createActor(machine, options));
    const stopped = await startActor(clock, (options) => createActor(machine, options));
    const exits = [watch(ended), watch(stopped)];
    ended.actor.send({ type: "end" });
    await stopped.stop("test");
    await stopped.stop("again");
    await clock.flush();
    expect(exits.map((exit) => exit())).toEqual([{ kind: "normal" }, { kind: "shutdown" }]);
  });
});

describe("exit actions on stop", () => {
  it("do not run; the disposer of a callback does", async () => {
    const trace: string[] = [];
    const machine = createMachine({
      initial: "on",
      states: {
        on: { exit: () => trace.push("exit action"), invoke: { src: fromCallback(() => () => trace.push("disposer")) } },
      },
    });
    const child = await startActor(createSimulatedClock(), (options) => createActor(machine, options));
    await child.stop("test");
    expect(trace).toEqual(["disposer"]);
  });
});

describe("X2 a subscriber without an error handler", () => {
  const machine = createMachine({ on: { break: { actions: throws("handled") } } });

  it("bare: makes an uncaught exception of an error that another one handles", () => {
    const actor = createActor(machine);
    const handled: unknown[] = [];
    actor.subscribe({ error: (error) => handled.push(error) });
    actor.subscribe(() => {});
    actor.start();
    actor.send({ type: "break" });
    expect(handled).toHaveLength(1);
    expect(unhandled).toEqual([new Error("handled")]);
  });

  it("observe always has one, and its own throw goes there too", async () => {
    const clock = createSimulatedClock();
    const child = await startActor(clock, (options) => createActor(machine, options));
    const seen: unknown[] = [];
    observe(child.actor, throws("in next"), (error) => seen.push(error));
    child.actor.send({ type: "other" });
    child.actor.send({ type: "break" });
    expect(seen).toEqual([new Error("in next"), new Error("handled")]);
    expect(unhandled).toEqual([]);
  });
});

describe("X3 a wildcard transition", () => {
  const worker = fromPromise(() => Promise.reject(new Error("lost")));
  const wildcard = createMachine({ invoke: { id: "worker", src: worker }, on: { "*": { actions: () => {} } } });

  it("bare: swallows the error of a child", async () => {
    const actor = createActor(wildcard);
    actor.subscribe({ error: () => {} });
    actor.start();
    await createSimulatedClock().flush();
    expect(actor.getSnapshot().status).toBe("active");
  });

  it("as a child: is a crash with the error", async () => {
    const clock = createSimulatedClock();
    const exit = watch(await startActor(clock, (options) => createActor(wildcard, options)));
    await clock.flush();
    expect(exit()).toEqual({ kind: "crash", error: new Error("lost") });
  });

  it("one that is handled by name is no crash", async () => {
    const clock = createSimulatedClock();
    const machine = createMachine({
      invoke: { id: "worker", src: worker, onError: { actions: () => {} } },
      on: { "*": { actions: () => {} } },
    });
    const child = await startActor(clock, (options) => createActor(machine, options));
    const exit = watch(child);
    await clock.flush();
    expect(exit()).toBeNull();
    expect(child.actor.getSnapshot().status).toBe("active");
  });
});

describe("X4 `after` and restore", () => {
  const machine = createMachine({
    id: "timed",
    initial: "waiting",
    states: { waiting: { after: { 100: "late" } }, late: {} },
  });

  it("bare: the timer is lost", async () => {
    const clock = createSimulatedClock();
    const first = createActor(machine, { clock: xstateClock(clock) }).start();
    const snapshot = first.getPersistedSnapshot();
    first.stop();
    const second = createActor(machine, { clock: xstateClock(clock), snapshot }).start();
    await clock.advance(1000);
    expect(second.getSnapshot().value).toBe("waiting");
  });

  it("as a child: a restore is refused with the states' names; a fresh start keeps its timers on our clock", async () => {
    const clock = createSimulatedClock();
    const child = await startActor(clock, (options) => createActor(machine, options));
    const snapshot = child.actor.getPersistedSnapshot();
    await expect(startActor(clock, (options) => createActor(machine, { ...options, snapshot }))).rejects.toThrow(
      'machine timed: expected no "after" in a machine that is restored from a snapshot, got it in waiting',
    );
    await clock.advance(100);
    expect(child.actor.getSnapshot().value).toBe("late");
    expect(statesWithAfter(machine)).toEqual(["waiting"]);
  });
});

describe("X5 spawn, then throw", () => {
  const resource = fromCallback(() => {});
  const machine = setup({
    types: { context: {} as { ref: AnyActorRef | null } },
    actors: { resource },
  }).createMachine({
    context: { ref: null },
    on: {
      spawn: {
        actions: [assign({ ref: ({ spawn }) => spawn("resource", { systemId: "the-resource" }) }), throws("after spawn")],
      },
    },
  });

  it("bare: the systemId stays taken in the system", () => {
    const root = createActor(machine);
    root.subscribe({ error: () => {} });
    root.start();
    root.send({ type: "spawn" });
    expect(root.getSnapshot().status).toBe("error");
    expect(root.system.get("the-resource")).toBeDefined();
  });

  it("as a child: the next generation takes the systemId without a collision", async () => {
    const clock = createSimulatedClock();
    for (let generation = 0; generation < 2; generation++) {
      const child = await startActor(clock, (options) => createActor(machine, options));
      const exit = watch(child);
      child.actor.send({ type: "spawn" });
      await clock.flush();
      expect(exit()).toEqual({ kind: "crash", error: new Error("after spawn") });
    }
  });
});

describe("a throw in a timer of a callback", () => {
  it("bare: bypasses XState", async () => {
    const clock = createSimulatedClock();
    const errors: unknown[] = [];
    const machine = createMachine({ invoke: { src: fromCallback(() => void clock.schedule(10, throws("in timer"))) } });
    const actor = createActor(machine);
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    await expect(clock.advance(10)).rejects.toThrow("in timer");
    expect(errors).toEqual([]);
    expect(actor.getSnapshot().status).toBe("active");
  });

  it("guarded: is the callback's error, with its disposer run and its other timers cancelled", async () => {
    const clock = createSimulatedClock();
    let disposed = 0;
    const source = guardedCallback(clock, ({ schedule }) => {
      schedule(10, throws("in timer"));
      schedule(20, () => {});
      schedule(5, () => {})();
      return () => {
        disposed++;
      };
    });
    const exit = watch(await startActor(clock, (options) => createActor(createMachine({ invoke: { src: source } }), options)));
    await clock.advance(10);
    expect(exit()).toEqual({ kind: "crash", error: new Error("in timer") });
    expect(disposed).toBe(1);
    expect(clock.pending()).toBe(0);
  });

  it("guarded: a machine with onError goes on, and a spawned one is stopped all the same", async () => {
    const clock = createSimulatedClock();
    let disposed = 0;
    const source = guardedCallback<{ type: "poke" }>(clock, ({ receive, guard }) => {
      receive(guard(throws("on poke")));
      return () => {
        disposed++;
      };
    });
    const machine = createMachine({
      initial: "on",
      invoke: { id: "poked", src: source, onError: ".recovered" },
      states: { on: {}, recovered: {} },
    });
    const child = await startActor(clock, (options) => createActor(machine, options));
    const poked: AnyActorRef | undefined = child.actor.getSnapshot().children["poked"];
    poked?.send({ type: "poke" });
    await clock.flush();
    expect(child.actor.getSnapshot()).toMatchObject({ value: "recovered", status: "active" });
    expect(disposed).toBe(1);
  });
});

describe("a chain of peers", () => {
  const hops = 5_000;

  it("bare: delivery is synchronous and overflows the stack", () => {
    const refs: AnyActorRef[] = [];
    let seen = 0;
    const link = (index: number): AnyStateMachine =>
      createMachine({
        on: {
          hop: {
            actions: () => {
              seen++;
              refs[index + 1]?.send({ type: "hop" });
            },
          },
        },
      });
    for (let index = 0; index < hops; index++) {
      const actor = createActor(link(index));
      actor.subscribe({ error: () => {} });
      refs.push(actor.start());
    }
    refs[0]?.send({ type: "hop" });
    expect(seen).toBeLessThan(hops);
    expect(refs.some((ref) => ref.getSnapshot().status === "error")).toBe(true);
  });

  it("with mailboxes between them it arrives", async () => {
    const clock = createSimulatedClock();
    let seen = 0;
    const boxes = Array.from({ length: hops }, (_, index) =>
      createMailbox<"hop">({
        capacity: 1,
        clock,
        onCrash: () => {},
        handler: () => {
          seen++;
          boxes[index + 1]?.enqueue("hop");
        },
      }),
    );
    boxes[0]?.enqueue("hop");
    await clock.flush();
    expect(seen).toBe(hops);
  });
});

describe("under a supervisor", () => {
  it("a machine that crashes comes back as a fresh generation", async () => {
    const clock = createSimulatedClock();
    const { running, machine } = family();
    const actors: AnyActorRef[] = [];
    const supervisor = new Supervisor(
      {
        id: "top",
        strategy: "one_for_one",
        ...defaultPolicy,
        children: [
          {
            id: "family",
            kind: "worker",
            restart: "transient",
            maxStartMs: 100,
            shutdownMs: 100,
            start: async () => {
              const child = await startActor(clock, (options) => createActor(machine, options));
              actors.push(child.actor);
              return child;
            },
          },
        ],
      },
      { clock },
    );
    await supervisor.start();
    actors[0]?.send({ type: "break" });
    await clock.advance(100);
    expect(supervisor.find("family")?.ref).toBe("family#2");
    expect(running.size).toBe(2);
    await supervisor.stop();
    expect(running.size).toBe(0);
    expect(unhandled).toEqual([]);
  });
});
