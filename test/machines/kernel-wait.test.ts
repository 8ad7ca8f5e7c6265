/** B6: at its window a run waits for a kernel; every way out of the wait, and that the wait leaves no trace. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import type { CompilationOutcome } from "../../src/contracts/compilation.ts";
import type { EpochResult } from "../../src/contracts/plan.ts";
import { acceptCommand, type BoundaryDecision, decideBoundary, type KasminaRunState } from "../../src/machines/boundary.ts";
import { cull, drive, germinate, ways, works } from "./driver.ts";
import { characterized, config, host, laneResult, nonFiniteLoss, ready, runId, setup } from "./fixtures.ts";

const withLead = (kernelLeadEpochs: number) => ({ ...setup, config: { ...config, kernelLeadEpochs } });
const failed: CompilationOutcome = {
  kind: "failed",
  taskId: "task-1",
  runId,
  seedId: "seed:h2",
  keyHash: "d".repeat(64),
  reason: "too late",
};

/** A run at the boundary that takes the kernel of a seed that germinated after window 1; the forge has told nothing yet. */
const open = (lead = 2) => {
  const nowEpoch = 1 + lead;
  const { state, plans } = drive(nowEpoch, { commands: { 1: [germinate] }, setup: withLead(lead) });
  const result = laneResult(plans.at(-1)!, undefined);
  const ask = (
    from: KasminaRunState,
    compilations: readonly CompilationOutcome[] = [],
    characterizations = [characterized],
    change: Partial<EpochResult> = {},
  ): BoundaryDecision =>
    decideBoundary(from, { nowEpoch, host, result: { ...result, ...change }, compilations, characterizations });
  const told = (...commands: KasminaControlCommand[]): KasminaRunState =>
    commands.reduce((before, command) => acceptCommand(before, command).state, state);
  return { state, ask, told, nowEpoch };
};

describe("a kernel that is outstanding at its window", () => {
  test("the reply names the seed and what is outstanding", () => {
    const { state, ask } = open();
    const wait = { kind: "wait", seedId: "seed:h2" };
    expect(ask(state)).toMatchObject({ kind: "waiting", reply: { ...wait, outstanding: "compilation" } });
    expect(ask(state, [ready()], [])).toMatchObject({ kind: "waiting", reply: { ...wait, outstanding: "characterization" } });
  });

  test("an outcome of another run or of another seed ends no wait", () => {
    const { state, ask } = open();
    for (const outcome of [{ ...ready(), runId: "r-2" }, ready("seed:h1"), { ...failed, seedId: "seed:h3" }])
      expect(ask(state, [outcome])).toMatchObject({ kind: "waiting", reply: { outstanding: "compilation" } });
  });

  test.each([0, 1, 2, 5])("with a lead of %i the host trains until then, and not a window longer", (lead) => {
    const due = 1 + Math.max(1, lead);
    const { plans, waits, transitions } = drive(due + 2, {
      commands: { 1: [germinate] },
      setup: withLead(lead),
      forge: "slow",
    });
    expect(waits.map(({ epoch }) => epoch)).toEqual([due, due]);
    expect(works(plans)).toEqual([...Array.from({ length: due }, () => "host"), "load", "train_kernel"]);
    expect(ways(transitions)).toEqual(["1 GERMINATED", `${due} LOADING`, `${due + 1} TRAINING`]);
  });
});

