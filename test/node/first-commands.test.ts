/** Commands that came with a run's start, before a Gate that is slow to take them. */
import { expect, test } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { createFirstBoundary, firstRequestId } from "../../src/node/first-commands.ts";
import { createActorWorld } from "../actors/support.ts";

const runId = "r1-grown";
const pin = { kind: "pin", target: "h1", reason: "spare it" } as const;
const by = { principal: "ada", role: "operator", transport: "http" } as const;

/** @param connect Answers the n-th try. @param answer The receipt of the n-th request. */
const begin = async (
  connect: (n: number, world: ReturnType<typeof createActorWorld>) => Promise<Bus>,
  answer: (n: number, requestId: string) => CommandReceipt,
) => {
  const world = createActorWorld();
  const ids: string[] = [];
  const notes: string[] = [];
  const gate = await world.as("gate");
  await gate.respond("control.gate.first", async ({ command: { requestId } }) => answer(ids.push(requestId), requestId));
  let connects = 0;
  const first = createFirstBoundary(
    { requestId: "s1", by, commands: [pin] },
    {
      runId,
      connect: () => {
        connects += 1;
        return connect(connects, world);
      },
      clock: world.clock,
      timeoutMs: 1_000,
      signal: new AbortController().signal,
      note: (text) => notes.push(text),
    },
  );
  first.reached();
  return { world, first, ids, notes, connects: () => connects };
};

const id = firstRequestId("s1", runId, 1);
const pinned = (requestId: string): CommandReceipt => ({
  kind: "accepted",
  requestId,
  runId,
  appliesAtEpoch: 1,
  detail: "pinned",
});
const tooMany = (requestId: string, retryAfterMs?: number): CommandReceipt => ({
  kind: "refused",
  requestId,
  code: "rate",
  reason: "too many in a minute",
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});
const connected = (_n: number, world: ReturnType<typeof createActorWorld>) => world.as("supervisor");

test("F3 a connection that fails is tried again", async () => {
  const { world, first, ids, notes } = await begin(
    async (n, each) => {
      if (n < 4) throw new Error("no connection");
      return connected(n, each);
    },
    (_n, requestId) => pinned(requestId),
  );
  await world.clock.advance(5_000);
  expect([first.given, ids]).toEqual([true, [id]]);
  expect(notes).toEqual([`${runId}: pin came with its start: accepted`]);
});

test("F3 without any connection the run goes on after a bounded number of tries, and that is told", async () => {
  const { world, first, notes, connects } = await begin(
    () => Promise.reject(new Error("no connection")),
    (_n, requestId) => pinned(requestId),
  );
  await world.clock.advance(60_000);
  expect([first.given, connects()]).toEqual([true, 20]);
  expect(notes.join()).toMatch(/pin came with its start: without a receipt: .*no connection/);
});

test("F4 past the limit of the minute a command waits as long as the refusal says", async () => {
  const { world, first, ids, notes } = await begin(connected, (n, requestId) =>
    n === 1 ? tooMany(requestId, 40_000) : pinned(requestId),
  );
  await world.clock.advance(39_000);
  expect([first.given, ids]).toEqual([false, [id]]);
  await world.clock.advance(2_000);
  expect([first.given, ids]).toEqual([true, [id, id]]);
  expect(notes).toEqual([`${runId}: pin came with its start: accepted`]);
});

test.each([undefined, 40_000])("F4 it does not wait for a second minute (told to wait %s ms)", async (retryAfterMs) => {
  const { world, first, notes } = await begin(connected, (_n, requestId) => tooMany(requestId, retryAfterMs));
  await world.clock.advance(70_000);
  expect(first.given).toBe(true);
  expect(notes.join()).toMatch(/without a receipt: too many in a minute/);
});
