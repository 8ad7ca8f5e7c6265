import { describe, expect, it } from "vitest";
import type { Host, Program, Tensor } from "../../src/contracts/graph.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { buildBlueprint } from "../../src/graph/blueprints/index.ts";
import { countParameters, programFlops } from "../../src/graph/flops.ts";
import { cnn, mlp } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import type { NumericArray } from "../../src/graph/operators/operator.ts";
import { optimizerScalars } from "../../src/graph/optimizers.ts";
import { evaluate, inference } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runNumeric, runReference, toNumeric } from "../../src/graph/reference.ts";
import { insertBypass } from "../../src/graph/rewrite.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { type StepProgram, trainStep, updatedName } from "../../src/graph/step.ts";
import { array, centralDifferences, distance, drawn } from "./numeric.ts";

const BATCH = 4;
const host = mlp({ name: "m", inputShape: [3], widths: [4], classes: 3 });
const labels = array([BATCH], [0, 2, 1, 2], "int32");

type Feeds = Record<string, NumericArray>;

const startOf = (of: Host, step: StepProgram): Feeds => {
  const parameters = initializeParameters(of.graph.parameters, createRandom(3));
  const entries: [string, NumericArray][] = [...parameters].map(([name, tensor]) => [name, toNumeric(tensor)]);
  for (const { name, shape } of step.slots)
    entries.push([name, { dtype: "float32", shape, data: new Float64Array(sizeOf(shape)) }]);
  return Object.fromEntries(entries);
};

const scalarFeeds = (config: OptimizerConfig, cohorts: readonly string[], count: number, scale = 1): Feeds =>
  Object.fromEntries(
    cohorts.flatMap((cohort) =>
      Object.entries(optimizerScalars(config, cohort, count, scale)).map(([name, tensor]) => [name, toNumeric(tensor)]),
    ),
  );

const applied = (step: StepProgram, state: Feeds, outputs: Feeds): Feeds => ({
  ...state,
  ...Object.fromEntries(Object.entries(step.updates).map(([name, output]) => [name, outputs[output]!])),
});

/** The textbook updates, in plain numbers. */
const textbook = (config: OptimizerConfig) => {
  const memory = new Map<string, { m: number[]; v: number[] }>();
  return (parameters: Record<string, number[]>, raw: Record<string, ArrayLike<number>>, t: number, scale: number): void => {
    const norm = Math.sqrt(Object.values(raw).reduce((sum, g) => sum + Array.from(g).reduce((s, x) => s + x * x, 0), 0));
    const factor = config.clipNorm > 0 ? Math.min(1, config.clipNorm / norm) : 1;
    const rate = config.learningRate * scale;
    for (const [name, p] of Object.entries(parameters)) {
      const known = memory.get(name) ?? { m: p.map(() => 0), v: p.map(() => 0) };
      memory.set(name, known);
      p.forEach((value, i) => {
        const l2 = config.kind === "adamw" ? 0 : config.weightDecay * value;
        const g = raw[name]![i]! * factor + l2;
        if (config.kind === "sgd") {
          known.v[i] = config.momentum * known.v[i]! + g;
          p[i] = value - rate * known.v[i]!;
          return;
        }
        known.m[i] = config.beta1 * known.m[i]! + (1 - config.beta1) * g;
        known.v[i] = config.beta2 * known.v[i]! + (1 - config.beta2) * g * g;
        const mHat = known.m[i]! / (1 - config.beta1 ** t);
        const vHat = known.v[i]! / (1 - config.beta2 ** t);
        const decay = config.kind === "adamw" ? rate * config.weightDecay * value : 0;
        p[i] = value - decay - (rate * mHat) / (Math.sqrt(vHat) + config.epsilon);
      });
    }
  };
};

