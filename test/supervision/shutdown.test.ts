import { describe, expect, it } from "vitest";
import { rig, TestChild } from "./support.ts";

describe("shutdown", () => {
  it("D2 goes in reverse start order", async () => {
    const r = rig("abc");
    await r.up();
    r.since();
    await r.supervisor.stop();
    expect(r.since()).toEqual(["stop c#1", "-c#1", "stop b#1", "-b#1", "stop a#1", "-a#1"]);
    expect(r.exit()).toEqual({ kind: "shutdown" });
    expect(r.clock.pending()).toBe(0);
  });

  it.each(["ignore", "resolve-but-stay"] as const)(
    "a child that does %s is killed at its deadline, and the next one waits for it",
    async (how) => {
      const r = rig("ab");
      await r.up();
      r.child("b").stop = how;
      r.since();
      void r.supervisor.stop();
      await r.clock.advance(299);
      expect(r.since()).toEqual(["stop b#1"]);
      await r.clock.advance(1);
      expect(r.since()).toEqual(["kill b#1", "-b#1", "stop a#1", "-a#1"]);
      expect(r.events).toContainEqual(
        expect.objectContaining({ kind: "shutdownOverrun", id: "b", action: "killed", waitedMs: 300 }),
      );
      expect(r.exit()).toEqual({ kind: "shutdown" });
    },
  );

  it.each(["throw", "reject"] as const)("a stop that %ss is reported and the child killed at once", async (how) => {
    const r = rig("a");
    await r.up();
    r.child("a").stop = how;
    await r.supervisor.stop();
    expect(r.log).toEqual(["+a#1", "stop a#1", "kill a#1", "-a#1"]);
    expect(r.kinds()).toContain("stopFailed");
    expect(r.clock.monotonicMs()).toBe(0);
  });

  it.each(["throw", "reject"] as const)("a stop that %ss without a kill leaves the child until its deadline", async (how) => {
    const r = rig("a");
    r.child("a").killable = false;
    await r.up();
    r.child("a").stop = how;
    void r.supervisor.stop();
    await r.clock.advance(299);
    expect(r.exit()).toBeNull();
    await r.clock.advance(1);
    expect(r.exit()).toEqual({ kind: "shutdown" });
    expect(r.supervisor.tree().abandoned).toBe(1);
  });

  it("a stop that rejects after the kill does not kill again", async () => {
    const r = rig("");
    await r.up();
    let kills = 0;
    await r.supervisor.addChild({
      ...new TestChild("x", []).spec(),
      start: async ({ clock }) => ({
        exited: new Promise(() => {}),
        stop: () => new Promise((_, reject) => void clock.schedule(310, () => reject(new Error("late")))),
        kill: () => {
          kills++;
        },
      }),
    });
    void r.supervisor.stop();
    await r.clock.advance(350);
    expect(kills).toBe(1);
    expect(r.exit()).toEqual({ kind: "shutdown" });
  });

  it("I4 a child that survives its kill is abandoned after killMs", async () => {
    const r = rig("a");
    r.child("a").killWorks = false;
    await r.up();
    r.child("a").stop = "ignore";
    void r.supervisor.stop();
    await r.clock.advance(349);
    expect(r.exit()).toBeNull();
    await r.clock.advance(1);
    expect(r.exit()).toEqual({ kind: "shutdown" });
    expect(r.events).toContainEqual(expect.objectContaining({ kind: "shutdownOverrun", action: "abandoned", waitedMs: 350 }));
  });

  it("a crash while it stops is no restart", async () => {
    const r = rig("ab");
    await r.up();
    r.child("b").stop = "ignore";
    void r.supervisor.stop();
    await r.clock.flush();
    await r.crash("b");
    await r.clock.advance(5000);
    expect(r.child("b").generations).toHaveLength(1);
    expect(r.exit()).toEqual({ kind: "shutdown" });
  });

  it("S5 stop during a restart delay starts nothing more", async () => {
    const r = rig("ab", { strategy: "one_for_all" });
    await r.up();
    await r.crash("a");
    await r.supervisor.stop();
    expect(r.clock.pending()).toBe(0);
    await r.clock.advance(5000);
    expect(r.child("a").generations).toHaveLength(1);
  });

  it("kill waits for nobody", async () => {
    const r = rig("abc");
    for (const id of "abc") r.child(id).killWorks = false;
    r.child("b").killable = false;
    await r.up();
    r.since();
    r.supervisor.kill();
    await r.clock.flush();
    expect(r.since()).toEqual(["kill c#1", "kill a#1", "stop b#1", "-b#1"]);
    expect(r.exit()).toEqual({ kind: "shutdown" });
    expect(r.clock.pending()).toBe(0);
  });
});
