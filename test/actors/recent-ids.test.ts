import { expect, test } from "vitest";
import { createRecentIds } from "../../src/actors/recent-ids.ts";

test("an id is new once, and again when it is the oldest of one more than the bound", () => {
  const ids = createRecentIds(2);
  expect(["a", "b", "a", "b"].map(ids.isNew)).toEqual([true, true, false, false]);
  expect(ids.isNew("c")).toBe(true);
  expect(["b", "c"].map(ids.isNew)).toEqual([false, false]);
  expect(ids.isNew("a")).toBe(true);
});
