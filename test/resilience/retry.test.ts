/** Trying again: within its bounds, never past a deadline, and only what may be repeated. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BreakerConfig, RetryConfig } from "../../src/contracts/config-calls.ts";
import { DownloadError } from "../../src/data/download.ts";
import { createBreakers } from "../../src/resilience/breakers.ts";
import { guardDownload } from "../../src/resilience/guard-download.ts";
import { type Attempt, backoffMs, withRetry } from "../../src/resilience/retry.ts";
import { createSimulatedClock } from "../support/clock.ts";

const config = RetryConfig.parse({ attemptsMax: 4, delayMsMin: 100, delayMsMax: 300 });

/** Attempts at these times, until the clock ends. */
const run = async (
  outcome: (number: number) => Attempt<string>,
  options: { readonly uniform?: () => number; readonly deadlineMs?: number; readonly abortAtMs?: number } = {},
) => {
  const clock = createSimulatedClock();
  const startMs = clock.nowMs();
  const controller = new AbortController();
  if (options.abortAtMs !== undefined) clock.schedule(options.abortAtMs, () => controller.abort(new Error("the asker ends")));
  const atMs: number[] = [];
  const result = withRetry(
    async (number) => {
      atMs.push(clock.monotonicMs());
      return outcome(number);
    },
    {
      config,
      clock,
      uniform: options.uniform ?? (() => 0.999999),
      signal: controller.signal,
      deadlineAtMs: options.deadlineMs === undefined ? undefined : startMs + options.deadlineMs,
    },
  ).catch((error: unknown) => String(error));
  await clock.advance(100_000);
  return { value: await result, atMs: atMs.map(Math.round), pending: clock.pending() };
};
const again = (): Attempt<string> => ({ kind: "again", value: "down" });

describe("withRetry", () => {
  test("Y1 Y2 at most as many attempts as allowed, with pauses that double up to their bound", async () => {
    expect(await run(again)).toEqual({ value: "down", atMs: [0, 100, 300, 600], pending: 0 });
  });

  test("ends with the first attempt that settles", async () => {
    const settled = await run((number) => (number === 2 ? { kind: "settled", value: "up" } : again()));
    expect(settled).toMatchObject({ value: "up", atMs: [0, 100] });
  });

  test("Y2 a pause is not shorter than the service asks for", async () => {
    expect((await run(() => ({ kind: "again", value: "down", afterMs: 250 }), { uniform: () => 0 })).atMs).toEqual([
      0, 250, 500, 750,
    ]);
  });

  test("Y3 nothing begins at the deadline or after it, and nothing is waited for that would", async () => {
    expect(await run(again, { deadlineMs: 299 })).toEqual({ value: "down", atMs: [0, 100], pending: 0 });
    expect((await run(again, { deadlineMs: 301 })).atMs).toEqual([0, 100, 300]);
  });

  test("Y4 the end of the asker ends the pause", async () => {
    expect(await run(again, { abortAtMs: 150 })).toEqual({ value: "Error: the asker ends", atMs: [0, 100], pending: 0 });
  });

  test("Y2 full jitter: pauses are spread over all of their range, for every attempt", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (n, drawn) => {
        const bound = Math.min(config.delayMsMax, config.delayMsMin * 2 ** (n - 1));
        expect(backoffMs(n, config, () => drawn)).toBeCloseTo(drawn * bound, 6);
        expect(backoffMs(n, config, () => drawn)).toBeLessThanOrEqual(config.delayMsMax);
      }),
    );
  });
});

describe("guardDownload", () => {
  const start = (failures: readonly unknown[]) => {
    const clock = createSimulatedClock();
    const breakers = createBreakers({ config: BreakerConfig.parse({ failuresMax: 3, recoveryMs: 5_000 }), clock });
    let calls = 0;
    const download = guardDownload(
      async () => {
        const failure = failures[calls++];
        if (failure !== undefined) throw failure;
        return new Uint8Array([1]);
      },
      {
        breaker: breakers.get("download"),
        retry: { config: { ...config, attemptsMax: 5 }, clock, uniform: () => 0.5 },
        isPassing: (error) => error instanceof DownloadError && error.passing,
      },
    );
    return { clock, breakers, download, calls: () => calls };
  };
  const passing = new DownloadError("status 503", true);

  test("what may pass is tried again; what cannot is told at once and is no failure of the network", async () => {
    const shaky = start([passing, passing]);
    const bytes = shaky.download("http://127.0.0.1/a", 10);
    await shaky.clock.advance(10_000);
    expect([await bytes, shaky.calls()]).toEqual([new Uint8Array([1]), 3]);
    const missing = start([new DownloadError("status 404", false)]);
    await expect(missing.download("http://127.0.0.1/a", 10)).rejects.toThrow("status 404");
    expect([missing.calls(), missing.breakers.get("download").stats().failed]).toEqual([1, 0]);
  });

  test("an open breaker is waited for, not hammered", async () => {
    const down = start([passing, passing, passing]);
    const bytes = down.download("http://127.0.0.1/a", 10);
    await down.clock.advance(4_000);
    expect([down.calls(), down.breakers.get("download").stats().state]).toEqual([3, "OPEN"]);
    await down.clock.advance(10_000);
    expect([await bytes, down.calls()]).toEqual([new Uint8Array([1]), 4]);
  });
});