const configs = [
  { kind: "sgd", learningRate: 0.1, momentum: 0.9 },
  { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0.1 },
  { kind: "sgd", learningRate: 0.1, clipNorm: 0.05 },
  { kind: "adam" },
  { kind: "adam", weightDecay: 0.1, clipNorm: 0.05, epsilon: 1e-3 },
  { kind: "adamw", learningRate: 0.01 },
  { kind: "adamw", weightDecay: 0, clipNorm: 100 },
].map((config) => OptimizerConfig.parse(config));

describe("optimizers against the textbook, five steps", () => {
  it.each(configs)("%j", (config) => {
    const step = trainStep({ host, optimizer: config, trainableCohorts: ["host"], batch: BATCH });
    let state = startOf(host, step);
    const names = host.graph.parameters.map((parameter) => parameter.name);
    const plain = Object.fromEntries(names.map((name) => [name, [...state[name]!.data]]));
    const update = textbook(config);
    for (let t = 1; t <= 5; t++) {
      const scale = 1 / t;
      const feeds = { ...state, x: drawn([BATCH, 3], t), y: labels, ...scalarFeeds(config, ["host"], t, scale) };
      const raw = Object.fromEntries(names.map((name) => [name, centralDifferences(lossOf(step), feeds, name, "loss", 1e-6)]));
      update(plain, raw, t, scale);
      state = applied(step, state, runNumeric(step.program, feeds));
      // The scalars are float32, and Adam's first steps divide small gradients by their own size.
      for (const name of names) expect(distance(state[name]!.data, plain[name]!), `${name} after step ${t}`).toBeLessThan(2e-6);
    }
  });

  it("refuses no step: bias corrections are exact from the first one", () => {
    const scalars = optimizerScalars(OptimizerConfig.parse({ kind: "adam" }), "host", 1);
    // With t = 1, m̂ = g and v̂ = g², so that the step is lr · g / (|g| + ε).
    expect(scalars["stepSize:host"]!.data[0]).toBeCloseTo(0.001, 9);
    expect(scalars["epsilon:host"]!.data[0]).toBeCloseTo(1e-8, 14);
  });
});

const lossOf = (step: StepProgram): Program => ({
  ...step.program,
  outputs: step.program.outputs.filter((output) => output.name === "loss"),
  nodes: step.program.nodes.filter((node) => !node.id.startsWith("update/")),
});

const adam = OptimizerConfig.parse({ kind: "adam" });
const sgd = OptimizerConfig.parse({ kind: "sgd", learningRate: 0.5, momentum: 0 });

const grown = insertBypass(host, {
  seedId: "seed:h1",
  blueprint: buildBlueprint({ kind: "dense", hiddenWidth: 2, initialization: "zero" }, [3], [4]),
  from: "x",
  to: "h1",
  alpha: "input",
});

