/** What commands keep: decisions, experience, and kernels that were withdrawn. */
import { describe, expect, it } from "vitest";
import { DataError } from "../../src/contracts/errors.ts";
import { createDecisionStore } from "../../src/store/decision-store.ts";
import { createExperienceStore } from "../../src/store/experience-store.ts";
import { createGateStore } from "../../src/store/gate-store.ts";
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

describe("the Gate's counts", () => {
  const windowsOf = (database: ReturnType<typeof temporaryDatabase>) => createGateStore({ database, loginsMax: 10 });

  it("W1 the disk is never behind: a crash costs at most what was written down ahead, an orderly end nothing", () => {
    const database = temporaryDatabase();
    const store = windowsOf(database);
    for (let count = 1; count <= 7; count += 1) {
      expect(store.count("operator:ada", { startMs: 1_000, count }, 1_000, 3)).toBe(true);
      const afterCrash = windowsOf(database).counted("operator:ada")?.count ?? 0;
      expect(afterCrash).toBeGreaterThanOrEqual(count);
      expect(afterCrash).toBeLessThan(count + 3);
    }
    expect(store.counted("operator:ada")).toEqual({ startMs: 1_000, count: 7 });
    store.settle();
    expect(windowsOf(database).counted("operator:ada")).toEqual({ startMs: 1_000, count: 7 });
    expect(store.count("operator:ada", { startMs: 1_000, count: 8 }, 1_000, 3)).toBe(true);
    expect(windowsOf(database).counted("operator:ada")?.count).toBe(10);
  });

  it("W1 a new minute is written down at once, and so is every command where none goes ahead", () => {
    const database = temporaryDatabase();
    const store = windowsOf(database);
    store.count("observer:bo", { startMs: 1_000, count: 1 }, 1_000, 50);
    store.count("observer:bo", { startMs: 61_000, count: 1 }, 61_000, 0.3);
    expect(windowsOf(database).counted("observer:bo")).toEqual({ startMs: 61_000, count: 1 });
    store.count("observer:bo", { startMs: 61_000, count: 2 }, 61_000, 1);
    expect(windowsOf(database).counted("observer:bo")).toEqual({ startMs: 61_000, count: 2 });
  });

  it("W1 what the disk refused was not counted ahead", () => {
    const database = temporaryDatabase();
    const store = windowsOf(database);
    const refusing = database.prepare(
      "CREATE TRIGGER refuse BEFORE INSERT ON gate_windows BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    );
    refusing.run();
    const count = (n: number): boolean => store.count("operator:ada", { startMs: 1_000, count: n }, 1_000, 50);
    expect(() => count(1)).toThrow("the disk is full");
    expect(() => count(2)).toThrow("the disk is full");
    database.prepare("DROP TRIGGER refuse").run();
    expect(count(2)).toBe(true);
    expect(windowsOf(database).counted("operator:ada")?.count).toBe(51);
  });

  it("W2 a login that was forgotten to make room is written down anew when it comes back", () => {
    const database = temporaryDatabase();
    const store = createGateStore({ database, loginsMax: 1 });
    expect(store.count("a", { startMs: 0, count: 1 }, 0, 100)).toBe(true);
    expect(store.count("b", { startMs: 100, count: 1 }, 100, 100)).toBe(false);
    expect(store.count("b", { startMs: 60_000, count: 1 }, 60_000, 100)).toBe(true);
    expect(store.counted("a")).toBeUndefined();
    expect(store.count("a", { startMs: 60_000, count: 1 }, 60_000, 100)).toBe(false);
  });
});
