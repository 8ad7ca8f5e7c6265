import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EsperConfig } from "../../src/contracts/config.ts";
import { ContractError } from "../../src/contracts/errors.ts";
import { createRandom } from "../../src/graph/random.ts";
import { alphaAt } from "../../src/growth/alpha.ts";
import type { GovernorState } from "../../src/growth/governor.ts";
import { initialGovernor, observeLoss } from "../../src/growth/governor.ts";
import { pairedGain } from "../../src/growth/paired.ts";
import {
  mean,
  normalCumulative,
  normalQuantile,
  relativeSlope,
  relativeSlopeError,
  slope,
  standardDeviation,
} from "../../src/growth/statistics.ts";

describe("statistics", () => {
  it("agree with known values", () => {
    expect(mean([1, 2, 6])).toBe(3);
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12);
    expect(standardDeviation([5])).toBe(0);
    expect(slope([1, 3, 5, 7])).toBeCloseTo(2, 12);
    expect(relativeSlope([1, 2, 3])).toBeCloseTo(1, 12);
    expect(relativeSlope([1])).toBeUndefined();
    expect(relativeSlope([0, 0])).toBeUndefined();
    expect(relativeSlopeError([1, 2])).toBeUndefined();
    expect(relativeSlopeError([0, 0, 0])).toBeUndefined();
    expect(relativeSlopeError([1, 2, 3, 4])).toBeCloseTo(0, 12);
    // Residuals ±0.5 around 2.5: s² = 1 / 2, Σ(x − x̄)² = 5, over three steps and a mean of 2.5.
    expect(relativeSlopeError([3, 2, 2, 3])).toBeCloseTo((Math.sqrt(0.5 / 5) * 3) / 2.5, 12);
  });

  it("normal quantiles are those of the tables, and invert the cumulative distribution", () => {
    for (const [probability, z] of [
      [0.5, 0],
      [0.9, 1.2815515655446004],
      [0.99, 2.3263478740408408],
      [0.001, -3.090232306167813],
    ] as const) {
      expect(normalQuantile(probability)).toBeCloseTo(z, 10);
    }
    fc.assert(
      fc.property(fc.double({ min: -5, max: 5, noNaN: true }), (z) => Math.abs(normalQuantile(normalCumulative(z)) - z) < 1e-6),
    );
  });
});

describe("paired gain", () => {
  it("has the bounds of the closed form", () => {
    const gain = pairedGain([2, 3, 4], [1, 3, 2], 0.99)!;
    expect(gain).toMatchObject({ mean: 1, samples: 3, confidence: 0.99, lossWithout: 3, lossWith: 2 });
    expect(gain.mean - gain.lower).toBeCloseTo(2.3263478740408408 / Math.sqrt(3), 10);
    expect(gain.upper - gain.mean).toBeCloseTo(gain.mean - gain.lower, 12);
  });

  it("its lower bound lies above the true mean as rarely as its confidence says", () => {
    const random = createRandom(1);
    let above = 0;
    for (let trial = 0; trial < 2000; trial++) {
      const without = Array.from({ length: 50 }, () => 1 + random.normal());
      if (pairedGain(without, new Float64Array(50), 0.9)!.lower > 1) above++;
    }
    // Binomial(2000, 0.1): sd 13.4.
    expect(above).toBeGreaterThan(200 - 5 * 14);
    expect(above).toBeLessThan(200 + 5 * 14);
  });

  it("is absent where a loss was not finite or one sample is all there is, and needs the same samples", () => {
    expect(pairedGain([1, Number.NaN], [1, 1], 0.9)).toBeUndefined();
    expect(pairedGain([1], [0], 0.9)).toBeUndefined();
    expect(() => pairedGain([1, 2], [1], 0.9)).toThrow(ContractError);
  });
});

describe("alpha", () => {
  it.each(["linear", "cosine", "sigmoid"] as const)(
    "%s rises from exactly 0 to exactly 1 and is a half at the middle",
    (schedule) => {
      expect([alphaAt(schedule, 0), alphaAt(schedule, 1), alphaAt(schedule, -1), alphaAt(schedule, 2)]).toEqual([0, 1, 0, 1]);
      expect(alphaAt(schedule, 0.5)).toBeCloseTo(0.5, 12);
      const unit = fc.double({ min: 0, max: 1, noNaN: true });
      fc.assert(fc.property(unit, unit, (a, b) => a > b || alphaAt(schedule, a) <= alphaAt(schedule, b)));
      fc.assert(fc.property(unit, (p) => Math.abs(alphaAt(schedule, p) + alphaAt(schedule, 1 - p) - 1) < 1e-9));
    },
  );
});

describe("governor", () => {
  const { governor: config } = EsperConfig.parse({});
  const feed = (losses: readonly number[], start: GovernorState = initialGovernor) => {
    let state = start;
    const anomalies = losses.flatMap((loss, step) => {
      const [next, anomaly] = observeLoss(state, loss, step + 1, config);
      state = next;
      return anomaly ?? [];
    });
    return { state, anomalies };
  };
  const calm = Array.from({ length: 100 }, (_, step) => 1 + 0.1 * Math.sin(step));

  it("G1: a loss that is not finite is an anomaly at once", () => {
    for (const loss of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(feed([loss]).anomalies).toMatchObject([{ kind: "non_finite_loss", step: 1 }]);
    }
  });

  it("G2: three spikes in a row are one, two are none, and a calm step between starts the count again", () => {
    expect(feed([...calm, 9, 9]).anomalies).toEqual([]);
    expect(feed([...calm, 9, 9, 1, 9, 9]).anomalies).toEqual([]);
    expect(feed([...calm, 9, 9, 9]).anomalies).toMatchObject([{ kind: "loss_spike", step: 103 }]);
  });

  it("G2: a spike must exceed both bounds", () => {
    const still = Array.from({ length: 100 }, () => 1);
    expect(feed([...still, 2.9, 2.9, 2.9]).anomalies).toEqual([]);
    const wild = Array.from({ length: 100 }, (_, step) => (step % 2 === 0 ? 0.1 : 1.9));
    expect(feed([...wild, 6, 6, 6]).anomalies).toEqual([]);
  });

  it("G3: spikes do not raise the bar; the window is bounded", () => {
    const { state } = feed([...calm, 9, 9]);
    expect(Math.max(...state.losses)).toBeLessThan(2);
    expect(state.losses).toHaveLength(config.windowSteps);
  });

  it("G4: below eight losses nothing is a spike", () => {
    expect(feed([1, 1, 50, 50, 50]).anomalies).toEqual([]);
  });
});
