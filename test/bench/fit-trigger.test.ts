/** The fit of the trigger's thresholds: on hosts that were built so that the right thresholds are known. */
import { describe, expect, it } from "vitest";
import { fitTrigger, innermost, objectiveOf, plateauOf, scoreTrigger, thresholdNames } from "../../bench/fit-trigger.ts";
import type { HostChecks } from "../../bench/host-checks.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { LayerSignal } from "../../src/contracts/signal.ts";

const { trigger } = MorphogeneticConfig.parse({});

const layer = (site: string, change: Partial<LayerSignal> = {}): LayerSignal => ({
  site,
  explainedIn: 0.5,
  explainedOut: 0.5,
  gap: 0,
  gapError: 0,
  dimensionsIn: 16,
  dimensionsOut: 16,
  weightGain: 1,
  ...change,
});

/** A host of three layers, the second of which differs; the same in both checks. */
const host = (damaged: boolean, change: Partial<LayerSignal>): HostChecks => {
  const layers = [layer("h1"), layer("h2", change), layer("h3")];
  return { label: "planted", trigger, damagedSites: damaged ? ["h2"] : [], checks: [layers, layers] };
};

/** A gap that is the smaller part of what its input explains, so that `gapMin` alone decides; or the other way round. */
const byGap = (gap: number): Partial<LayerSignal> => ({ gap, explainedIn: 1e-3, explainedOut: 0 });
const byShare = (share: number): Partial<LayerSignal> => ({ gap: 0.9 * share, explainedIn: 0.9, explainedOut: 0 });

const planted: readonly HostChecks[] = [
  ...[0.002, 0.01, 0.02].map((gap) => host(false, byGap(gap))),
  ...[0.045, 0.08, 0.2].map((gap) => host(true, byGap(gap))),
  ...[0.1, 0.2].map((share) => host(false, byShare(share))),
  ...[0.45, 0.6].map((share) => host(true, byShare(share))),
  ...[5, 6, 12].map((dimensionsOut) => host(false, { dimensionsOut, dimensionsIn: 16 })),
  ...[1, 2].map((dimensionsOut) => host(true, { dimensionsOut, dimensionsIn: 16 })),
  ...[2, 4].map((weightGain) => host(false, { weightGain })),
  ...[64, 100].map((weightGain) => host(true, { weightGain })),
];

describe("thresholds fitted on planted hosts", () => {
  const fit = fitTrigger(planted, trigger);

  it("find every damaged host and no whole one", () => {
    expect(fit.score).toEqual({ found: 9, damaged: 9, falseAlarms: 0, whole: 10 });
    expect(scoreTrigger(planted, { ...trigger, ...fit.thresholds })).toEqual(fit.score);
  });

  it("stand in the geometric middle between the worst whole and the best damaged host", () => {
    const { gapMin, gapShareMin, dimensionsMax, weightGainMax } = fit.thresholds;
    expect(gapMin).toBeCloseTo(Math.sqrt(0.02 * 0.045), 2);
    expect(gapShareMin).toBeCloseTo(Math.sqrt(0.2 * 0.45), 1);
    // Two to four would do.
    expect(dimensionsMax).toBe(3);
    expect(Math.abs(Math.log(weightGainMax / Math.sqrt(4 * 64)))).toBeLessThan(0.1);
  });

  it("come with the plateau on which the objective does not change", () => {
    const { from, to, openBelow, openAbove } = fit.plateaus.find(({ name }) => name === "gapMin")!;
    expect([openBelow, openAbove]).toEqual([false, false]);
    expect(from).toBeGreaterThanOrEqual(0.02);
    expect(from).toBeLessThan(0.022);
    expect(to).toBeLessThanOrEqual(0.045);
    expect(to).toBeGreaterThan(0.042);
    // Nothing here speaks for or against a weight of what gap and dimensions agree in.
    expect(fit.plateaus.find(({ name }) => name === "agreementWeight")).toMatchObject({
      value: 1,
      openBelow: true,
      openAbove: true,
    });
  });

  it("have two digits, and are the same a second time", () => {
    for (const name of thresholdNames) expect(fit.thresholds[name]).toBe(Number(fit.thresholds[name].toPrecision(2)));
    expect(fitTrigger([...planted], trigger)).toEqual(fit);
  });
});

describe("the objective", () => {
  it("a false alarm costs what twenty finds bring", () => {
    expect(objectiveOf({ found: 30, damaged: 60, falseAlarms: 1, whole: 60 })).toBe(10);
  });

  it("where a threshold cannot have both, the whole hosts win", () => {
    const mixed = [...planted, host(false, byGap(0.1))];
    const fit = fitTrigger(mixed, trigger);
    expect(fit.score).toMatchObject({ falseAlarms: 0, found: 7 });
    expect(fit.thresholds.gapMin).toBeGreaterThan(0.1);
  });

  it("a host with one check, or with another name in the second, is named nowhere", () => {
    const [first] = host(true, byGap(0.2)).checks;
    const other = [layer("h1", byGap(0.2)), layer("h2"), layer("h3")];
    const hosts = [first!, other].map((second, index) => ({
      ...host(true, {}),
      checks: index === 0 ? [first!] : [first!, second],
    }));
    expect(scoreTrigger(hosts, trigger)).toEqual({ found: 0, damaged: 2, falseAlarms: 0, whole: 0 });
  });
});

it("a plateau is the widest run of the largest values", () => {
  expect(plateauOf([1, 3, 3, 2, 3, 3, 3, 0])).toEqual([4, 6]);
  expect(plateauOf([3, 3, 1, 3, 3])).toEqual([0, 1]);
  expect(plateauOf([2, 2])).toEqual([0, 1]);
});

it("the innermost point is furthest from what is not marked and from the edge, along every axis at once", () => {
  const drawn = ["........", ".####...", ".####...", ".####.#.", "........"];
  const marked = [...drawn.join("")].map((each) => each === "#");
  expect(innermost(marked, [5, 8])).toEqual([2, 2]);
  expect(innermost([true, true, true, false, true], [5])).toEqual([1]);
  // The edge is no evidence that the plateau goes on.
  expect(innermost([true, true, true, true, true], [5])).toEqual([2]);
});
