import { describe, expect, test } from "vitest";
import type { ViewCommand, ViewState } from "../../src/contracts/view.ts";
import { decisionToChange, firstCommandsFor, resumeNameOf } from "../../src/view/branch.ts";
import { emptyRun, emptySeed, emptyTrial } from "../../src/view/empty.ts";
import { fateOf } from "../../src/view/fate.ts";
import { emptyView } from "../../src/view/reduce.ts";

const command = (over: Partial<ViewCommand> = {}): ViewCommand => ({
  requestId: "q-1",
  runId: "r-1",
  kind: "germinate",
  seedId: "seed:h2",
  target: null,
  about: "seed:h2",
  sender: "tamiyo",
  role: "controller",
  atMs: 1,
  state: "accepted",
  code: null,
  detail: "germinate seed:h2",
  appliesAtEpoch: 6,
  expiresAtMs: null,
  approvers: [],
  ...over,
});

const view = (
  commands: readonly ViewCommand[],
  change: (run: ReturnType<typeof emptyRun>) => void = () => undefined,
): ViewState => {
  const state = emptyView("live");
  const run = emptyRun("r-1");
  change(run);
  state.runs.push(run);
  state.currentRunId = "r-1";
  state.commands.push(...commands);
  return state;
};
const labels = (of: ViewCommand, state: ViewState): readonly string[] => fateOf(of, state).map(({ label }) => label);

describe("what became of a command", () => {
  const word = command({
    requestId: "w",
    kind: "approve",
    seedId: null,
    target: "q-1",
    sender: "lin",
    state: "done",
    appliesAtEpoch: null,
  });

  test("held → approved → accepted → in effect, each when it is told", () => {
    const held = command({ state: "held", appliesAtEpoch: null, expiresAtMs: 9 });
    expect(labels(held, view([held]))).toEqual(["held"]);
    const passed = command();
    const steps = ["held", "approved by lin", "accepted for window 6"];
    expect(labels(passed, view([passed, word]))).toEqual(steps);
    const grown = view([passed, word], (run) => {
      const seed = emptySeed("seed:h2", "h2");
      seed.state = "GERMINATED";
      seed.sinceEpoch = 6;
      seed.trial = { ...emptyTrial(6), requestId: "q-1" };
      run.seeds.push(seed);
    });
    expect(labels(passed, grown)).toEqual([...steps, "in effect"]);
    expect(fateOf(passed, grown).at(-1)?.link).toEqual({ kind: "seed", id: "seed:h2" });
  });

  test("F1: a trial of another request is no effect of this one", () => {
    const state = view([command()], (run) => {
      const seed = emptySeed("seed:h2", "h2");
      seed.trial = { ...emptyTrial(6), requestId: "q-2" };
      run.seeds.push(seed);
      run.epoch = 9;
    });
    expect(labels(command(), state)).toEqual(["accepted for window 6"]);
  });

  test("vetoed, refused at its boundary, and a run that waits and begins", () => {
    const vetoed = command({ state: "refused", code: "vetoed", detail: "vetoed by lin" });
    expect(labels(vetoed, view([vetoed, { ...word, kind: "veto" }]))).toEqual(["held", "vetoed by lin"]);
    const refused = command({ state: "refused", code: "budget", detail: "too dear" });
    expect(labels(refused, view([refused]))).toEqual(["refused"]);
    const start = command({
      kind: "start",
      seedId: null,
      runId: null,
      state: "queued",
      appliesAtEpoch: null,
      detail: "r-1-x waits for its turn",
    });
    expect(labels(start, view([start]))).toEqual(["queued"]);
    const begun = view([start]);
    begun.runs.push(emptyRun("r-1-x-grown"));
    expect(labels(start, begun)).toEqual(["queued", "started"]);
  });

  test("pin and pause are in effect when the run says so", () => {
    const pin = command({ kind: "pin", seedId: null, target: "h2" });
    expect(labels(pin, view([pin]))).toEqual(["accepted for window 6"]);
    const pinned = view([pin], (run) => {
      run.holds = { ...run.holds, pins: ["h2"] };
    });
    expect(labels(pin, pinned)).toEqual(["accepted for window 6", "in effect"]);
  });
});

test("a branch: its first commands, its checkpoint's name, and the decision that it is about", () => {
  expect(firstCommandsFor({ kind: "spare", target: "seed:h2" }, "why")).toEqual([
    { kind: "pin", target: "seed:h2", reason: "why" },
  ]);
  const blueprint = { kind: "low-rank", hiddenWidth: 4, initialization: "zero" } as const;
  expect(firstCommandsFor({ kind: "grow", seedId: "seed:h1", toSite: "h3", blueprint }, "why")).toEqual([
    { kind: "germinate", seedId: "seed:h1", toSite: "h3", blueprint, reason: "why" },
  ]);
  expect(firstCommandsFor({ kind: "cull", seedId: "seed:h1" }, "why")).toEqual([
    { kind: "cull", seedId: "seed:h1", reason: "why" },
  ]);
  expect(firstCommandsFor({ kind: "same" }, "why")).toEqual([]);
  expect(resumeNameOf("r-1", { epoch: 12 })).toBe("checkpoints/r-1/12");
  const decided = [
    { epoch: 4, outcome: "germinate" },
    { epoch: 9, outcome: "wait" },
    { epoch: 11, outcome: "germinate" },
  ];
  expect(decisionToChange(decided, 8)).toEqual({ epoch: 11, outcome: "germinate" });
  expect(decisionToChange(decided, 11)).toBeUndefined();
});
