import { describe, expect, test } from "vitest";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { CommandReceipt } from "../../src/contracts/commands.ts";
import type { EpochPlan } from "../../src/contracts/plan.ts";
import type { KasminaRunState, KasminaSetup } from "../../src/machines/boundary.ts";
import { acceptCommand, createRunState, decideBoundary, locateSeed, seedCount, seedRow } from "../../src/machines/boundary.ts";
import { pendingCommandsMax } from "../../src/machines/kasmina-state.ts";
import { cull, drive, germinate } from "./driver.ts";
import { characterized, config, host, laneResult, runId, setup } from "./fixtures.ts";

describe("commands", () => {
  const fresh = createRunState(setup, host);
  const codeOf = (state: KasminaRunState, command: KasminaControlCommand): string => {
    const { receipt } = acceptCommand(state, command);
    return receipt.kind === "refused" ? receipt.code : receipt.kind;
  };

  test("a receipt names the window from which it holds, and the same request waits once", () => {
    const first = acceptCommand(fresh, germinate);
    expect(first.receipt).toEqual({ kind: "accepted", requestId: "q1", runId, appliesAtEpoch: 1, detail: "germinate seed:h2" });
    const second = acceptCommand(first.state, germinate);
    expect(second.receipt).toEqual(first.receipt);
    expect(second.state.pending).toHaveLength(1);
  });

  test("each refusal has its code and a reason", () => {
    const open = drive(2, { commands: { 0: [germinate] } }).state;
    expect(codeOf(fresh, { ...germinate, runId: "r-2" })).toBe("unknown_run");
    expect(codeOf(fresh, { ...germinate, seedId: "seed:h9" })).toBe("unknown_seed");
    expect(codeOf(fresh, { ...germinate, seedId: "seed:output" })).toBe("unknown_seed");
    expect(codeOf(fresh, { ...germinate, toSite: "h1" })).toBe("span");
    expect(codeOf(acceptCommand(fresh, germinate).state, { ...germinate, requestId: "q7", seedId: "seed:h1" })).toBe("lock_held");
    expect(codeOf(open, { ...germinate, requestId: "q7", seedId: "seed:h1" })).toBe("lock_held");
    expect(codeOf(open, { ...germinate, requestId: "q7" })).toBe("illegal_transition");
    expect(codeOf(fresh, { ...cull, seedId: "seed:h9" })).toBe("unknown_seed");
    expect(codeOf(fresh, cull)).toBe("illegal_transition");
    expect(codeOf(createRunState({ ...setup, growth: false }, host), germinate)).toBe("invalid");
    expect(codeOf(createRunState({ ...setup, flopsMax: 1000 }, host), germinate)).toBe("budget");
    const none = { ...setup, config: { ...config, adaptationsPerEpochMax: 0 } };
    expect(codeOf(createRunState(none, host), germinate)).toBe("limit");
  });

  test("commands that wait are bounded", () => {
    let state = fresh;
    for (let n = 0; n < pendingCommandsMax; n += 1)
      state = acceptCommand(state, { kind: n % 2 === 0 ? "pause" : "resume", requestId: `p${n}` }).state;
    expect(state.pending).toHaveLength(pendingCommandsMax);
    expect(codeOf(state, { kind: "pause", requestId: "over" })).toBe("limit");
  });

  test("status tells each seed's state, reason, alpha and health", () => {
    const { state } = drive(6, { commands: { 3: [germinate] } });
    const { receipt } = acceptCommand(state, { kind: "status", requestId: "q8" });
    expect(CommandReceipt.parse(receipt)).toMatchObject({
      kind: "status",
      run: {
        epoch: 5,
        seedCount: 3,
        seeds: [{ seedId: "seed:h1" }, { seedId: "seed:h2", state: "TRAINING", alpha: 0, health: 0 }, {}],
      },
    });
  });

  test("a command that was accepted and cannot be carried out any more is reported", () => {
    const accepted = acceptCommand(drive(8, { commands: { 0: [germinate] } }).state, {
      ...germinate,
      requestId: "q7",
      seedId: "seed:h1",
    });
    expect(accepted.receipt.kind).toBe("accepted");
    // The trial that ended in the window before may have used what this one needs: here the budget shrinks under it.
    const state = { ...accepted.state, setup: { ...setup, flopsMax: 1 } };
    const result = laneResult(state.plan as EpochPlan, undefined);
    const decided = decideBoundary(state, { nowEpoch: 8, host, result, compilations: [], characterizations: [characterized] });
    expect(decided).toMatchObject({ kind: "decided", refusals: [{ requestId: "q7", code: "budget" }], submissions: [] });
  });

  test("a germination waits while a kept kernel's host is not known yet", () => {
    const grown = { ...host, hash: "d".repeat(64) };
    // Accepted in window 7, before its verdict: by then no other seed may be asked for, so it is put in by hand.
    const before = drive(7, { commands: { 0: [germinate] } }).state;
    const waiting: KasminaRunState = { ...before, pending: [{ ...germinate, requestId: "q7", seedId: "seed:h1" }] };
    const first = decideBoundary(waiting, {
      nowEpoch: 7,
      host,
      result: laneResult(before.plan as EpochPlan, undefined),
      compilations: [],
      characterizations: [characterized],
    });
    if (first.kind !== "decided" || first.reply.kind !== "run") throw new Error("expected a plan");
    expect(first.submissions).toEqual([]);
    const result = laneResult(first.reply.plan, undefined, { change: { host: grown } });
    const second = decideBoundary(first.state, {
      nowEpoch: 8,
      host: grown,
      result,
      compilations: [],
      characterizations: [characterized],
    });
    expect(second).toMatchObject({ kind: "decided", submissions: [{ seedId: "seed:h1", key: { hostHash: grown.hash } }] });
  });
});

describe("many seeds", () => {
  const many: KasminaSetup = { ...setup, config: { ...config, seedsPerSite: 33_334 } };
  const state = createRunState(many, host);

  test("a hundred thousand dormant seeds have ids and rows but no entries", () => {
    expect(seedCount(state)).toBe(100_002);
    expect(state.seeds).toEqual({});
    expect(locateSeed(state, "seed:h3.33334")).toEqual({ site: "h3", n: 33_334 });
    expect(seedRow(state, "seed:h3.33334")).toBe(100_001);
    for (const bad of ["seed:h3.33335", "seed:h3.0", "seed:h3.01", "seed:h3", "h3.1", "seed:output.1"])
      expect(locateSeed(state, bad)).toBeUndefined();
  });

  test("status lists the first thousand and counts all; the signal shows one untouched seed a site", () => {
    const { receipt } = acceptCommand(state, { kind: "status", requestId: "q" });
    expect(receipt.kind === "status" && [receipt.run.seeds.length, receipt.run.seedCount]).toEqual([1000, 100_002]);
    const { boundaries } = drive(10, { setup: many, commands: { 0: [{ ...germinate, seedId: "seed:h2.1" }] } });
    expect(boundaries[9]?.health?.seeds.map((seed) => [seed.seedId, seed.state])).toEqual([
      ["seed:h1.1", "DORMANT"],
      ["seed:h2.1", "FOSSILIZED"],
      ["seed:h2.2", "DORMANT"],
      ["seed:h3.1", "DORMANT"],
    ]);
    expect(Object.keys(boundaries[9]?.state.seeds ?? {})).toEqual(["seed:h2.1"]);
  });
});
