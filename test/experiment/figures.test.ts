/** What a set of cells shows, on results whose figures are known. */
import { describe, expect, test } from "vitest";
import type { ExperimentArm, JobResult, TrialRecord } from "../../src/contracts/experiment.ts";
import type { Cell } from "../../src/experiment/cells.ts";
import { coversDamage } from "../../src/experiment/cells.ts";
import { curvesOf, paretoFront } from "../../src/experiment/curves.ts";
import { figuresOf, flopsToReach, regretOf } from "../../src/experiment/figures.ts";
import { decide, emptyPolicy } from "../../src/policy/decide.ts";
import { setup, signal } from "../policy/fixtures.ts";
import { resultOf } from "./fixture.ts";

const options = { hurtsMin: 0.05, confidence: 0.95, bootstrapDraws: 200 };
const gain = (mean: number) => ({
  mean,
  lower: mean - 0.1,
  upper: mean + 0.1,
  confidence: 0.99,
  samples: 10,
  lossWithout: 1,
  lossWith: 1 - mean,
});
const trial = (
  site: string,
  toSite: string,
  outcome: TrialRecord["outcome"] = "FOSSILIZED",
  changes: Partial<TrialRecord> = {},
): TrialRecord => ({
  seedId: `seed:${site}`,
  site,
  toSite,
  epoch: 3,
  flops: 30,
  reason: "gap",
  ...(outcome === undefined ? {} : { outcome }),
  endReason: "the verdict",
  judged: true,
  ...changes,
});

let cells = 0;
const cell = (arms: Partial<Record<ExperimentArm, JobResult>>, damaged = true, failed: readonly ExperimentArm[] = []): Cell => ({
  host: "mlp",
  dataset: "mnist",
  damage: damaged ? "dead" : "none",
  damaged,
  randomSeed: ++cells,
  arms,
  failed,
});

const damagedResult = (key: string, accuracy: number, trials: readonly TrialRecord[]): JobResult =>
  resultOf(key, accuracy, { damagedSites: ["h2"], trials: [...trials] });

describe("where a seed stood", () => {
  const result = damagedResult("a", 0.5, []);
  test.each([
    ["h2", "h3", true],
    ["h1", "h2", true],
    ["h1", "output", true],
    ["h3", "output", false],
    ["h1", "h1", false],
  ])("%s to %s", (site, toSite, covers) => {
    expect(coversDamage(result, trial(site, toSite))).toBe(covers);
  });
  test("nothing is at the damage of a whole host", () => {
    expect(coversDamage(resultOf("b", 1), trial("h1", "h3"))).toBe(false);
  });
});

describe("recovered share", () => {
  const three = (noGrowth: number, grown: number, healthy: number) =>
    cell({ "no-growth": resultOf("n", noGrowth), grown: damagedResult("g", grown, []), healthy: resultOf("h", healthy) });

  test("per host and of the sums; hosts that are hardly hurt are left out and counted", () => {
    const { recovered } = figuresOf([three(0.5, 0.8, 0.9), three(0.7, 0.8, 0.8), three(0.88, 0.5, 0.9)], options);
    expect(recovered).toMatchObject({ hosts: 2, leftOut: 1 });
    expect(recovered.each?.mean).toBeCloseTo((0.75 + 1) / 2, 12);
    expect(recovered.pooled?.value).toBeCloseTo(0.4 / 0.5, 12);
  });

  test("F1 an arm that failed leaves its host out", () => {
    const { recovered } = figuresOf([cell({ "no-growth": resultOf("n", 0.5), healthy: resultOf("h", 0.9) })], options);
    expect(recovered).toEqual({ each: undefined, pooled: undefined, hosts: 0, leftOut: 0 });
  });
});

