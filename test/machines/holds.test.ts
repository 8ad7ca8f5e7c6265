/** What people hold still: pins and pauses hold against every command, in any order; vetoes and limits take effect at the boundary. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { CommandReceipt } from "../../src/contracts/commands.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import { acceptCommand, createRunState, decideBoundary, type KasminaRunState, reviveRun } from "../../src/machines/boundary.ts";
import { holdsMax, noHolds, refuseHold } from "../../src/machines/holds.ts";
import { drive, germinate } from "./driver.ts";
import { characterized, config, host, laneResult, setup } from "./fixtures.ts";

const fresh = createRunState(setup, host);
const codeOf = (state: KasminaRunState, command: KasminaControlCommand): string => {
  const { receipt } = acceptCommand(state, command);
  return receipt.kind === "refused" ? receipt.code : receipt.kind;
};
const pin = (target: string, requestId = `pin-${target}`): KasminaControlCommand => ({
  kind: "pin",
  requestId,
  target,
  reason: "x",
});
const unpin = (target: string): KasminaControlCommand => ({ kind: "unpin", requestId: `unpin-${target}`, target, reason: "x" });
const stateAfter = (commands: readonly KasminaControlCommand[], windows = 1): KasminaRunState =>
  drive(windows, { commands: { 0: commands } }).state;

describe("pins", () => {
  it.each(["seed:h2", "h2", "h3"])("nothing grows at a pinned %s, neither from it nor to it, until it is unpinned", (target) => {
    const grow = { ...germinate, toSite: "h3" };
    expect(codeOf(stateAfter([pin(target)]), grow)).toBe("pinned");
    // Before its boundary a pin holds for what comes after it.
    expect(codeOf(acceptCommand(fresh, pin(target)).state, grow)).toBe("pinned");
    expect(codeOf(stateAfter([pin(target), unpin(target)]), grow)).toBe("accepted");
  });

  it("is refused where a trial is open or waits, where there is nothing, and a second time", () => {
    const open = drive(3, { commands: { 0: [germinate] } }).state;
    for (const target of ["seed:h2", "h2"]) expect(codeOf(open, pin(target))).toBe("illegal_transition");
    expect(codeOf(acceptCommand(fresh, germinate).state, pin("h2"))).toBe("illegal_transition");
    expect(codeOf(fresh, pin("h9"))).toBe("unknown_seed");
    expect(codeOf(stateAfter([pin("h2")]), pin("h2", "again"))).toBe("pinned");
    expect(codeOf(fresh, unpin("h2"))).toBe("illegal_transition");
  });

  it("keeps a pinned bypass and a pinned layer from being pruned", () => {
    const pruning = MorphogeneticConfig.parse({ ...config, pruning: { enabled: true } });
    const prune: KasminaControlCommand = {
      ...germinate,
      requestId: "p",
      seedId: "seed:h2.prune",
      prune: { kind: "units", site: "h2", units: [0], constants: [] },
    };
    const bypass: KasminaControlCommand = { ...prune, prune: { kind: "bypass", site: "h2", seedId: "seed:h2" } };
    const state = drive(1, { setup: { ...setup, config: pruning }, commands: { 0: [pin("seed:h2")] } }).state;
    expect(codeOf(state, bypass)).toBe("pinned");
    expect(codeOf(state, prune)).toBe("accepted");
    const layer = drive(1, { setup: { ...setup, config: pruning }, commands: { 0: [pin("h2")] } }).state;
    expect(codeOf(layer, prune)).toBe("pinned");
  });

  it("H1 whatever is sent in whatever order, what is pinned takes no step", () => {
    const targets = ["h1", "h2", "h3", "seed:h1", "seed:h2", "seed:h3"] as const;
    const step = fc.oneof(
      fc.constantFrom(...targets).map((target) => ({ kind: "pin" as const, target, reason: "x" })),
      fc.constantFrom(...targets).map((target) => ({ kind: "unpin" as const, target, reason: "x" })),
      fc
        .tuple(fc.constantFrom("seed:h1", "seed:h2", "seed:h3"), fc.constantFrom("h2", "h3", "output"))
        .map(([seedId, toSite]) => ({ kind: "germinate" as const, seedId, toSite, reason: "x" })),
      fc.constantFrom("seed:h1", "seed:h2", "seed:h3").map((seedId) => ({ kind: "cull" as const, seedId, reason: "x" })),
      fc.constantFrom("pause" as const, "resume" as const).map((kind) => ({ kind, scope: "adaptation" as const })),
      fc.constantFrom("h1", "h2").map((site) => ({ kind: "pause" as const, site })),
      fc.constant({ kind: "window" as const }),
    );
    let refused = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        // No kernel ever comes, and none is due.
        const own = { ...config, kernelLeadEpochs: 1000, embargo: { ...config.embargo, epochs: 0 } };
        let state = createRunState({ ...setup, config: own }, host);
        let result: Parameters<typeof laneResult>[1];
        let epoch = 0;
        for (const [i, taken] of steps.entries()) {
          if (taken.kind !== "window") {
            const accepted = acceptCommand(state, { ...taken, requestId: `s${i}` });
            state = accepted.state;
            if (accepted.receipt.kind === "refused" && accepted.receipt.code === "pinned") refused += 1;
            continue;
          }
          const before = state.holds?.pins ?? [];
          const decided = decideBoundary(state, {
            nowEpoch: epoch,
            host,
            result,
            compilations: [],
            characterizations: [characterized],
          });
          if (decided.kind !== "decided") throw new Error(decided.kind);
          state = decided.state;
          for (const { seedId, to } of decided.transitions) {
            const held = before.includes(seedId) && state.holds?.pins.includes(seedId);
            if (held) expect(to).toBe("DORMANT");
          }
          const trial = state.activeSeedId;
          if (trial !== null) expect(state.holds?.pins ?? []).not.toContain(trial);
          if (decided.reply.kind !== "run") break;
          result = laneResult(decided.reply.plan, result);
          epoch += 1;
        }
      }),
      { numRuns: 150 },
    );
    expect(refused).toBeGreaterThan(20);
  });
});

it("pins and paused layers are bounded", () => {
  const pins = Array.from({ length: holdsMax }, (_, n) => `h${n}`);
  const one = { kind: "pin", requestId: "p", target: "one", reason: "x" } as const;
  expect(refuseHold({ ...noHolds, pins: pins.slice(1) }, one)).toBeUndefined();
  expect(refuseHold({ ...noHolds, pins }, one)).toMatchObject({ code: "limit" });
});

describe("pauses", () => {
  it("of all adaptation, or at a layer: nothing new begins, the run and an open trial go on", () => {
    const all = stateAfter([{ kind: "pause", requestId: "a", scope: "adaptation" }]);
    expect([all.paused, codeOf(all, germinate)]).toEqual([false, "adaptation_paused"]);
    const site = stateAfter([{ kind: "pause", requestId: "a", site: "h2" }]);
    expect(codeOf(site, germinate)).toBe("adaptation_paused");
    expect(codeOf(site, { ...germinate, seedId: "seed:h1", toSite: "h3" })).toBe("accepted");
    expect(codeOf(site, { kind: "resume", requestId: "b", site: "h1" })).toBe("not_paused");
    expect(codeOf(site, { kind: "pause", requestId: "b", site: "h2" })).toBe("already_paused");
    expect(codeOf(site, { kind: "pause", requestId: "b", site: "h9" })).toBe("unknown_seed");
    expect(codeOf(site, { kind: "pause", requestId: "b", site: "h1", scope: "run" })).toBe("invalid");
    const open = drive(6, {
      commands: { 0: [germinate], 2: [{ kind: "pause", requestId: "a", scope: "adaptation" }] },
    });
    expect(open.transitions.map(({ to }) => to).slice(0, 3)).toEqual(["GERMINATED", "LOADING", "TRAINING"]);
  });

  it("and pins outlive a stop: a resumed run still holds them", () => {
    const stopped = stateAfter([
      pin("h2"),
      { kind: "pause", requestId: "a", site: "h1" },
      { kind: "stop", requestId: "s", reason: "x" },
    ]);
    expect(stopped.stopReason).toBe("x");
    const { receipt } = acceptCommand(reviveRun(stopped), { kind: "status", requestId: "t" });
    expect(CommandReceipt.parse(receipt)).toMatchObject({
      run: { paused: false, holds: { adaptationPaused: false, pausedSites: ["h1"], pins: ["h2"] } },
    });
  });
});

describe("a veto", () => {
  it("stops what waits for its boundary, and is refused where nothing waits", () => {
    const veto: KasminaControlCommand = { kind: "veto", requestId: "v", target: "q1", reason: "not now" };
    expect(codeOf(fresh, veto)).toBe("unknown_request");
    const { boundaries, transitions, state } = drive(2, { commands: { 0: [germinate, veto] } });
    expect(transitions).toEqual([]);
    expect(boundaries[0]!.refusals).toEqual([{ requestId: "q1", seedId: "seed:h2", code: "vetoed", reason: "vetoed: not now" }]);
    expect(state.pending).toEqual([]);
    const twice = acceptCommand(acceptCommand(fresh, germinate).state, veto).state;
    expect(codeOf(twice, { ...veto, requestId: "w" })).toBe("vetoed");
    expect(codeOf(twice, { ...veto, requestId: "w", target: "v" })).toBe("illegal_transition");
  });
});
