import { describe, expect, it } from "vitest";
import {
  backoffMs,
  decide,
  type Effect,
  initialState,
  type SupervisorInput,
  type SupervisorPolicy,
  type SupervisorState,
} from "../../src/supervision/decide.ts";
import { stepPhase, supervisorMachine } from "../../src/supervision/lifecycle.ts";
import type { RestartType, Strategy, SupervisorPhase } from "../../src/supervision/spec.ts";
import { TestChild } from "./support.ts";

const policy = (strategy: Strategy): SupervisorPolicy => ({
  id: "top",
  strategy,
  intensity: { restartsMax: 3, periodMs: 1000 },
  backoff: { initialMs: 100, factor: 2, maxMs: 300 },
});

const boom = { kind: "crash", error: new Error("boom") } as const;

/** Steps through inputs; every child that is asked to start comes up at once unless `manual`. */
const run = (strategy: Strategy, ids: string, inputs: readonly SupervisorInput[], restart: RestartType = "permanent") => {
  let state = initialState({ children: [...ids].map((id) => new TestChild(id, []).spec(restart)) });
  const effects: Effect[] = [];
  const step = (input: SupervisorInput): void => {
    const [next, out] = decide(policy(strategy), state, input);
    state = next;
    effects.push(...out);
    for (const effect of out) {
      if (effect.kind === "start") step({ kind: "childStarted", id: effect.id, generation: effect.generation, atMs: 0 });
    }
  };
  for (const input of [{ kind: "start" } as const, ...inputs]) {
    effects.length = 0;
    step(input);
  }
  return { state, effects };
};

const crash = (id: string, generation = 1, atMs = 0): SupervisorInput => ({
  kind: "childExited",
  id,
  generation,
  exit: boom,
  atMs,
});

describe("decide", () => {
  it("does not change the state it is given", () => {
    const { state } = run("one_for_all", "abc", []);
    const frozen = structuredClone(state);
    decide(policy("one_for_all"), state, crash("b"));
    expect(state).toEqual(frozen);
  });

  it("D1 an exit of an older or newer generation, or of a stranger, changes nothing", () => {
    const { state } = run("one_for_all", "ab", []);
    for (const input of [crash("a", 0), crash("a", 2), crash("z", 1)]) {
      expect(decide(policy("one_for_all"), state, input)).toEqual([state, []]);
    }
  });

  it("D2 D5 a failure only stops and schedules; one stop at a time, from the end", () => {
    const first = run("one_for_all", "abc", [crash("b")]);
    expect(first.effects).toEqual([
      { kind: "scheduleRestart", incident: 1, id: "b", delayMs: 100, stops: ["c", "a"], starts: ["a", "b", "c"] },
      { kind: "stop", id: "c", generation: 1 },
    ]);
    expect(first.state.phase).toBe("restarting");
    const down = (id: string): SupervisorInput => ({
      kind: "childExited",
      id,
      generation: 1,
      exit: { kind: "shutdown" },
      atMs: 5,
    });
    expect(run("one_for_all", "abc", [crash("b"), down("c")]).effects).toEqual([{ kind: "stop", id: "a", generation: 1 }]);
    // D4: due, but a is not down yet.
    const due: SupervisorInput = { kind: "restartDue", incident: 1 };
    expect(run("one_for_all", "abc", [crash("b"), down("c"), due]).effects).toEqual([]);
    const last = run("one_for_all", "abc", [crash("b"), down("c"), due, down("a")]);
    expect(last.effects.map((effect) => effect.kind === "start" && effect.id)).toEqual(["a", "b", "c"]);
    expect(last.state.phase).toBe("running");
  });

  it("D5 a restart due of a superseded incident starts nothing", () => {
    const { effects, state } = run("rest_for_one", "ab", [crash("b"), crash("a"), { kind: "restartDue", incident: 1 }]);
    expect(effects).toEqual([]);
    expect(state.children.map((child) => child.status)).toEqual(["waiting", "waiting"]);
  });

  it("D6 nothing starts once it is stopping, and an ended supervisor answers nothing", () => {
    const stopping = run("one_for_one", "ab", [crash("a"), { kind: "stop" }, { kind: "restartDue", incident: 1 }]);
    expect(stopping.effects).toEqual([]);
    const ended = run("one_for_one", "ab", [{ kind: "stop" }, crash("b"), crash("a")]);
    expect(ended.effects).toEqual([{ kind: "exit", exit: { kind: "shutdown" } }]);
    expect(decide(policy("one_for_one"), ended.state, { kind: "addChild", id: "x", restart: "permanent" })).toEqual([
      ended.state,
      [],
    ]);
  });

  it("D6 a child that is added while it stops is not started", () => {
    const { effects } = run("one_for_one", "ab", [{ kind: "stop" }, { kind: "addChild", id: "x", restart: "permanent" }]);
    expect(effects).toEqual([]);
  });

  it("a child on its way out is not brought back by its group's restart", () => {
    const { state, effects } = run("one_for_all", "abc", [{ kind: "removeChild", id: "c" }, crash("b"), crash("c")]);
    expect(state.children.map((child) => child.id)).toEqual(["a", "b"]);
    expect(effects).toEqual([
      { kind: "removed", id: "c", error: null },
      { kind: "stop", id: "a", generation: 1 },
    ]);
  });

  it("backoff is min(maxMs, initialMs · factorⁿ)", () => {
    const { backoff } = policy("one_for_one");
    expect([0, 1, 2, 50].map((streak) => backoffMs(backoff, streak))).toEqual([100, 200, 300, 300]);
  });
});

describe("supervisorMachine", () => {
  const phases: readonly SupervisorPhase[] = ["starting", "running", "restarting", "stopping", "stopped", "escalated"];

  it("has exactly the phases", () => {
    expect(Object.keys(supervisorMachine.states)).toEqual(phases);
  });

  it("every phase × every event", () => {
    const table = phases.map((phase) => [
      stepPhase(phase, { type: "children.started" }),
      stepPhase(phase, { type: "child.failed" }),
      stepPhase(phase, { type: "children.restarted" }),
      stepPhase(phase, { type: "gave.up" }),
      stepPhase(phase, { type: "stop" }),
      stepPhase(phase, { type: "children.down", failed: false }),
      stepPhase(phase, { type: "children.down", failed: true }),
    ]);
    expect(table).toEqual([
      ["running", "starting", "starting", "stopping", "stopping", "starting", "starting"],
      ["running", "restarting", "running", "stopping", "stopping", "running", "running"],
      ["restarting", "restarting", "running", "stopping", "stopping", "restarting", "restarting"],
      ["stopping", "stopping", "stopping", "stopping", "stopping", "stopped", "escalated"],
      Array(7).fill("stopped"),
      Array(7).fill("escalated"),
    ]);
  });

  it("a supervisor's state never leaves the machine", () => {
    const { state }: { state: SupervisorState } = run("rest_for_one", "abc", [crash("a"), crash("b"), { kind: "stop" }]);
    expect(phases).toContain(state.phase);
  });
});