describe("trainStep", () => {
  it("K1: a frozen cohort has no output, no slot, no gradient of a parameter", () => {
    const both = trainStep({
      host: grown,
      optimizer: adam,
      trainableCohorts: ["host", "seed:h1"],
      batch: BATCH,
    });
    const seed = trainStep({
      host: grown,
      optimizer: adam,
      trainableCohorts: ["seed:h1"],
      batch: BATCH,
    });
    expect(Object.keys(seed.updates).every((name) => name.startsWith("seed:h1/"))).toBe(true);
    expect(seed.slots.every((slot) => slot.cohort === "seed:h1")).toBe(true);
    expect(seed.scalars).toEqual(["stepSize:seed:h1", "epsilon:seed:h1"]);
    const made = seed.program.nodes.map((node) => node.id);
    for (const { name } of host.graph.parameters) {
      expect(made.filter((id) => id.startsWith(`update/${name}`))).toEqual([]);
    }
    // Of the host's own two products, only the output's passes a cotangent on, to reach the seed; none gives a weight's gradient.
    const products = seed.program.nodes.filter((node) => node.op === "matMul" && node.id.startsWith("grad/"));
    expect(products.filter((node) => node.id.startsWith("grad/output/"))).toHaveLength(1);
    expect(products.filter((node) => node.id.startsWith("grad/h1/"))).toHaveLength(0);
    expect(seed.flops).toBeLessThan(both.flops);
  });

  it("K1: the seed's gradients are the same whether the host learns or not", () => {
    const run = (trainableCohorts: readonly string[]): Feeds => {
      const step = trainStep({ host: grown, optimizer: sgd, trainableCohorts, batch: BATCH });
      const state = { ...startOf(grown, step), "seed:h1/last/weight": drawn([2, 4], 8) };
      const feeds = {
        ...state,
        x: drawn([BATCH, 3], 1),
        y: labels,
        "alpha:seed:h1": array([], [0.5]),
        ...scalarFeeds(sgd, trainableCohorts, 1),
      };
      return runNumeric(step.program, feeds);
    };
    const [alone, together] = [run(["seed:h1"]), run(["host", "seed:h1"])];
    const name = updatedName("seed:h1/first/weight");
    expect(alone[name]!.data).toEqual(together[name]!.data);
  });

  it("K2: each update has one output, and the inputs are named once", () => {
    const step = trainStep({
      host: grown,
      optimizer: adam,
      trainableCohorts: ["host", "seed:h1"],
      batch: BATCH,
    });
    const outputs = step.program.outputs.map((output) => output.name);
    expect(new Set(outputs).size).toBe(outputs.length);
    expect(outputs.toSorted()).toEqual(["loss", "gradNorm", ...Object.values(step.updates)].toSorted());
    const inputs = step.program.inputs.map((input) => input.name);
    expect(new Set(inputs).size).toBe(inputs.length);
    expect(inputs).toContain("alpha:seed:h1");
    expect(step.graphInputs.map((input) => input.name)).toEqual(["alpha:seed:h1"]);
    expect(structuredClone(step)).toEqual(step);
  });

  it("reports the mean loss and the gradients' global norm", () => {
    const step = trainStep({ host, optimizer: sgd, trainableCohorts: ["host"], batch: BATCH });
    const feeds = { ...startOf(host, step), x: drawn([BATCH, 3], 1), y: labels, ...scalarFeeds(sgd, ["host"], 1) };
    const results = runNumeric(step.program, feeds);
    const perSample = runNumeric(evaluate({ host, batch: BATCH }), feeds)["lossPerSample"]!.data;
    expect(results["loss"]!.data[0]).toBeCloseTo(perSample.reduce((a, b) => a + b) / BATCH, 12);
    const squares = host.graph.parameters.map(({ name }) =>
      centralDifferences(lossOf(step), feeds, name).reduce((sum, g) => sum + g * g, 0),
    );
    expect(results["gradNorm"]!.data[0]).toBeCloseTo(Math.sqrt(squares.reduce((a, b) => a + b)), 8);
  });

  it("updates running statistics with their cohort, and only then", () => {
    const normed = cnn({ name: "c", inputShape: [1, 4, 4], channels: [2], classes: 2, batchNorm: true });
    const step = trainStep({ host: normed, optimizer: sgd, trainableCohorts: ["host"], batch: 2 });
    expect(step.stateUpdates).toEqual(["c1/mean", "c1/variance"]);
    expect(step.updates["c1/mean"]).toBe("c1/mean'");
    const blueprint = buildBlueprint({ kind: "dense", hiddenWidth: 2, initialization: "zero" }, [2], [2]);
    const withSeed = insertBypass(normed, { seedId: "seed:output", blueprint, from: "pooled", to: "output", alpha: "input" });
    const frozen = trainStep({
      host: withSeed,
      optimizer: sgd,
      trainableCohorts: ["seed:output"],
      batch: 2,
    });
    expect(frozen.stateUpdates).toEqual([]);
    expect(Object.keys(frozen.updates).every((name) => name.startsWith("seed:output/"))).toBe(true);
  });

  it("learns: the loss of a small problem falls", () => {
    const step = trainStep({ host, optimizer: sgd, trainableCohorts: ["host"], batch: BATCH });
    let state = startOf(host, step);
    const losses: number[] = [];
    for (let t = 1; t <= 60; t++) {
      const results = runNumeric(step.program, {
        ...state,
        x: drawn([BATCH, 3], 1),
        y: labels,
        ...scalarFeeds(sgd, ["host"], t),
      });
      losses.push(results["loss"]!.data[0]!);
      state = applied(step, state, results);
    }
    expect(losses.at(-1)!).toBeLessThan(0.1 * losses[0]!);
  });

  it("refuses a cohort that the graph does not hold, and a host without logits", () => {
    const options = { host, optimizer: sgd, batch: BATCH } as const;
    expect(() => trainStep({ ...options, trainableCohorts: ["seed:x"] })).toThrow(
      "expected trainable cohorts among host, got seed:x",
    );
    const nameless = {
      task: "classification" as const,
      graph: { ...host.graph, outputs: [{ name: "z", value: "output/preActivation" }] },
    };
    expect(() => trainStep({ ...options, host: nameless, trainableCohorts: ["host"] })).toThrow(
      "expected an output named logits, got z",
    );
  });
});

