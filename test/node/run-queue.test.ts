/** Runs that wait for their turn (Q1 to Q3). */
import { expect, test } from "vitest";
import { StartConfig } from "../../src/contracts/config.ts";
import { createRunQueue } from "../../src/node/run-queue.ts";
import { createWaitingRunStore, type WaitingRun } from "../../src/store/waiting-runs.ts";
import { temporaryDatabase } from "../store/support.ts";

const run = (requestId: string): WaitingRun => ({ requestId, name: `run-${requestId}`, config: StartConfig.parse({}) });
const setUp = (stays = true, runsWaitingMax = 2) => {
  const store = createWaitingRunStore(temporaryDatabase());
  const open = (staying = stays) =>
    createRunQueue({ runsWaitingMax, stays: staying, interrupt: new AbortController().signal, store });
  return { store, open, queue: open() };
};

test("Q1: the bound holds, and the same request keeps its place", () => {
  const { queue } = setUp();
  expect(queue.add(run("a"))).toEqual({ kind: "queued", position: 1 });
  expect(queue.add(run("b"))).toEqual({ kind: "queued", position: 2 });
  expect(queue.add(run("a"))).toEqual({ kind: "queued", position: 1 });
  expect(queue.add(run("c"))).toMatchObject({ kind: "refused", code: "limit" });
});

test("Q2: a node that does not stay takes none, and leaves what waits to one that does", async () => {
  const { store, open, queue } = setUp();
  queue.add(run("a"));
  const passing = open(false);
  expect(passing.add(run("b"))).toMatchObject({ kind: "refused", code: "not_staying" });
  expect(store.list().map(({ requestId }) => requestId)).toEqual(["a"]);
  expect(await open().next()).toEqual(run("a"));
});

test("Q3: what was told to wait comes in its order after a crash; what began does not come again", async () => {
  const { store, open, queue } = setUp(true, 3);
  for (const id of ["a", "b", "c"]) queue.add(run(id));
  expect((await queue.next())?.requestId).toBe("a");
  const after = open();
  expect((await after.next())?.requestId).toBe("b");
  expect(after.add(run("c"))).toEqual({ kind: "queued", position: 1 });
  expect((await after.next())?.requestId).toBe("c");
  expect(store.list()).toEqual([]);
});

test("Q3: a person who ends the node by command takes away what waits", async () => {
  const { store, queue } = setUp();
  queue.add(run("a"));
  queue.end("asked to");
  expect([await queue.next(), store.list()]).toEqual([undefined, []]);
  expect(queue.add(run("b"))).toMatchObject({ kind: "refused", code: "not_staying" });
});

test("Q3: what came with a start, and who asked for it, is kept with it", async () => {
  const { open, queue } = setUp();
  const asked: WaitingRun = {
    ...run("a"),
    resume: "checkpoints/r-1/4",
    first: [{ kind: "pin", target: "seed:h2", reason: "what if" }],
    by: { principal: "ada", role: "operator", transport: "http" },
  };
  queue.add(asked);
  expect(await open().next()).toEqual(asked);
});
