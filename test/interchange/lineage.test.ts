/** What a saved model tells of the seeds that were kept. */
import { expect, test } from "vitest";
import { FieldReport } from "../../src/contracts/assets.ts";
import { mlp } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { createRandom } from "../../src/graph/random.ts";
import { Lineage, lineageOf } from "../../src/interchange/lineage.ts";

const host = mlp({ name: "m", inputShape: [4], widths: [5, 5], classes: 3 });
const parameters = Object.fromEntries(initializeParameters(host.graph.parameters, createRandom(1)));

const report = (seedId: string, kind: "replacement" | "dense", outcome: "FOSSILIZED" | "CULLED"): FieldReport =>
  FieldReport.parse({
    runId: "r",
    seedId,
    site: "h2",
    fromSite: "h2",
    toSite: "h2",
    blueprint: { kind, hiddenWidth: 5, initialization: "he" },
    outcome,
    reason: "for the test",
    measuredGain: { mean: 0.2, lower: 0.1, upper: 0.3, confidence: 0.99, samples: 10, lossWithout: 1, lossWith: 0.8 },
    history: [],
    trialFlops: 1,
  });

test("a layer that was replaced is told of, although the host's graph has nothing of its seed", () => {
  const lineage = lineageOf(host, parameters, { fieldReports: [report("seed:h2", "replacement", "FOSSILIZED")] });
  expect(lineage.seeds).toEqual([
    {
      seedId: "seed:h2",
      parameters: 0,
      fromSite: "h2",
      toSite: "h2",
      blueprint: { kind: "replacement", hiddenWidth: 5, initialization: "he" },
      lossGain: 0.2,
    },
  ]);
  expect(Lineage.parse(lineage)).toEqual(lineage);
});

test("what was culled, and a bypass that is gone again, are not", () => {
  const fieldReports = [report("seed:h1", "replacement", "CULLED"), report("seed:h2", "dense", "FOSSILIZED")];
  expect(lineageOf(host, parameters, { fieldReports }).seeds).toEqual([]);
});
