import { describe, expect, test } from "vitest";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { commandRules, mayCommand, roles } from "../../src/contracts/roles.ts";
import type { ViewState } from "../../src/contracts/view.ts";
import { acceptCommand } from "../../src/machines/boundary.ts";
import { liveState } from "../../src/node/live-view.ts";
import { branchFrom, nearestCheckpoint, shellWord } from "../../src/view/branch.ts";
import { diffStates } from "../../src/view/diff.ts";
import { legalCommands } from "../../src/view/legal-commands.ts";
import { ViewReader } from "../../src/view/read-event.ts";
import { applyChanges, cloneView, emptyView, findRun } from "../../src/view/reduce.ts";
import type { Script } from "../machines/driver.ts";
import { cull, drive, germinate } from "../machines/driver.ts";
import { host, runId, setup } from "../machines/fixtures.ts";
import { envelope, started, windowOf } from "./support.ts";

/** What the page sees of a run that was driven so far. */
const shown = (
  windows: number,
  script: Script,
): { readonly view: ViewState; readonly state: ReturnType<typeof drive>["state"] } => {
  const { state, boundaries } = drive(windows, script);
  const reader = new ViewReader();
  const view = liveState();
  const feed = (...args: Parameters<typeof envelope>): void => applyChanges(view, reader.read(envelope(...args)));
  const told = { arm: setup.arm, dataset: "mnist", engine: "native", flopsMax: 1e9, epochSteps: 10, hostSteps: 100 };
  feed("system.events.run", { kind: "started", runId, ...told, host, growth: setup.growth, morphogenetic: setup.config });
  boundaries.forEach((boundary, epoch) => {
    if (epoch > 0) applyChanges(view, reader.read(windowOf(runId, epoch)));
    for (const transition of boundary.transitions) feed("system.events.seed", transition);
    for (const event of boundary.escalations) feed("system.events.escalation", event);
  });
  const accepted = Object.entries(script.commands ?? {}).filter(([epoch]) => Number(epoch) < windows);
  for (const command of accepted.flatMap(([, commands]) => commands)) {
    const receipt = { kind: "accepted", requestId: command.requestId, runId, appliesAtEpoch: 1, detail: "" };
    feed("system.events.command", { command, sender: "ann", role: "admin", receipt });
  }
  expect(view.unreadable).toBe(0);
  return { view, state };
};

const scripts: Readonly<Record<string, Script>> = {
  untouched: {},
  fossilized: { commands: { 3: [germinate] } },
  culled: { commands: { 3: [germinate] }, windows: { 10: { quality: "failed" } } },
  "by hand": { commands: { 3: [germinate], 7: [cull] } },
  "rolled back": { commands: { 3: [germinate], 7: [{ kind: "rollback", requestId: "q3", seedId: "seed:h2", reason: "x" }] } },
  pinned: { commands: { 1: [{ kind: "pin", requestId: "q4", target: "seed:h1", reason: "x" }] } },
  still: { commands: { 1: [{ kind: "pause", requestId: "q5", scope: "adaptation" }] } },
};

