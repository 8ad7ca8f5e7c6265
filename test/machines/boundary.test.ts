import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createActor } from "xstate";
import type { SeedTransition } from "../../src/contracts/lifecycle.ts";
import { isActive } from "../../src/contracts/lifecycle.ts";
import type { EpochPlan, EpochResult } from "../../src/contracts/plan.ts";
import type { Decided } from "../../src/machines/boundary.ts";
import { acceptCommand, createRunState, decideBoundary, reviveRun } from "../../src/machines/boundary.ts";
import { seedSnapshot } from "../../src/machines/kasmina-state.ts";
import { seedStateOf } from "../../src/machines/seed-context.ts";
import { persistSeed, rebuildSeed, seedMachine, startSeed } from "../../src/machines/seed-machine.ts";
import type { Script } from "./driver.ts";
import { cull, drive, germinate, ways, works } from "./driver.ts";
import type { Quality } from "./fixtures.ts";
import {
  characterized,
  config,
  host,
  kernelFailed,
  laneResult,
  lossSpike,
  measurements,
  nonFiniteLoss,
  ready,
  runId,
  setup,
  split,
} from "./fixtures.ts";

/** A germination accepted before the first boundary reaches each state at this window. */
const windowOf = {
  GERMINATED: 1,
  LOADING: 2,
  TRAINING: 3,
  GRAFTING: 4,
  STABILIZATION: 5,
  EVALUATING: 6,
  FINE_TUNING: 7,
} as const;

