/** A model that gets smaller in a user's program: units that earn nothing are pruned while it is fitted, and grown parts are merged on export. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { mlp } from "../../src/graph/hosts/index.ts";
import { lineageOf } from "../../src/interchange/lineage.ts";
import { exportSafetensors } from "../../src/interchange/safetensors.ts";
import { wrap } from "../../src/library/wrap.ts";
import { killUnits } from "../graph/sculpt.ts";
import { grown } from "../interchange/hosts.ts";
import { draw, expectClose, floats, runOnnx, temporaryFolder, trainedParameters } from "../interchange/support.ts";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const save = (
  name: string,
  host: Parameters<typeof trainedParameters>[0],
  parameters = trainedParameters(host, name),
): string => {
  const path = join(folder.path, `${name}.safetensors`);
  writeFileSync(path, exportSafetensors({ host, parameters, lineage: lineageOf(host, parameters) }));
  return path;
};

describe("a fit that may prune", () => {
  test("takes dead units out, says so, and predicts as well", async () => {
    const host = mlp({ name: "mlp", inputShape: [4], widths: [16, 12], classes: 4 });
    const dead = [1, 2, 5, 6, 7];
    const tensors = killUnits(host, new Map(Object.entries(trainedParameters(host, "dead"))), "h1", dead, -1);
    const path = save("dead", host, Object.fromEntries(tensors));
    const [model, alone] = [await wrap(path), await wrap(path)];
    const x = Array.from({ length: 600 }, (_, i) => [...draw([4], `points/${i}`)]);
    const data = { x, y: x.map(([a, b, c]) => (a! * b! > 0 ? 1 : 0) + (c! > 0 ? 2 : 0)) };
    const result = await model.fit(data, {
      epochs: 12,
      growth: {
        signal: { warmupSteps: 0, everyEpochs: 1000 },
        trigger: { gapMin: 1, dimensionsMax: 0, weightGainMax: 1e6 },
        kernelLeadEpochs: 0,
        stabilization: { slopeMax: 10 },
        fineTuning: { steps: 20 },
        pruning: { enabled: true, everyEpochs: 2, samples: 128 },
      },
    });
    const kept = result.transitions.filter(({ to }) => to === "FOSSILIZED").map(({ seedId }) => seedId);
    expect(kept).toContain("seed:h1.prune");
    expect(result.grown).toEqual([]);
    expect(result.decisions.find(({ outcome }) => outcome === "prune")).toMatchObject({ by: "emrakul", site: "h1" });
    const weight = model.parameters["h1/weight"]!;
    expect(weight.shape[1]).toBeLessThanOrEqual(16 - dead.length);
    await alone.fit(data, { epochs: 12, growth: false });
    expect((await model.evaluate(data)).accuracy).toBeGreaterThan((await alone.evaluate(data)).accuracy - 0.03);
    await Promise.all([model, alone].map((each) => each.dispose()));
  }, 30_000);
});

describe("export as plain layers", () => {
  test("what grew is part of its layer; the file gives the model's own predictions", async () => {
    const plain = mlp({ name: "mlp", inputShape: [6], widths: [8, 6, 7], classes: 3 });
    const model = await wrap(save("widened", grown(plain, "h1", "h2", "seed:h1", "widening")));
    const x = floats([5, 6], "x");
    const { data: ours } = await model.predict(x);
    const [beside, merged] = [join(folder.path, "beside.onnx"), join(folder.path, "merged.onnx")];
    await model.export(beside);
    await model.export(merged, { merged: true });
    expectClose(await runOnnx(readFileSync(merged), x), ours);
    const [one, other] = [await wrap(beside), await wrap(merged)];
    expect(one.adapters().map(({ seedId }) => seedId)).toEqual(["seed:h1"]);
    expect(other.adapters()).toEqual([]);
    expect(other.parameters["h1/weight"]!.shape).toEqual([6, 12]);
    await model.export(join(folder.path, "named"), { format: "tfjs", merged: true });
    expectClose((await (await wrap(join(folder.path, "named"))).predict(x)).data, ours);
    await Promise.all([model, one, other].map((each) => each.dispose()));
  });
});
