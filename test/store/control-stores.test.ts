/** What commands keep: decisions, experience, and kernels that were withdrawn. */
import { describe, expect, it } from "vitest";
import { DataError } from "../../src/contracts/errors.ts";
import { createDecisionStore } from "../../src/store/decision-store.ts";
import { createExperienceStore } from "../../src/store/experience-store.ts";
import { createKernelStatusStore, withoutWithdrawn } from "../../src/store/kernel-status.ts";
import type { Library } from "../../src/store/library.ts";
import { temporaryDatabase } from "./support.ts";

const decision = (epoch: number, runId = "r-1") =>
  ({ runId, epoch, rule: "r", outcome: "wait", reason: `window ${epoch}`, latencyMs: 1 }) as const;

describe("decisions", () => {
  it("N1 one that is delivered twice is kept once; they come newest first, by run and window, also after a restart", () => {
    const database = temporaryDatabase();
    const store = createDecisionStore(database);
    for (const epoch of [1, 2, 3, 3]) store.add(`m${epoch}`, decision(epoch));
    store.add("other", decision(9, "r-2"));
    const again = createDecisionStore(database);
    const epochs = (query: Parameters<typeof store.list>[0]) => again.list(query).map(({ epoch }) => epoch);
    expect(epochs({ sinceEpoch: 0, limit: 10 })).toEqual([9, 3, 2, 1]);
    expect(epochs({ runId: "r-1", sinceEpoch: 2, limit: 10 })).toEqual([3, 2]);
    expect(epochs({ runId: "r-1", sinceEpoch: 0, limit: 1 })).toEqual([3]);
    expect([again.count(), again.count("r-1"), again.count("r-9")]).toEqual([4, 3, 0]);
  });

  it("N2 at the bound and one more: the oldest goes", () => {
    const store = createDecisionStore(temporaryDatabase(), 3);
    for (const epoch of [1, 2, 3]) store.add(`m${epoch}`, decision(epoch));
    expect(store.count()).toBe(3);
    store.add("m4", decision(4));
    expect(store.list({ sinceEpoch: 0, limit: 10 }).map(({ epoch }) => epoch)).toEqual([4, 3, 2]);
  });
});

describe("experience", () => {
  it("X1 X2 once per request, and never more than the bound", () => {
    const store = createExperienceStore(temporaryDatabase(), 2);
    const add = (requestId: string, reward: number): number =>
      store.add({
        requestId,
        principal: "ada",
        atMs: 1,
        experience: { observation: { gap: 0.1 }, action: "grow", reward, terminal: false },
      });
    expect([add("a", 1), add("a", 1), add("b", 2), add("c", 3)]).toEqual([1, 1, 2, 2]);
    expect(store.list(10).map(({ reward }) => reward)).toEqual([3, 2]);
  });
});

describe("withdrawn kernels", () => {
  const hash = "a".repeat(64);
  const library: Library = {
    get: async () => undefined,
    put: async () => ({ hash, existed: true }),
    findKernel: async () => hash,
    bytes: async () => undefined,
    describe: () => undefined,
    list: () => [],
    lineage: () => [],
    fieldReports: () => [],
    findTags: () => [],
    putTags: () => undefined,
    putFieldReport: () => undefined,
  };

  it("Q1 Q2 are not found, not fetched and not stored; other assets are; reinstated they are again, also after a restart", async () => {
    const database = temporaryDatabase();
    const statuses = createKernelStatusStore(database);
    const guarded = withoutWithdrawn(library, statuses);
    expect(await guarded.findKernel("k")).toBe(hash);
    statuses.put(hash, { status: "withdrawn", reason: "it drifts", principal: "ada" }, 1);
    expect(await guarded.findKernel("k")).toBeUndefined();
    expect(() => guarded.get("kernel", hash)).toThrow(DataError);
    expect(() => guarded.get("kernel", hash)).toThrow(/ada withdrew it: it drifts/);
    await expect(
      guarded.put({ kind: "kernel", asset: {}, inputs: [], source: "s", producer: "p", createdAtMs: 1 }),
    ).rejects.toThrow(DataError);
    expect(await guarded.get("blueprint", hash)).toBeUndefined();
    const again = createKernelStatusStore(database);
    expect(again.find(hash)).toMatchObject({ status: "withdrawn" });
    again.put(hash, { status: "active", reason: "measured again", principal: "ada" }, 2);
    expect(await guarded.findKernel("k")).toBe(hash);
    expect(await guarded.get("kernel", hash)).toBeUndefined();
  });
});
