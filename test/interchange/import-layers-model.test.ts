/** Models that tensorflow.js made give the same logits once they are hosts of ours. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Tensor } from "../../src/contracts/graph.ts";
import type { ImportedModel } from "../../src/interchange/imported.ts";
import { importLayersModel, importLayersModelFile } from "../../src/interchange/layers-model/import.ts";
import { draw, expectClose, floats, loadTf, logitsOf, random, temporaryFolder, toChannelsLast } from "./support.ts";

let tf: typeof tfjs;
const folder = temporaryFolder();
beforeAll(async () => {
  tf = await loadTf();
});
afterAll(() => folder.remove());

/** Weights as if trained: nothing is at its first value. */
const shake = (model: tfjs.LayersModel, label: string): void => {
  model.setWeights(
    model.getWeights().map((weight, i) => {
      const values = draw(weight.shape as number[], `${label}/${i}`, 0.3);
      return tf.tensor(
        Array.from(values, (value) => (weight.shape.length === 1 ? Math.abs(value) + 0.2 : value)),
        weight.shape as number[],
      );
    }),
  );
};

/** Logits that the model itself gives: its softmax undone, up to a constant a row. */
const sourceOutput = (model: tfjs.LayersModel, x: Tensor): Float32Array => {
  const rank = x.shape.length;
  const shape = rank === 4 ? [x.shape[0]!, x.shape[2]!, x.shape[3]!, x.shape[1]!] : [...x.shape];
  const data = rank === 4 ? toChannelsLast(x) : x.data;
  const input = tf.tensor(data as Float32Array, shape, x.dtype);
  return (model.predict(input) as tfjs.Tensor).dataSync() as Float32Array;
};

const softmax = (logits: Float32Array, classes: number): Float32Array => {
  const result = new Float32Array(logits.length);
  for (let row = 0; row < logits.length; row += classes) {
    const line = Array.from(logits.subarray(row, row + classes));
    const largest = Math.max(...line);
    const total = line.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    line.forEach((value, i) => {
      result[row + i] = Math.exp(value - largest) / total;
    });
  }
  return result;
};

const agree = async (model: tfjs.LayersModel, imported: ImportedModel, x: Tensor): Promise<void> =>
  expectClose(await logitsOf(imported.host, imported.parameters, x), sourceOutput(model, x));

const sites = ({ host }: ImportedModel): string[] => host.layers.map(({ name, kind }) => `${name}:${kind}`);

