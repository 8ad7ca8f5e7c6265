/** Prunings in the machine and at the boundary: the same way as growth, with two gates of their own, and nothing of it by default. */

import { describe, expect, it } from "vitest";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import type { KernelMeasurement, PairedGain } from "../../src/contracts/measure.ts";
import type { EpochResult } from "../../src/contracts/plan.ts";
import { type HostParts, PruneSurvey, type PruneTarget, pruneSeedId } from "../../src/contracts/pruning.ts";
import { pruningCost, trialCost } from "../../src/contracts/trial.ts";
import { acceptCommand, createRunState, type KasminaSetup, locateSeed, seedCount, seedRow } from "../../src/machines/boundary.ts";
import { pruneScreenGate, pruneVerdictGate } from "../../src/machines/prune-gates.ts";
import { drive, ways } from "./driver.ts";
import { config, host, kernelHash, paired, setup, signal, split, unanimous } from "./fixtures.ts";

const pruning = { ...config.pruning, enabled: true, everyEpochs: 2 };
const prunable: KasminaSetup = { ...setup, config: { ...config, pruning } };
const target: PruneTarget = { kind: "units", site: "h2", units: [1, 4], constants: [0, 0.5] };
const seedId = pruneSeedId("h2");
type Germinate = Extract<KasminaControlCommand, { kind: "germinate" }>;
const prune: Germinate = { kind: "germinate", requestId: "p1", seedId, prune: target, reason: "for the test" };

/** Twin's loss − pruned loss: at worst `rise` more than the twin's loss of 0.5. */
const lost = (rise: number): PairedGain => paired(-rise, 0.5);
const cheaper = { before: 3000, after: 2400 };
const loaded: KernelMeasurement = {
  kind: "loaded",
  kernelHash,
  parameters: 0,
  staticProblems: [],
  dryRun: { shapesMatch: true, finite: true, latencyMs: 1 },
  loadMs: 1,
  cached: false,
};
const evaluated = (rise: number): KernelMeasurement => ({ kind: "evaluated", gain: lost(rise), stepFlops: cheaper });
const tuned = (rise: number, judgements = unanimous, twinSteps = 10): KernelMeasurement => ({
  kind: "fine_tuned",
  finite: true,
  grownSteps: 10,
  twinSteps,
  gain: lost(rise),
  stepFlops: cheaper,
  judgements,
});
const measured = (kernel: KernelMeasurement): { change: Partial<EpochResult> } => ({ change: { kernel } });

/** What a pruning's lane tells, window by window, after a germination at the second boundary. */
const windows = (screen: KernelMeasurement, verdict: KernelMeasurement) => ({
  3: measured(loaded),
  6: measured(screen),
  7: measured(verdict),
});
const driveOne = (screen: KernelMeasurement, verdict: KernelMeasurement, count = 10) =>
  drive(count, { setup: prunable, commands: { 1: [prune] }, windows: windows(screen, verdict) });

describe("a pruning's life", () => {
  it("goes GERMINATED to FOSSILIZED without TRAINING; its kernel is asked for with the target and adds nothing", () => {
    const { transitions, plans, boundaries, state } = driveOne(evaluated(0.004), tuned(0.004));
    expect(ways(transitions)).toEqual([
      "1 GERMINATED",
      "2 LOADING",
      "3 GRAFTING",
      "4 STABILIZATION",
      "5 EVALUATING",
      "6 FINE_TUNING",
      "7 FOSSILIZED",
    ]);
    const [submission] = boundaries.flatMap(({ submissions }) => submissions);
    expect(submission!.key).toMatchObject({ prune: target, seedId, fromSite: "h2", toSite: "h2", request: { kind: "no-op" } });
    expect(plans[2]!.before).toEqual([{ kind: "load_kernel", seedId, kernelHash, fromSite: "h2", toSite: "h2" }]);
    expect(plans[7]!.before).toEqual([{ kind: "keep", seedId }]);
    expect(state.parametersAdded).toBe(0);
    const [report] = boundaries.flatMap(({ fieldReports }) => fieldReports);
    expect(report).toMatchObject({ seedId, site: "h2", outcome: "FOSSILIZED", prune: target });
    expect(report).not.toHaveProperty("blueprint");
    expect(transitions.at(-1)!.evidence).toMatchObject({ stepFlopsBefore: 3000, stepFlopsAfter: 2400, lossMax: 0.01 });
  });

  it.each([
    ["the screen", evaluated(0.006), tuned(0), "5 EVALUATING", "6 CULLED", "host"],
    ["the verdict", evaluated(0), tuned(0.006), "6 FINE_TUNING", "7 CULLED", "twin"],
  ] as const)("is culled where %s says that it may lose more than lossMax", (_, screen, verdict, before, end, continueFrom) => {
    const { transitions, plans, state } = driveOne(screen, verdict, 8);
    expect(ways(transitions).slice(-2)).toEqual([before, end]);
    expect(plans.flatMap((plan) => plan.before).at(-1)).toEqual({ kind: "discard", seedId, continueFrom });
    expect(transitions.at(-1)!.reason).toMatch(/may lose 1.2 % of the loss, at most 1 %/);
    expect(state.embargoes["h2"]).toBeGreaterThan(0);
  });

  it("the jury may be split on it like on any other, and asks the operator", () => {
    const { boundaries } = driveOne(evaluated(0), tuned(0, split));
    expect(boundaries.flatMap(({ escalations }) => escalations)[0]).toMatchObject({ kind: "opened", seedId });
  });

  it("a seed for pruning that was used is used up", () => {
    const { state } = driveOne(evaluated(0), tuned(0));
    const { receipt } = acceptCommand(state, { ...prune, requestId: "p2" });
    expect(receipt).toMatchObject({ code: "illegal_transition", reason: expect.stringMatching(/is FOSSILIZED/) });
  });
});

