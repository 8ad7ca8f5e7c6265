/** What is exported gives our logits where it is loaded: ONNX in onnxruntime, a LayersModel in tensorflow.js, safetensors in Esper. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Host } from "../../src/contracts/graph.ts";
import { decodeModel } from "../../src/engine/onnx/decode.ts";
import { importModel } from "../../src/interchange/import-model.ts";
import { exportLayersModel } from "../../src/interchange/layers-model/export.ts";
import { type Lineage, lineageOf } from "../../src/interchange/lineage.ts";
import { exportOnnx } from "../../src/interchange/onnx/export.ts";
import { importOnnx } from "../../src/interchange/onnx/import.ts";
import { exportSafetensors } from "../../src/interchange/safetensors.ts";
import { type Case, cases, parametersOf, tokenCase } from "./hosts.ts";
import { expectClose, loadTf, logitsOf, runOnnx, temporaryFolder, toChannelsLast } from "./support.ts";

let tf: typeof tfjs;
const folder = temporaryFolder();
beforeAll(async () => {
  tf = await loadTf();
});
afterAll(() => folder.remove());

const request = (each: Case) => {
  const parameters = parametersOf(each);
  return { host: each.host, parameters, lineage: lineageOf(each.host, parameters, { runId: "r-1" }) };
};

describe.each([...cases, tokenCase])("$name as ONNX", (each) => {
  const { x, host } = each;
  const wanted = request(each);

  test("onnxruntime gives our logits, for this batch and for another", async () => {
    const bytes = exportOnnx(wanted);
    const dtype = x.dtype === "int32" ? "int32" : "float32";
    expectClose(await runOnnx(bytes, x, dtype), await logitsOf(host, wanted.parameters, x));
    const sample = x.data.length / x.shape[0]!;
    const one = { ...x, shape: [1, ...x.shape.slice(1)], data: x.data.slice(0, sample) };
    expectClose(await runOnnx(bytes, one, dtype), await logitsOf(host, wanted.parameters, one));
  });

  test("Esper reads back the very host and parameters", () => {
    const back = importOnnx(exportOnnx(wanted), "again");
    expect(back.host).toEqual(host);
    expect(back.parameters).toEqual(wanted.parameters);
    expect(back.lineage).toEqual(wanted.lineage);
  });
});

describe.each(cases)("$name read by its operators, as an ONNX file from elsewhere", (each) => {
  test("gives the same logits and finds the layers", async () => {
    const wanted = request(each);
    const bytes = exportOnnx(wanted);
    // Without the metadata: the field that holds them is at the end of the file.
    const end = Buffer.from(bytes).indexOf(Buffer.from("esper.host"));
    const stripped = bytes.subarray(0, lastFieldStart(bytes, end));
    expect(decodeModel(stripped, "stripped").metadataProps).toEqual([]);
    const back = importOnnx(stripped, "stripped");
    expectClose(await logitsOf(back.host, back.parameters, each.x), await logitsOf(each.host, wanted.parameters, each.x));
    const ours = each.host.layers.map(({ name }) => name);
    expect(back.host.layers.map(({ name }) => name)).toEqual(expect.arrayContaining(ours));
  });
});

/** Where the field 14 (metadata) begins that holds a text at `position`: its tag 0x72 stands a few bytes before. */
const lastFieldStart = (bytes: Uint8Array, position: number): number => {
  for (let at = position - 1; at > position - 16; at--) if (bytes[at] === 0x72) return at;
  throw new Error("expected the metadata's tag");
};

