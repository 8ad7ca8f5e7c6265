/** What the growth bench says of figures that jobs are missing from, and of suites that were not run. */
import { expect, test } from "vitest";
import { growthTable, heldToAllJobs } from "../../bench/growth.ts";
import { suites } from "../../bench/growth-suites.ts";

const row = (met: boolean | undefined) => ({ what: "found", reach: "≥ 95 %", measured: "60 of 60", met });

test("a figure that jobs are missing from is a miss; one that has nothing to reach stays without a verdict", () => {
  expect(heldToAllJobs([row(true), row(undefined)], 2)).toEqual([
    { ...row(false), measured: "60 of 60; 2 jobs failed or were not run" },
    { ...row(undefined), measured: "60 of 60; 2 jobs failed or were not run" },
  ]);
  expect(heldToAllJobs([row(true)], 0)).toEqual([row(true)]);
});

test("only a run of all suites says that nothing was missed; others name what was not run", () => {
  const outcomes = suites.map((suite) => ({
    suite,
    rows: [row(true)],
    failed: [],
    report: undefined,
    seconds: 1,
    stopped: false,
  }));
  expect(growthTable(outcomes)).toContain("Nothing was missed.");
  const some = growthTable(outcomes.slice(1));
  expect(some).not.toContain("Nothing was missed.");
  expect(some).toContain(`Not run, and so not reached: ${suites[0]!.title}.`);
});
