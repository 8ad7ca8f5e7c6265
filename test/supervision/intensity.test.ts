import { describe, expect, it } from "vitest";
import { rig } from "./support.ts";

describe("intensity", () => {
  const options = { intensity: { restartsMax: 2, periodMs: 1000 }, backoff: { initialMs: 0, factor: 1, maxMs: 0 } };

  it("D3 N restarts within the period are borne, N + 1 escalate", async () => {
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

  it("D3 the period slides: a restart counts up to and with its end", async () => {
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