describe("whole lives", () => {
  test("B4 B5 a seed that helps is kept: each window has its work, each boundary its actions", () => {
    const { plans, transitions, boundaries, state } = drive(10, { commands: { 0: [germinate] } });
    expect(works(plans)).toEqual([
      "host",
      "load",
      "train_kernel",
      "graft",
      "stabilize",
      "evaluate",
      "fine_tune",
      "host",
      "host",
      "host",
    ]);
    expect(plans.map((plan) => plan.before.map((each) => each.kind).join())).toEqual([
      "",
      "load_kernel",
      "",
      "",
      "",
      "",
      "",
      "keep",
      "",
      "",
    ]);
    expect(plans[3]?.work).toEqual({ kind: "graft", seedId: "seed:h2", steps: 10, progressFrom: 0, progressTo: 1 });
    expect(ways(transitions)).toEqual([
      "0 GERMINATED",
      "1 LOADING",
      "2 TRAINING",
      "3 GRAFTING",
      "4 STABILIZATION",
      "5 EVALUATING",
      "6 FINE_TUNING",
      "7 FOSSILIZED",
    ]);
    const report = boundaries.flatMap((each) => each.fieldReports)[0];
    expect(report).toMatchObject({
      outcome: "FOSSILIZED",
      fromSite: "h2",
      toSite: "h3",
      measuredGain: measurements.fine_tuned.passed.gain,
    });
    expect(report?.history.map((step) => step.state)).toHaveLength(8);
    expect(report?.trialFlops).toBe(3000 * (10 + 10 + 20 + 10));
    expect(state.activeSeedId).toBeNull();
    expect(state.parametersAdded).toBe(100);
    // A resumed run tells it again, with forecast and gain.
    expect(reviveRun(JSON.parse(JSON.stringify(state)) as typeof state).kept).toEqual([report]);
  });

  test("an undecided contest takes another whole round, and a culled one goes on from the twin", () => {
    const { failed } = measurements.fine_tuned;
    const round = (count: number, roundFits: boolean) => ({
      change: { kernel: { ...failed, grownSteps: 10 * count, twinSteps: 11 * count, roundFits } },
    });
    const { plans, transitions } = drive(12, {
      commands: { 1: [germinate] },
      windows: { 8: round(1, true), 9: round(2, true), 10: round(3, false) },
    });
    const tuned = plans.filter(({ work }) => work.kind === "fine_tune");
    expect(tuned.map(({ work }) => work)).toEqual(Array(3).fill({ kind: "fine_tune", seedId: "seed:h2", steps: 10 }));
    expect(ways(transitions).at(-1)).toMatch(/CULLED/);
    expect(plans.flatMap((plan) => plan.before).at(-1)).toMatchObject({ kind: "discard", continueFrom: "twin" });
  });

  test("the signal is measured after the warm-up and not while a trial holds the lock", () => {
    const { plans, boundaries } = drive(12, { commands: { 3: [germinate] } });
    expect(plans.map((plan) => plan.measureSignal)).toEqual([
      false,
      true,
      true,
      ...Array.from({ length: 7 }, () => false),
      true,
      true,
    ]);
    const { health } = boundaries[2] ?? {};
    expect(health?.seeds.map((seed) => [seed.seedId, seed.state])).toEqual([
      ["seed:h1", "DORMANT"],
      ["seed:h2", "DORMANT"],
      ["seed:h3", "DORMANT"],
    ]);
    expect(health?.seeds[1]?.health).toBe(0);
    // The span of the largest energy is taken when the command names none.
    expect(boundaries[3]?.submissions[0]?.key).toMatchObject({ fromSite: "h2", toSite: "output", request: { hiddenWidth: 12 } });
  });

  test("a signal that was asked for and not measured gives absent health, never good health", () => {
    const lane = { windows: { 2: { change: { signal: undefined } as Partial<EpochResult> } } };
    const { boundaries } = drive(3, lane);
    expect(boundaries[2]?.health?.seeds.map((seed) => seed.health)).toEqual([undefined, undefined, undefined]);
  });

  for (const [name, epoch] of Object.entries(windowOf).slice(1)) {
    for (const quality of ["failed", "missing"] as const) {
      test(`culled in ${name} when its gate is ${quality}; lock, budget and embargo follow`, () => {
        const { plans, transitions, state, boundaries } = drive(epoch + 5, {
          commands: { 0: [germinate] },
          windows: { [epoch]: { quality }, [epoch + 1]: { quality } },
        });
        const end = transitions.find((each) => each.to === "CULLED");
        expect(end?.from).toBe(name);
        const twin = name === "FINE_TUNING" ? "twin" : "host";
        const at = end?.epoch ?? -1;
        expect(plans[at]?.before).toEqual([{ kind: "discard", seedId: "seed:h2", continueFrom: twin }]);
        expect(plans[at]?.work.kind).toBe("host");
        expect(plans.flatMap((plan) => plan.before).filter((each) => each.kind === "discard")).toHaveLength(1);
        expect(transitions.at(-1)).toMatchObject({ to: "DORMANT", epoch: at + config.embargo.epochs });
        expect(boundaries.flatMap((each) => each.fieldReports).map((each) => each.outcome)).toEqual(["CULLED"]);
        expect(state).toMatchObject({ activeSeedId: null, parametersAdded: 0 });
      });
    }

    test(`culled by command in ${name}, before the verdict of that window`, () => {
      const { plans, transitions } = drive(epoch + 2, { commands: { 0: [germinate], [epoch]: [cull] } });
      expect(transitions.at(-1)).toMatchObject({ from: name, to: "CULLED", reason: "by hand", epoch });
      const twin = name === "FINE_TUNING" ? "twin" : "host";
      expect(plans[epoch]?.before).toEqual([{ kind: "discard", seedId: "seed:h2", continueFrom: twin }]);
    });
  }

  test("rolled back on an anomaly while host and kernel learn together", () => {
    const { plans, transitions } = drive(12, {
      commands: { 0: [germinate] },
      windows: { 7: { change: { anomalies: [nonFiniteLoss] } } },
    });
    expect(ways(transitions).slice(-2)).toEqual(["7 ROLLED_BACK", "10 DORMANT"]);
    expect(plans[7]?.before).toEqual([
      { kind: "rollback", seedId: "seed:h2", reason: "non_finite_loss at step 3: seen by the governor" },
    ]);
  });

  for (const anomaly of [lossSpike, nonFiniteLoss, kernelFailed]) {
    test(`${anomaly.kind} beside the frozen host rolls back; while loading it only costs the kernel`, () => {
      const at = (epoch: number) =>
        drive(5, { commands: { 0: [germinate] }, windows: { [epoch]: { change: { anomalies: [anomaly], kernel: undefined } } } });
      expect(at(3).plans[3]?.before).toMatchObject([{ kind: "rollback", seedId: "seed:h2" }]);
      expect(ways(at(3).transitions).at(-1)).toBe("3 ROLLED_BACK");
      expect(at(2).plans[2]?.before).toEqual([{ kind: "discard", seedId: "seed:h2", continueFrom: "host" }]);
    });
  }

  test("an anomaly in a host window rolls the host back and leaves a waiting seed alone", () => {
    const { plans, transitions } = drive(3, {
      commands: { 0: [germinate] },
      windows: { 1: { change: { anomalies: [nonFiniteLoss] } } },
    });
    expect(plans[1]?.before.map((each) => each.kind)).toEqual(["rollback", "load_kernel"]);
    expect(plans[1]?.before[0]).not.toHaveProperty("seedId");
    expect(ways(transitions).at(-1)).toBe("2 TRAINING");
  });

  test("a kernel that cannot be made leaves the seed dormant, its site under embargo, and is reported", () => {
    const { plans, transitions, boundaries, state } = drive(3, { commands: { 0: [germinate] }, compiled: "failed" });
    expect(works(plans)).toEqual(["host", "host", "host"]);
    expect(transitions.at(-1)).toMatchObject({ from: "GERMINATED", to: "DORMANT", reason: "no kernel: unknown operator" });
    expect(boundaries[1]?.fieldReports).toMatchObject([{ outcome: "DORMANT", seedId: "seed:h2" }]);
    expect(boundaries[1]?.fieldReports[0]?.history.map((step) => step.state)).toEqual(["GERMINATED", "DORMANT"]);
    expect(state.embargoes).toEqual({ h2: 4 });
    expect(acceptCommand(state, { ...germinate, requestId: "q9" }).receipt).toMatchObject({ kind: "refused", code: "embargo" });
  });

  test("an outcome for a seed that no longer waits is ignored", () => {
    const { state } = drive(3, { commands: { 0: [germinate], 1: [cull] } });
    const decided = decideBoundary(state, {
      nowEpoch: 3,
      host,
      result: laneResult(state.plan as EpochPlan, undefined),
      compilations: [ready()],
      characterizations: [characterized],
    });
    expect(decided).toMatchObject({ kind: "decided", transitions: [], reply: { kind: "run", plan: { work: { kind: "host" } } } });
  });

  test("a window whose result was lost measured nothing", () => {
    const { state } = drive(4, { commands: { 0: [germinate] } });
    const decided = decideBoundary(state, { nowEpoch: 4, host, compilations: [], characterizations: [characterized] });
    expect(decided).toMatchObject({ kind: "decided", transitions: [{ from: "GRAFTING", to: "CULLED" }] });
  });

  test("an interrupted host window is completed", () => {
    const { plans } = drive(3, { windows: { 1: { change: { interrupted: true, steps: 4 } } } });
    expect(plans.map((plan) => ("steps" in plan.work ? plan.work.steps : 0))).toEqual([10, 6, 10]);
  });
});