describe("the gates of a pruning", () => {
  const own = prunable.config;
  it("what was not measured passes neither", () => {
    const { gain: _gain, ...noGain } = { kind: "evaluated", gain: lost(0), stepFlops: cheaper } as const;
    const zeroFlops: KernelMeasurement = { kind: "evaluated", gain: lost(0) };
    for (const measurement of [undefined, noGain, zeroFlops, loaded]) {
      expect(pruneScreenGate(measurement, own)).toMatchObject({ passed: false, measured: false });
      expect(pruneVerdictGate(measurement, 10, 10, own)).toMatchObject({ passed: false, measured: false });
    }
  });

  it("less confidence than was asked for, nothing saved, or an unfair twin fails", () => {
    const unsure: KernelMeasurement = { kind: "evaluated", gain: { ...lost(0), confidence: 0.9 }, stepFlops: cheaper };
    expect(pruneScreenGate(unsure, own).reason).toMatch(/confidence 0.9, 0.99 is needed/);
    const same: KernelMeasurement = { kind: "evaluated", gain: lost(0), stepFlops: { before: 3000, after: 3000 } };
    expect(pruneScreenGate(same, own).reason).toMatch(/nothing is saved/);
    expect(pruneVerdictGate(tuned(0), 9, 10, own).reason).toMatch(/9 of 10 steps/);
    expect(pruneVerdictGate(tuned(0), 10, 9, own).reason).toMatch(/not a fair comparison/);
    expect(pruneVerdictGate(tuned(0), 10, 10, own).passed).toBe(true);
  });
});

describe("a command to prune", () => {
  const state = createRunState(prunable, host);
  const answer = (change: Partial<Germinate>, used = state) => acceptCommand(used, { ...prune, ...change }).receipt;
  const units = (change: Partial<Extract<PruneTarget, { kind: "units" }>>): Partial<Germinate> => ({
    prune: { kind: "units", site: "h2", units: [1], constants: [], ...change },
  });

  it("is accepted for a legal part and reserves no parameters", () => {
    expect(answer({})).toMatchObject({ kind: "accepted", detail: `germinate ${seedId}` });
    expect(answer({ prune: { kind: "bypass", site: "h2", seedId: "seed:h2" } })).toMatchObject({ kind: "accepted" });
    expect(pruningCost(host, "h2", 2, config)).toMatchObject({ parameters: 0 });
    const blueprint = { kind: "dense", hiddenWidth: 12, initialization: "zero" } as const;
    const grown = trialCost(host, { fromSite: "h2", toSite: "h3" }, blueprint, 2, config);
    expect(pruningCost(host, "h2", 2, config)!.flops).toBeLessThan(grown.flops);
    expect(pruningCost(host, "h9", 2, config)).toBeUndefined();
  });

  it.each([
    ["another site's seed", { seedId: "seed:h3.prune" }, "invalid", /expected seed:h2.prune/],
    ["a seed that grows", { seedId: "seed:h2" }, "invalid", /expected seed:h2.prune/],
    [
      "a blueprint as well",
      { blueprint: { kind: "dense", hiddenWidth: 4, initialization: "zero" } },
      "invalid",
      /without blueprint/,
    ],
    ["a target of a bypass", { toSite: "h3" }, "invalid", /without blueprint and target/],
    ["more than the share", units({ units: [0, 1, 2, 3, 4, 5, 6] }), "span", /7 units would go, at most 6 of 12/],
    ["a unit twice", units({ units: [3, 3] }), "span", /each unit once and below 12/],
    ["a unit that is not there", units({ units: [12] }), "span", /each unit once and below 12/],
    ["too few constants", units({ units: [1, 2], constants: [0] }), "span", /a constant for each of 2 units or none/],
  ] as const)("is refused for %s", (_, change, code, reason) => {
    expect(answer(change as Partial<Germinate>)).toMatchObject({ kind: "refused", code, reason: expect.stringMatching(reason) });
  });

  it("is refused for an excluded site, beside a frozen base, and for a seed that prunes without saying what", () => {
    const excluded = { ...prunable, config: { ...prunable.config, trigger: { ...config.trigger, exclude: ["h2"] } } };
    expect(answer({}, createRunState(excluded, host))).toMatchObject({ code: "span", reason: expect.stringMatching(/excluded/) });
    const frozen: KasminaSetup = { ...prunable, config: { ...prunable.config, base: "frozen" } };
    expect(answer({}, createRunState(frozen, host))).toMatchObject({ code: "span", reason: expect.stringMatching(/frozen/) });
    const { prune: _target, ...nothing } = prune;
    expect(acceptCommand(state, nothing).receipt).toMatchObject({
      code: "invalid",
      reason: expect.stringMatching(/what is to go/),
    });
  });

  it("is refused where pruning is off, and such a run has no seeds for it", () => {
    const off = createRunState(setup, host);
    expect(answer({}, off)).toMatchObject({ code: "unknown_seed" });
    expect(answer({ seedId: "seed:h2" }, off)).toMatchObject({
      code: "invalid",
      reason: expect.stringMatching(/pruning.enabled/),
    });
    expect([seedCount(off), seedCount(state)]).toEqual([3, 6]);
    expect(locateSeed(off, seedId)).toBeUndefined();
    expect(locateSeed(state, seedId)).toEqual({ site: "h2", n: 0 });
    expect([seedRow(state, "seed:h3"), seedRow(state, "seed:h1.prune"), seedRow(state, "seed:h3.prune")]).toEqual([2, 3, 5]);
    const status = acceptCommand(state, { kind: "status", requestId: "s" }).receipt;
    expect(status.kind === "status" ? status.run.seeds.map((seed) => seed.seedId) : []).toEqual([
      "seed:h1",
      "seed:h2",
      "seed:h3",
      "seed:h1.prune",
      "seed:h2.prune",
      "seed:h3.prune",
    ]);
  });

  it("with several seeds a site, too", () => {
    const several = createRunState({ ...prunable, config: { ...prunable.config, seedsPerSite: 2 } }, host);
    expect(locateSeed(several, seedId)).toEqual({ site: "h2", n: 0 });
    expect(locateSeed(several, "seed:h2.2")).toEqual({ site: "h2", n: 2 });
    expect([seedRow(several, "seed:h3.2"), seedRow(several, "seed:h1.prune"), seedCount(several)]).toEqual([5, 6, 9]);
  });
});

