/** Each bench in its short form: it runs, and what it returns is complete. No figure is judged here. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { benchDecision, decisionTable } from "../../bench/decision.ts";
import { benchDormant, dormantTable } from "../../bench/dormant.ts";
import { benchForge, forgeTable } from "../../bench/forge.ts";
import { benchGrowth, growthTable } from "../../bench/growth.ts";
import { suites } from "../../bench/growth-suites.ts";
import { benchLedger, ledgerTable } from "../../bench/ledger.ts";
import { withPart, withSections } from "../../bench/results-file.ts";

const finite = (values: readonly number[]): void => {
  for (const value of values) expect(Number.isFinite(value)).toBe(true);
};

describe("the benches, short", () => {
  it("decision: every case decides, and each row stands in the table", () => {
    const rows = benchDecision({ decisions: 50 });
    for (const row of rows) {
      finite([row.p50Ms, row.p99Ms]);
      expect(row.commands).toBeGreaterThan(0);
      expect(decisionTable(rows)).toContain(`${row.sites} × ${row.seedsPerSite}`);
    }
  });

  it("dormant: 1, 10 and 100 seeds against the host alone", async () => {
    const rows = await benchDormant({ rounds: 2 });
    expect(rows.map(({ seeds }) => seeds)).toEqual([1, 10, 100]);
    finite(rows.flatMap(({ stepMs, overhead }) => [stepMs, overhead]));
    expect(dormantTable(rows).split("\n")).toHaveLength(5);
  });

  it("forge: kernels are compiled beside training, loaded, and found in the lane's cache", async () => {
    const bench = await benchForge({ rounds: 1, epochSteps: 20 });
    finite(Object.values(bench));
    expect(bench.kernels).toBeGreaterThan(2);
    expect(forgeTable(bench)).toContain("cache");
  });

  it("ledger: told beside the plain write, verified and replayed whole", async () => {
    const bench = await benchLedger({ commands: 5, rounds: 2, entries: 200 });
    finite(Object.values(bench));
    expect(bench.entries).toBe(201);
    expect(ledgerTable(bench).split("\n")).toHaveLength(7);
  });

  it("growth: a suite of two hosts and three arms fills in its rows, and goes on from what is there", async () => {
    const out = mkdtempSync(join(tmpdir(), "esper-bench-"));
    try {
      const options = { quick: true, only: ["rank"], lanes: 2, out, cifar10Dir: undefined, datasetsFolder: ".esper/datasets" };
      const lines: string[] = [];
      const [outcome, ...others] = await benchGrowth({ ...options, onLine: (line) => lines.push(line) });
      expect(others).toEqual([]);
      expect(outcome).toMatchObject({ suite: { name: "rank" }, failed: [], stopped: false });
      expect(lines).toHaveLength(6);
      expect(outcome?.rows.map(({ measured }) => measured)).toEqual([
        expect.stringMatching(/over \d hosts/),
        expect.stringMatching(/of 2: /),
      ]);
      expect(growthTable([outcome!])).toMatch(
        /recovered share, rank-2 damage \| mean ≥ 70 % \| .* \| (yes|\*\*missed\*\*) \| rank/,
      );
      await benchGrowth({ ...options, onLine: (line) => lines.push(line) });
      expect(lines).toHaveLength(6);
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  }, 120_000);

  it("growth: every suite has cells of its own, or says what is missing, and a figure that was not measured is a miss", async () => {
    const sources = { quick: false, cifar10Dir: "cifar", textFile: "text.txt" };
    for (const suite of suites) {
      const cells = suite.cells(sources);
      expect("reason" in cells ? 0 : cells.length).toBeGreaterThanOrEqual(10);
    }
    const out = mkdtempSync(join(tmpdir(), "esper-bench-"));
    const [outcome] = await benchGrowth({
      quick: true,
      only: ["resnet"],
      lanes: 1,
      out,
      cifar10Dir: undefined,
      datasetsFolder: out,
    });
    rmSync(out, { recursive: true, force: true });
    expect(outcome?.rows).toEqual([expect.objectContaining({ met: false, measured: expect.stringContaining("--cifar10-dir") })]);
    expect(growthTable([outcome!])).toContain("Missed: Narrow ResNet-18");
  });

  it("results: a part replaces itself and leaves the others alone", () => {
    const first = withPart("# Results\n", "a", "one");
    const both = withPart(first, "b", "two");
    expect(withPart(both, "a", "three")).toBe(both.replace("one", "three"));
    expect(both).toContain("<!-- b: begin -->\n\ntwo\n\n<!-- b: end -->");
  });
});

describe("a bench that ran alone", () => {
  it("writes its own sections, in their places, and leaves the others", () => {
    const before = "head\n\n## one\n\nold 1\n\n### part of one\n\n## two\n\nold 2";
    expect(withSections(before, ["## two\n\nnew 2\n", "## three\n\nnew 3\n"])).toBe(
      "head\n\n## one\n\nold 1\n\n### part of one\n\n## two\n\nnew 2\n\n## three\n\nnew 3",
    );
    expect(withSections("head", ["## one\n\nnew"])).toBe("head\n\n## one\n\nnew");
  });
});
