import { describe, expect, it } from "vitest";
import type { SupervisionEvent } from "../../src/supervision/events.ts";
import { supervisorChild } from "../../src/supervision/nested.ts";
import type { SupervisorSpec } from "../../src/supervision/spec.ts";
import { Supervisor } from "../../src/supervision/supervisor.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { defaultPolicy, TestChild } from "./support.ts";

const setUp = (root: Partial<SupervisorSpec> = {}) => {
  const clock = createSimulatedClock();
  const log: string[] = [];
  const events: SupervisionEvent[] = [];
  const [bus, gate, warden] = ["bus", "gate", "warden"].map((id) => new TestChild(id, log)) as [TestChild, TestChild, TestChild];
  const control: SupervisorSpec = {
    id: "control",
    strategy: "one_for_one",
    intensity: { restartsMax: 1, periodMs: 1000 },
    backoff: { initialMs: 10, factor: 1, maxMs: 10 },
    children: [gate.spec(), warden.spec()],
  };
  const top = new Supervisor(
    { id: "root", strategy: "rest_for_one", ...defaultPolicy, children: [bus.spec(), supervisorChild(control)], ...root },
    { clock },
  );
  top.onEvent((event) => events.push(event));
  const up = async (): Promise<void> => {
    const started = top.start();
    await clock.flush();
    await started;
  };
  return { clock, log, events, bus, gate, warden, top, up, control };
};

describe("nested supervisors", () => {
  it("are shown, searched and told of as one tree", async () => {
    const t = setUp();
    await t.up();
    expect(t.top.find("warden")).toMatchObject({ path: "root/control/warden", status: "up" });
    expect(t.top.find("root/control/gate")).toMatchObject({ id: "gate" });
    expect(t.top.find("control")).toMatchObject({ kind: "supervisor", nested: { strategy: "one_for_one", phase: "running" } });
    expect(t.events.map((event) => [event.supervisor, event.kind])).toEqual([
      ["root", "childStarted"],
      ["root/control", "childStarted"],
      ["root/control", "childStarted"],
      ["root/control", "supervisorStarted"],
      ["root", "childStarted"],
      ["root", "supervisorStarted"],
    ]);
  });

  it("restart and kill reach a child below", async () => {
    const t = setUp();
    await t.up();
    await t.top.restartChild("gate");
    expect(t.top.find("gate")?.ref).toBe("gate#2");
    t.top.killChild("warden");
    await t.clock.advance(10);
    expect(t.top.find("warden")?.ref).toBe("warden#2");
  });

  it("escalate: too many crashes below are one crash above, which starts a fresh generation", async () => {
    const t = setUp();
    await t.up();
    t.gate.crash();
    await t.clock.advance(10);
    t.log.length = 0;
    t.gate.crash();
    await t.clock.flush();
    expect(t.log).toEqual(["-gate#2", "stop warden#1", "-warden#1"]);
    expect(t.top.find("control")).toMatchObject({ status: "waiting", nested: null });
    await t.clock.advance(100);
    expect(t.top.find("control")).toMatchObject({ status: "up", generation: 2, nested: { restartsInPeriod: 0 } });
    expect(t.gate.alive + t.warden.alive).toBe(2);
    expect(t.bus.generations).toHaveLength(1);
  });

  it("escalate to the top: the root stops everything and exits with the reason", async () => {
    const t = setUp({ intensity: { restartsMax: 1, periodMs: 10_000 } });
    await t.up();
    for (let crash = 0; crash < 4; crash++) {
      t.gate.crash();
      await t.clock.advance(100);
    }
    const exit = await t.top.exited;
    expect(exit.kind).toBe("crash");
    expect(exit.kind === "crash" && String(exit.error)).toMatch(
      /supervisor root: expected at most 1 restarts.*control#2: supervisor control: .*gate broke/,
    );
    expect(t.bus.alive + t.gate.alive + t.warden.alive).toBe(0);
    expect(t.clock.pending()).toBe(0);
  });

  it("a crash of what stands before stops the whole nested tree first", async () => {
    const t = setUp();
    await t.up();
    t.log.length = 0;
    t.bus.crash();
    await t.clock.advance(100);
    expect(t.log).toEqual(
      ["-bus#1", "stop warden#1", "-warden#1", "stop gate#1", "-gate#1", "+bus#2", "+gate#3", "+warden#3"].map((entry) =>
        entry.replace("#3", "#1"),
      ),
    );
    expect(t.gate.generations).toHaveLength(2);
  });

  it("shutdown goes depth first in reverse, past a grandchild that ignores it", async () => {
    const t = setUp();
    await t.up();
    t.warden.stop = "ignore";
    t.log.length = 0;
    void t.top.stop();
    await t.clock.advance(300);
    expect(t.log).toEqual(["stop warden#1", "kill warden#1", "-warden#1", "stop gate#1", "-gate#1", "stop bus#1", "-bus#1"]);
    expect(await t.top.exited).toEqual({ kind: "shutdown" });
  });

  it("past its own deadline a nested supervisor is killed with all below it", async () => {
    const t = setUp();
    const top = new Supervisor(
      { id: "r", strategy: "one_for_one", ...defaultPolicy, children: [supervisorChild(t.control, { shutdownMs: 100 })] },
      { clock: t.clock },
    );
    void top.start();
    await t.clock.flush();
    t.warden.stop = "ignore";
    void top.stop();
    await t.clock.advance(100);
    expect(t.gate.alive + t.warden.alive).toBe(0);
    expect(await top.exited).toEqual({ kind: "shutdown" });
    expect(t.clock.pending()).toBe(0);
  });

  it("a nested child that cannot start fails the start of the root, nothing left", async () => {
    const t = setUp();
    t.warden.start = "reject";
    const outcome = t.top.start().catch((error: Error) => error.message);
    await t.clock.flush();
    expect(await outcome).toBe(
      "supervisor root: expected control to start, got: supervisor control: expected warden to start, got: warden#1 rejects in start",
    );
    expect(t.bus.alive + t.gate.alive).toBe(0);
  });

  it("stopping in mid-start of a nested supervisor leaves nothing behind", async () => {
    const t = setUp();
    t.warden.start = "hang";
    void t.top.start().catch(() => {});
    await t.clock.flush();
    void t.top.stop();
    await t.clock.advance(1000);
    t.warden.last.arrive();
    await t.clock.flush();
    expect(t.bus.alive + t.gate.alive + t.warden.alive).toBe(0);
    expect(await t.top.exited).toEqual({ kind: "shutdown" });
    expect(t.clock.pending()).toBe(0);
  });

  it("a throw of onUp is a failed start and stops what had started", async () => {
    const t = setUp();
    const spec = supervisorChild(t.control, {
      onUp: () => {
        throw new Error("no runs");
      },
    });
    const top = new Supervisor({ id: "r", strategy: "one_for_one", ...defaultPolicy, children: [spec] }, { clock: t.clock });
    await expect(top.start()).rejects.toThrow("no runs");
    expect(t.gate.alive + t.warden.alive).toBe(0);
  });
});
