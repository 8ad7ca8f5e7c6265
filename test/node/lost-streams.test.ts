/** What is sent again when a stream is lost, and what is told of the rest. */
import { expect, test } from "vitest";
import type { StreamLoss } from "../../src/bus/create.ts";
import { createLossMemory } from "../../src/bus/stream-loss.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import type { SupervisionEvent } from "../../src/contracts/subjects.ts";
import { changesOf } from "../../src/machines/alerts.ts";
import { createLostStreams } from "../../src/node/lost-streams.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { fieldReport } from "../bus/support.ts";
import { temporaryDatabase, testLedger } from "../store/support.ts";
import { createSimulatedClock } from "../support/clock.ts";

const report = (n: number) => ({ subject: "innovation.field_reports", payload: fieldReport(`report ${n}`) });
const task = (deadlineAtMs: number) => ({ subject: "compilation.blueprint.submitted", payload: { deadlineAtMs } });

const open = (outboxMessagesMax = 100) => {
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 1_000, outboxMessagesMax, boundariesMax: 4 });
  runs.createRun({ runId: "r-1", arm: "grown", nowMs: 0 });
  const clock = createSimulatedClock({ startMs: 10_000 });
  const told: SupervisionEvent[] = [];
  const lost = createLostStreams({ runs, clock, log: silentLog, announce: (event) => told.push(event) });
  const sendAll = (atMs: number): void => {
    for (const { id } of runs.pendingOutbox(1_000)) runs.markSent([id], atMs);
  };
  const waiting = () => runs.pendingOutbox(1_000).map(({ id }) => id);
  return { runs, clock, told, lost, sendAll, waiting };
};

const loss = (over: Partial<StreamLoss> = {}): StreamLoss => ({
  stream: "EVENTS",
  subjects: ["system.events.epoch", "innovation.field_reports"],
  waiting: [],
  ...over,
});

test("R11 what was sent since consumers had everything waits again, in order, before what is newer; the rest does not", () => {
  const { runs, lost, sendAll, waiting, told } = open();
  runs.enqueue([report(1), task(99_000)]);
  sendAll(1_000);
  runs.enqueue([report(2), report(3), task(99_000)]);
  sendAll(5_000);
  runs.enqueue([report(4)]);
  expect(runs.sentAgain()).toBe(0);
  lost(loss({ handledBeforeMs: 5_000 }));
  expect([waiting(), runs.sentAgain()]).toEqual([[3, 4, 6], 1]);
  expect(told).toEqual([
    {
      kind: "stream_lost",
      child: "oona",
      detail:
        "EVENTS: it was gone; 2 messages are sent again; whether system.events.epoch lost any since 1970-01-01T00:00:05.000Z is not known",
    },
  ]);
  expect(changesOf({ subject: "system.events.supervision", payload: told[0]! })).toEqual([]);
});

test("N1 where nobody knows what was handled, all that is kept is sent again; a task past its deadline is not", () => {
  const { runs, lost, sendAll, waiting, told } = open();
  runs.enqueue([report(1), task(9_999), task(10_000)]);
  sendAll(1_000);
  lost(loss({ stream: "COMPILATION", subjects: ["compilation.blueprint.submitted", "validation.kernel.submitted"] }));
  expect(waiting()).toEqual([3]);
  expect(told[0]?.detail).toBe("COMPILATION: it was gone; 1 messages are sent again");
  lost(loss());
  expect(waiting()).toEqual([1, 3]);
});

test("N2 what is kept no longer, what finds no room, and what was only in the stream is a gap, and an alert", () => {
  const { runs, lost, sendAll, waiting, told } = open(8);
  runs.enqueue([report(1)]);
  sendAll(1_000);
  expect(runs.prune(9_000)).toBe(1);
  runs.enqueue([2, 3, 4, 5, 6, 7].map(report));
  sendAll(9_500);
  const behind = [
    { principal: "nissa", subject: "system.events.epoch", waiting: 3 },
    { principal: "nissa", subject: "innovation.field_reports", waiting: 9 },
  ];
  lost(loss({ handledBeforeMs: 500, waiting: behind }));
  // Half of what may wait, the newest.
  expect(waiting()).toEqual([4, 5, 6, 7]);
  expect(told[0]?.detail).toBe(
    "EVENTS: it was gone; 4 messages are sent again; gap: at least 3 of system.events.epoch that nissa had not handled; 2 messages, the oldest, for which the outbox has no room; what was sent before 1970-01-01T00:00:08.000Z and not handled is no longer kept",
  );
  expect(changesOf({ subject: "system.events.supervision", payload: told[0]! })).toMatchObject([
    { kind: "raise", alert: { kind: "events_lost", about: "stream EVENTS" } },
  ]);
  // Room for the run itself is left.
  runs.enqueue([report(8)]);
});

test("N3 the streams of a fresh data directory are no loss", () => {
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 1_000, outboxMessagesMax: 9, boundariesMax: 4 });
  const told: SupervisionEvent[] = [];
  createLostStreams({ runs, clock: createSimulatedClock(), log: silentLog, announce: (event) => told.push(event) })(loss());
  expect(told).toEqual([]);
});

test("S1 S2 a look that finds nothing waiting tells what is handled; one that finds more tells who is behind; a loss forgets both", () => {
  const memory = createLossMemory();
  const look = (subject: string, waiting: number) => ({ principal: "nissa", subject, waiting });
  expect(memory.take("EVENTS")).toMatchObject({ stream: "EVENTS", waiting: [] });
  expect(memory.take("EVENTS")).not.toHaveProperty("handledBeforeMs");
  memory.note([look("system.events.epoch", 0), look("system.events.seed", 0), look("validation.kernel.characterized", 4)], 10);
  memory.note([look("system.events.epoch", 2), look("system.events.seed", 0), look("validation.kernel.characterized", 4)], 20);
  expect(memory.take("REPORTS")).toEqual({
    stream: "REPORTS",
    subjects: ["validation.kernel.characterized"],
    waiting: [look("validation.kernel.characterized", 4)],
  });
  expect(memory.take("EVENTS")).toMatchObject({ handledBeforeMs: 10, waiting: [look("system.events.epoch", 2)] });
  expect(memory.take("EVENTS")).not.toHaveProperty("handledBeforeMs");
});
