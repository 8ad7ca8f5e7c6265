import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gapLower, LayerSignal, rivalOf, severityOf, worstLayer } from "../../src/contracts/signal.ts";
import { config, gapAtOne, layer } from "../policy/fixtures.ts";

const { trigger } = config;
const finite = fc.double({ min: -1, max: 1, noNaN: true });

describe("severity", () => {
  test("the gap counts by its lower bound, and must be large both in itself and as a share of what the input explains", () => {
    expect(severityOf(layer("h1", gapAtOne), trigger)).toBeCloseTo(1, 9);
    expect(severityOf(layer("h1", gapAtOne, { gapError: 0.05 }), trigger)).toBeLessThan(1);
    // Small beside what the input explains, and small in itself.
    expect(severityOf(layer("h1", 0.1, { explainedIn: 0.9 }), trigger)).toBeLessThan(1);
    expect(severityOf(layer("h1", 0.02, { explainedIn: 0.02 }), trigger)).toBeLessThan(1);
    expect(severityOf(layer("h1", 0.3, { explainedIn: -0.1 }), trigger)).toBe(0);
    expect(gapLower(layer("h1", 0.2, { gapError: 0.1 }), trigger)).toBeCloseTo(0.2 - 0.1 * trigger.boundErrors, 12);
  });

  test("what gap and dimensions agree in counts by its weight", () => {
    const both = layer("h1", gapAtOne, { dimensionsIn: 16, dimensionsOut: 2 });
    const at = (agreementWeight: number) => severityOf(both, { ...trigger, agreementWeight }) ?? Number.NaN;
    const lower = gapLower(both, trigger) / trigger.gapMin;
    expect(at(1) - at(0)).toBeCloseTo(lower, 9);
    expect(at(0.5) - at(0)).toBeCloseTo(0.5 * lower, 9);
    // Where one of them says nothing there is nothing to agree in.
    expect(severityOf(layer("h1", gapAtOne), { ...trigger, agreementWeight: 16 })).toBeCloseTo(1, 9);
  });

  test("few dimensions count where they are lost, not where they arrive lost", () => {
    const at = (dimensionsIn: number, dimensionsOut: number) =>
      severityOf(layer("h1", 0, { dimensionsIn, dimensionsOut }), trigger) ?? Number.NaN;
    for (let out = 0; out <= trigger.dimensionsMax; out += 1) expect(at(16, out)).toBeGreaterThan(1);
    expect(at(16, trigger.dimensionsMax + 1)).toBe(0);
    expect(at(4, 2)).toBe(0);
    expect(at(16, 1)).toBeGreaterThan(at(16, 3));
  });

  test("of a dead layer and those that die behind it the first is the worst", () => {
    // As measured: two directions pass h2, h3 passes none of what is left.
    const layers = [
      layer("h1", 0.01),
      layer("h2", 0.29, { explainedIn: 0.4, dimensionsIn: 16, dimensionsOut: 2 }),
      layer("h3", 0.06, { explainedIn: 0.11, dimensionsIn: 2, dimensionsOut: 0 }),
      layer("h4", 0, { explainedIn: 0, dimensionsIn: 0, dimensionsOut: 0 }),
    ];
    expect(worstLayer(layers, trigger)?.site).toBe("h2");
    // A layer that lost much, but no dimensions, does not hide the one that passes none on.
    const young = layer("h1", 0.16, { explainedIn: 0.34, dimensionsIn: 16, dimensionsOut: 11 });
    expect(worstLayer([young, layers[2]!], trigger)?.site).toBe("h3");
  });

  test("weights far too large outweigh what the layers behind them show", () => {
    const at = (weightGain: number) => severityOf(layer("h1", 0, { weightGain }), trigger) ?? Number.NaN;
    expect(at(1)).toBe(0);
    expect(at(trigger.weightGainMax)).toBe(0);
    const gone = layer("h2", 0.5, { explainedIn: 0.5, dimensionsIn: 16, dimensionsOut: 0 });
    expect(at(1.01 * trigger.weightGainMax)).toBeGreaterThan(severityOf(gone, trigger) ?? Number.NaN);
  });

  test("is never negative and finite for whatever was measured, and absent for what was not", () => {
    fc.assert(
      fc.property(
        finite,
        fc.double({ min: 0, max: 1, noNaN: true }),
        finite,
        fc.nat(16),
        fc.nat(16),
        (gap, error, known, into, out) => {
          const measured = layer("h1", gap, { gapError: error, explainedIn: known, dimensionsIn: into, dimensionsOut: out });
          const severity = severityOf(LayerSignal.parse(measured), trigger);
          expect(severity).toBeGreaterThanOrEqual(0);
          expect(Number.isFinite(severity)).toBe(true);
        },
      ),
      { seed: 5 },
    );
    expect(severityOf(layer("h1", Number.NaN), trigger)).toBeUndefined();
    const { dimensionsIn: _in, dimensionsOut: _out, ...unmeasured } = layer("h1", 0);
    expect(severityOf(unmeasured, trigger)).toBe(0);
  });
});

describe("worst layer", () => {
  const layers = [layer("h1", 0.01), layer("h2", 0.3), layer("h3", 0.3)];

  test("is the first of the largest severity above 1, excluded sites left out", () => {
    expect(worstLayer(layers, trigger)?.site).toBe("h2");
    expect(worstLayer(layers, { ...trigger, exclude: ["h2"] })?.site).toBe("h3");
    expect(worstLayer(layers.slice(0, 1), trigger)).toBeUndefined();
  });

  test("has a rival where intervals overlap and nothing else tells the two apart", () => {
    const worst = layers[1]!;
    expect(rivalOf(worst, layers, trigger)?.site).toBe("h3");
    expect(rivalOf(worst, [worst, layer("h3", 0.28)], trigger)).toBeUndefined();
    expect(rivalOf(worst, [worst, layer("h3", 0.28, { gapError: 0.05 })], trigger)?.site).toBe("h3");
    expect(rivalOf(worst, [worst, layer("h3", 0.3, { dimensionsOut: 1 })], trigger)).toBeUndefined();
    expect(rivalOf(worst, [worst, layer("h3", 0.3)], { ...trigger, exclude: ["h3"] })).toBeUndefined();
  });
});