describe("evaluate and inference", () => {
  it("gives loss, correctness and logits per sample", () => {
    const program = evaluate({ host, batch: BATCH });
    const parameters = initializeParameters(host.graph.parameters, createRandom(3));
    const x: Tensor = { dtype: "float32", shape: [BATCH, 3], data: Float32Array.from(drawn([BATCH, 3], 1).data) };
    const y: Tensor = { dtype: "int32", shape: [BATCH], data: Int32Array.of(0, 2, 1, 2) };
    const results = runReference(program, { ...Object.fromEntries(parameters), x, y });
    const logits = results["logits"]!;
    for (let i = 0; i < BATCH; i++) {
      const row = [...logits.data.slice(3 * i, 3 * i + 3)];
      const total = row.reduce((sum, z) => sum + Math.exp(z), 0);
      expect(results["lossPerSample"]!.data[i]).toBeCloseTo(Math.log(total) - row[y.data[i]!]!, 5);
      expect(results["correct"]!.data[i]).toBe(row.indexOf(Math.max(...row)) === y.data[i] ? 1 : 0);
    }
    expect(runReference(inference({ host, batch: BATCH }), { ...Object.fromEntries(parameters), x })["logits"]).toEqual(logits);
  });
});

describe("cost", () => {
  it("counts parameters and operations in closed form", () => {
    expect(countParameters(host)).toBe(3 * 4 + 4 + 4 * 3 + 3);
    // Two products of 2·m·n·k and two bias additions and one ReLU.
    const products = 2 * BATCH * (3 * 4 + 4 * 3);
    expect(programFlops(inference({ host, batch: BATCH }))).toBe(products + BATCH * (4 + 4 + 3));
    const normed = cnn({ name: "c", inputShape: [2, 6, 6], channels: [4], classes: 2, batchNorm: true });
    // Running statistics are no trainable values.
    expect(countParameters(normed)).toBe(4 * 2 * 9 + 8 + 4 * 2 + 2);
    const image = cnn({ name: "c", inputShape: [2, 6, 6], channels: [4], classes: 2 });
    const convolution = 2 * 1 * 4 * 6 * 6 * 2 * 9;
    const rest = 2 * 4 * 36 + 4 * 36 + (2 * 4 * 2 + 2);
    expect(programFlops(inference({ host: image, batch: 1 }))).toBe(convolution + rest);
  });

  it("a step costs about three times the forward pass", () => {
    const wide = mlp({ name: "w", inputShape: [32], widths: [32, 32], classes: 8 });
    const forward = programFlops(inference({ host: wide, batch: 64 }));
    const step = trainStep({ host: wide, optimizer: sgd, trainableCohorts: ["host"], batch: 64 });
    expect(step.flops / forward).toBeGreaterThan(2);
    expect(step.flops / forward).toBeLessThan(3.2);
  });
});