describe("legal commands", () => {
  for (const [name, script] of Object.entries(scripts)) {
    test(`${name}: what the page offers for a seed is what the run accepts, in every window`, () => {
      const seen = new Set<string>();
      for (const windows of [1, 4, 5, 7, 8, 10, 11, 12, 15]) {
        const { view, state } = shown(windows, script);
        for (const { seedId } of findRun(view, runId)?.seeds ?? []) {
          for (const { kind, legal, reason } of legalCommands(view, runId, seedId, "admin")) {
            const asked = { requestId: `p-${kind}`, runId, seedId, target: seedId, verdict: "keep", reason: "x" };
            const fields: Record<string, readonly (keyof typeof asked)[]> = {
              pin: ["target"],
              unpin: ["target"],
              resolve: ["seedId", "verdict"],
            };
            const command = { kind, requestId: asked.requestId, runId, reason: "x" } as Record<string, unknown>;
            for (const field of fields[kind] ?? ["seedId"]) command[field] = asked[field];
            const { receipt } = acceptCommand(state, command as KasminaControlCommand);
            // Budgets are the Warden's and Kasmina's to know.
            const dear =
              receipt.kind === "refused" && (receipt.code === "budget" || receipt.code === "limit" || receipt.code === "span");
            if (dear) continue;
            expect([windows, seedId, kind, legal, legal ? "" : reason]).toEqual([
              windows,
              seedId,
              kind,
              receipt.kind === "accepted",
              legal ? "" : expect.stringMatching(/./),
            ]);
            seen.add(`${kind} ${legal}`);
          }
        }
      }
      expect(seen.size).toBeGreaterThan(6);
    });
  }

  test("by role: exactly the roles of the permission table; without a token none; a recorded run takes none", () => {
    const { view } = shown(2, {});
    for (const [seedId, run] of [
      ["seed:h2", runId],
      [null, runId],
      [null, null],
    ] as const) {
      for (const role of roles) {
        for (const { kind, reason } of legalCommands(view, run, seedId, role))
          expect([kind, role, reason.includes("needs one of")]).toEqual([kind, role, !mayCommand(role, kind)]);
      }
      for (const { legal, reason, kind } of legalCommands(view, run, seedId, undefined)) {
        expect(legal).toBe(false);
        expect(reason).toContain("token");
        expect(commandRules[kind].access).toBe("change");
      }
      view.source = "recorded";
      expect(legalCommands(view, run, seedId, "admin").every(({ legal }) => !legal)).toBe(true);
      view.source = "live";
    }
    expect(legalCommands(view, "nowhere", null, "admin")).toEqual([]);
  });

  test("a run that is over takes none", () => {
    const { view } = shown(4, {});
    const reader = new ViewReader();
    applyChanges(
      view,
      reader.read(envelope("system.events.run", { kind: "finished", runId, arm: "grown", outcome: "done", reason: "x" })),
    );
    for (const each of legalCommands(view, runId, "seed:h2", "admin"))
      expect(each).toMatchObject({ legal: false, reason: "the run is over: done" });
  });
});

describe("two moments", () => {
  test("their difference names what changed, and nothing else", () => {
    const reader = new ViewReader();
    const state = emptyView("recorded");
    applyChanges(state, reader.read(started("r-1", 3)));
    applyChanges(state, reader.read(windowOf("r-1", 1)));
    const before = cloneView(state);
    expect(diffStates(before, state, "r-1")).toMatchObject({ figures: [], seeds: [], layers: [], edgesAdded: [], decisions: 0 });
    const evidence = { fromSite: "h1", toSite: "h2" };
    const step = {
      runId: "r-1",
      seedId: "seed:h1",
      sequence: 1,
      from: "DORMANT",
      to: "GERMINATED",
      epoch: 2,
      reason: "x",
      evidence,
    };
    applyChanges(state, reader.read(envelope("system.events.seed", step)));
    applyChanges(state, reader.read(windowOf("r-1", 2, { validation: undefined })));
    const difference = diffStates(before, state, "r-1");
    expect(difference).toMatchObject({
      epochBefore: 1,
      epochAfter: 2,
      seeds: [{ seedId: "seed:h1", before: "DORMANT", after: "GERMINATED", steps: 1 }],
      edgesAdded: [{ kind: "trial", from: "h1", to: "h2", seedId: "seed:h1" }],
      edgesRemoved: [],
    });
    expect(difference?.figures.map(({ name }) => name)).toEqual(["epoch", "hostStep", "flops", "trainLoss"]);
    expect(diffStates(before, state, "r-2")).toBeUndefined();
  });

  test("a branch starts at the nearest checkpoint before, and its command line is one whatever the folder is called", () => {
    const checkpoints = [10, 30, 20].map((epoch) => ({ epoch, file: `/d a't/a/${epoch}` }));
    expect(nearestCheckpoint(checkpoints, 9)).toBeUndefined();
    expect(branchFrom(checkpoints, 25)).toMatchObject({ checkpoint: { epoch: 20 }, epochsBefore: 5 });
    expect(branchFrom(checkpoints, 30)?.commandLine).toBe(`esper train --resume '/d a'\\''t/a/30'`);
    expect(shellWord(".esper/checkpoints/r-1/10")).toBe(".esper/checkpoints/r-1/10");
  });
});
