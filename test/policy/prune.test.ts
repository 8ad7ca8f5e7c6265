import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MorphogeneticConfig } from "../../src/contracts/config-morphogenetic.ts";
import {
  type BypassMeasurement,
  type LayerMeasurement,
  PruneSurvey,
  PruneTarget,
  type UnitMeasurement,
} from "../../src/contracts/pruning.ts";
import { emptyPruning, type PruneDecided, type PruneState, proposePruning } from "../../src/policy/prune.ts";

const config = MorphogeneticConfig.parse({ pruning: { enabled: true, everyEpochs: 2 }, trigger: { exclude: ["waist"] } });

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
const due: PruneState = { epoch: 9, quietEpochs: 1, hostHash: "a" };
const decide = (change: Partial<PruneSurvey>, state = due): PruneDecided => proposePruning(state, survey(change), config);

describe("proposePruning", () => {
  it("is off by default, and says so", () => {
    const { decision } = proposePruning(due, survey(), MorphogeneticConfig.parse({}));
    expect(decision).toEqual({ runId: "r", epoch: 10, outcome: "wait", reason: "pruning is turned off by the configuration" });
  });

  it("E1: takes the least loss per FLOPs saved, with its numbers", () => {
    const { decision } = decide({
      layers: [layer("h1", [0.004, 0.1, 0.1]), layer("h3", [0.0001, 0.2, 0.0003, 0.2])],
      bypasses: [bypass("seed:h1", 0.004)],
    });
    expect(decision.outcome).toBe("prune");
    expect(decision.proposal).toEqual({
      target: { kind: "units", site: "h3", units: [0, 2], constants: [0, 0.2] },
      lossExpected: expect.closeTo(0.0004, 12),
      stepFlopsSaved: 200,
    });
    expect(decision.reason).toBe("2 units of h3: expected to cost 0.0004 nats (0.08 % of the loss) and to save 200 FLOPs a step");
    expect(PruneTarget.parse(decision.proposal!.target)).toEqual(decision.proposal!.target);
  });

  it("E5: a bypass goes when the upper bound of its worth is small enough", () => {
    const target = (upper: number) => decide({ bypasses: [bypass("seed:h2", upper)] }).decision;
    expect(target(0.005).proposal?.target).toEqual({ kind: "bypass", site: "h2", seedId: "seed:h2" });
    expect(target(-0.1).proposal?.lossExpected).toBe(0);
    expect(target(0.0051)).toMatchObject({
      outcome: "refused",
      reason: "none of 1 free parts (1 in all) is expected to cost less than 0.005 nats, 1 % of the loss",
    });
  });

  it("of equals the larger saving goes first", () => {
    const { decision } = decide({ layers: [layer("h1", [0, 9, 9, 9]), layer("h3", [0, 0, 9, 9])] });
    expect(decision.proposal?.target).toMatchObject({ site: "h3", units: [0, 1] });
  });

  it("E2: what was not measured stays", () => {
    const { gain: _, ...unmeasured } = bypass("seed:h2", 0);
    const layers = [{ ...layer("h1", [1, 1, 1, 1]), units: [{ unit: 0 }, { unit: 1, importance: 0 }, unit(2, 0), unit(3, 0)] }];
    const { decision } = decide({ layers, bypasses: [unmeasured] });
    expect(decision.proposal?.target).toEqual({ kind: "units", site: "h1", units: [2, 3], constants: [0, 0] });
    const { validationLoss: __, ...blind } = survey({ layers });
    expect(proposePruning(due, blind, config).decision).toMatchObject({
      outcome: "refused",
      reason: "the validation loss was not measured",
    });
  });

  it("E3: one look in so many host windows without a trial, and a window counts once", () => {
    const layers = [layer("h1", [0, 1])];
    const outcomes: string[] = [];
    let state = emptyPruning;
    for (const [epoch, change] of [
      [1, {}],
      [1, {}],
      [2, {}],
      [3, {}],
      [4, { activeSeedId: "seed:h2" }],
      [5, {}],
      [6, { hostHash: "b" }],
      [7, { hostHash: "b" }],
      [8, { hostHash: "b" }],
    ] as const) {
      const decided = proposePruning(state, survey({ epoch, layers, ...change }), config);
      state = decided.state;
      outcomes.push(decided.decision.outcome);
    }
    expect(outcomes).toEqual(["wait", "wait", "prune", "wait", "wait", "wait", "wait", "wait", "prune"]);
    // A look that found nothing is a look.
    const nothing = decide({});
    expect(nothing.decision.outcome).toBe("refused");
    expect(nothing.state.quietEpochs).toBe(0);
    expect(decide({ activeSeedId: "seed:h2", layers }).decision.reason).toBe("seed:h2 holds the grafting lock");
  });

  it("E4: excluded sites, sites under embargo and parts that cannot go are left alone", () => {
    const layers = [layer("waist", [0, 0]), layer("h1", [0, 0]), layer("c2", [0, 0], { obstacle: "c2: a residual sum" })];
    const { decision } = decide({ layers, bypasses: [bypass("seed:h2", 0)], embargoEpochs: { h1: 3, h2: 1 } });
    expect(decision.reason).toContain("none of 0 free parts (4 in all)");
    expect(decide({ layers, embargoEpochs: { h1: 0 } }).decision.proposal?.target.site).toBe("h1");
  });

  it("E4, E5: never more than the share, never all, never beyond the loss", () => {
    const importances = fc.array(fc.double({ min: 0, max: 0.01, noNaN: true }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(importances, { maxLength: 4 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, unitsFractionMax) => {
          const own = MorphogeneticConfig.parse({ pruning: { enabled: true, everyEpochs: 2, unitsFractionMax } });
          const layers = all.map((each, index) => layer(`h${index}`, each));
          const { proposal } = proposePruning(due, survey({ layers }), own).decision;
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
