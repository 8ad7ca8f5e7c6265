/** The hosts that ship: their shapes, their size in closed form, their gradients, what a token may see, and that they learn. */
import { describe, expect, it } from "vitest";
import { ModelConfig } from "../../src/contracts/config-model.ts";
import type { Host, Tensor } from "../../src/contracts/graph.ts";
import { SiteId } from "../../src/contracts/ids.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { bind } from "../../src/graph/bind.ts";
import { countParameters } from "../../src/graph/flops.ts";
import { cnn, type DataShape, hostFor, mlp, resnet, transformer } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { optimizerScalars } from "../../src/graph/optimizers.ts";
import { evaluate, inference, probe } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runNumeric, runReference } from "../../src/graph/reference.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { trainStep } from "../../src/graph/step.ts";

const tiny: Readonly<Record<string, Host>> = {
  "mlp tanh": mlp({ name: "m", inputShape: [5], widths: [4, 3], classes: 3, activation: "tanh" }),
  "mlp gelu": mlp({ name: "m", inputShape: [1, 2, 2], widths: [4], classes: 3, activation: "gelu" }),
  "cnn tanh": cnn({ name: "c", inputShape: [2, 5, 5], channels: [3, 2], classes: 3, activation: "tanh" }),
  "cnn gelu with batch norm": cnn({
    name: "c",
    inputShape: [1, 5, 5],
    channels: [2, 3],
    classes: 3,
    activation: "gelu",
    batchNorm: true,
  }),
  resnet: resnet({ name: "r", inputShape: [2, 4, 4], width: 2, blocks: [1, 1], classes: 3 }),
  transformer: transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 2, width: 4, heads: 2, hiddenWidth: 6 }),
  regression: mlp({ name: "m", inputShape: [5], widths: [6], classes: 2, task: "regression" }),
};

const batchOf = (host: Host, batch: number, seed = 3): Record<string, Tensor> => {
  const random = createRandom(seed);
  const { dtype, shape } = host.graph.inputs[0]!;
  const bound = shape.map((dim) => (dim === -1 ? batch : dim));
  const size = sizeOf(bound);
  const x: Tensor =
    dtype === "int32"
      ? { dtype, shape: bound, data: Int32Array.from({ length: size }, () => random.integer(host.classes)) }
      : { dtype, shape: bound, data: Float32Array.from({ length: size }, () => random.normal()) };
  const rows = batch * host.rows;
  const y: Tensor =
    host.task === "classification"
      ? { dtype: "int32", shape: [rows], data: Int32Array.from({ length: rows }, () => random.integer(host.classes)) }
      : {
          dtype: "float32",
          shape: [batch, host.classes],
          data: Float32Array.from({ length: batch * host.classes }, () => random.normal()),
        };
  return { x, y };
};

const parametersOf = (host: Host, seed = 1): Record<string, Tensor> =>
  Object.fromEntries(initializeParameters(host.graph.parameters, createRandom(seed)));

const numeric = (feeds: Readonly<Record<string, Tensor>>) =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data: Float64Array.from(data) }]),
  );

