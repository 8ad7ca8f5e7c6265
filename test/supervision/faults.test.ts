import { describe, expect, it } from "vitest";
import { ServiceError } from "../../src/contracts/errors.ts";
import { rig } from "./support.ts";

describe("first start", () => {
  it.each(["reject", "throw", "hang"] as const)(
    "a child that %ss ends the supervisor, the earlier ones stopped in reverse",
    async (how) => {
      const r = rig("abcd");
      r.child("c").start = how;
      const outcome = r.supervisor.start().catch((error: unknown) => error);
      await r.clock.advance(500);
      const error = await outcome;
      expect(error).toBeInstanceOf(ServiceError);
      expect(String(error)).toContain("expected c to start, got:");
      expect(r.log).toEqual(["+a#1", "+b#1", "stop b#1", "-b#1", "stop a#1", "-a#1"]);
      expect(r.exit()).toMatchObject({ kind: "crash", error });
      expect(r.supervisor.tree().phase).toBe("escalated");
    },
  );

  it("starts one after the other", async () => {
    const r = rig("abc");
    r.child("b").start = "hang";
    void r.supervisor.start();
    await r.clock.flush();
    expect([r.status("a"), r.status("b"), r.status("c")]).toEqual(["up", "starting", "waiting"]);
    r.child("b").last.arrive();
    await r.clock.flush();
    expect(r.log).toEqual(["+a#1", "+b#1", "+c#1"]);
  });

  it("a crash of an earlier child in the meantime does not start a later one too soon", async () => {
    const r = rig("abc");
    r.child("b").start = "hang";
    void r.supervisor.start();
    await r.clock.flush();
    await r.crash("a");
    await r.clock.advance(100);
    expect([r.status("a"), r.status("b"), r.status("c")]).toEqual(["up", "starting", "waiting"]);
  });

  it("a child that exits at once is restarted by delayed events until the intensity is exceeded", async () => {
    const r = rig("ab");
    r.child("b").start = "exit-at-once";
    void r.supervisor.start().catch(() => {});
    await r.clock.advance(100 + 200 + 400);
    expect(r.child("b").generations).toHaveLength(4);
    expect(r.exit()).toMatchObject({ kind: "crash" });
    expect(r.child("a").alive).toBe(0);
  });

  it("S4 stop during the start gives the starting child up and stops the others", async () => {
    const r = rig("ab");
    r.child("b").start = "hang-until-abort";
    const outcome = r.supervisor.start().catch((error: Error) => error.message);
    await r.clock.flush();
    void r.supervisor.stop();
    await r.clock.flush();
    expect(await outcome).toBe("supervisor top was stopped");
    expect(r.exit()).toEqual({ kind: "shutdown" });
    expect(r.clock.pending()).toBe(0);
  });

  it("a supervisor without children runs and stops", async () => {
    const r = rig("");
    await r.up();
    await r.supervisor.stop();
    expect(r.exit()).toEqual({ kind: "shutdown" });
  });

  it("stop before start exits, and start then rejects", async () => {
    const r = rig("a");
    await r.supervisor.stop();
    await expect(r.supervisor.start()).rejects.toThrow("was stopped");
    expect(r.log).toEqual([]);
  });
});

describe("restart faults", () => {
  it.each(["reject", "throw"] as const)("a restart that %ss counts and is tried again", async (how) => {
    const r = rig("a");
    await r.up();
    r.child("a").start = how;
    await r.crash("a");
    await r.clock.advance(100);
    expect(r.status("a")).toBe("waiting");
    r.child("a").start = "ok";
    await r.clock.advance(200);
    expect(r.supervisor.find("a")).toMatchObject({ status: "up", generation: 3 });
    expect(r.supervisor.tree().restartsInPeriod).toBe(2);
  });

  it("I3 a restart that hangs is given up at maxStartMs; when it arrives late it is stopped and nothing leaks", async () => {
    const r = rig("a");
    await r.up();
    r.child("a").start = "hang";
    await r.crash("a");
    await r.clock.advance(100 + 499);
    expect(r.status("a")).toBe("starting");
    await r.clock.advance(1);
    expect(r.status("a")).toBe("waiting");
    const late = r.child("a").last;
    r.child("a").start = "ok";
    await r.clock.advance(200);
    expect(r.supervisor.find("a")?.ref).toBe("a#3");
    r.since();
    late.arrive();
    await r.clock.flush();
    expect(r.since()).toEqual(["+a#2", "stop a#2", "-a#2"]);
    expect(r.kinds()).toContain("orphanReaped");
    expect(r.supervisor.find("a")).toMatchObject({ status: "up", ref: "a#3" });
    expect(r.child("a").alive).toBe(1);
  });

  it("I3 a late arrival that also ignores stop is killed at the shutdown deadline, even after the supervisor has ended", async () => {
    const r = rig("a");
    r.child("a").start = "hang";
    r.child("a").stop = "ignore";
    const outcome = r.supervisor.start().catch(() => "failed");
    await r.clock.advance(500);
    expect(await outcome).toBe("failed");
    r.child("a").last.arrive();
    await r.clock.advance(300);
    expect(r.log).toEqual(["+a#1", "stop a#1", "kill a#1", "-a#1"]);
    expect(r.clock.pending()).toBe(0);
  });

  it("a crash of another child during a restart delay is its own restart with one_for_one", async () => {
    const r = rig("ab");
    await r.up();
    await r.crash("a");
    await r.clock.advance(60);
    await r.crash("b");
    r.since();
    await r.clock.advance(40);
    expect(r.since()).toEqual(["+a#2"]);
    await r.clock.advance(60);
    expect(r.since()).toEqual(["+b#2"]);
  });

  it("a hanging restart does not hold up a sibling with one_for_one", async () => {
    const r = rig("ab");
    await r.up();
    r.child("a").start = "hang";
    await r.crash("a");
    await r.clock.advance(100);
    await r.crash("b");
    await r.clock.advance(100);
    expect(r.status("a")).toBe("starting");
    expect(r.status("b")).toBe("up");
  });

  it("I2 S3 thousands of immediate crashes do not recurse: each restart is a delayed event", async () => {
    const r = rig("a", { intensity: { restartsMax: 2000, periodMs: 1000 }, backoff: { initialMs: 0, factor: 1, maxMs: 0 } });
    r.child("a").start = "exit-at-once";
    let depthMax = 0;
    r.supervisor.onEvent(() => {
      depthMax = Math.max(depthMax, new Error().stack?.split("\n").length ?? 0);
    });
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 200;
    void r.supervisor.start().catch(() => {});
    await r.clock.flush();
    Error.stackTraceLimit = limit;
    expect(r.child("a").generations).toHaveLength(2001);
    expect(r.exit()).toMatchObject({ kind: "crash" });
    expect(depthMax).toBeLessThan(40);
  });
});

describe("stale news", () => {
  it("S2 an abandoned generation that ends later does not touch its successor", async () => {
    const r = rig("a");
    r.child("a").killable = false;
    await r.up();
    r.child("a").stop = "ignore";
    const restarted = r.supervisor.restartChild("a");
    await r.clock.advance(300);
    await restarted;
    expect(r.supervisor.find("a")).toMatchObject({ ref: "a#2", status: "up" });
    r.child("a").generations[0]?.exit({ kind: "crash", error: new Error("stale") });
    await r.clock.advance(1000);
    expect(r.supervisor.find("a")).toMatchObject({ ref: "a#2", status: "up" });
    expect(r.supervisor.tree()).toMatchObject({ restartsInPeriod: 0, abandoned: 1 });
  });
});