describe("places", () => {
  test("F2 the first trial counts; a host without one is not found", () => {
    const found = [[trial("h2", "h3")], [trial("h3", "output"), trial("h2", "h3")], []];
    const figures = figuresOf(
      found.map((trials, index) => cell({ grown: damagedResult(`g${index}`, 0.9, trials) })),
      options,
    );
    expect(figures.found).toMatchObject({ successes: 1, n: 3 });
    expect(figures.foundWhereItHurts.n).toBe(0);
  });

  test("a random place is found by the same rule: a long bypass passes the damage by chance", () => {
    const placed = [[trial("h1", "output")], [trial("h3", "output"), trial("h2", "h3")], []].map((trials, index) =>
      cell({ "random-place": damagedResult(`p${index}`, 0.9, trials) }),
    );
    const whole = cell({ "random-place": resultOf("w", 0.9, { trials: [trial("h1", "output")] }) }, false);
    const figures = figuresOf([...placed, whole], options);
    expect(figures.foundAtRandom).toMatchObject({ successes: 1, n: 3 });
    expect(figures.found.n).toBe(0);
  });

  test("F2 a run that failed is not found, exactly or at all, also among those that the damage hurts; one that was not run is left out", () => {
    const others = { "no-growth": resultOf("n", 0.5), healthy: resultOf("h", 0.9) };
    const found = cell({ ...others, grown: damagedResult("g", 0.9, [trial("h2", "h3")]) });
    const figures = figuresOf([found, cell(others, true, ["grown"]), cell(others)], options);
    expect(figures.found).toMatchObject({ successes: 1, n: 2 });
    expect(figures.foundExactly).toMatchObject({ successes: 1, n: 2 });
    expect(figures.foundWhereItHurts).toMatchObject({ successes: 1, n: 2 });
  });

  test("F3 a trigger on a whole host that was refused is a false trigger; one check alone is none", () => {
    const refusalOf = (seen: readonly number[]): string => {
      let state = emptyPolicy;
      let reason = "";
      for (const epoch of seen) {
        const made = decide(state, signal(epoch, { h1: 0, h2: 0.6 }, { flopsLeft: 0 }), setup);
        state = made.state;
        reason = `${made.decision.outcome}: ${made.decision.reason}`;
      }
      return reason;
    };
    expect(refusalOf([4, 5])).toMatch(/^refused: .* FLOPs/);
    const runs = [[refusalOf([4, 5])], [refusalOf([4])], []].map((refusals, index) =>
      cell({ watched: resultOf(`r${index}`, 0.9, { refusals }) }),
    );
    expect(figuresOf(runs, options).falseTriggers).toMatchObject({ successes: 1, n: 3 });
  });

  test("F3 a useless seed that could not be judged is no proof; at the damage it counts as not kept", () => {
    const dropped = (site: string, toSite: string) => trial(site, toSite, "DORMANT", { endReason: "validation: drift 0.1" });
    const unjudged = (site: string, toSite: string) =>
      trial(site, toSite, "CULLED", { endReason: "gate 3: what the jury looks at was not measured" });
    const figures = figuresOf(
      [
        cell({
          grown: damagedResult("g", 0.9, [unjudged("h2", "h3"), dropped("h2", "h3"), trial("h2", "h3")]),
          "random-place": damagedResult("p", 0.8, [
            unjudged("h3", "output"),
            dropped("h3", "output"),
            trial("h3", "output", "CULLED"),
          ]),
        }),
        cell({ "random-place": resultOf("w", 0.9, { trials: [unjudged("h1", "h2"), trial("h1", "h2", "CULLED")] }) }, false),
      ],
      options,
    );
    expect(figures.keptAtDamage).toMatchObject({ successes: 1, n: 3 });
    expect(figures.keptAtRandomPlace).toMatchObject({ successes: 0, n: 1 });
    expect(figures.keptOnHealthy).toMatchObject({ successes: 0, n: 1 });
  });

  test("kept at the damage, at random places, and what the run's end cut off is no verdict", () => {
    const cut = trial("h2", "h3", "CULLED", { endReason: "the run's FLOPs are used up" });
    const grown = damagedResult("g", 0.9, [trial("h2", "h3", "CULLED"), trial("h2", "h3"), cut, trial("h3", "output")]);
    const placed = damagedResult("p", 0.8, [trial("h3", "output"), trial("h1", "h2"), trial("h3", "output", "CULLED")]);
    const whole = cell({ "random-place": resultOf("w", 0.9, { trials: [trial("h1", "h2", "CULLED")] }) }, false);
    const figures = figuresOf([cell({ grown, "random-place": placed }), whole], options);
    expect(figures.keptAtDamage).toMatchObject({ successes: 1, n: 2 });
    expect(figures.keptAtRandomPlace).toMatchObject({ successes: 1, n: 2 });
    expect(figures.keptOnHealthy).toMatchObject({ successes: 0, n: 1 });
  });

  test("false triggers and the price count a run once, however many cells share it", () => {
    const shared = { healthy: resultOf("h", 0.9), watched: resultOf("w", 0.88, { trials: [trial("h1", "h2", "CULLED")] }) };
    const quiet = { healthy: resultOf("h2", 0.9), watched: resultOf("w2", 0.9) };
    const figures = figuresOf([cell(shared), cell(shared), cell(quiet)], options);
    expect(figures.falseTriggers).toMatchObject({ successes: 1, n: 2 });
    expect(figures.falseKept).toMatchObject({ successes: 0, n: 2 });
    expect(figures.price?.mean).toBeCloseTo(0.01, 12);
    // In a whole cell `grown` is a watched host and `no-growth` a healthy one.
    const whole = cell({ grown: resultOf("a", 0.9, { trials: [trial("h1", "h2")] }), "no-growth": resultOf("b", 0.91) }, false);
    expect(figuresOf([whole], options)).toMatchObject({ falseTriggers: { successes: 1, n: 1 }, price: { n: 1 } });
  });

  test("regret is what the best of the places tried has more", () => {
    const tried = cell({ grown: resultOf("g", 0.8), "random-place": resultOf("r", 0.85), "always-grow": resultOf("a", 0.7) });
    expect(regretOf(tried, "grown")).toBeCloseTo(0.05, 12);
    expect(regretOf(tried, "random-place")).toBe(0);
    expect(regretOf(cell({ grown: resultOf("g", 0.8) }), "grown")).toBeUndefined();
  });
});

