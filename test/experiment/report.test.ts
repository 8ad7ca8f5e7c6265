/** The page: complete, self-contained, and nothing in it is taken as markup that came from data. */
import { describe, expect, test } from "vitest";
import type { JobResult } from "../../src/contracts/experiment.ts";
import { analyze } from "../../src/experiment/analysis.ts";
import type { ExperimentPlan } from "../../src/experiment/plan.ts";
import { countText, meanText, missing, percent, proportionText } from "../../src/experiment/report/format.ts";
import { reportPage } from "../../src/experiment/report/page.ts";
import { escapeText, linearScale, logScale } from "../../src/experiment/report/svg.ts";
import { resultOf } from "./fixture.ts";

const evil = `<script>alert("x")</script>&'`;
const pages = { machine: evil, createdAtMs: 0 };

const curve = [0.3, 0.5, 0.8].map((accuracy, index) => ({ epoch: index + 1, flops: 30 * (index + 1), loss: 1, accuracy }));
const results: readonly JobResult[] = [
  resultOf("1", 0.5, { label: evil, damagedSites: [evil], curve }),
  resultOf("2", 0.8, {
    label: evil,
    damagedSites: [evil],
    curve,
    trials: [
      {
        seedId: "seed:h2",
        site: evil,
        toSite: evil,
        epoch: 1,
        flops: 1,
        reason: evil,
        endReason: evil,
        judged: true,
        outcome: "FOSSILIZED",
        forecast: { lossGain: 0.2, lossGainLower: 0.1, lossGainUpper: 0.4, trialFlops: 1, parameters: 1, cullRisk: 0 },
        gain: { mean: 0.3, lower: 0.2, upper: 0.4, confidence: 0.99, samples: 10, lossWithout: 1, lossWith: 0.7 },
      },
    ],
    timeline: [{ seedId: evil, state: "GERMINATED", epoch: 1 }],
  }),
  resultOf("3", 0.9, { curve }),
  resultOf("4", 0.85, { curve }),
];

const keyOf = (index: number): string => results[index]!.key;
const plan: ExperimentPlan = {
  jobs: [],
  cells: [
    {
      host: evil,
      dataset: evil,
      damage: evil,
      damaged: true,
      randomSeed: 1,
      keys: { "no-growth": keyOf(0), grown: keyOf(1), healthy: keyOf(2), "random-place": keyOf(3) },
    },
  ],
};
const experiment = { name: evil, hurtsMin: 0.01, confidence: 0.95, bootstrapDraws: 100 };

/** Elements of a page in the order they open and close. */
const unbalanced = (html: string): readonly string[] => {
  const open: string[] = [];
  for (const [, closing, name = "", , own] of html.matchAll(/<(\/?)([a-z0-9]+)((?:\s[^<>]*?)?)(\/?)>/g)) {
    if (own === "/" || name === "meta") continue;
    if (closing === "") open.push(name);
    else if (open.at(-1) === name) open.pop();
    else open.push(`/${name}`);
  }
  return open;
};

describe("the page", () => {
  const all = new Map(results.map((result) => [result.key, result]));
  const page = reportPage(analyze(experiment, plan, all), pages);

  test("every string is escaped", () => {
    expect(page).not.toContain("<script");
    expect(page).not.toContain(`"x"`);
    expect(page.split(escapeText(evil)).length).toBeGreaterThan(8);
  });

  test("it asks nobody for anything, and every element is closed", () => {
    expect(page).not.toMatch(/(src|href)=|url\(|@import/);
    expect(page).toContain("default-src 'none'");
    expect(unbalanced(page)).toEqual([]);
    expect(unbalanced("<p><b></p>")).not.toEqual([]);
  });

  test("every plot is drawn, and no number in it is not one", () => {
    expect(page.match(/<svg /g)).toHaveLength(6);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
    expect(page).toContain("1 of 1: 100.0");
  });

  test("an experiment without results is a page that says so", () => {
    const empty = reportPage(analyze(experiment, plan, new Map()), pages);
    expect(unbalanced(empty)).toEqual([]);
    expect(empty).toContain("No arm was validated on its way.");
    expect(empty).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe("scales", () => {
  test("ticks are round and inside", () => {
    expect(linearScale(0, 1, 0, 100).ticks).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(linearScale(0.83, 0.91, 0, 100).ticks).toEqual([0.84, 0.86, 0.88, 0.9]);
    const single = linearScale(3, 3, 0, 100);
    expect(single.at(3)).toBe(50);
    expect(logScale(1, 1000, 0, 90).ticks).toEqual([1, 10, 100, 1000]);
    expect(logScale(1, 1000, 0, 90).at(10)).toBeCloseTo(30, 9);
    expect(logScale(1, 1000, 0, 90).at(0)).toBe(0);
  });
});

describe("numbers", () => {
  test("what was not measured is a dash", () => {
    expect([percent(undefined), percent(Number.NaN), meanText(undefined)]).toEqual([missing, missing, missing]);
    expect(proportionText({ successes: 0, n: 0, share: undefined, lower: 0, upper: 1 })).toBe(missing);
    expect(proportionText({ successes: 1, n: 2, share: 0.5, lower: 0.1, upper: 0.9 })).toBe("1 of 2: 50.0 [10.0, 90.0]");
    expect(meanText({ n: 1, mean: 0.5, sd: 0, lower: undefined, upper: undefined })).toBe("50.0 ± 0.0");
    expect([countText(12), countText(1234), countText(5e9)]).toEqual(["12", "1.23 k", "5.00 G"]);
  });
});
