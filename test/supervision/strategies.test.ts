import { describe, expect, it } from "vitest";
import type { Exit, RestartType, Strategy } from "../../src/supervision/spec.ts";
import { rig } from "./support.ts";

const strategies: readonly Strategy[] = ["one_for_one", "one_for_all", "rest_for_one"];
const restarts: readonly RestartType[] = ["permanent", "transient", "temporary"];
const exits: readonly Exit[] = [{ kind: "normal" }, { kind: "shutdown" }, { kind: "crash", error: new Error("boom") }];

/** What Erlang/OTP's supervisor documentation says happens to a, b, c when b exits: the log up to and after the delay. */
const expectation = (strategy: Strategy, restart: RestartType, exit: Exit["kind"]): readonly [string[], string[]] => {
  const restarted = restart === "permanent" || (restart === "transient" && exit === "crash");
  if (!restarted) return [[], []];
  if (strategy === "one_for_one") return [[], ["+b#2"]];
  if (strategy === "rest_for_one")
    return [
      ["stop c#1", "-c#1"],
      ["+b#2", "+c#2"],
    ];
  return [
    ["stop c#1", "-c#1", "stop a#1", "-a#1"],
    ["+a#2", "+b#2", "+c#2"],
  ];
};

describe("strategy × restart type × exit", () => {
  for (const strategy of strategies) {
    for (const restart of restarts) {
      for (const exit of exits) {
        it(`${strategy}, ${restart}, ${exit.kind}`, async () => {
          const r = rig("abc", { strategy, restart: { b: restart } });
          await r.up();
          expect(r.since()).toEqual(["+a#1", "+b#1", "+c#1"]);
          r.child("b").last.exit(exit);
          await r.clock.flush();
          const [stops, starts] = expectation(strategy, restart, exit.kind);
          expect(r.since()).toEqual(["-b#1", ...stops]);
          await r.clock.advance(99);
          expect(r.since()).toEqual([]);
          await r.clock.advance(1);
          expect(r.since()).toEqual(starts);
          const down = restart === "temporary" ? "gone" : "finished";
          expect(r.status("b")).toBe(starts.length > 0 ? "up" : down);
          expect(r.status("a")).toBe("up");
          expect(r.status("c")).toBe("up");
          expect(r.supervisor.tree().phase).toBe("running");
        });
      }
    }
  }
});

describe("groups", () => {
  it("a temporary sibling in a group is stopped and forgotten", async () => {
    const r = rig("abc", { strategy: "one_for_all", restart: { a: "temporary" } });
    await r.up();
    await r.crash("b");
    await r.clock.advance(100);
    expect(r.status("a")).toBe("gone");
    expect(r.since().slice(-2)).toEqual(["+b#2", "+c#2"]);
  });

  it("a transient sibling that had finished starts again with its group", async () => {
    const r = rig("abc", { strategy: "rest_for_one", restart: { c: "transient" } });
    await r.up();
    r.child("c").last.exit({ kind: "normal" });
    await r.clock.flush();
    expect(r.status("c")).toBe("finished");
    await r.crash("b");
    await r.clock.advance(100);
    expect(r.status("c")).toBe("up");
    expect(r.status("a")).toBe("up");
    expect(r.child("a").generations).toHaveLength(1);
  });

  it("rest_for_one leaves the earlier ones alone and goes down in reverse, up in order", async () => {
    const r = rig("abcde", { strategy: "rest_for_one" });
    await r.up();
    r.since();
    await r.crash("c");
    expect(r.since()).toEqual(["-c#1", "stop e#1", "-e#1", "stop d#1", "-d#1"]);
    await r.clock.advance(100);
    expect(r.since()).toEqual(["+c#2", "+d#2", "+e#2"]);
    const event = r.events.find((e) => e.kind === "restarting");
    expect(event).toMatchObject({ id: "c", delayMs: 100, stops: ["e", "d"], starts: ["c", "d", "e"] });
  });

  it("a crash of an earlier child during the restart of a later one takes the larger group, once", async () => {
    const r = rig("abc", { strategy: "rest_for_one" });
    await r.up();
    await r.crash("c");
    await r.clock.advance(50);
    r.since();
    await r.crash("a");
    expect(r.since()).toEqual(["-a#1", "stop b#1", "-b#1"]);
    // The restart of c alone was due at 100; it belongs to the newer incident now.
    await r.clock.advance(60);
    expect(r.since()).toEqual([]);
    await r.clock.advance(40);
    expect(r.since()).toEqual(["+a#2", "+b#2", "+c#2"]);
  });

  it("a crash of a restarted child while a sibling still starts gives that start up", async () => {
    const r = rig("ab", { strategy: "one_for_all" });
    await r.up();
    r.child("b").start = "hang-until-abort";
    await r.crash("a");
    await r.clock.advance(100);
    expect(r.status("b")).toBe("starting");
    await r.crash("a");
    expect(r.status("b")).toBe("waiting");
    r.child("b").start = "ok";
    await r.clock.advance(200);
    expect(r.supervisor.find("a")).toMatchObject({ status: "up", generation: 3 });
    expect(r.supervisor.find("b")).toMatchObject({ status: "up", generation: 3 });
    expect(r.child("a").alive + r.child("b").alive).toBe(2);
  });

  it("a group waits until its slowest sibling is down before anything starts", async () => {
    const r = rig("ab", { strategy: "one_for_all" });
    await r.up();
    r.child("b").stop = "ignore";
    await r.crash("a");
    await r.clock.advance(299);
    expect(r.child("a").alive).toBe(0);
    expect(r.status("b")).toBe("stopping");
    await r.clock.advance(1);
    expect(r.since().slice(-3)).toEqual(["-b#1", "+a#2", "+b#2"]);
  });

  it("two sibling crashes in one turn are one group restart each way", async () => {
    const r = rig("abc", { strategy: "one_for_all" });
    await r.up();
    r.child("a").crash();
    r.child("c").crash();
    await r.clock.advance(100);
    expect(r.supervisor.tree().children.map((c) => c.ref)).toEqual(["a#2", "b#2", "c#2"]);
    expect(r.supervisor.tree().restartsInPeriod).toBe(1);
  });
});
