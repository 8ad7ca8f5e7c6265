/** A damaged layer is found and repaired by a whole node; its event log alone tells the story. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Report } from "../../src/contracts/report.ts";
import { Report as ReportSchema } from "../../src/contracts/report.ts";
import { buildReportArm } from "../../src/policy/report.ts";
import { readEventLog } from "../../src/store/event-log.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import { smallConfig, startNode, type TestNode, temporaryFolder } from "./support.ts";

describe("a node with a damaged host", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let node: TestNode;
  let report: Report;

  beforeAll(async () => {
    folder = await temporaryFolder();
    node = startNode(smallConfig(folder.path, { arms: ["no-growth", "grown", "healthy"] }), {
      reportFile: `${folder.path}/report.json`,
    });
    report = (await node.done).report;
  });
  afterAll(() => folder.remove());

  it("finds the damaged layer, keeps the repair, and says so in a report that fits its schema", () => {
    expect(() => ReportSchema.parse(report)).not.toThrow();
    const [alone, grown, healthy] = report.arms;
    expect(report.damage).toEqual({ sites: ["h2"], kind: "dead", live: 1, layers: 1 });
    expect(grown?.damageFound).toBe(true);
    expect(grown?.seeds.map(({ id, outcome }) => ({ id, outcome }))).toEqual([{ id: "seed:h2", outcome: "FOSSILIZED" }]);
    const gap = healthy!.testAccuracy! - alone!.testAccuracy!;
    expect(gap).toBeGreaterThan(0.1);
    expect((grown!.testAccuracy! - alone!.testAccuracy!) / gap).toBeGreaterThan(0.7);
  });

  it("charges all arms within one FLOPs budget, growth's own included", () => {
    const used = report.arms.map(({ trainFlops }) => trainFlops);
    const budget = Math.max(...used);
    for (const flops of used) expect(flops).toBeGreaterThan(0.97 * budget);
    const { flops } = report.arms[1]!;
    for (const part of [flops.kernel, flops.trial, flops.signal, flops.gate]) expect(part).toBeGreaterThan(0);
    expect(flops.total).toBe(flops.host + flops.kernel + flops.trial + flops.signal + flops.gate);
  });

  it("writes an event log that alone rebuilds every seed's state and the report's arm", async () => {
    for (const arm of report.arms) {
      const events = readEventLog(nodeFileSystem, arm.eventLog);
      const states = await replaySeeds(events);
      expect(Object.fromEntries(states)).toEqual(Object.fromEntries(arm.seeds.map(({ id, outcome }) => [id, outcome])));
      const again = [];
      for await (const envelope of readEventLog(nodeFileSystem, arm.eventLog)) again.push(envelope);
      expect(buildReportArm(again, arm.eventLog)?.arm).toEqual(arm);
    }
  });

  it("walks the seed through every state of the trial, each with its reason", () => {
    const history = report.arms[1]!.seeds[0]!.history;
    expect(history.map(({ state }) => state)).toEqual([
      "GERMINATED",
      "LOADING",
      "TRAINING",
      "GRAFTING",
      "STABILIZATION",
      "EVALUATING",
      "FINE_TUNING",
      "FOSSILIZED",
    ]);
    for (const { reason } of history) expect(reason).not.toBe("");
  });
});
