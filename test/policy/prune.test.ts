import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FieldReport } from "../../src/contracts/assets.ts";
import { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { MorphogeneticConfig } from "../../src/contracts/config-morphogenetic.ts";
import {
  type BypassMeasurement,
  type LayerMeasurement,
  PruneSurvey,
  PruneTarget,
  type UnitMeasurement,
} from "../../src/contracts/pruning.ts";
import { emptyPruning, learnPruning, type PruneDecided, type PruneState, proposePruning } from "../../src/policy/prune.ts";

const config = MorphogeneticConfig.parse({ pruning: { enabled: true }, trigger: { exclude: ["waist"] } });

const unit = (id: number, importance: number, mean = 0): UnitMeasurement => ({ unit: id, importance, mean, spread: 1 });
const layer = (site: string, importances: readonly number[], change: Partial<LayerMeasurement> = {}): LayerMeasurement => ({
  site,
  units: importances.map((importance, id) => unit(id, importance, id / 10)),
  stepFlopsPerUnit: 100,
  ...change,
});
const bypass = (seedId: string, upper: number, change: Partial<BypassMeasurement> = {}): BypassMeasurement => ({
  seedId,
  site: "h2",
  gain: { mean: upper / 2, lower: 0, upper, confidence: 0.99, samples: 100, lossWithout: 0.5, lossWith: 0.5 },
  stepFlops: 1000,
  ...change,
});
/** Loss 0.5, so that 1 % of it is 0.005. */
const survey = (change: Partial<PruneSurvey> = {}): PruneSurvey =>
  PruneSurvey.parse({
    runId: "r",
    epoch: 10,
    hostHash: "a",
    layers: [],
    bypasses: [],
    validationLoss: 0.5,
    embargoEpochs: {},
    ...change,
  });
const due: PruneState = { ...emptyPruning, epoch: 9 };
const decide = (change: Partial<PruneSurvey>, state = due): PruneDecided => proposePruning(state, survey(change), config);

describe("proposePruning", () => {
  it("is off by default, and says so", () => {
    const { decision } = proposePruning(due, survey(), MorphogeneticConfig.parse({}));
    expect(decision).toMatchObject({
      runId: "r",
      epoch: 10,
      outcome: "wait",
      reason: "pruning is turned off by the configuration",
    });
  });

  it("E1: takes the least loss per FLOPs saved, with its numbers", () => {
    const { decision, proposal, command } = decide({
      layers: [layer("h1", [0.004, 0.1, 0.1]), layer("h3", [0.0001, 0.2, 0.0003, 0.2])],
      bypasses: [bypass("seed:h1", 0.004)],
    });
    expect(decision).toMatchObject({ outcome: "prune", site: "h3", seedId: "seed:h3.prune", requestId: "r:10:prune:h3" });
    expect(proposal).toEqual({
      target: { kind: "units", site: "h3", units: [0, 2], constants: [0, 0.2] },
      lossExpected: expect.closeTo(0.0004, 12),
      stepFlopsSaved: 200,
    });
    expect(decision.reason).toBe("2 units of h3: expected to cost 0.0004 nats (0.08 % of the loss) and to save 200 FLOPs a step");
    expect(PruneTarget.parse(proposal!.target)).toEqual(proposal!.target);
    expect(KasminaControlCommand.parse(command)).toEqual(command);
    expect(command).toMatchObject({
      kind: "germinate",
      seedId: "seed:h3.prune",
      prune: proposal!.target,
      reason: decision.reason,
    });
  });

  it("E5: a bypass goes when the upper bound of its worth is small enough", () => {
    const target = (upper: number) => decide({ bypasses: [bypass("seed:h2", upper)] });
    expect(target(0.005).proposal?.target).toEqual({ kind: "bypass", site: "h2", seedId: "seed:h2" });
    expect(target(-0.1).proposal?.lossExpected).toBe(0);
    expect(target(0.0051)).not.toHaveProperty("command");
    expect(target(0.0051).decision).toMatchObject({
      outcome: "refused",
      reason: "none of 1 free parts (1 in all) is expected to cost less than 0.005 nats, 1 % of the loss",
    });
  });

  it("of equals the larger saving goes first", () => {
    const { proposal } = decide({ layers: [layer("h1", [0, 9, 9, 9]), layer("h3", [0, 0, 9, 9])] });
    expect(proposal?.target).toMatchObject({ site: "h3", units: [0, 1] });
  });

  it("E2: what was not measured stays", () => {
    const { gain: _, ...unmeasured } = bypass("seed:h2", 0);
    const layers = [{ ...layer("h1", [1, 1, 1, 1]), units: [{ unit: 0 }, { unit: 1, importance: 0 }, unit(2, 0), unit(3, 0)] }];
    const { proposal } = decide({ layers, bypasses: [unmeasured] });
    expect(proposal?.target).toEqual({ kind: "units", site: "h1", units: [2, 3], constants: [0, 0] });
    const { validationLoss: __, ...blind } = survey({ layers });
    expect(proposePruning(due, blind, config).decision).toMatchObject({
      outcome: "refused",
      reason: "the validation loss was not measured",
    });
  });

  it("E3: a window is decided once, and never while a trial holds the lock", () => {
    const layers = [layer("h1", [0, 1])];
    const first = decide({ layers });
    expect(first.command).toBeDefined();
    const again = decide({ layers }, first.state);
    expect(again).toMatchObject({ state: first.state, decision: { outcome: "wait", reason: "window 10 was decided already" } });
    expect(again).not.toHaveProperty("command");
    const older = decide({ layers, epoch: 4 }, first.state);
    expect(older).toMatchObject({ state: { epoch: 10 }, decision: { outcome: "wait" } });
    expect(decide({ layers, epoch: 11 }, first.state).command?.requestId).toBe("r:11:prune:h1");
    expect(decide({ activeSeedId: "seed:h2", layers }).decision.reason).toBe("seed:h2 holds the grafting lock");
    expect(emptyPruning.epoch).toBe(0);
  });

  it("E4: excluded sites, sites under embargo and parts that cannot go are left alone", () => {
    const layers = [layer("waist", [0, 0]), layer("h1", [0, 0]), layer("c2", [0, 0], { obstacle: "c2: a residual sum" })];
    const { decision } = decide({ layers, bypasses: [bypass("seed:h2", 0)], embargoEpochs: { h1: 3, h2: 1 } });
    expect(decision.reason).toContain("none of 0 free parts (4 in all)");
    expect(decide({ layers, embargoEpochs: { h1: 0 } }).proposal?.target.site).toBe("h1");
  });

  it("E6: a site whose pruning failed waits, twice as long each time; others and what was kept do not", () => {
    const layers = [layer("h1", [0, 1]), layer("h2", [0.001, 1])];
    const told = (outcome: "CULLED" | "FOSSILIZED", epoch: number, prune: PruneTarget | undefined): FieldReport => ({
      runId: "r",
      seedId: "seed:h1.prune",
      site: "h1",
      fromSite: "h1",
      toSite: "h1",
      ...(prune === undefined ? {} : { prune }),
      outcome,
      reason: "for the test",
      history: [{ state: outcome, epoch, reason: "for the test" }],
      trialFlops: 0,
    });
    const target: PruneTarget = { kind: "units", site: "h1", units: [0], constants: [0] };
    const siteAt = (state: PruneState, epoch: number) => decide({ layers, epoch }, { ...state, epoch: 9 }).proposal?.target.site;
    const { everyEpochs } = config.pruning;
    expect(everyEpochs).toBe(16);
    for (const harmless of [told("FOSSILIZED", 10, target), told("CULLED", 10, undefined)])
      expect(learnPruning(due, harmless)).toBe(due);
    const once = learnPruning(due, told("CULLED", 10, target));
    expect([siteAt(once, 25), siteAt(once, 26)]).toEqual(["h2", "h1"]);
    const twice = learnPruning(once, told("CULLED", 30, target));
    expect([siteAt(twice, 61), siteAt(twice, 62)]).toEqual(["h2", "h1"]);
    const often = Array.from({ length: 60 }).reduce<PruneState>((state) => learnPruning(state, told("CULLED", 30, target)), due);
    expect(siteAt(often, 1_000_000)).toBe("h2");
  });

  it("E4, E5: never more than the share, never all, never beyond the loss", () => {
    const importances = fc.array(fc.double({ min: 0, max: 0.01, noNaN: true }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(importances, { maxLength: 4 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, unitsFractionMax) => {
          const own = MorphogeneticConfig.parse({ pruning: { enabled: true, unitsFractionMax } });
          const layers = all.map((each, index) => layer(`h${index}`, each));
          const { proposal } = proposePruning(due, survey({ layers }), own);
          if (proposal?.target.kind !== "units") return;
          const { site, units } = proposal.target;
          const chosen = layers.find((each) => each.site === site)!;
          expect(units.length).toBeLessThanOrEqual(unitsFractionMax * chosen.units.length);
          expect(units.length).toBeLessThan(chosen.units.length);
          expect(proposal.lossExpected).toBeLessThanOrEqual(0.005);
          const worst = Math.max(...units.map((id) => chosen.units[id]!.importance!));
          const left = chosen.units.filter((each) => !units.includes(each.unit));
          for (const each of left) expect(each.importance).toBeGreaterThanOrEqual(worst);
        },
      ),
    );
  });
});
