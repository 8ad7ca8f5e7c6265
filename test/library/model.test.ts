/** A model in a user's program: wrapped, fitted, measured, exported. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lineageOf } from "../../src/interchange/lineage.ts";
import { exportOnnx } from "../../src/interchange/onnx/export.ts";
import { wrap } from "../../src/library/wrap.ts";
import { cases, parametersOf } from "../interchange/hosts.ts";
import { draw, expectClose, floats, loadTf, runOnnx, temporaryFolder } from "../interchange/support.ts";

let tf: typeof tfjs;
const folder = temporaryFolder();
beforeAll(async () => {
  tf = await loadTf();
});
afterAll(() => folder.remove());

/** Points of four numbers in four classes. */
const points = (count: number, label: string) => {
  const x = Array.from({ length: count }, (_, i) => [...draw([4], `${label}/${i}`)]);
  return { x, y: x.map(([a, b, c]) => (a! * b! > 0 ? 1 : 0) + (c! > 0 ? 2 : 0)) };
};

const data = points(600, "points");
const alone = { growth: false, batchSize: 32 } as const;

describe("a configuration", () => {
  test("is built for the data, learns them, and goes on from there in the next fit", async () => {
    const model = await wrap({ name: "mlp", widths: [16, 16] });
    await expect(model.predict([[0, 0, 0, 0]])).rejects.toThrow(/fit it first, or pass inputShape and classes/);
    const reports: number[] = [];
    const first = await model.fit(data, { ...alone, epochs: 6, onEpoch: ({ epoch }) => reports.push(epoch) });
    expect(reports).toEqual([1, 2, 3, 4, 5, 6]);
    expect(first).toMatchObject({ outcome: "done", grown: [], transitions: [] });
    expect(first.test).toBeUndefined();
    const before = await model.evaluate(data);
    expect(before.accuracy).toBeGreaterThan(0.5);
    const second = await model.fit(data, { ...alone, epochs: 12 });
    expect(second.windows[0]!.loss!).toBeLessThan(first.windows[1]!.loss!);
    const after = await model.evaluate(data);
    expect(after.accuracy).toBeGreaterThan(before.accuracy);

    const { shape, data: logits } = await model.predict(data.x);
    expect(shape).toEqual([600, 4]);
    const right = data.y.filter((label, i) => {
      const line = logits.subarray(4 * i, 4 * i + 4);
      return line.indexOf(Math.max(...line)) === label;
    });
    expect(right.length / 600).toBeCloseTo(after.accuracy, 10);
    const { data: probabilities } = await model.predict(data.x.slice(0, 1), { probabilities: true });
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
    expect(model.summary()).toMatch(
      /h1 +dense +\[N, 16\] +80\n(.|\n)*output +output +\[N, 4\] +68\n(.|\n)*420 parameters, 0 of them grown/,
    );
    await model.dispose();
  });

  test("the same seed gives the same model, bit for bit; another one another", async () => {
    const fitted = async (randomSeed: number) => {
      const model = await wrap({ name: "mlp", widths: [8] });
      await model.fit(data, { ...alone, epochs: 1, randomSeed });
      return (await model.predict(data.x)).data;
    };
    const first = await fitted(5);
    expect(await fitted(5)).toEqual(first);
    expect(await fitted(6)).not.toEqual(first);
  });

  test("images as nested arrays build a convolutional host; values make a regression", async () => {
    const images = Array.from({ length: 90 }, (_, i) => [[0, 1, 2, 3, 4, 5].map((row) => [...draw([6], `image ${i} ${row}`)])]);
    const network = await wrap({ name: "cnn", channels: [4, 4] });
    await network.fit({ x: images, y: images.map(([plane]) => (plane![0]![0]! > 0 ? 1 : 0)) }, { ...alone, epochs: 1 });
    expect(network.host.graph.inputs[0]!.shape).toEqual([-1, 1, 6, 6]);

    const curve = await wrap({ name: "mlp", widths: [16] });
    const line = { x: data.x, y: data.x.map(([a, b]) => [a! - 2 * b!]) };
    const { validation } = await curve.fit(line, { ...alone, epochs: 20, optimizer: { kind: "adam", learningRate: 0.01 } });
    expect(curve.host).toMatchObject({ task: "regression", classes: 1 });
    expect(validation!.accuracy).toBeGreaterThan(0.9);
  });

  test("an abort keeps what was trained", async () => {
    const controller = new AbortController();
    const model = await wrap({ name: "mlp", widths: [8] }, { inputShape: [4], classes: 4 });
    const before = (await model.predict(data.x)).data;
    const result = await model.fit(data, { ...alone, epochs: 50, signal: controller.signal, onEpoch: () => controller.abort() });
    expect(result).toMatchObject({ outcome: "stopped", reason: "interrupted" });
    expect(result.windows.length).toBeLessThan(3);
    expect((await model.predict(data.x)).data).not.toEqual(before);
  });
});

