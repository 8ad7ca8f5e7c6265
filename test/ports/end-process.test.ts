import { expect, test, vi } from "vitest";
import { type Clock, delay } from "../../src/contracts/ports.ts";
import { endProcess, onInterrupt } from "../../src/ports/end-process.ts";
import { createSimulatedClock } from "../support/clock.ts";

test.each([
  { told: "E1 one that succeeded waits for a long step", code: 0, stepMs: 20_000, atMs: 20_000, ended: ["exit", 0] },
  { told: "E2 nor does it wait for ever", code: 0, stepMs: 1e9, atMs: 30_000, ended: ["kill", "SIGKILL"] },
  { told: "E2 one that failed does not wait for it", code: 1, stepMs: 20_000, atMs: 1_000, ended: ["kill", "SIGKILL"] },
])("$told", async ({ code, stepMs, atMs, ended }) => {
  const clock = createSimulatedClock();
  const ends: unknown[][] = [];
  const end = new Error("the process ended");
  const exit = vi.spyOn(process, "exit").mockImplementation((with_) => {
    ends.push(["exit", with_]);
    throw end;
  });
  const kill = vi.spyOn(process, "kill").mockImplementation((_pid, signal) => {
    ends.push(["kill", signal]);
    throw end;
  });
  try {
    const ending = endProcess(code, { clock, halt: () => delay(clock, stepMs) }).catch((error: unknown) => error);
    await clock.advance(atMs - 1);
    expect(ends).toEqual([]);
    await clock.advance(1);
    expect(await ending).toBe(end);
    expect(ends).toEqual([ended]);
  } finally {
    exit.mockRestore();
    kill.mockRestore();
  }
});

test("E3 the same key sent twice is one interrupt, two presses are two, and whoever stops listening hears none", () => {
  let nowMs = 1000;
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, schedule: () => () => undefined };
  const before = { int: process.listeners("SIGINT"), term: process.listeners("SIGTERM") };
  let heard = 0;
  const stop = onInterrupt(clock, () => {
    heard += 1;
  });
  const [int, term] = [process.listeners("SIGINT").at(-1)!, process.listeners("SIGTERM").at(-1)!];
  const press = (listener: typeof int, atMs: number): number => {
    nowMs = atMs;
    listener("SIGINT");
    return heard;
  };
  expect([press(int, 1000), press(int, 1004), press(term, 1010)]).toEqual([1, 1, 1]);
  expect([press(int, 1400), press(term, 2000)]).toEqual([2, 3]);
  stop();
  expect({ int: process.listeners("SIGINT"), term: process.listeners("SIGTERM") }).toEqual(before);
});