test("forecasts: rank correlation and coverage", () => {
  const forecast = (lossGain: number) => ({
    lossGain,
    lossGainLower: lossGain / 2,
    lossGainUpper: lossGain * 2,
    trialFlops: 1,
    parameters: 1,
    cullRisk: 0,
  });
  const pair = (index: number, expected: number, measured: number) =>
    cell({
      grown: damagedResult(`f${index}`, 0.9, [
        trial("h2", "h3", "FOSSILIZED", { forecast: forecast(expected), gain: gain(measured) }),
      ]),
    });
  const { rank, coverage, pairs } = figuresOf(
    [pair(1, 0.1, 0.12), pair(2, 0.2, 0.5), pair(3, 0.4, 0.3), pair(4, 0.8, 0.9)],
    options,
  ).forecast;
  expect(rank?.value).toBeCloseTo(0.8, 12);
  expect(coverage).toMatchObject({ successes: 3, n: 4 });
  expect(pairs).toHaveLength(4);
  // F4: one run with the same four trials cannot be resampled.
  const trials = [1, 2, 3, 4].map((index) =>
    trial("h2", "h3", "FOSSILIZED", { forecast: forecast(index / 10), gain: gain(index / 10) }),
  );
  expect(figuresOf([cell({ grown: damagedResult("one", 0.9, trials) })], options).forecast.rank).toMatchObject({
    n: 1,
    value: 1,
    lower: undefined,
  });
});

describe("size and FLOPs", () => {
  const curve = (...accuracies: readonly number[]) =>
    accuracies.map((accuracy, index) => ({ epoch: index + 1, flops: 25 * (index + 1), loss: 1, accuracy }));

  test("FLOPs to the accuracy that the final size ended with; never reaching it is told", () => {
    const reached = cell({
      grown: resultOf("g", 0.8, { curve: curve(0.3, 0.6, 0.75, 0.8) }),
      "no-growth": resultOf("n", 0.6, { curve: curve(0.3, 0.4, 0.5, 0.6) }),
      "final-size": resultOf("f", 0.75, { curve: curve(0.2, 0.5, 0.6, 0.7) }),
    });
    const [grown, never] = figuresOf([reached], options).size;
    expect(grown).toMatchObject({ arm: "grown", flopsShare: 0.75, flopsShareOfFinalSize: 1, reached: { successes: 1, n: 1 } });
    expect(grown?.difference?.mean).toBeCloseTo(0.05, 12);
    expect(never).toMatchObject({ arm: "no-growth", flopsShare: undefined, reached: { successes: 0, n: 1 } });
    expect(flopsToReach(resultOf("x", 1, { curve: curve(0.1) }), 0.2)).toBeUndefined();
  });

  test("a curve stands where every run of the arm was measured", () => {
    const runs = [curve(0.2, 0.4, 0.6, 0.8), curve(0.4, 0.6, 0.8, 1)].map((points, index) =>
      cell({ grown: resultOf(`c${index}`, 1, { curve: points }) }),
    );
    const [only, ...others] = curvesOf(runs, 0.95);
    expect(others).toEqual([]);
    expect(only?.points[0]?.share).toBeCloseTo(0.25, 12);
    expect(only?.points.at(-1)).toMatchObject({ share: 1, n: 2, mean: 0.9 });
  });

  test("the Pareto front holds what nothing else beats", () => {
    const points = [
      { arm: "grown" as const, accuracy: 0.9, cost: 10 },
      { arm: "healthy" as const, accuracy: 0.9, cost: 8 },
      { arm: "no-growth" as const, accuracy: 0.5, cost: 2 },
      { arm: "watched" as const, accuracy: 0.4, cost: 3 },
    ];
    expect(
      paretoFront(points)
        .filter(({ best }) => best)
        .map(({ arm }) => arm),
    ).toEqual(["healthy", "no-growth"]);
  });
});