describe("a tf.LayersModel", () => {
  const build = (): tfjs.Sequential => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [6, 5, 2], filters: 3, kernelSize: 3, padding: "same", activation: "relu", name: "conv" }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 8, activation: "tanh", name: "hidden" }),
        tf.layers.dense({ units: 3, name: "head" }),
      ],
    });
    model.setWeights(
      model.getWeights().map((each, i) => tf.tensor(draw(each.shape as number[], `web ${i}`, 0.4), each.shape as number[])),
    );
    return model;
  };

  test("predicts as it did on its own images, is fitted without being changed, and comes back", async () => {
    const source = build();
    const model = await wrap(source);
    const images = tf.tensor(draw([80, 6, 5, 2], "web images"), [80, 6, 5, 2]);
    const wanted = (source.predict(images) as tfjs.Tensor).dataSync();
    expectClose((await model.predict(images)).data, wanted);

    const y = Array.from({ length: 80 }, (_, i) => i % 3);
    await model.fit({ x: images, y }, { ...alone, epochs: 2, batchSize: 16 });
    expect((source.predict(images) as tfjs.Tensor).dataSync()).toEqual(wanted); // M1
    const grown = (await model.predict(images)).data;
    expect(grown).not.toEqual(wanted);

    const path = join(folder.path, "web");
    expect(await model.export(path)).toEqual([join(path, "model.json"), join(path, "weights.bin")]);
    expectClose((await (await wrap(path)).predict(images)).data, grown);
    expect(model.lineage).toMatchObject({ runId: "fit-1", source: expect.stringContaining("LayersModel"), seeds: [] });
  });
});

describe("files", () => {
  test("an ONNX model is wrapped, fitted and written in every format", async () => {
    const each = cases.find(({ name }) => name === "mlp")!;
    const parameters = parametersOf(each);
    const path = join(folder.path, "mlp.onnx");
    writeFileSync(path, exportOnnx({ host: each.host, parameters, lineage: lineageOf(each.host, parameters) }));
    const model = await wrap(path);
    const x = floats([120, 1, 4, 4], "fit");
    await model.fit({ x, y: Int32Array.from({ length: 120 }, (_, i) => i % 3) }, { ...alone, epochs: 1 });
    const { data: ours } = await model.predict(x);
    await model.export(join(folder.path, "out.onnx"));
    const { readFileSync } = await import("node:fs");
    expectClose(await runOnnx(readFileSync(join(folder.path, "out.onnx")), x), ours);
    await model.export(join(folder.path, "out.safetensors"));
    // The same graph and the same bytes: the same program.
    expect((await (await wrap(join(folder.path, "out.safetensors"))).predict(x)).data).toEqual(ours);
    await expect(model.export(join(folder.path, "out.pt"))).rejects.toThrow(/ends in .onnx or .safetensors.*found .pt/);
  });
});

describe("what is refused", () => {
  test.each([
    [
      "an unknown model",
      () => wrap({ name: "mlpp" } as never),
      /wrap: model\.name: expected mlp or .*, found a text of 4 characters, did you mean mlp\?; pass a model's settings/,
    ],
    ["a width that is none", () => wrap({ name: "mlp", widths: [0] }), /wrap: model\.widths\[0\]: expected at least 1, found 0/],
    ["a missing file", () => wrap("/nowhere/model.onnx"), /\/nowhere\/model\.onnx: expected a file/],
  ])("%s", async (_, act, message) => {
    await expect(act()).rejects.toThrow(message);
  });

  test("data that do not fit the model or its settings, by name", async () => {
    const model = await wrap({ name: "mlp", widths: [8] }, { inputShape: [4], classes: 3 });
    await expect(model.fit({ x: [[1, 2, 3]], y: [0] })).rejects.toThrow(/x: expected samples of \[4\]/);
    await expect(model.fit(data)).rejects.toThrow(/y: expected classes from 0 to 2.*found 3/);
    await expect(model.fit(points(40, "few"), alone)).rejects.toThrow(/y: expected classes/);
    const open = await wrap({ name: "mlp", widths: [8] });
    await expect(open.fit(points(40, "few"))).rejects.toThrow(/training samples: expected at least 64, found 32/);
    await expect(open.fit(data, { epochs: -1 })).rejects.toThrow(/fit: optimization\.epochs/);
    await expect(open.fit(data, { epoch: 1 } as never)).rejects.toThrow(
      /fit: expected known options, found epoch; did you mean epochs\?/,
    );
    await expect(wrap({ name: "mlp" }, { seed: 1 } as never)).rejects.toThrow(
      /wrap: expected known options, found seed; name some of/,
    );
    await expect(open.fit(undefined as never)).rejects.toThrow(/fit: expected data, found undefined; pass \{x, y\}/);
    await expect(open.evaluate({ x: data.x } as never)).rejects.toThrow(/evaluate: expected y beside x, found none/);
    await expect(open.fit(data, { growth: { trigger: { checks: 0 } } })).rejects.toThrow(/fit: morphogenetic\.trigger\.checks/);
    await expect(open.fit({ name: "nothing" } as never)).rejects.toThrow(
      /data: dataset\.name: expected mnist or .*, found a text of 7 characters; pass \{x, y\}, or the settings of a data set/,
    );
  });

  test("M2, M3: a fit that is refused leaves the model as it was, and two do not run at once", async () => {
    const model = await wrap({ name: "mlp", widths: [8] });
    const going = model.fit(data, { ...alone, epochs: 1 });
    await expect(model.fit(data)).rejects.toThrow(/one fit at a time/);
    await going;
    const before = model.parameters;
    await expect(model.fit(data, { epochs: -1 })).rejects.toThrow();
    expect(model.parameters).toEqual(before);
  });
});
