/** A whole node prunes: Emrakul looks, proposes over the bus, the forge compiles, Urabrask measures, and a smaller host trains on. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Report } from "../../src/contracts/report.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import {
  hashTensors,
  patientForge,
  payloadsOf,
  readCheckpoint,
  readLog,
  smallConfig,
  startNode,
  type TestNode,
  temporaryFolder,
} from "./support.ts";

const seedId = "seed:h2.prune";

/** Half of h2's units are dead; growth is turned down, so that only prunings are tried. */
const configFor = (dataDir: string) =>
  smallConfig(dataDir, {
    damage: { site: "h2", kind: "dead", live: 16 },
    optimization: { epochs: 24, epochSteps: 47 },
    morphogenetic: {
      signal: { samples: 512, warmupSteps: 90, everyEpochs: 1000 },
      trigger: { gapMin: 1, dimensionsMax: 0, weightGainMax: 1e6, exclude: ["h1", "h3"] },
      grafting: { steps: 24 },
      // Batches of a small loss are noisy; what is tried here moves nothing.
      stabilization: { slopeMax: 10 },
      fineTuning: { steps: 50 },
      pruning: { enabled: true, everyEpochs: 4 },
      embargo: { epochs: 1000 },
      ...patientForge,
    },
    checkpoint: { everyEpochs: 2, keep: 60 },
  });

describe("a node that may prune", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let node: TestNode;
  let report: Report;

  beforeAll(async () => {
    folder = await temporaryFolder();
    node = startNode(configFor(`${folder.path}/node`));
    report = (await node.done).report;
  });
  afterAll(() => folder.remove());

  it("Emrakul finds the dead units and the trial keeps the smaller host", async () => {
    const decision = node.payloads("system.events.decision").find(({ outcome }) => outcome === "prune");
    expect(decision).toMatchObject({ by: "emrakul", site: "h2", seedId, reason: expect.stringMatching(/^16 units of h2/) });
    const seed = report.arms[0]!.seeds.find(({ id }) => id === seedId)!;
    expect(seed.history.map(({ state }) => state)).toEqual([
      "GERMINATED",
      "LOADING",
      "GRAFTING",
      "STABILIZATION",
      "EVALUATING",
      "FINE_TUNING",
      "FOSSILIZED",
    ]);
    const hosts = node.payloads("system.events.epoch").flatMap(({ result }) => result.host ?? []);
    expect(hosts[0]!.sites.find(({ site }) => site === "h2")!.width).toBe(16);
    expect(report.arms[0]).toMatchObject({ outcome: "done", triggers: 0, parameters: hosts.at(-1)!.parameters });
    expect(hosts.at(-1)!.parameters).toBeLessThan(report.host.parameters);
  });

  it("tells what the parts were worth, and the log alone rebuilds the seeds", async () => {
    const log = await readLog(report.arms[0]!.eventLog);
    const looked = payloadsOf(log, "system.events.epoch").flatMap(({ result }) => result.parts ?? []);
    expect(looked[0]!.layers.map(({ site, units }) => [site, units.length])).toEqual([
      ["h1", 32],
      ["h2", 32],
      ["h3", 32],
    ]);
    expect(payloadsOf(log, "innovation.field_reports")[0]).toMatchObject({
      seedId,
      outcome: "FOSSILIZED",
      prune: { site: "h2" },
    });
    const states = await replaySeeds(
      (async function* () {
        yield* log;
      })(),
    );
    expect(states.get(seedId)).toBe("FOSSILIZED");
  });

  it("resumed from a checkpoint in the middle of the trial it ends with the same host, bit for bit", async () => {
    const transitions = node.payloads("system.events.seed").filter((told) => told.seedId === seedId);
    const last = await readCheckpoint(report.arms[0]!.checkpoint!);
    const epochOf = (state: string): number => transitions.find(({ to }) => to === state)!.epoch;
    const checkpoint = node
      .payloads("system.events.run")
      .flatMap((event) => (event.kind === "checkpoint" ? [event] : []))
      .find(({ epoch }) => epoch >= epochOf("GRAFTING") && epoch < epochOf("FOSSILIZED"))!;
    const again = startNode(configFor(`${folder.path}/node`), { resume: checkpoint.file });
    const resumed = (await again.done).report;
    const end = await readCheckpoint(resumed.arms[0]!.checkpoint!);
    expect(hashTensors(end.tensors)).toEqual(hashTensors(last.tensors));
    expect(resumed.arms[0]!.seeds.find(({ id }) => id === seedId)!.outcome).toBe("FOSSILIZED");
  });
});