describe.each(cases)("$name as a LayersModel", (each) => {
  const write = (host: Host): string => {
    const path = join(folder.path, each.name.replaceAll(" ", "-"));
    mkdirSync(path, { recursive: true });
    const parameters = parametersOf(each);
    const files = exportLayersModel({ host, parameters, lineage: lineageOf(host, parameters) });
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(path, name), bytes);
    return path;
  };

  test("tensorflow.js gives our logits, and Esper reads it back", async () => {
    const { host, x } = each;
    const path = write(host);
    const parameters = parametersOf(each);
    const ours = await logitsOf(host, parameters, x);
    const model = await tf.loadLayersModel(fromFolder(path));
    const [n, c, h, w] = x.shape;
    const input = tf.tensor(toChannelsLast(x), [n!, h!, w!, c!]);
    expectClose((model.predict(input) as tfjs.Tensor).dataSync(), ours);
    const metadata = model.getUserDefinedMetadata() as { readonly esper: Lineage };
    expect(metadata.esper.seeds.map(({ seedId }) => seedId)).toEqual(
      each.name.includes("bypass") ? [expect.stringMatching(/^seed:/)] : [],
    );

    const back = await importModel(path);
    expect(back.host.layers.map(({ name }) => name)).toEqual(expect.arrayContaining(host.layers.map(({ name }) => name)));
    expectClose(await logitsOf(back.host, back.parameters, x), ours);
  });
});

/** tensorflow.js reads over the network unless it is handed the artifacts. */
const fromFolder = (path: string): tfjs.io.IOHandler => ({
  load: async () => {
    const { readFileSync } = await import("node:fs");
    const json = JSON.parse(readFileSync(join(path, "model.json"), "utf8"));
    const bytes = readFileSync(join(path, "weights.bin"));
    return {
      modelTopology: json.modelTopology,
      weightSpecs: json.weightsManifest[0].weights,
      weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
      userDefinedMetadata: json.userDefinedMetadata,
    };
  },
});

describe("safetensors", () => {
  test.each([...cases, tokenCase])("$name comes back with its graph and its lineage", async (each) => {
    const wanted = request(each);
    const path = join(folder.path, "model.safetensors");
    writeFileSync(path, exportSafetensors(wanted));
    const back = await importModel(path);
    expect(back.host).toEqual(each.host);
    expect(back.parameters).toEqual(wanted.parameters);
    expect(back.lineage).toEqual(wanted.lineage);
  });
});

describe("what is refused", () => {
  test("a host with a seed in trial, missing parameters, an operator that Keras lacks", () => {
    const [first] = cases;
    const wanted = request(first!);
    const graph = {
      ...first!.host.graph,
      inputs: [...first!.host.graph.inputs, { name: "alpha:seed:h1", dtype: "float32" as const, shape: [] }],
    };
    expect(() => exportOnnx({ ...wanted, host: { ...first!.host, graph } })).toThrow(/seeds are folded in.*alpha:seed:h1/);
    const { "h1/weight": _, ...rest } = wanted.parameters;
    expect(() => exportSafetensors({ ...wanted, parameters: rest })).toThrow(/parameter h1\/weight of shape \[16, 8\], got none/);
    expect(() => exportLayersModel(request(tokenCase))).toThrow(/LayersModel export, \w+ .*: expected .*Keras has no layer/);
  });

  test("an edited ONNX file is read by its nodes, not by what Esper noted in it", async () => {
    const wanted = request(cases[0]!);
    const bytes = Buffer.from(exportOnnx(wanted));
    const at = bytes.indexOf(Buffer.from("Erf"));
    expect(at).toBeGreaterThan(0);
    bytes.write("Exp", at);
    const back = importOnnx(bytes, "edited");
    expect(back.lineage).toBeUndefined();
    expect(back.host.graph.nodes.some(({ op }) => op === "exp")).toBe(true);
  });

  test("files of another kind", async () => {
    const path = join(folder.path, "model.pt");
    writeFileSync(path, "x");
    await expect(importModel(path)).rejects.toThrow(/expected model.json.*found .pt/);
    await expect(importModel(join(folder.path, "none.onnx"))).rejects.toThrow(/none\.onnx: expected a file/);
    const broken = join(folder.path, "broken.onnx");
    writeFileSync(broken, Buffer.from([0x3a, 0xff, 0xff]));
    await expect(importModel(broken)).rejects.toThrow(/ONNX file broken: expected a protobuf model/);
  });
});
