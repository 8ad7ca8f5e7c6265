/** A merged model gives the same logits from fewer parts, here and where it is loaded. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { mlp } from "../../src/graph/hosts/index.ts";
import { importModel } from "../../src/interchange/import-model.ts";
import { exportLayersModel } from "../../src/interchange/layers-model/export.ts";
import { lineageOf } from "../../src/interchange/lineage.ts";
import { mergedModel } from "../../src/interchange/merged.ts";
import { exportOnnx } from "../../src/interchange/onnx/export.ts";
import { importOnnx } from "../../src/interchange/onnx/import.ts";
import { type Case, cases, grown, parametersOf } from "./hosts.ts";
import { expectClose, floats, logitsOf, runOnnx, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const plain = mlp({ name: "mlp", inputShape: [6], widths: [8, 6, 7], classes: 3 });
const widened: Case = { name: "widened", host: grown(plain, "h1", "h2", "seed:h1", "widening"), x: floats([3, 6], "widened") };
const normalized = cases.find(({ name }) => name === "cnn with batch normalisation")!;
const request = (each: Case) => {
  const parameters = parametersOf(each);
  return { host: each.host, parameters, lineage: lineageOf(each.host, parameters, { runId: "r-1" }) };
};

describe("mergedModel", () => {
  test.each([widened, ...cases])("$name: the same logits in onnxruntime, within 1e-4", async (each) => {
    const wanted = request(each);
    const merged = mergedModel(wanted);
    expectClose(await runOnnx(exportOnnx(merged), each.x, "float32"), await logitsOf(each.host, wanted.parameters, each.x));
  });

  test("a bypass that widens a layer becomes part of it; the lineage still tells of it, with the hashes of what is written", () => {
    const wanted = request(widened);
    const merged = mergedModel(wanted);
    expect(merged.merged).toEqual([expect.stringMatching(/^seed:h1 into h1/)]);
    expect(merged.kept).toEqual([]);
    expect(merged.host.graph.parameters.map(({ cohort }) => cohort)).not.toContain("seed:h1");
    expect(merged.parameters["h1/weight"]!.shape).toEqual([6, 12]);
    expect(merged.lineage.seeds).toEqual(wanted.lineage.seeds);
    expect(merged.lineage.hostHash).not.toBe(wanted.lineage.hostHash);
    const back = importOnnx(exportOnnx(merged), "merged");
    expect(back.host).toEqual(merged.host);
    expect(back.lineage).toEqual(merged.lineage);
  });

  test("normalisation is gone, and a LayersModel holds what is left", async () => {
    const wanted = request(normalized);
    const merged = mergedModel(wanted);
    expect(wanted.host.graph.nodes.filter(({ op }) => op === "batchNorm")).toHaveLength(3);
    expect(merged.host.graph.nodes.filter(({ op }) => op === "batchNorm")).toEqual([]);
    const path = join(folder.path, "merged");
    mkdirSync(path, { recursive: true });
    for (const [name, bytes] of Object.entries(exportLayersModel(merged))) writeFileSync(join(path, name), bytes);
    expect(merged.merged).toHaveLength(3);
    const back = await importModel(path);
    expectClose(
      await logitsOf(back.host, back.parameters, normalized.x),
      await logitsOf(normalized.host, wanted.parameters, normalized.x),
    );
  });

  test("what cannot be merged stays, with the reason", () => {
    const beside = cases.find(({ name }) => name === "mlp with a folded bypass")!;
    const merged = mergedModel(request(beside));
    expect(merged.kept).toEqual([{ seedId: "seed:h1", reason: expect.stringMatching(/\w{3}/) }]);
    expect(merged.host.graph.parameters.map(({ cohort }) => cohort)).toContain("seed:h1");
  });

  test("a model that is not complete is refused", () => {
    const wanted = request(widened);
    const { "h1/weight": _gone, ...parameters } = wanted.parameters;
    expect(() => mergedModel({ ...wanted, parameters })).toThrow(/expected the parameter h1\/weight/);
  });
});