describe("Sequential", () => {
  test("an MLP: its softmax is dropped and said so, its layers keep their names", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [12], units: 8, activation: "relu", name: "first" }),
        tf.layers.dropout({ rate: 0.3 }),
        tf.layers.dense({ units: 6, activation: "tanh", name: "second.1" }),
        tf.layers.dense({ units: 3, activation: "softmax", name: "probabilities" }),
      ],
    });
    shake(model, "mlp");
    const imported = await importLayersModel(model);
    expect(imported.notes.join()).toContain("softmax of probabilities");
    expect(sites(imported)).toEqual(["first:dense", "second-1:dense", "output:output"]);
    expect(imported.host.layers[0]).toMatchObject({ output: "first/activation", parameters: ["first/weight", "first/bias"] });
    const x = floats([4, 12], "x");
    const logits = await logitsOf(imported.host, imported.parameters, x);
    expectClose(softmax(logits, 3), sourceOutput(model, x));
  });

  test("a CNN with same padding, batch normalisation, pooling and a flatten whose rows change order", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({
          inputShape: [9, 8, 3],
          filters: 4,
          kernelSize: 3,
          strides: 2,
          padding: "same",
          useBias: false,
          name: "c1",
        }),
        tf.layers.batchNormalization({ name: "n1" }),
        tf.layers.activation({ activation: "relu" }),
        tf.layers.conv2d({ filters: 5, kernelSize: [2, 3], padding: "same", activation: "relu", name: "c2" }),
        tf.layers.maxPooling2d({ poolSize: 2 }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 7, activation: "gelu" as "relu", name: "hidden" }),
        tf.layers.dense({ units: 4, name: "logits" }),
      ],
    });
    shake(model, "cnn");
    const imported = await importLayersModel(model);
    expect(imported.inputShape).toEqual([3, 9, 8]);
    expect(sites(imported)).toEqual(["c1:conv2d", "c2:conv2d", "hidden:dense", "output:output"]);
    const c1 = imported.host.layers[0]!;
    expect(c1.preActivation).toBe("n1/normalised");
    expect(c1.parameters).toHaveLength(5);
    await agree(model, imported, floats([3, 3, 9, 8], "images"));
  });

  test("depthwise, separable, zero padding, average pooling, leaky relu, layer normalisation", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.zeroPadding2d({
          inputShape: [6, 6, 2],
          padding: [
            [1, 2],
            [0, 3],
          ],
        }),
        tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, strides: 1, padding: "same", name: "depth" }),
        tf.layers.leakyReLU({ alpha: 0.2 }),
        tf.layers.separableConv2d({ filters: 6, kernelSize: 3, padding: "same", activation: "relu6", name: "separable" }),
        tf.layers.averagePooling2d({ poolSize: [3, 3], strides: [2, 2] }),
        tf.layers.layerNormalization({ axis: -1 }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.dense({ units: 3 }),
      ],
    });
    shake(model, "depthwise");
    await agree(model, await importLayersModel(model), floats([2, 2, 6, 6], "small"));
  });

  test("an image without channels is reshaped to a map; a flattened map that is normalised gets Keras's order", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.reshape({ inputShape: [6, 4], targetShape: [6, 4, 1] }),
        tf.layers.conv2d({ filters: 3, kernelSize: 3, activation: "tanh" }),
        tf.layers.flatten(),
        tf.layers.batchNormalization({}),
        tf.layers.dense({ units: 2 }),
      ],
    });
    shake(model, "reshape");
    await agree(model, await importLayersModel(model), floats([3, 6, 4], "flat"));
  });

  test("tokens: an embedding and a dense layer for each of them, logits of every token", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.embedding({ inputDim: 11, outputDim: 6, inputLength: 5 }),
        tf.layers.layerNormalization({ axis: -1 }),
        tf.layers.dense({ units: 8, activation: "gelu_new" as "relu" }),
        tf.layers.dense({ units: 11 }),
      ],
    });
    shake(model, "tokens");
    const imported = await importLayersModel(model);
    expect(imported.host).toMatchObject({ rows: 5, classes: 11 });
    const ids = Int32Array.from({ length: 15 }, () => random.integer(11));
    const x: Tensor = { dtype: "int32", shape: [3, 5], data: ids };
    await agree(model, imported, x);
  });
});

describe("functional", () => {
  const residual = (): tfjs.LayersModel => {
    const input = tf.input({ shape: [8, 8, 3], name: "picture" });
    const stem = tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: "same", activation: "relu", name: "stem" }).apply(input);
    const a = tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: "same", useBias: false, name: "a" }).apply(stem);
    const n = tf.layers.batchNormalization({ name: "an" }).apply(a) as tfjs.SymbolicTensor;
    const sum = tf.layers.add().apply([stem as tfjs.SymbolicTensor, n]);
    const joined = tf.layers.concatenate().apply([sum as tfjs.SymbolicTensor, stem as tfjs.SymbolicTensor]);
    const pooled = tf.layers.globalAveragePooling2d({}).apply(joined);
    const output = tf.layers.dense({ units: 5, name: "head" }).apply(pooled) as tfjs.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: output });
    shake(model, "residual");
    return model;
  };

  test("a residual block with a concatenation", async () => {
    const model = residual();
    const imported = await importLayersModel(model);
    expect(sites(imported)).toEqual(["stem:conv2d", "a:conv2d", "output:output"]);
    // The stem's output is read three times: its pre-activation is still its own.
    expect(imported.host.layers[0]!.output).toBe("stem/activation");
    await agree(model, imported, floats([2, 3, 8, 8], "residual"));
  });

  test("from model.json and weight files, in shards and quantised", async () => {
    const model = residual();
    const path = join(folder.path, "residual");
    mkdirSync(path);
    await model.save({
      save: async (artifacts) => {
        const bytes = new Uint8Array(artifacts.weightData as ArrayBuffer);
        const cut = 4 * Math.floor(bytes.length / 12);
        writeFileSync(join(path, "a.bin"), bytes.subarray(0, cut));
        writeFileSync(join(path, "b.bin"), bytes.subarray(cut));
        const weightsManifest = [{ paths: ["a.bin", "b.bin"], weights: artifacts.weightSpecs }];
        const json = { format: "layers-model", modelTopology: { model_config: artifacts.modelTopology }, weightsManifest };
        writeFileSync(join(path, "model.json"), JSON.stringify(json));
        return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
      },
    });
    const x = floats([2, 3, 8, 8], "residual");
    await agree(model, await importLayersModelFile(join(path, "model.json")), x);

    const json = JSON.parse(readFileSync(join(path, "model.json"), "utf8"));
    const weights: { name: string; shape: number[] }[] = json.weightsManifest[0].weights;
    const whole = Buffer.concat([readFileSync(join(path, "a.bin")), readFileSync(join(path, "b.bin"))]);
    const values = new Float32Array(whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length));
    const [min, max] = [Math.min(...values), Math.max(...values)];
    const scale = (max - min) / 65_535;
    writeFileSync(
      join(path, "q.bin"),
      Buffer.from(Uint16Array.from(values, (value) => Math.round((value - min) / scale)).buffer),
    );
    json.weightsManifest = [
      {
        paths: ["q.bin"],
        weights: weights.map((each) => ({ ...each, dtype: "float32", quantization: { dtype: "uint16", scale, min } })),
      },
    ];
    writeFileSync(join(path, "quantised.json"), JSON.stringify(json));
    const imported = await importLayersModelFile(join(path, "quantised.json"));
    expect(imported.notes.join()).toContain("uint16");
    expectClose(await logitsOf(imported.host, imported.parameters, x), sourceOutput(model, x), 2e-3);
  });
});

