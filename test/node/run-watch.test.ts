import { expect, test } from "vitest";
import { createRunWatch } from "../../src/node/run-watch.ts";
import type { SupervisionEvent } from "../../src/supervision/events.ts";

const place = { supervisor: "esper/run:r1", atMs: 0, generation: 1 };
const crash = (reason: string, id = "kasmina"): SupervisionEvent => ({
  ...place,
  kind: "childExited",
  id,
  exit: "crash",
  reason,
});
const unborn = (reason: string): SupervisionEvent => ({ ...place, kind: "childStartFailed", id: "kasmina", reason });

test("W1 W2 failures in a row without a window give the run up, with the first reason, however far apart they are", () => {
  const watch = createRunWatch({ group: "run:r1", failuresMax: 3, window: () => 7 });
  const told = [crash("disk is full"), unborn("too slow"), unborn("too slow"), crash("timeout", "tolaria")].map(watch);
  expect(told.slice(0, 3)).toEqual([undefined, undefined, undefined]);
  expect(told[3]).toMatch(/failed 4 times after window 7 .* began with: disk is full/);
});

test("W1 a window in between begins the row anew; other runs, ordered stops and healthy starts do not count", () => {
  let window = 1;
  const watch = createRunWatch({ group: "run:r1", failuresMax: 1, window: () => window });
  for (; window < 6; window++) expect(watch(crash("killed"))).toBeUndefined();
  const harmless: SupervisionEvent[] = [
    { ...crash("killed"), supervisor: "esper/run:r2" },
    { ...place, kind: "childExited", id: "kasmina", exit: "shutdown", reason: "shutdown" },
    { ...place, kind: "childStarted", id: "kasmina", startMs: 1 },
  ];
  for (const event of [...harmless, ...harmless]) expect(watch(event)).toBeUndefined();
  expect([watch(crash("again")), watch(crash("again"))]).toEqual([undefined, expect.stringContaining("again")]);
});
