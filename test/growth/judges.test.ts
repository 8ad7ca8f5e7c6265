/** The judges' numbers against their definitions, written out. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { PairedGain } from "../../src/contracts/measure.ts";
import { initialGovernor, observeLoss, replayLosses } from "../../src/growth/governor.ts";
import { brierScores, judgeContest, judgePruning } from "../../src/growth/judges.ts";
import { pairedGain } from "../../src/growth/paired.ts";

const config = MorphogeneticConfig.parse({});

describe("brierScores", () => {
  it("is Σ (p − y)² for each row, averaged over a sample's rows", () => {
    const logit = fc.double({ min: -30, max: 30, noNaN: true });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.tuple(logit, logit, logit), { minLength: 3, maxLength: 12 }),
        (rows, all) => {
          const samples = Math.floor(all.length / rows);
          const used = all.slice(0, samples * rows);
          const targets = used.map((_, index) => index % 3);
          const scores = brierScores(used.flat(), targets, { samples, rows, classes: 3 });
          for (let sample = 0; sample < samples; sample++) {
            let expected = 0;
            for (let row = 0; row < rows; row++) {
              const values = used[sample * rows + row]!;
              const total = values.reduce((sum, value) => sum + Math.exp(value), 0);
              values.forEach((value, k) => {
                expected += (Math.exp(value) / total - (k === targets[sample * rows + row] ? 1 : 0)) ** 2 / rows;
              });
            }
            expect(scores[sample]).toBeCloseTo(expected, 10);
            expect(scores[sample]).toBeLessThanOrEqual(2 + 1e-12);
          }
        },
      ),
    );
  });

  it("stays finite where exponentials would not, and is 0 for a sure and right answer", () => {
    expect([...brierScores([1000, 0], [0], { samples: 1, rows: 1, classes: 2 })]).toEqual([0]);
    expect([...brierScores([1000, 0], [1], { samples: 1, rows: 1, classes: 2 })]).toEqual([2]);
  });
});

describe("judgeContest", () => {
  const gain = (mean: number, margin: number, lossWithout = 1): PairedGain => ({
    mean,
    lower: mean - margin,
    upper: mean + margin,
    confidence: 0.99,
    samples: 8,
    lossWithout,
    lossWith: lossWithout - mean,
  });
  const side = (correct: number[], brier?: number[]) => ({ correct, ...(brier === undefined ? {} : { brier }) });
  const alternating = (a: number, b: number) => Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? a : b));
  const judge = (over: Partial<Parameters<typeof judgeContest>[0]> = {}) =>
    judgeContest(
      {
        gain: gain(0.1, 0.01),
        twin: side(alternating(0, 1), alternating(0.6, 0.8)),
        grown: side(alternating(1, 1), alternating(0.3, 0.5)),
        extraFlops: 1,
        ...over,
      },
      config,
    );
  const votes = (over?: Parameters<typeof judge>[0]) =>
    Object.fromEntries(judge(over).map(({ judge: name, vote }) => [name, vote]));

  it("accuracy and calibration are the paired differences, better is positive", () => {
    const [, accuracy, calibration] = judge();
    const expected = pairedGain(alternating(1, 1), alternating(0, 1), 0.99)!;
    expect(accuracy?.measured).toEqual({ mean: 0.5, lower: expected.lower, upper: expected.upper, confidence: 0.99 });
    expect(calibration?.measured?.mean).toBeCloseTo(0.3, 12);
    expect(votes()).toEqual({ loss: "keep", accuracy: "keep", calibration: "keep", cost: "keep" });
  });

  it("the loss is a keep only above its share of the twin's loss, and never abstains", () => {
    expect(votes({ gain: gain(0.02, 0.005) }).loss).toBe("keep");
    expect(votes({ gain: gain(0.012, 0.005) }).loss).toBe("cull");
    expect(votes({ gain: gain(-0.1, 0.005) }).loss).toBe("cull");
  });

  it("the cost is the relative gain against what the extra FLOPs ask for", () => {
    const asked = config.jury.costGainMin;
    const [cost] = judge({ gain: gain(0.2, 0.02, 2), extraFlops: 3 }).slice(-1);
    expect(cost).toMatchObject({ judge: "cost", bound: 3 * asked });
    expect(cost?.measured?.mean).toBeCloseTo(0.1, 12);
    expect(votes({ gain: gain(0.1, 0.01), extraFlops: 0.2 / asked }).cost).toBe("cull");
    expect(votes({ gain: gain(0.1, 0.01), extraFlops: 0.1 / asked }).cost).toBe("abstain");
    expect(votes({ gain: gain(0, 0.01), extraFlops: -1 }).cost).toBe("keep");
  });

  it("a regression has no classes to judge: accuracy and calibration measure nothing", () => {
    const told = judge({ twin: side(alternating(0, 0)), grown: side(alternating(0, 0)) });
    expect(told.filter(({ measured }) => measured === undefined).map(({ judge: name }) => name)).toEqual([
      "accuracy",
      "calibration",
    ]);
  });
});

describe("replayLosses", () => {
  it("gives the state that watching them one by one gives", () => {
    const governor = { windowSteps: 8, sigmaMax: 3, ratioMax: 2, spikesMax: 3, rollbacksMax: 3 };
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.1, max: 5, noNaN: true }), { maxLength: 30 }), (losses) => {
        let state = initialGovernor;
        for (const [index, loss] of losses.entries()) [state] = observeLoss(state, loss, index, governor);
        expect(replayLosses(losses, governor)).toEqual(state);
      }),
    );
  });
});

describe("judgePruning", () => {
  const own = MorphogeneticConfig.parse({ pruning: { lossMax: 0.01 } });
  const gain = (lower: number): PairedGain => ({
    mean: lower + 0.001,
    lower,
    upper: lower + 0.002,
    confidence: 0.99,
    samples: 100,
    lossWithout: 0.5,
    lossWith: 0.5 - lower - 0.001,
  });
  const side = (share: number) => ({ correct: Float32Array.from({ length: 100 }, (_, at) => (at < 100 * share ? 1 : 0)) });
  const votes = (lower: number, stepFlops = { before: 100, after: 80 }, pruned = side(0.5), twin = side(0.5)) =>
    Object.fromEntries(
      judgePruning({ gain: gain(lower), twin, grown: pruned, stepFlops }, own).map(({ judge, vote, bound, measured }) => [
        judge,
        { vote, bound, mean: measured?.mean },
      ]),
    );

  it("loss: a keep up to lossMax of the twin's loss, and a cull beyond it or where nothing is saved", () => {
    expect(votes(-0.0049)["loss"]).toMatchObject({ vote: "keep", bound: -0.005 });
    expect(votes(-0.0051)["loss"]!.vote).toBe("cull");
    expect(votes(0.1, { before: 100, after: 100 })["loss"]!.vote).toBe("cull");
  });

  it("cost: the share of a step that is saved, whatever the loss", () => {
    expect(votes(-1)["cost"]).toEqual({ vote: "keep", bound: 0, mean: 0.2 });
    expect(votes(1, { before: 100, after: 125 })["cost"]).toEqual({ vote: "cull", bound: 0, mean: -0.25 });
  });

  it("accuracy: a cull only where harm is sure; regression has none", () => {
    const classified = { ...side(0.5), brier: new Float64Array(100) };
    const worse = { ...side(0.2), brier: new Float64Array(100) };
    expect(votes(0, undefined, worse, classified)["accuracy"]!.vote).toBe("cull");
    expect(votes(0, undefined, classified, classified)["accuracy"]!.vote).toBe("abstain");
    expect(votes(0)["accuracy"]).toEqual({ vote: "abstain", bound: 0, mean: undefined });
  });
});