describe("hosts", () => {
  it("has the parameters of the closed forms, 11,173,962 of them for ResNet-18 on CIFAR-10", () => {
    const full = resnet({ name: "r", inputShape: [3, 32, 32], width: 64, blocks: [2, 2, 2, 2], classes: 10 });
    expect(countParameters(full)).toBe(11_173_962);
    const plain = cnn({ name: "c", inputShape: [3, 8, 8], channels: [4, 6], classes: 10, batchNorm: true });
    expect(countParameters(plain)).toBe(27 * 4 + 8 + 36 * 6 + 12 + 6 * 10 + 10);
    const [v, t, d, h, n] = [50, 16, 8, 32, 3];
    const tokens = transformer({ name: "t", tokens: t, vocabulary: v, layers: n, width: d, heads: 2 });
    const block = 4 * d * d + 2 * d + (d * h + h) + (h * d + d) + 4 * d;
    expect(countParameters(tokens)).toBe(v * d + t * d + n * block + 2 * d + d * v + v);
  });

  it.each(Object.entries(tiny))("%s: layers stand in topological order, with names that a seed may take", (_, host) => {
    const { types } = bind(host.graph, { batch: 2, mode: "eval" });
    const position = (value: string): number => host.graph.nodes.findIndex(({ id }) => id === value);
    let last = -1;
    for (const layer of host.layers) {
      expect(SiteId.safeParse(layer.name).success).toBe(true);
      expect(layer.name).not.toMatch(/\.\d+$/);
      expect(types.has(layer.input) && types.has(layer.output)).toBe(true);
      expect(position(layer.preActivation)).toBeGreaterThan(last);
      last = position(layer.preActivation);
      expect(layer.parameters.every((name) => host.graph.parameters.some((parameter) => parameter.name === name))).toBe(true);
    }
    expect(types.get("logits") ?? types.get(host.graph.outputs[0]!.value)).toMatchObject({
      shape: [2 * host.rows, host.classes],
    });
  });

  it("names a ResNet's and a transformer's layers by stage, block and part; the branch of a block ends before the sum", () => {
    expect(tiny["resnet"]!.layers.map(({ name }) => name)).toEqual([
      ...["stem", "s1.b1.c1", "s1.b1.c2", "s2.b1.c1", "s2.b1.c2", "s2.b1.shortcut", "output"],
    ]);
    const last = tiny["resnet"]!.layers.find(({ name }) => name === "s1.b1.c2")!;
    expect(last.output).toBe(last.preActivation);
    const part = ["attention.value", "attention.projection", "mlp.in", "mlp.out"];
    const blocks = ["b1", "b2"].flatMap((block) => part.map((name) => `${block}.${name}`));
    expect(tiny["transformer"]!.layers.map(({ name }) => name)).toEqual([...blocks, "output"]);
    const { types } = bind(tiny["transformer"]!.graph, { batch: 3, mode: "eval" });
    const value = tiny["transformer"]!.layers[0]!;
    expect(types.get(value.preActivation)!.shape).toEqual([3, 4, 4]);
    expect(types.get(tiny["transformer"]!.layers[2]!.preActivation)!.shape).toEqual([3, 4, 6]);
  });

  it.each(Object.entries(tiny))("%s: the gradient at every layer agrees with central differences of a parameter", (_, host) => {
    const batch = 2;
    const feeds = numeric({ ...parametersOf(host), ...batchOf(host, batch) });
    const wanted = host.graph.parameters.filter(({ trainable }) => trainable).map(({ name }) => name);
    const program = probe({ host, batch, values: [], gradients: wanted });
    const found = runNumeric(program, feeds);
    const loss = (name: string, i: number, shift: number): number => {
      const data = feeds[name]!.data.slice();
      data[i] = data[i]! + shift;
      const perSample = runNumeric(program, { ...feeds, [name]: { ...feeds[name]!, data } })["lossPerSample"]!.data;
      return perSample.reduce((sum, value) => sum + value, 0) / batch;
    };
    for (const name of wanted) {
      const gradient = found[`gradient:${name}`]!.data;
      const i = gradient.reduce((best, value, at) => (Math.abs(value) > Math.abs(gradient[best]!) ? at : best), 0);
      const step = 1e-6;
      const expected = (loss(name, i, step) - loss(name, i, -step)) / (2 * step);
      expect(Math.abs(gradient[i]! - expected), name).toBeLessThan(1e-6 + 1e-5 * Math.abs(expected));
    }
  });

  it("transformer: a later token never changes an earlier logit, not by one bit", () => {
    const host = tiny["transformer"]!;
    const program = inference({ host, batch: 1 });
    const parameters = parametersOf(host);
    const logits = (tokens: readonly number[]) =>
      runReference(program, { ...parameters, x: { dtype: "int32", shape: [1, 4], data: Int32Array.from(tokens) } })["logits"]!
        .data;
    const before = logits([1, 2, 3, 4]);
    const after = logits([1, 2, 0, 1]);
    expect([...after.slice(0, 2 * host.classes)]).toEqual([...before.slice(0, 2 * host.classes)]);
    expect([...after.slice(2 * host.classes)]).not.toEqual([...before.slice(2 * host.classes)]);
    const moved = logits([0, 2, 3, 4]);
    expect([...moved.slice(3 * host.classes)]).not.toEqual([...before.slice(3 * host.classes)]);
  });

  it.each(Object.entries(tiny))("%s: the loss falls in 30 steps on one batch", (_, host) => {
    const batch = 4;
    const optimizer = OptimizerConfig.parse({ kind: "adam", learningRate: 0.02 });
    const step = trainStep({ host, optimizer, trainableCohorts: ["host"], batch });
    let state: Record<string, Tensor> = {
      ...parametersOf(host),
      ...Object.fromEntries(
        step.slots.map(({ name, shape }) => [name, { dtype: "float32", shape, data: new Float32Array(sizeOf(shape)) } as const]),
      ),
    };
    const losses: number[] = [];
    for (let t = 1; t <= 30; t++) {
      const results = runReference(step.program, {
        ...state,
        ...batchOf(host, batch),
        ...optimizerScalars(optimizer, "host", t),
      });
      losses.push(results["loss"]!.data[0]!);
      state = Object.fromEntries(Object.keys(state).map((name) => [name, results[step.updates[name] ?? ""] ?? state[name]!]));
    }
    expect(losses.at(-1)!).toBeLessThan(0.8 * losses[0]!);
  });

  it("evaluates per sample: the mean loss of a sample's rows and the share that is right; squared errors of a regression", () => {
    const host = tiny["transformer"]!;
    const feeds = { ...parametersOf(host), ...batchOf(host, 3) };
    const { lossPerSample, correct, logits } = runReference(evaluate({ host, batch: 3 }), feeds);
    expect(lossPerSample!.shape).toEqual([3]);
    const labels = feeds["y"]!.data;
    for (let sample = 0; sample < 3; sample++) {
      let [loss, right] = [0, 0];
      for (let token = 0; token < 4; token++) {
        const row = Array.from(logits!.data.slice((sample * 4 + token) * 5, (sample * 4 + token + 1) * 5));
        const label = labels[sample * 4 + token]!;
        loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[label]!;
        if (row.indexOf(Math.max(...row)) === label) right++;
      }
      expect(lossPerSample!.data[sample]).toBeCloseTo(loss / 4, 5);
      expect(correct!.data[sample]).toBeCloseTo(right / 4, 6);
    }
    const regression = tiny["regression"]!;
    const table = { ...parametersOf(regression), ...batchOf(regression, 3) };
    const found = runReference(evaluate({ host: regression, batch: 3 }), table);
    for (let sample = 0; sample < 3; sample++) {
      const error = [0, 1].reduce(
        (sum, k) => sum + (found["logits"]!.data[2 * sample + k]! - table["y"]!.data[2 * sample + k]!) ** 2,
        0,
      );
      expect(found["correct"]!.data[sample]).toBeCloseTo(error, 5);
      expect(found["lossPerSample"]!.data[sample]).toBeCloseTo(error / 2, 5);
    }
  });

  it("trains batch norm: a step moves the running statistics, and evaluation reads them", () => {
    const host = tiny["resnet"]!;
    const sgd = OptimizerConfig.parse({ kind: "sgd", learningRate: 0.1, momentum: 0 });
    const step = trainStep({ host, optimizer: sgd, trainableCohorts: ["host"], batch: 4 });
    const statistics = host.graph.parameters.filter(({ trainable }) => !trainable).map(({ name }) => name);
    expect([...step.stateUpdates].sort()).toEqual([...statistics].sort());
    const feeds = { ...parametersOf(host), ...batchOf(host, 4) };
    const results = runReference(step.program, { ...feeds, ...optimizerScalars(sgd, "host", 1) });
    for (const name of statistics) {
      expect([...results[step.updates[name]!]!.data], name).not.toEqual([...feeds[name]!.data]);
    }
    const logits = (given: Readonly<Record<string, Tensor>>) =>
      runReference(inference({ host, batch: 4 }), given)["logits"]!.data;
    const moved = Object.fromEntries(statistics.map((name) => [name, results[step.updates[name]!]!]));
    expect([...logits({ ...feeds, ...moved })]).not.toEqual([...logits(feeds)]);
  });
});