describe("the run's end", () => {
  test("when the FLOPs are used up an open trial is culled, the lane cleans up, then the run stops", () => {
    const { plans, boundaries, transitions } = drive(9, {
      commands: { 0: [germinate] },
      windows: { 4: { change: { budgetUsed: true } }, 5: { change: { budgetUsed: true, steps: 0 } } },
    });
    expect(transitions.at(-1)).toMatchObject({ to: "CULLED", reason: "the run's FLOPs are used up" });
    expect(plans.at(-1)).toMatchObject({ epoch: 5, before: [{ kind: "discard", continueFrom: "host" }], work: { kind: "host" } });
    expect(boundaries.at(-1)?.reply).toEqual({ kind: "stop", reason: "the run's FLOPs are used up" });
  });

  test("a seed kept in the last window is folded in before the run stops", () => {
    const used = { change: { budgetUsed: true } };
    const { plans, boundaries } = drive(12, { commands: { 0: [germinate] }, windows: { 7: used, 8: used } });
    expect(plans.at(-1)?.before).toEqual([{ kind: "keep", seedId: "seed:h2" }]);
    expect(boundaries.at(-1)?.reply.kind).toBe("stop");
  });

  test("stop ends at the boundary and keeps the trial for a later resume", () => {
    const { state, boundaries } = drive(5, {
      commands: { 0: [germinate], 3: [{ kind: "stop", requestId: "q3", reason: "enough" }] },
    });
    expect(boundaries.at(-1)?.reply).toEqual({ kind: "stop", reason: "enough" });
    expect(acceptCommand(state, cull).receipt).toMatchObject({ kind: "refused", code: "stopping" });
    const again = decideBoundary(reviveRun(state), { nowEpoch: 3, host, compilations: [], characterizations: [characterized] });
    expect(again).toMatchObject({
      kind: "decided",
      reply: { kind: "run", plan: { epoch: 4, work: { kind: "graft" } } },
      transitions: [],
    });
  });

  test("pause holds the boundary, cull works meanwhile, resume goes on", () => {
    const paused = drive(4, { commands: { 0: [germinate], 2: [{ kind: "pause", requestId: "q3" }] } });
    expect(paused.boundaries.at(-1)?.reply).toEqual({ kind: "pause", askAgainMs: 100 });
    expect(acceptCommand(paused.state, { kind: "pause", requestId: "q4" }).receipt).toMatchObject({ code: "already_paused" });
    const culled = acceptCommand(paused.state, cull).state;
    const still = decideBoundary(culled, {
      nowEpoch: 2,
      host,
      result: paused.boundaries.length > 0 ? undefined : undefined,
      compilations: [],
      characterizations: [characterized],
    });
    expect(still).toMatchObject({ kind: "decided", reply: { kind: "pause" }, transitions: [{ to: "CULLED" }] });
    if (still.kind !== "decided") return;
    const resumed = acceptCommand(still.state, { kind: "resume", requestId: "q5" }).state;
    const go = decideBoundary(resumed, { nowEpoch: 2, host, compilations: [], characterizations: [characterized] });
    // B4: what was owed during the pause goes out now, once.
    expect(go).toMatchObject({ kind: "decided", reply: { kind: "run", plan: { epoch: 3, before: [{ kind: "discard" }] } } });
    expect(acceptCommand(resumed, { kind: "resume", requestId: "q6" }).receipt).toMatchObject({ code: "not_paused" });
  });
});

