/** What Gate and Warden keep: on the disk, bounded, the same after a restart. */
import { describe, expect, it } from "vitest";
import type { ApprovalRecord } from "../../src/contracts/governance.ts";
import { createGateStore } from "../../src/store/gate-store.ts";
import { createWardenStore } from "../../src/store/warden-store.ts";
import { temporaryDatabase } from "./support.ts";

const record = (requestId: string, over: Partial<ApprovalRecord> = {}): ApprovalRecord => ({
  by: { principal: "dee", role: "developer", transport: "nats" },
  command: { kind: "stop", requestId, reason: "x" },
  approvers: ["operator"],
  state: "waiting",
  createdAtMs: 1,
  expiresAtMs: 10,
  ...over,
});

describe("the Warden's store", () => {
  it("W1 keeps one record for each request, and gives it back to another store over the same file", () => {
    const database = temporaryDatabase();
    const store = createWardenStore({ database });
    store.putApproval(record("a"));
    store.putApproval(record("a", { state: "vetoed", decided: { by: "ola", atMs: 2, reason: "no" } }));
    store.putChange({ requestId: "c", change: "policy", principal: "ada", atMs: 5 });
    const later = createWardenStore({ database });
    expect(later.findApproval("a")).toMatchObject({ state: "vetoed", decided: { by: "ola" } });
    expect(later.findApproval("b")).toBeUndefined();
    expect([later.waiting(), later.approvals().length]).toEqual([0, 1]);
    expect(later.changes()).toEqual([{ requestId: "c", change: "policy", principal: "ada", atMs: 5 }]);
  });

  it("W2 forgets the oldest that wait no longer, never one that waits; and the oldest changes", () => {
    const store = createWardenStore({ database: temporaryDatabase() });
    store.putApproval(record("waits", { createdAtMs: 0 }));
    for (let n = 1; n <= 257; n++) store.putApproval(record(`d${n}`, { state: "expired", createdAtMs: n }));
    expect(store.approvals()).toHaveLength(257);
    expect(store.findApproval("d1")).toBeUndefined();
    expect(store.findApproval("d2")).toBeDefined();
    expect(store.waiting()).toBe(1);
    for (let n = 1; n <= 1025; n++) store.putChange({ requestId: `c${n}`, change: "x", principal: "ada", atMs: n });
    expect(store.changes()).toHaveLength(1024);
    expect(store.changes()[0]?.requestId).toBe("c2");
  });
});

describe("the Gate's store", () => {
  it("W1 W2 counts are kept across a restart; at the bound a login that is new waits until another's minute is over", () => {
    const database = temporaryDatabase();
    const store = createGateStore({ database, loginsMax: 2 });
    expect(store.count("a", { startMs: 1_000, count: 3 }, 1_000)).toBe(true);
    expect(store.count("b", { startMs: 2_000, count: 1 }, 2_000)).toBe(true);
    const later = createGateStore({ database, loginsMax: 2 });
    expect(later.counted("a")).toEqual({ startMs: 1_000, count: 3 });
    expect(later.count("c", { startMs: 60_999, count: 1 }, 60_999)).toBe(false);
    expect(later.count("a", { startMs: 1_000, count: 4 }, 60_999)).toBe(true);
    expect(later.count("c", { startMs: 61_000, count: 1 }, 61_000)).toBe(true);
    expect(later.counted("a")).toBeUndefined();
    expect(later.counted("b")).toEqual({ startMs: 2_000, count: 1 });
  });
});