describe("hostFor", () => {
  const images: DataShape = { kind: "images", inputShape: [3, 8, 8], rows: 1, classes: 4, task: "classification" };
  const text: DataShape = { kind: "tokens", inputShape: [6], rows: 6, classes: 9, task: "classification" };

  it("builds what the configuration names, for the shape of the data", () => {
    const build = (model: Record<string, unknown>, data: DataShape): Host => hostFor(ModelConfig.parse(model), data);
    expect(build({ name: "mlp", widths: [3] }, images).layers.map(({ name }) => name)).toEqual(["h1", "output"]);
    expect(build({ name: "cnn", channels: [2, 2], strides: [1, 1] }, images)).toMatchObject({ task: "classification", rows: 1 });
    expect(build({ name: "resnet18", width: 2, blocks: [1] }, images).classes).toBe(4);
    expect(build({ name: "transformer", layers: 1, width: 4, heads: 2 }, text)).toMatchObject({ rows: 6, classes: 9 });
    const table: DataShape = { kind: "table", inputShape: [5], rows: 1, classes: 2, task: "regression" };
    expect(build({ name: "mlp", widths: [3] }, table).task).toBe("regression");
  });

  it("refuses data that the host cannot read, and a file, which is imported", () => {
    expect(() => hostFor(ModelConfig.parse({ name: "cnn" }), { ...images, kind: "table", inputShape: [7] })).toThrow(
      /expected images/,
    );
    expect(() => hostFor(ModelConfig.parse({ name: "mlp" }), text)).toThrow(/transformer for text/);
    expect(() => hostFor(ModelConfig.parse({ name: "transformer" }), images)).toThrow(/transformer for text/);
    expect(() => hostFor(ModelConfig.parse({ name: "file", file: "a.onnx" }), images)).toThrow(/import it/);
  });
});
