import { describe, expect, it } from "vitest";
import { InputError } from "../../src/contracts/errors.ts";
import { Supervisor } from "../../src/supervision/supervisor.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { rig, TestChild } from "./support.ts";

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

  it("restartChild does not take a start that is to be stopped again for the restart", async () => {
    const r = rig("ab", { strategy: "rest_for_one" });
    await r.up();
    r.child("b").start = "hang";
    r.child("a").stop = "ignore";
    void r.supervisor.restartChild("b");
    await r.clock.flush();
    void r.supervisor.restartChild("a");
    let ref = "";
    void r.supervisor.restartChild("b").then(() => {
      ref = r.supervisor.find("b")?.ref ?? "";
    });
    await r.clock.flush();
    r.child("b").last.arrive();
    await r.clock.flush();
    expect(ref).toBe("");
    r.child("b").start = "ok";
    await r.clock.advance(300);
    expect(ref).toBe("b#3");
  });

  it("S1 what a listener asks for waits its turn and does not nest", async () => {
    const r = rig("abcde", { strategy: "one_for_all" });
    await r.up();
    await r.crash("a");
    let depth = 0;
    let depthMax = 0;
    r.supervisor.onEvent((event) => {
      depthMax = Math.max(depthMax, ++depth);
      const next = r.supervisor.tree().children[0];
      if (event.kind === "childRemoved" && next) void r.supervisor.removeChild(next.id);
      depth--;
    });
    await r.supervisor.removeChild("e");
    expect(r.supervisor.tree().children).toEqual([]);
    expect(depthMax).toBe(1);
  });

  it("S1 a listener may act on the supervisor at once", async () => {
    const r = rig("abc", { strategy: "one_for_all" });
    await r.up();
    r.since();
    r.supervisor.onEvent((event) => {
      if (event.kind === "restarting") r.supervisor.kill();
    });
    await r.crash("b");
    expect(r.exit()).toEqual({ kind: "shutdown" });
    expect(r.child("a").alive + r.child("b").alive + r.child("c").alive).toBe(0);
    expect(r.clock.pending()).toBe(0);
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
