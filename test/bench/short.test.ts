/** Each bench in its short form: it runs, and what it returns is complete. No figure is judged here. */
import { describe, expect, it } from "vitest";
import { benchDecision, decisionTable } from "../../bench/decision.ts";
import { benchDormant, dormantTable } from "../../bench/dormant.ts";
import { benchForge, forgeTable } from "../../bench/forge.ts";
import { benchRescue, rescueTable } from "../../bench/growth-rescue.ts";

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

  it("rescue: one random seed, its damaged layer found and its repair kept within the FLOPs of the other arms", async () => {
    const rows: string[] = [];
    const summary = await benchRescue({ name: "mnist", seeds: 1, first: 2, epochs: 6, onRow: (_, line) => rows.push(line) });
    expect(rows).toHaveLength(1);
    expect(summary).toMatchObject({ randomSeeds: 1, found: 1, kept: 1, falseTriggers: 0, falseKept: 0 });
    expect(rescueTable([summary])).toContain("1 of 1");
  }, 120_000);
});