describe("the ways out of the wait", () => {
  test("the kernel and its characterisation come: it is loaded", () => {
    const { state, ask } = open();
    expect(ask(state, [ready()])).toMatchObject({
      kind: "decided",
      transitions: [{ to: "LOADING" }],
      reply: { kind: "run", plan: { epoch: 4, before: [{ kind: "load_kernel" }], work: { kind: "load" } } },
    });
  });

  test("there is no kernel, or it is refused: the seed is dormant under embargo and the host trains on", () => {
    const { state, ask } = open();
    const { measured: _measured, ...bare } = characterized;
    for (const decided of [ask(state, [failed]), ask(state, [ready()], [{ ...bare, problem: "the lane was lost" }])])
      expect(decided).toMatchObject({
        kind: "decided",
        state: { activeSeedId: null, embargoes: { h2: 3 + config.embargo.epochs } },
        transitions: [{ from: "GERMINATED", to: "DORMANT" }],
        fieldReports: [{ outcome: "DORMANT" }],
        reply: { kind: "run", plan: { work: { kind: "host" } } },
      });
  });

  test("a cull, a stop and a pause are heard at once; after the resume the run waits again", () => {
    const { ask, told } = open();
    expect(ask(told(cull))).toMatchObject({
      kind: "decided",
      transitions: [{ from: "GERMINATED", to: "DORMANT", reason: "by hand" }],
      reply: { kind: "run", plan: { work: { kind: "host" } } },
    });
    expect(ask(told({ kind: "stop", requestId: "s", reason: "enough" }))).toMatchObject({
      kind: "decided",
      transitions: [],
      reply: { kind: "stop", reason: "enough" },
    });
    const pause: KasminaControlCommand = { kind: "pause", requestId: "p" };
    expect(ask(told(pause))).toMatchObject({ kind: "decided", transitions: [], reply: { kind: "pause" } });
    expect(ask(told(pause, { kind: "resume", requestId: "r" }))).toMatchObject({ kind: "waiting" });
  });

  test("a germination meanwhile is refused: the lock is held", () => {
    const { state } = open();
    expect(acceptCommand(state, { ...germinate, requestId: "g2", seedId: "seed:h1" }).receipt).toMatchObject({
      code: "lock_held",
    });
  });

  test("the FLOPs are used up: nothing is waited for", () => {
    const { state, ask } = open();
    expect(ask(state, [], [], { budgetUsed: true })).toMatchObject({
      kind: "decided",
      transitions: [{ from: "GERMINATED", to: "DORMANT", reason: "the run's FLOPs are used up" }],
      reply: { kind: "stop" },
    });
  });

  test("an anomaly of the host's last window waits with it: host rolled back and kernel loaded in one plan", () => {
    const { state, ask } = open();
    const broken = { anomalies: [nonFiniteLoss] };
    expect(ask(state, [], [], broken)).toMatchObject({ kind: "waiting" });
    expect(ask(state, [ready()], [characterized], broken)).toMatchObject({
      reply: { plan: { before: [{ kind: "rollback" }, { kind: "load_kernel" }] } },
    });
  });
});

describe("the wait leaves no trace", () => {
  test("a question that is answered with a wait consumes nothing", () => {
    const { state, ask } = open();
    const before = JSON.stringify(state);
    const at_once = ask(state, [ready()]);
    for (let question = 0; question < 3; question += 1) expect(ask(state).kind).toBe("waiting");
    expect(JSON.stringify(state)).toBe(before);
    expect(ask(state, [ready()])).toEqual(at_once);
  });

  test("whatever the lead, the commands and the measurements, a slow forge and a fast one give the same decisions", () => {
    const order = fc.constantFrom("none", "none", "germinate", "cull", "rollback", "release");
    const scripts = fc.record({
      lead: fc.integer({ min: 0, max: 4 }),
      compiled: fc.constantFrom("ready" as const, "ready" as const, "failed" as const),
      windows: fc.array(
        fc.record({
          order,
          site: fc.constantFrom("h1", "h2", "h3"),
          quality: fc.constantFrom("passed" as const, "failed" as const),
        }),
        { minLength: 20, maxLength: 40 },
      ),
    });
    let waited = 0;
    fc.assert(
      fc.property(scripts, ({ lead, compiled, windows }) => {
        const script = {
          setup: withLead(lead),
          compiled,
          lenient: true,
          windows: Object.fromEntries(windows.map(({ quality }, i) => [i + 1, { quality }])),
          commands: Object.fromEntries(
            windows.map(({ order: kind, site }, i) => [
              i,
              kind === "none" ? [] : [{ kind, requestId: `q${i}`, seedId: `seed:${site}`, reason: "random" }],
            ]),
          ),
        };
        const fast = drive(windows.length, script);
        const slow = drive(windows.length, { ...script, forge: "slow" });
        waited += slow.waits.length;
        expect(fast.waits).toEqual([]);
        expect(slow.boundaries).toEqual(fast.boundaries);
      }),
      { numRuns: 60, seed: 5 },
    );
    expect(waited).toBeGreaterThan(20);
  });
});
