/** The registry of breakers: what passes, what is counted, what is told. */
import { describe, expect, test } from "vitest";
import type { BreakerEvent } from "../../src/contracts/breaker.ts";
import { BreakerConfig } from "../../src/contracts/config-calls.ts";
import { type Breakers, createBreakers, type Judge } from "../../src/resilience/breakers.ts";
import { latencyQuantiles } from "../../src/resilience/quantiles.ts";
import { createSimulatedClock, type SimulatedClock } from "../support/clock.ts";

const judge: Judge<string> = {
  value: (value) => (value === "bad" ? { kind: "failed", reason: "it said bad" } : { kind: "ok" }),
  error: (error) => (String(error).includes("given up") ? { kind: "cancelled" } : { kind: "failed", reason: String(error) }),
};

const start = (): { readonly clock: SimulatedClock; readonly breakers: Breakers; readonly events: BreakerEvent[] } => {
  const clock = createSimulatedClock({ startMs: 5_000 });
  const config = BreakerConfig.parse({ failuresMax: 3, windowMs: 1_000, recoveryMs: 100 });
  const breakers = createBreakers({ config, clock });
  const events: BreakerEvent[] = [];
  breakers.onChange((event) => events.push(event));
  return { clock, breakers, events };
};

describe("breakers", () => {
  test("B8 opens, rejects without beginning, lets a probe through and closes, and tells each change once", async () => {
    const { clock, breakers, events } = start();
    const breaker = breakers.get("download");
    let begun = 0;
    const call = (value: string) =>
      breaker.call(async () => {
        begun++;
        return value;
      }, judge);
    for (let i = 0; i < 3; i++) expect(await call("bad")).toEqual({ kind: "done", value: "bad" });
    expect(await call("good")).toEqual({
      kind: "rejected",
      reason: "the breaker of download is OPEN and rejects calls for 100 ms more: it said bad",
      retryAfterMs: 100,
    });
    expect(begun).toBe(3);
    await clock.advance(100);
    expect(await call("good")).toEqual({ kind: "done", value: "good" });
    expect(events).toEqual([
      { name: "download", from: "CLOSED", to: "OPEN", reason: "it said bad", atMs: 5_000 },
      { name: "download", from: "OPEN", to: "HALF_OPEN", reason: "the recovery time is over", atMs: 5_100 },
      { name: "download", from: "HALF_OPEN", to: "CLOSED", reason: "the probes succeeded", atMs: 5_100 },
    ]);
  });

  test("B6 every admitted call is counted once, by its end; a rejected one is no call", async () => {
    const { clock, breakers } = start();
    const breaker = breakers.get("lane.forge");
    const ends: (() => void)[] = [];
    const slow = breaker.call(() => new Promise<string>((resolve) => ends.push(() => resolve("good"))), judge);
    expect(breaker.stats()).toMatchObject({ calls: 1, inFlight: 1, succeeded: 0 });
    expect(breaker.stats()).not.toHaveProperty("latency");
    await clock.advance(40);
    ends[0]?.();
    await slow;
    await expect(breaker.call(() => Promise.reject(new Error("given up")), judge)).rejects.toThrow("given up");
    for (let i = 0; i < 3; i++)
      await expect(breaker.call(() => Promise.reject(new Error("down")), judge)).rejects.toThrow("down");
    await breaker.call(async () => "good", judge);
    const stats = breaker.stats();
    expect(stats).toMatchObject({
      name: "lane.forge",
      state: "OPEN",
      calls: 5,
      succeeded: 1,
      failed: 3,
      cancelled: 1,
      inFlight: 0,
      rejected: 1,
      opened: 1,
      lastError: "Error: down",
      lastErrorAtMs: 5_040,
    });
    expect(stats.latency).toEqual({ samples: 4, p50Ms: 0, p95Ms: 40, p99Ms: 40, maxMs: 40 });
  });

  test("a probe that is given up frees its place, and the next call is the probe", async () => {
    const { clock, breakers } = start();
    const breaker = breakers.get("nats");
    for (let i = 0; i < 3; i++) await breaker.call(async () => "bad", judge);
    await clock.advance(100);
    await expect(breaker.call(() => Promise.reject(new Error("given up")), judge)).rejects.toThrow();
    expect((await breaker.call(async () => "good", judge)).kind).toBe("done");
    expect(breaker.stats().state).toBe("CLOSED");
  });

  test("B7 the same name is the same breaker; another's failures are its own; statistics come by name", async () => {
    const { breakers } = start();
    for (let i = 0; i < 3; i++) await breakers.get("library.asset.get").call(async () => "bad", judge);
    expect((await breakers.get("library.asset.put").call(async () => "good", judge)).kind).toBe("done");
    expect(breakers.get("library.asset.get")).toBe(breakers.get("library.asset.get"));
    expect(breakers.stats().map(({ name, state }) => [name, state])).toEqual([
      ["library.asset.get", "OPEN"],
      ["library.asset.put", "CLOSED"],
    ]);
  });

  test("B7 durations are kept within their bound, the last ones", async () => {
    const { clock, breakers } = start();
    const breaker = breakers.get("download");
    const take = async (ms: number): Promise<void> => {
      const done = breaker.call(() => new Promise<string>((resolve) => clock.schedule(ms, () => resolve("good"))), judge);
      await clock.advance(ms);
      await done;
    };
    await take(90);
    for (let i = 0; i < 512; i++) await take(1);
    expect(breaker.stats().latency).toEqual({ samples: 512, p50Ms: 1, p95Ms: 1, p99Ms: 1, maxMs: 1 });
  });
});

test("quantiles are nearest ranks of what was measured, and nothing without a measurement", () => {
  expect(latencyQuantiles([])).toBeUndefined();
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(latencyQuantiles(hundred)).toEqual({ samples: 100, p50Ms: 50, p95Ms: 95, p99Ms: 99, maxMs: 100 });
  expect(latencyQuantiles([7])).toEqual({ samples: 1, p50Ms: 7, p95Ms: 7, p99Ms: 7, maxMs: 7 });
});
