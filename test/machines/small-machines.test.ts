import { describe, expect, test } from "vitest";
import { lifecycleStates } from "../../src/contracts/lifecycle.ts";
import { describeMachine, machines } from "../../src/machines/catalogue.ts";
import { startCompileJob, stepCompileJob } from "../../src/machines/compile-job-machine.ts";
import type { RunEvent, RunSnapshot } from "../../src/machines/run-machine.ts";
import { startRun, stepRun } from "../../src/machines/run-machine.ts";

const go = (events: readonly RunEvent[], from: RunSnapshot = startRun({ rollbacksMax: 3 })): RunSnapshot =>
  events.reduce((snapshot, event) => stepRun(snapshot, event).snapshot, from);
const rollback = (place: number): RunEvent[] => [{ type: "ROLLBACK", place, reason: "loss NaN" }, { type: "ROLLED_BACK" }];

describe("run", () => {
  test("R1 complete work ends in done, a stop in stopped, an error in failed", () => {
    expect(go([{ type: "OPENED" }, { type: "COMPLETE", reason: "used up" }, { type: "FINISHED" }]).value).toBe("done");
    expect(go([{ type: "OPENED" }, { type: "STOP", reason: "asked" }, { type: "FINISHED" }]).value).toBe("stopped");
    const failed = go([{ type: "OPENED" }, { type: "FAIL", reason: "disk" }]);
    expect([failed.value, failed.context.reason, failed.status]).toEqual(["failed", "disk", "done"]);
  });

  test("R2 the rollback after the last allowed one at the same place fails the run; another place counts anew", () => {
    const three = go([{ type: "OPENED" }, ...rollback(98), ...rollback(98), ...rollback(98)]);
    expect([three.value, three.context.rollbacks]).toEqual(["training", 3]);
    const fourth = go(rollback(98), three);
    expect([fourth.value, fourth.context.reason]).toEqual(["failed", "3 rollbacks to host step 98 did not help: loss NaN"]);
    const elsewhere = go(rollback(196), three);
    expect([elsewhere.value, elsewhere.context.rollbacksHere, elsewhere.context.rollbacks]).toEqual(["training", 1, 4]);
  });

  test("R3 what is not legal is refused with a reason and changes nothing", () => {
    const start = startRun({ rollbacksMax: 3 });
    for (const type of ["RESUME", "PAUSE", "FINISHED", "ROLLED_BACK"] as const) {
      const step = stepRun(start, { type });
      expect(step).toEqual({ kind: "refused", snapshot: start, reason: `${type} is not legal while the run is starting` });
    }
    const done = go([{ type: "OPENED" }, { type: "STOP", reason: "asked" }, { type: "FINISHED" }]);
    expect(stepRun(done, { type: "OPENED" }).kind).toBe("refused");
    expect(go([{ type: "OPENED" }, { type: "PAUSE" }, { type: "RESUME" }]).value).toBe("training");
  });
});

describe("compile job", () => {
  const hash = "a".repeat(64);
  const start = startCompileJob({ seedId: "seed:h2", deadlineAtMs: 100 });

  test("C1 compiled, stored, ready; or found at once; or failed with its reason", () => {
    const compiling = stepCompileJob(start, { type: "START", atMs: 0 }).snapshot;
    const storing = stepCompileJob(compiling, { type: "COMPILED", atMs: 50 }).snapshot;
    const ready = stepCompileJob(storing, { type: "STORED", atMs: 100, kernelHash: hash }).snapshot;
    expect([compiling.value, storing.value, ready.value, ready.context.kernelHash]).toEqual([
      "compiling",
      "storing",
      "ready",
      hash,
    ]);
    expect(stepCompileJob(start, { type: "FOUND", atMs: 1, kernelHash: hash }).snapshot.value).toBe("ready");
    const failed = stepCompileJob(compiling, { type: "FAIL", atMs: 1, reason: "unknown operator" }).snapshot;
    expect([failed.value, failed.context.reason]).toEqual(["failed", "unknown operator"]);
  });

  test("C2 past the deadline every event fails the job; a tick before it changes nothing", () => {
    const late = stepCompileJob(start, { type: "FOUND", atMs: 101, kernelHash: hash }).snapshot;
    expect([late.value, late.context.kernelHash]).toEqual(["failed", null]);
    expect(late.context.reason).toContain("by 100 ms, it is 101 ms");
    expect(stepCompileJob(start, { type: "TICK", atMs: 100 })).toEqual({ kind: "stayed", snapshot: start });
    expect(stepCompileJob(start, { type: "TICK", atMs: 101 }).snapshot.value).toBe("failed");
    expect(stepCompileJob(start, { type: "COMPILED", atMs: 1 })).toMatchObject({ kind: "refused" });
    expect(stepCompileJob(late, { type: "START", atMs: 1 })).toMatchObject({ kind: "refused" });
  });
});

describe("catalogue", () => {
  for (const [name, machine] of Object.entries(machines)) {
    test(`${name}: plain JSON, everything described, every target a state`, () => {
      const described = describeMachine(name, machine);
      expect(JSON.parse(JSON.stringify(described))).toEqual(described);
      const states = described.states.map((state) => state.name);
      expect(states).toContain(described.initial);
      for (const state of described.states) {
        expect(state.description).not.toBe("");
        for (const transition of state.transitions) {
          expect(transition.description).not.toBe("");
          if (transition.target !== undefined) expect(states).toContain(transition.target);
        }
      }
    });
  }

  test("the seed's chart names its eleven states and its gates", () => {
    const seed = describeMachine("seed", machines["seed"] ?? expect.fail("no seed machine"));
    expect(seed.states.map((state) => state.name)).toEqual([...lifecycleStates]);
    const tuning = seed.states.find((state) => state.name === "FINE_TUNING");
    expect(tuning?.transitions).toContainEqual(
      expect.objectContaining({ event: "WINDOW", target: "FOSSILIZED", guard: "verdictPassed", actions: ["enter"] }),
    );
    expect(seed.anywhere).toHaveLength(9);
  });
});