describe("what is refused, by name", () => {
  const dense = (units: number) => tf.layers.dense({ units, name: `d${units}` });

  test.each([
    [
      "a recurrent layer",
      () => [tf.layers.lstm({ inputShape: [4, 3], units: 5, name: "memory" }), dense(2)],
      /LSTM memory: expected one of the layers/,
    ],
    [
      "an activation",
      () => [tf.layers.dense({ inputShape: [4], units: 5, activation: "selu", name: "odd" }), dense(2)],
      /Dense odd.*activations.*selu/,
    ],
    [
      "overlapping pooling",
      () => [
        tf.layers.maxPooling2d({ inputShape: [6, 6, 1], poolSize: 3, strides: 1, name: "pool" }),
        tf.layers.flatten(),
        dense(2),
      ],
      /MaxPooling2D pool.*side by side/,
    ],
    [
      "no dense layer at the end",
      () => [
        tf.layers.conv2d({ inputShape: [4, 4, 1], filters: 2, kernelSize: 3, name: "c" }),
        tf.layers.globalAveragePooling2d({}),
      ],
      /dense layer that makes the logits/,
    ],
  ])("%s", async (_, layers, message) => {
    await expect(importLayersModel(tf.sequential({ layers: layers() }))).rejects.toThrow(message);
  });

  test("missing files, truncated weights, files of another kind", async () => {
    await expect(importLayersModelFile(join(folder.path, "nothing.json"))).rejects.toThrow(/nothing\.json.*check the path/);
    const text = join(folder.path, "text.json");
    writeFileSync(text, "no json");
    await expect(importLayersModelFile(text)).rejects.toThrow(/text\.json: expected JSON/);
    writeFileSync(text, JSON.stringify({ format: "graph-model", modelTopology: {}, weightsManifest: [] }));
    await expect(importLayersModelFile(text)).rejects.toThrow(/expected the format layers-model/);
    writeFileSync(join(folder.path, "w.bin"), Buffer.alloc(4));
    const weights = [{ name: "d/kernel", shape: [2, 2], dtype: "float32" }];
    writeFileSync(text, JSON.stringify({ modelTopology: {}, weightsManifest: [{ paths: ["w.bin"], weights }] }));
    await expect(importLayersModelFile(text)).rejects.toThrow(/weight d\/kernel: expected 16 bytes from byte 0, found 4/);
    writeFileSync(text, JSON.stringify({ modelTopology: {}, weightsManifest: [{ paths: ["../w.bin"], weights }] }));
    await expect(importLayersModelFile(text)).rejects.toThrow(/in its own folder/);
  });
});