describe("B1 a boundary is decided once", () => {
  test("the same question gets the same plan and consumes nothing", () => {
    const { state, boundaries } = drive(4, { commands: { 0: [germinate] } });
    const again = decideBoundary(state, { nowEpoch: 3, host, compilations: [ready()], characterizations: [characterized] });
    expect(again).toEqual({ kind: "repeated", reply: boundaries.at(-1)?.reply });
  });

  test("a lane that stands elsewhere is told so", () => {
    const { state } = drive(4);
    for (const nowEpoch of [0, 2, 5])
      expect(decideBoundary(state, { nowEpoch, host, compilations: [], characterizations: [characterized] })).toMatchObject({
        kind: "out_of_step",
        expectedEpoch: 4,
      });
  });

  test("the same input gives the same decision", () => {
    const { state } = drive(3, { commands: { 0: [germinate] } });
    const input = {
      nowEpoch: 3,
      host,
      result: laneResult(state.plan as EpochPlan, undefined),
      compilations: [],
      characterizations: [characterized],
    };
    expect(decideBoundary(state, input)).toEqual(decideBoundary(structuredClone(state), structuredClone(input)));
  });
});

describe("live actors and logs", () => {
  test("B3 live actors that are sent the same events stand where the state stands, and the transitions rebuild it", () => {
    const { boundaries, state, transitions } = drive(14, { commands: { 0: [germinate] }, windows: { 6: { quality: "failed" } } });
    const actor = createActor(seedMachine, {
      input: startSeed({ runId, seedId: "seed:h2", site: "h2", config, epochSteps: 10 }).context,
    });
    actor.start();
    for (const { event } of boundaries.flatMap((each) => each.steps)) actor.send(event);
    expect(persistSeed(actor.getSnapshot())).toEqual(state.seeds["seed:h2"]);
    expect(rebuildSeed(transitions)).toMatchObject({
      kind: "rebuilt",
      state: "DORMANT",
      history: state.seeds["seed:h2"]?.history,
    });
    actor.stop();
  });

  test("B2 random scripts: one lock, contiguous sequences, every discard, keep and rollback exactly once", () => {
    const quality = fc.constantFrom<Quality>("passed", "passed", "passed", "failed", "missing");
    const change = fc.constantFrom<Partial<EpochResult>>(
      {},
      {},
      {},
      { anomalies: [nonFiniteLoss] },
      { anomalies: [lossSpike] },
      { interrupted: true, steps: 3 },
    );
    const command = fc.option(fc.constantFrom("germinate", "cull", "rollback", "release", "pause", "resume"), { nil: undefined });
    const windowScript = fc.record({
      quality,
      change,
      command,
      site: fc.constantFrom("h1", "h2", "h3"),
      told: fc.constantFrom("nothing", "kernel", "all", "all"),
    });
    fc.assert(
      fc.property(fc.array(windowScript, { minLength: 10, maxLength: 50 }), (script) => {
        let state = createRunState(setup, host);
        let result: EpochResult | undefined;
        const log: SeedTransition[] = [];
        const actions: string[] = [];
        let due: ReturnType<typeof ready>[] = [];
        script.forEach(({ quality: q, change: c, command: kind, site, told }, index) => {
          const base = { requestId: `q${index}`, seedId: `seed:${site}`, reason: "random" };
          if (kind === "germinate" || kind === "cull" || kind === "rollback" || kind === "release")
            state = acceptCommand(state, { ...base, kind }).state;
          else if (kind !== undefined) state = acceptCommand(state, { kind, requestId: base.requestId }).state;
          const nowEpoch = state.plan?.epoch ?? state.epoch;
          const decided = decideBoundary(state, {
            nowEpoch,
            host,
            result: state.plan === null ? undefined : result,
            compilations: told === "nothing" ? [] : due,
            characterizations: told === "all" ? [characterized] : [],
          });
          // B6: the boundary stays open, and the next question finds it as it was.
          if (decided.kind === "waiting") {
            expect(told).not.toBe("all");
            return;
          }
          if (decided.kind !== "decided") throw new Error(decided.kind);
          state = decided.state;
          log.push(...decided.transitions);
          if (decided.submissions.length > 0) due = decided.submissions.map(({ seedId }) => ready(seedId));
          const active = Object.values(state.seeds).filter((seed) => isActive(seed.history.at(-1)?.state ?? "DORMANT"));
          expect(active.map((seed) => seed.seedId)).toEqual(state.activeSeedId === null ? [] : [state.activeSeedId]);
          if (decided.reply.kind !== "run") return;
          actions.push(
            ...decided.reply.plan.before.flatMap((each) =>
              each.kind === "load_kernel" || !("seedId" in each) ? [] : [each.kind],
            ),
          );
          const { work } = decided.reply.plan;
          if ("seedId" in work) expect(work.seedId).toBe(state.activeSeedId);
          result = laneResult(decided.reply.plan, result, { quality: q, change: c });
        });
        actions.push(...state.owed.flatMap((each) => (each.kind === "load_kernel" || !("seedId" in each) ? [] : [each.kind])));
        const ends = log.filter((each) => isActive(each.from) && !isActive(each.to) && each.to !== "DORMANT");
        const wanted = { FOSSILIZED: "keep", CULLED: "discard", ROLLED_BACK: "rollback" } as const;
        const neverLoaded = log.filter(
          (each, i) => each.to === "CULLED" && each.from === "LOADING" && log[i - 1]?.epoch === each.epoch,
        );
        expect(actions).toHaveLength(ends.length - neverLoaded.length);
        if (neverLoaded.length === 0) expect(actions).toEqual(ends.map((each) => wanted[each.to as keyof typeof wanted]));
        for (const site of ["h1", "h2", "h3"]) {
          const seedId = `seed:${site}`;
          const rebuilt = rebuildSeed(log.filter((each) => each.seedId === seedId));
          expect(rebuilt).toMatchObject({ kind: "rebuilt", state: seedStateOf(seedSnapshot(state, seedId).context) });
        }
      }),
      { numRuns: 150, seed: 11 },
    );
  });
});

