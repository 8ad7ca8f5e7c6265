/** Intervals against brute force and against tabled values. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bootstrap,
  clopperPearson,
  incompleteBeta,
  logGamma,
  meanInterval,
  median,
  ranksOf,
  spearman,
  studentCumulative,
  studentQuantile,
} from "../../src/experiment/intervals.ts";
import { createRandom } from "../../src/graph/random.ts";

/** P(X ≤ k) of a binomial, term by term. */
const binomialCumulative = (k: number, n: number, p: number): number => {
  let [sum, term] = [0, (1 - p) ** n];
  for (let i = 0; i <= k; i++) {
    sum += term;
    term *= ((n - i) / (i + 1)) * (p / (1 - p));
  }
  return sum;
};

describe("distributions", () => {
  test("the gamma function of whole and half numbers", () => {
    expect(logGamma(6)).toBeCloseTo(Math.log(120), 12);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 12);
  });

  test("the incomplete beta function is a sum of binomial terms", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 39 }),
        fc.double({ min: 0.02, max: 0.98, noNaN: true }),
        (n, seed, p) => {
          const k = seed % n;
          expect(1 - incompleteBeta(p, k + 1, n - k)).toBeCloseTo(binomialCumulative(k, n, p), 9);
        },
      ),
    );
  });

  test("Student's quantiles are those of the tables", () => {
    expect(studentQuantile(0.975, 9)).toBeCloseTo(2.262157, 5);
    expect(studentQuantile(0.95, 1)).toBeCloseTo(6.313752, 4);
    expect(studentQuantile(0.975, 1000)).toBeCloseTo(1.962339, 4);
    expect(studentCumulative(0, 5)).toBeCloseTo(0.5, 12);
  });
});

describe("intervals", () => {
  test("a mean's interval; none for a single value or one that is not finite", () => {
    const interval = meanInterval([1, 2, 3, 4], 0.95);
    expect(interval).toMatchObject({ n: 4, mean: 2.5 });
    expect(interval?.upper).toBeCloseTo(2.5 + (3.182446 * Math.sqrt(5 / 3)) / 2, 5);
    expect(meanInterval([1], 0.95)).toEqual({ n: 1, mean: 1, sd: 0, lower: undefined, upper: undefined });
    expect(meanInterval([], 0.95)).toBeUndefined();
    expect(meanInterval([1, Number.NaN], 0.95)).toBeUndefined();
  });

  test("Clopper–Pearson: tabled values, and the ends", () => {
    expect(clopperPearson(0, 60, 0.95)).toMatchObject({ share: 0, lower: 0 });
    expect(clopperPearson(0, 60, 0.95).upper).toBeCloseTo(1 - 0.025 ** (1 / 60), 9);
    const nearly = clopperPearson(58, 60, 0.95);
    expect([nearly.lower, nearly.upper].map((bound) => Number(bound.toFixed(4)))).toEqual([0.8847, 0.9959]);
    expect(clopperPearson(0, 0, 0.95)).toEqual({ successes: 0, n: 0, share: undefined, lower: 0, upper: 1 });
  });

  test("Clopper–Pearson: at each bound the tail is exactly half of what is left", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 50 }), fc.integer({ min: 1, max: 49 }), (n, seed) => {
        const k = 1 + (seed % (n - 1));
        const { lower, upper } = clopperPearson(k, n, 0.9);
        expect(1 - binomialCumulative(k - 1, n, lower)).toBeCloseTo(0.05, 7);
        expect(binomialCumulative(k, n, upper)).toBeCloseTo(0.05, 7);
      }),
      { numRuns: 40 },
    );
  });

  test("the bootstrap's interval of a mean covers like Student's", () => {
    const random = createRandom(3);
    const values = Array.from({ length: 80 }, () => random.normal());
    const average = (drawn: readonly number[]): number => drawn.reduce((sum, value) => sum + value, 0) / drawn.length;
    const options = { draws: 2000, confidence: 0.95, random: createRandom(4) };
    const [boot, student] = [bootstrap(values, average, options), meanInterval(values, 0.95)];
    expect(boot?.lower).toBeCloseTo(student?.lower ?? 9, 1);
    expect(boot?.upper).toBeCloseTo(student?.upper ?? 9, 1);
    expect(bootstrap([1], average, options)).toEqual({ n: 1, value: 1, lower: undefined, upper: undefined });
    expect(bootstrap([1, 2], () => undefined, options)).toBeUndefined();
  });
});

describe("ranks", () => {
  test("equal values share a rank", () => {
    expect(ranksOf([10, 20, 10, 5])).toEqual([2.5, 4, 2.5, 1]);
  });

  test("Spearman's correlation: of Σd², under rising maps, undefined where nothing varies", () => {
    const pairs = [1, 2, 3, 4, 5].map((x, index) => ({ x, y: [2, 1, 4, 3, 5][index]! }));
    expect(spearman(pairs)).toBeCloseTo(1 - (6 * 4) / (5 * 24), 12);
    expect(spearman(pairs.map(({ x, y }) => ({ x: Math.exp(x), y: y ** 3 })))).toBeCloseTo(0.8, 12);
    expect(spearman(pairs.map(({ x }) => ({ x, y: 1 })))).toBeUndefined();
    expect(spearman(pairs.slice(0, 2))).toBeUndefined();
  });

  test("the median", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, undefined]);
  });
});
