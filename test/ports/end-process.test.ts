import { expect, test } from "vitest";
import type { Clock } from "../../src/contracts/ports.ts";
import { onInterrupt } from "../../src/ports/end-process.ts";

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