describe("golden histories", () => {
  /** The message log of a life: transitions, plans and field reports in their order, a line each. */
  const lines = (boundaries: readonly Decided[]): string =>
    boundaries
      .flatMap((each, epoch) => [
        ...each.transitions.map((transition) => ({ kind: "transition", ...transition })),
        ...each.escalations.map((escalation) => ({ kind: "escalation", escalation })),
        ...each.fieldReports.map((report) => ({ kind: "fieldReport", ...report })),
        { kind: "reply", epoch, reply: each.reply },
      ])
      .map((line) => JSON.stringify(line))
      .join("\n")
      .concat("\n");

  const recorded: Readonly<Record<string, Script>> = {
    fossilized: { commands: { 3: [germinate] } },
    culled: { commands: { 3: [germinate] }, windows: { 10: { quality: "failed" } } },
    escalated: {
      commands: {
        3: [germinate],
        11: [{ kind: "resolve", requestId: "q3", seedId: "seed:h2", verdict: "keep", reason: "seen" }],
      },
      windows: {
        10: { change: { kernel: { ...measurements.fine_tuned.passed, judgements: split } } },
        11: { change: { kernel: { ...measurements.fine_tuned.passed, grownSteps: 20, twinSteps: 22, judgements: split } } },
      },
    },
    "rolled-back by order": { commands: { 3: [germinate], 10: [{ kind: "rollback", requestId: "q3", reason: "by hand" }] } },
    "rolled-back": { commands: { 3: [germinate] }, windows: { 10: { change: { anomalies: [nonFiniteLoss] } } } },
  };

  for (const [name, script] of Object.entries(recorded)) {
    test(`${name} replays; UPDATE_GOLDEN=1 writes it anew`, () => {
      const file = new URL(`../golden/${name.replaceAll(" ", "-")}.jsonl`, import.meta.url);
      const { boundaries, transitions } = drive(16, script);
      if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, lines(boundaries));
      const golden = readFileSync(file, "utf8");
      expect(lines(boundaries)).toBe(golden);
      // B6
      const slow = drive(16, { ...script, forge: "slow" });
      expect(slow.waits.map(({ epoch, reply }) => [epoch, reply.outstanding])).toEqual([
        [4, "compilation"],
        [4, "characterization"],
      ]);
      expect(lines(slow.boundaries)).toBe(golden);
      const logged = golden.split("\n").flatMap((line) => {
        const parsed = line === "" ? undefined : (JSON.parse(line) as { kind: string } & SeedTransition);
        return parsed?.kind === "transition" ? [parsed] : [];
      });
      expect(logged).toHaveLength(transitions.length);
      expect(rebuildSeed(logged)).toMatchObject({
        kind: "rebuilt",
        state: name === "fossilized" || name === "escalated" ? "FOSSILIZED" : "DORMANT",
      });
    });
  }
});
