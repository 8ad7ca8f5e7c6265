import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RestartType, Strategy } from "../../src/supervision/spec.ts";
import { rig, type StartBehaviour, type StopBehaviour, type TestChild } from "./support.ts";

const ids = ["a", "b", "c", "d"] as const;
const id = fc.constantFrom(...ids);
const starts: readonly StartBehaviour[] = ["ok", "ok", "ok", "reject", "throw", "hang-until-abort", "exit-at-once"];
const stops: readonly StopBehaviour[] = ["ok", "ok", "reject", "throw", "ignore", "resolve-but-stay"];

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("crash" as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("normal" as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill" as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("start" as const), id, how: fc.constantFrom(...starts) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("stop" as const), id, how: fc.constantFrom(...stops) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 700 }) }) },
);

const setting = fc.record({
  strategy: fc.constantFrom<Strategy>("one_for_one", "one_for_all", "rest_for_one"),
  restart: fc.record(
    Object.fromEntries(ids.map((name) => [name, fc.constantFrom<RestartType>("permanent", "transient", "temporary")])),
  ),
  restartsMax: fc.constantFrom(1, 3, 1000),
  steps: fc.array(step, { minLength: 3, maxLength: 25, size: "max" }),
});

/** The children are killable and their kills work, so no generation may ever outlive its successor's start. */
const expectOneGeneration = (children: readonly TestChild[]): void => {
  for (const child of children) expect(child.alive, child.id).toBeLessThanOrEqual(1);
};

const stopsIn = (log: readonly string[]): string[] =>
  log.filter((entry) => entry.startsWith("stop ")).map((entry) => entry.slice(5, 6));

describe("any sequence of faults", () => {
  it("never two generations alive; quiescent is what the table says; the last stop is in reverse; nothing leaks", async () => {
    let escalated = 0;
    let recovered = 0;
    await fc.assert(
      fc.asyncProperty(setting, async ({ strategy, restart, restartsMax, steps }) => {
        const r = rig(ids.join(""), { strategy, restart, intensity: { restartsMax, periodMs: 100_000 } });
        const children = ids.map((name) => r.child(name));
        r.supervisor.onEvent(() => expectOneGeneration(children));
        await r.up();
        const removed = new Set<string>();
        for (const s of steps) {
          switch (s.do) {
            case "advance":
              await r.clock.advance(s.ms);
              break;
            case "start":
              r.child(s.id).start = s.how;
              break;
            case "stop":
              r.child(s.id).stop = s.how;
              break;
            case "kill":
              if (r.child(s.id).alive && r.status(s.id) !== "gone") r.supervisor.killChild(s.id);
              break;
            case "restart":
              void r.supervisor.restartChild(s.id).catch(() => {});
              break;
            case "remove":
              removed.add(s.id);
              void r.supervisor.removeChild(s.id).catch(() => {});
              break;
            case "crash":
            case "normal":
              r.child(s.id).last.exit(s.do === "crash" ? { kind: "crash", error: new Error("x") } : { kind: "normal" });
              break;
          }
          expectOneGeneration(children);
        }
        // No more faults: everything comes to rest.
        for (const child of children) {
          child.start = "ok";
          child.stop = "ok";
        }
        await r.clock.advance(20_000);
        expectOneGeneration(children);
        expect(r.events.filter((event) => event.kind === "listenerFailed")).toEqual([]);
        const { phase } = r.supervisor.tree();
        if (phase === "escalated") {
          escalated++;
          expect(children.filter((child) => child.alive > 0)).toEqual([]);
          expect(r.clock.pending()).toBe(0);
          return;
        }
        recovered++;
        expect(phase).toBe("running");
        for (const name of ids) {
          const status = r.status(name);
          expect(r.child(name).alive, `${name} is ${status}`).toBe(status === "up" ? 1 : 0);
          if (restart[name] === "permanent" && !removed.has(name)) expect(status).toBe("up");
          expect(["up", "finished", "gone"]).toContain(status);
        }
        expect(r.clock.pending()).toBe(0);
        const alive = ids.filter((name) => r.status(name) === "up");
        r.since();
        void r.supervisor.stop();
        await r.clock.flush();
        expect(stopsIn(r.log)).toEqual([...alive].reverse());
        expect(r.exit()).toEqual({ kind: "shutdown" });
        expect(r.clock.pending()).toBe(0);
      }),
      { numRuns: 400, seed: 7 },
    );
    // Both ends were visited, so the property is not held by one branch alone.
    expect(escalated).toBeGreaterThan(20);
    expect(recovered).toBeGreaterThan(20);
  });

  it("starts and stops of a group are a stack: what came up last goes down first", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Strategy>("one_for_all", "rest_for_one"),
        fc.array(id, { maxLength: 10 }),
        async (strategy, crashes) => {
          const r = rig(ids.join(""), { strategy, intensity: { restartsMax: 1000, periodMs: 1000 } });
          await r.up();
          for (const name of crashes) {
            r.since();
            await r.crash(name);
            await r.clock.advance(1000);
            const first = strategy === "one_for_all" ? 0 : ids.indexOf(name);
            const group = ids.slice(first);
            expect(stopsIn(r.log)).toEqual([...group].reverse().filter((other) => other !== name));
            expect(r.log.filter((entry) => entry.startsWith("+")).map((entry) => entry.slice(1, 2))).toEqual([...group]);
          }
        },
      ),
      { numRuns: 50, seed: 7 },
    );
  });
});
