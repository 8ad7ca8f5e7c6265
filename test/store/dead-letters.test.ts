/** Dead letters: one for each message, bounded, and found again. */
import { describe, expect, test } from "vitest";
import type { DeadLetterReport } from "../../src/contracts/dead-letter.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { createDeadLetterStore } from "../../src/store/dead-letters.ts";
import { temporaryDatabase } from "./support.ts";

const envelope = (id: string): Envelope => ({
  id,
  subject: "system.events.run",
  sender: "tolaria",
  sentAtMs: 1,
  traceId: "0".repeat(32),
  schemaVersion: 1,
  payload: { kind: "paused", runId: "r-1", epoch: 1 },
});
const report = (sequence: number, over: Partial<DeadLetterReport> = {}): DeadLetterReport => ({
  principal: "nissa",
  subject: "system.events.run",
  reason: "no room",
  deliveries: 5,
  stream: "EVENTS",
  sequence,
  envelope: envelope(`m${sequence}`),
  ...over,
});
const start = (lettersMax = 10) => createDeadLetterStore({ database: temporaryDatabase(), lettersMax });
const all = { afterId: 0, limit: 100 };

describe("dead letters", () => {
  test("L1 L4 a message that dies again after a retry is the same letter, waits again, and its retries stay counted", () => {
    const store = start();
    const { id, isNew } = store.add(report(1), 100.4);
    store.markRetried(id);
    expect([isNew, store.find(id)?.state]).toEqual([true, "retried"]);
    expect(store.add(report(9, { envelope: envelope("m1"), reason: "still no room", deliveries: 3 }), 200)).toEqual({
      id,
      isNew: false,
      pushedOut: 0,
    });
    expect(store.list(all)).toEqual([
      {
        id,
        state: "waiting",
        principal: "nissa",
        subject: "system.events.run",
        messageId: "m1",
        reason: "still no room",
        deliveries: 3,
        occurrences: 2,
        retries: 1,
        firstAtMs: 100,
        lastAtMs: 200,
        envelope: envelope("m1"),
      },
    ]);
  });

  test("L1 the same message is another actor's own letter", () => {
    const store = start();
    store.add(report(1), 1);
    store.add(report(1, { principal: "urza" }), 1);
    expect(store.list(all).map(({ principal }) => principal)).toEqual(["nissa", "urza"]);
  });

  test("L2 told twice of one place, with the message or without it, nothing changes; another message in that place is another letter", () => {
    const store = start();
    const first = store.add(report(1), 1);
    const { envelope: _, ...bare } = report(1);
    for (const again of [report(1, { reason: "other words" }), { ...bare, reason: "the server counted" }])
      expect(store.add(again, 2)).toEqual({ id: first.id, isNew: false, pushedOut: 0 });
    expect(store.find(first.id)).toMatchObject({ reason: "no room", occurrences: 1, lastAtMs: 1, envelope: envelope("m1") });
    expect(store.add(report(1, { envelope: envelope("after the stream was lost") }), 3).isNew).toBe(true);
    expect(store.count()).toBe(2);
  });

  test("L3 at the bound all are kept; past it the oldest that was sent again goes, then the oldest", () => {
    const store = start(3);
    const ids = [1, 2, 3].map((sequence) => store.add(report(sequence), sequence).id);
    store.markRetried(ids[1]!);
    const kept = () => store.list(all).map(({ messageId }) => messageId);
    expect([store.count(), kept()]).toEqual([3, ["m1", "m2", "m3"]]);
    expect(store.add(report(4), 4).pushedOut).toBe(1);
    expect(kept()).toEqual(["m1", "m3", "m4"]);
    expect(store.add(report(5), 5).pushedOut).toBe(1);
    expect(kept()).toEqual(["m3", "m4", "m5"]);
  });

  test("pages, filters, and a drop that tells whether there was one", () => {
    const store = start();
    for (let sequence = 1; sequence <= 5; sequence++) store.add(report(sequence), 1);
    const { envelope: _, ...broken } = report(6, { subject: "system.events.seed", raw: "{" });
    store.add(broken, 1);
    const page = (afterId: number) => store.list({ afterId, limit: 2 }).map(({ id }) => id);
    expect([page(0), page(2), page(6)]).toEqual([[1, 2], [3, 4], []]);
    expect(store.list({ ...all, subject: "system.events.seed" })).toMatchObject([{ id: 6, messageId: "EVENTS:6", raw: "{" }]);
    expect(store.list({ ...all, principal: "urza" })).toEqual([]);
    expect([store.drop(3), store.drop(3), store.find(3), store.count()]).toEqual([true, false, undefined, 5]);
  });
});
