import { describe, expect, it } from "vitest";
import { InputError, ServiceError } from "../../src/contracts/errors.ts";
import { Supervisor } from "../../src/supervision/supervisor.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { rig, TestChild } from "./support.ts";

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

  it("a child that exits at once is restarted by delayed events until the intensity is exceeded", async () => {
    const r = rig("ab");
    r.child("b").start = "exit-at-once";
    void r.supervisor.start().catch(() => {});
    await r.clock.advance(100 + 200 + 400);
    expect(r.child("b").generations).toHaveLength(4);
    expect(r.exit()).toMatchObject({ kind: "crash" });
    expect(r.child("a").alive).toBe(0);
  });

  it("stop during the start gives the starting child up and stops the others", async () => {
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

  it("a restart that hangs is given up at maxStartMs; when it arrives late it is stopped and nothing leaks", async () => {
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

  it("a late arrival that also ignores stop is killed at the shutdown deadline, even after the supervisor has ended", async () => {
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

  it("thousands of immediate crashes do not recurse: each restart is a delayed event", async () => {
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
  it("an abandoned generation that ends later does not touch its successor", async () => {
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

describe("shutdown", () => {
  it("goes in reverse start order", async () => {
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

  it("a child that survives its kill is abandoned after killMs", async () => {
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

  it("stop during a restart delay starts nothing more", async () => {
    const r = rig("ab", { strategy: "one_for_all" });
    await r.up();
    await r.crash("a");
    await r.supervisor.stop();
    await r.clock.advance(5000);
    expect(r.child("a").generations).toHaveLength(1);
    expect(r.clock.pending()).toBe(0);
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

describe("intensity", () => {
  const options = { intensity: { restartsMax: 2, periodMs: 1000 }, backoff: { initialMs: 0, factor: 1, maxMs: 0 } };

  it("N restarts within the period are borne, N + 1 escalate", async () => {
    const r = rig("ab", options);
    await r.up();
    await r.crash("a");
    await r.crash("a");
    expect(r.status("a")).toBe("up");
    expect(r.supervisor.tree().restartsInPeriod).toBe(2);
    r.since();
    await r.crash("b");
    expect(r.since()).toEqual(["-b#1", "stop a#3", "-a#3"]);
    const exit = r.exit();
    expect(exit?.kind === "crash" && String(exit.error)).toContain(
      "expected at most 2 restarts within 1000 ms, got 3; the last was b#1: b broke",
    );
    expect(r.kinds().slice(-4)).toEqual(["childExited", "escalated", "childExited", "supervisorExited"]);
    expect(r.supervisor.tree().phase).toBe("escalated");
  });

  it("restartsMax 0 escalates at the first", async () => {
    const r = rig("a", { ...options, intensity: { restartsMax: 0, periodMs: 1000 } });
    await r.up();
    await r.crash("a");
    expect(r.exit()).toMatchObject({ kind: "crash" });
  });

  it("the period slides: a restart counts up to and with its end", async () => {
    const atEnd = rig("a", options);
    await atEnd.up();
    for (const waitMs of [0, 400, 600]) {
      await atEnd.clock.advance(waitMs);
      await atEnd.crash("a");
    }
    expect(atEnd.exit()).toMatchObject({ kind: "crash" });

    const past = rig("a", options);
    await past.up();
    for (const waitMs of [0, 400, 601, 400, 601]) {
      await past.clock.advance(waitMs);
      await past.crash("a");
    }
    expect(past.exit()).toBeNull();
    expect(past.supervisor.tree().restartsInPeriod).toBe(2);
  });

  it("a group restart counts once", async () => {
    const r = rig("abc", { ...options, strategy: "one_for_all" });
    await r.up();
    await r.crash("b");
    await r.crash("c");
    expect(r.supervisor.tree().restartsInPeriod).toBe(2);
    expect(r.exit()).toBeNull();
  });
});

describe("backoff", () => {
  const options = { intensity: { restartsMax: 100, periodMs: 5000 }, backoff: { initialMs: 100, factor: 3, maxMs: 1000 } };
  const delays = (r: ReturnType<typeof rig>): number[] =>
    r.events.flatMap((event) => (event.kind === "restarting" ? [event.delayMs] : []));

  it("grows by its factor up to its bound, and starts again after a stable period", async () => {
    const r = rig("ab", options);
    await r.up();
    for (let n = 0; n < 4; n++) {
      await r.crash("a");
      await r.clock.advance(1000);
    }
    expect(delays(r)).toEqual([100, 300, 900, 1000]);
    // Up since the end of the last delay, so 4999 ms are not a whole period.
    await r.clock.advance(4999);
    await r.crash("a");
    await r.clock.advance(1000 + 5000);
    await r.crash("a");
    expect(delays(r).slice(4)).toEqual([1000, 100]);
  });

  it("each child has its own", async () => {
    const r = rig("ab", options);
    await r.up();
    await r.crash("a");
    await r.clock.advance(100);
    await r.crash("a");
    await r.crash("b");
    expect(delays(r)).toEqual([100, 300, 100]);
  });
});

describe("operators", () => {
  it("restartChild stops and starts one child, counts nothing, resolves when it is up", async () => {
    const r = rig("abc", { strategy: "one_for_all" });
    await r.up();
    r.since();
    await r.supervisor.restartChild("b");
    expect(r.since()).toEqual(["stop b#1", "-b#1", "+b#2"]);
    expect(r.supervisor.tree().restartsInPeriod).toBe(0);
  });

  it("restartChild rejects with the reason when the start fails, and the usual restart follows", async () => {
    const r = rig("a");
    await r.up();
    r.child("a").start = "reject";
    await expect(r.supervisor.restartChild("a")).rejects.toThrow("a#2 rejects in start");
    r.child("a").start = "ok";
    await r.clock.advance(100);
    expect(r.status("a")).toBe("up");
  });

  it("restartChild cuts a backoff short and wakes a finished child", async () => {
    const r = rig("ab", { restart: { b: "transient" } });
    await r.up();
    await r.crash("a");
    await r.supervisor.restartChild("a");
    r.child("b").last.exit({ kind: "normal" });
    await r.clock.flush();
    await r.supervisor.restartChild("b");
    expect([r.status("a"), r.status("b")]).toEqual(["up", "up"]);
    await r.clock.advance(1000);
    expect(r.child("a").generations).toHaveLength(2);
  });

  it("killChild is a crash, whatever the child makes of it", async () => {
    const r = rig("abc", { restart: { a: "transient", b: "transient" } });
    await r.up();
    r.child("b").killWorks = false;
    r.supervisor.killChild("a");
    r.supervisor.killChild("b");
    await r.clock.advance(150);
    expect(r.supervisor.find("a")).toMatchObject({ status: "up", generation: 2 });
    expect(r.supervisor.find("b")).toMatchObject({ status: "up", generation: 2 });
    expect(r.events).toContainEqual(
      expect.objectContaining({ kind: "childExited", id: "a", exit: "crash", reason: "a#1 was killed by request" }),
    );
    expect(r.supervisor.tree().abandoned).toBe(1);
  });

  it("addChild starts last and removeChild forgets", async () => {
    const r = rig("a", { strategy: "rest_for_one" });
    await r.up();
    const extra = new TestChild("x", r.log);
    await r.supervisor.addChild(extra.spec());
    expect(r.status("x")).toBe("up");
    await r.crash("a");
    await r.clock.advance(100);
    expect(r.supervisor.find("x")?.ref).toBe("x#2");
    await r.supervisor.removeChild("x");
    expect(r.status("x")).toBe("gone");
    expect(extra.alive).toBe(0);
    await r.supervisor.addChild(extra.spec());
    expect(r.supervisor.find("x")?.status).toBe("up");
  });

  it("addChild of one that cannot start rejects, leaves nothing, and counts no restart", async () => {
    const r = rig("a");
    await r.up();
    const extra = new TestChild("x", r.log);
    extra.start = "reject";
    await expect(r.supervisor.addChild(extra.spec())).rejects.toThrow("x#1 rejects in start");
    expect(r.status("x")).toBe("gone");
    expect(r.supervisor.tree().restartsInPeriod).toBe(0);
    expect(r.exit()).toBeNull();
  });

  it("a hanging new child does not hold up another with one_for_one", async () => {
    const r = rig("");
    await r.up();
    const slow = new TestChild("slow", r.log);
    slow.start = "hang";
    const failed = r.supervisor.addChild(slow.spec()).catch((error: Error) => error.message);
    await r.supervisor.addChild(new TestChild("fast", r.log).spec());
    expect(r.status("fast")).toBe("up");
    await r.clock.advance(500);
    expect(await failed).toContain("expected slow#1 to start within 500 ms");
  });

  it("removeChild during the restart delay cancels the restart", async () => {
    const r = rig("ab");
    await r.up();
    await r.crash("a");
    await r.supervisor.removeChild("a");
    await r.clock.advance(1000);
    expect(r.child("a").generations).toHaveLength(1);
    expect(r.supervisor.tree()).toMatchObject({ phase: "running" });
  });

  it("requests that cannot be met say why", async () => {
    const r = rig("a");
    await r.up();
    await expect(r.supervisor.removeChild("z")).rejects.toThrow("expected a child to removeChild, there is no z, only a");
    await expect(r.supervisor.addChild(r.child("a").spec())).rejects.toThrow("there is a child a already");
    await expect(r.supervisor.addChild(new TestChild("q/r", []).spec())).rejects.toThrow("without / and #");
    expect(() => r.supervisor.killChild("z")).toThrow(InputError);
    const pendingRemoval = r.supervisor.removeChild("a");
    await r.supervisor.stop();
    await pendingRemoval;
    await expect(r.supervisor.addChild(new TestChild("x", []).spec())).rejects.toThrow("cannot add x, the supervisor is stopped");
  });

  it("S6 a listener that throws harms nobody and the others hear of it", async () => {
    const r = rig("a");
    r.supervisor.onEvent(() => {
      throw new Error("deaf");
    });
    r.supervisor.onEvent(() => {
      throw new Error("deaf too");
    });
    await r.up();
    expect(r.events).toContainEqual(expect.objectContaining({ kind: "listenerFailed", reason: "deaf" }));
    expect(r.status("a")).toBe("up");
  });
});

describe("specs that make no sense", () => {
  const clock = createSimulatedClock();
  const make = (change: object): Supervisor =>
    new Supervisor(
      {
        id: "top",
        strategy: "one_for_one",
        intensity: { restartsMax: 1, periodMs: 1 },
        backoff: { initialMs: 1, factor: 2, maxMs: 4 },
        children: [],
        ...change,
      },
      { clock },
    );

  it.each([
    [{ intensity: { restartsMax: -1, periodMs: 1 } }, "top: expected intensity.restartsMax to be an integer ≥ 0, got -1"],
    [{ intensity: { restartsMax: 1, periodMs: 0 } }, "top: expected intensity.periodMs to be a finite number ≥ 1, got 0"],
    [{ backoff: { initialMs: 1, factor: 0.5, maxMs: 4 } }, "top: expected backoff.factor to be a finite number ≥ 1, got 0.5"],
    [{ backoff: { initialMs: 5, factor: 1, maxMs: 4 } }, "top: expected backoff.maxMs to be a finite number ≥ 5, got 4"],
    [{ children: [new TestChild("a", []).spec("permanent", { shutdownMs: Number.NaN })] }, "top/a: expected shutdownMs"],
    [{ children: [new TestChild("a", []).spec(), new TestChild("a", []).spec()] }, 'expected each child id once, got "a" twice'],
  ])("%j", (change, message) => {
    expect(() => make(change)).toThrow(message);
  });
});