describe("looks at the parts", () => {
  const parts: HostParts = {
    hostHash: host.hash,
    layers: [
      { site: "h1", units: [{ unit: 0, importance: 0, mean: 0, spread: 0 }], stepFlopsPerUnit: 10 },
      { site: "h2", units: [], stepFlopsPerUnit: 10 },
    ],
    bypasses: [{ seedId: "seed:h2", site: "h2", stepFlops: 10 }],
    validationLoss: 0.5,
  };
  const quiet = { signal: signal({ h1: 0, h2: 0, h3: 0 }) };
  const due = (windowsToDo: number, used: KasminaSetup, script: Parameters<typeof drive>[1] = {}) =>
    drive(windowsToDo, { setup: used, ...script }).plans.flatMap((plan) => (plan.measureParts === true ? [plan.epoch] : []));

  it("are due every so many host windows after the warm-up, counted from the last one; never where pruning is off", () => {
    const told = Object.fromEntries(
      Array.from({ length: 12 }, (_, window) => [window, { change: { ...quiet, ...(window % 2 === 0 ? { parts } : {}) } }]),
    );
    expect(due(9, prunable, { windows: told })).toEqual([2, 4, 6, 8]);
    expect(due(9, setup, { windows: told })).toEqual([]);
    expect(due(9, { ...prunable, growth: false }, { windows: told })).toEqual([]);
    expect(due(9, { ...prunable, config: { ...prunable.config, base: "frozen" } }, { windows: told })).toEqual([]);
  });

  it("never while a trial holds the lock, so many windows after it, and again until one was taken", () => {
    const script = { commands: { 1: [prune] }, windows: windows(evaluated(0.02), tuned(0)) };
    expect(due(10, prunable, script)).toEqual([8, 9, 10]);
  });

  it("are told with what the run knows: embargoes, the lock, and seeds that are used up", () => {
    const culled = drive(9, {
      setup: prunable,
      commands: { 1: [prune] },
      windows: { ...windows(evaluated(0.02), tuned(0)), 8: { change: { parts } } },
    });
    const survey = culled.boundaries.flatMap((each) => each.parts ?? []).at(-1)!;
    expect(PruneSurvey.parse(survey)).toEqual(survey);
    expect(survey).toMatchObject({ runId: "r-1", epoch: 8, embargoEpochs: { h2: 1 }, hostHash: host.hash });
    const kept = drive(10, {
      setup: prunable,
      commands: { 1: [prune] },
      windows: { ...windows(evaluated(0), tuned(0)), 9: { change: { parts } } },
    });
    const after = kept.boundaries.flatMap((each) => each.parts ?? []).at(-1)!;
    expect(after.layers.map(({ site, obstacle }) => [site, obstacle])).toEqual([
      ["h1", undefined],
      ["h2", "h2 was pruned already"],
    ]);
    expect(after.bypasses[0]!.obstacle).toBe("h2 was pruned already");
  });
});
