import { describe, expect, it } from "vitest";
import type { Graph, Program } from "../../src/contracts/graph.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { openBinding } from "../../src/graph/bind.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { cnn, mlp } from "../../src/graph/hosts/index.ts";
import type { NumericArray } from "../../src/graph/operators/operator.ts";
import { assembleProgram } from "../../src/graph/program.ts";
import { probe } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runNumeric } from "../../src/graph/reference.ts";
import { appendLoss } from "../../src/graph/step.ts";
import { array, centralDifferences, declareAll, distance, drawn, evaluateWith, gradientError, programOf } from "./numeric.ts";

const BATCH = 3;

/** The mean loss of a graph with all gradients of its trainable parameters. */
const lossWithGradients = (graph: Graph): Program => {
  const binding = openBinding(graph, { batch: BATCH, mode: "train" });
  const { perSample, labels } = appendLoss(binding, { graph, task: "classification" }, BATCH);
  const loss = binding.emitter.mean(perSample, [0], false);
  const wrt = graph.parameters.filter((parameter) => parameter.trainable).map((parameter) => parameter.name);
  const found = gradients(binding.emitter, loss, wrt);
  return assembleProgram(
    binding,
    [{ name: "loss", value: loss }, ...[...found].map(([name, value]) => ({ name, value }))],
    [labels],
  );
};

const feedsFor = (program: Program, classes: number): Record<string, NumericArray> =>
  Object.fromEntries(
    program.inputs.map((input, i) => {
      if (input.dtype === "int32") return [input.name, array(input.shape, [0, classes - 1, 1], "int32")];
      if (input.name.startsWith("uniform:")) {
        const random = createRandom(i);
        return [input.name, { ...input, data: drawn(input.shape, i).data.map(() => random.uniform()) }];
      }
      return [input.name, drawn(input.shape, 100 + i, input.name.endsWith("variance") ? "positive" : "both")];
    }),
  );

const expectAllGradients = (graph: Graph, classes: number): void => {
  const program = lossWithGradients(graph);
  const feeds = feedsFor(program, classes);
  const results = runNumeric(program, feeds);
  const forward: Program = { ...program, outputs: program.outputs.filter((output) => output.name === "loss") };
  for (const { name } of program.outputs.slice(1)) {
    const expected = centralDifferences(forward, feeds, name, "loss", 1e-6);
    expect(distance(results[name]!.data, expected), name).toBeLessThan(1e-7);
    expect(Math.max(...results[name]!.data.map(Math.abs)), `${name} has a gradient`).toBeGreaterThan(1e-6);
  }
};

describe("gradients of whole networks against central differences", () => {
  it("a multi-layer perceptron", () => {
    expectAllGradients(mlp({ name: "m", inputShape: [1, 2, 2], widths: [5, 4], classes: 3 }).graph, 3);
  });

  it.each(["stride", "average"] as const)("a convolutional network with batch norm, shrinking by %s", (downsample) => {
    const host = cnn({ name: "c", inputShape: [2, 5, 5], channels: [2, 3], classes: 3, batchNorm: true, downsample });
    expectAllGradients(host.graph, 3);
  });

  it("a network with dropout, layer norm, gelu, an embedding and a residual sum", () => {
    const b = new GraphBuilder();
    const x = b.input("x", [-1, 4]);
    const w = b.parameter("w", [4, 4], { kind: "normal", sd: 1 });
    const v = b.parameter("v", [4, 3], { kind: "normal", sd: 1 });
    const table = b.parameter("table", [3, 4], { kind: "normal", sd: 1 });
    const norm = ["gamma", "beta"].map((name) => b.parameter(name, [4], { kind: "constant", value: 1 }));
    const flags = { transposeA: false, transposeB: false };
    const rows = b.op(
      "gather",
      [table, b.op("argMax", [b.op("slice", [x], { starts: [0, 0], ends: [-1, 3] })], { axis: 1 })],
      {},
    );
    const hidden = b.op("gelu", [b.op("matMul", [x, w], flags)], { approximate: "none" });
    const joined = b.op("add", [b.op("add", [hidden, x], {}), rows], {});
    const normed = b.op("layerNorm", [joined, ...norm], { epsilon: 1e-5 });
    b.output("logits", b.op("matMul", [b.op("dropout", [normed], { rate: 0.3 }), v], flags));
    expectAllGradients(b.build(), 3);
  });
});

describe("reverse mode", () => {
  it("K1: makes nothing for what is not between wrt and the loss", () => {
    const feeds = { x: drawn([2, 3], 1), w: drawn([3, 4], 2), v: drawn([4, 2], 3) };
    const b = declareAll(feeds);
    const loss = b.sum(b.matMul(b.unary("tanh", b.matMul("x", "w")), "v"), [0, 1], false);
    const before = b.nodes.length;
    const found = gradients(b, loss, ["v"]);
    const added = b.nodes.slice(before).map((node) => node.op);
    // The one product that gives dv, and the constant cotangent it reads.
    expect(added.filter((op) => op === "matMul")).toHaveLength(1);
    expect(added).not.toContain("mul");
    expect([...found.keys()]).toEqual(["v"]);
  });

  it("K2: sums the cotangents of a value that is read in several places", () => {
    const build = (b: ReturnType<typeof declareAll>): string =>
      b.add(b.mul("x", b.unary("exp", "x")), b.sub("x", b.unary("tanh", "x")));
    expect(gradientError({ x: drawn([3], 2) }, ["x"], build)).toBeLessThan(1e-8);
  });

  it("K3: a gradient has its value's shape, also where it is constant or zero", () => {
    const feeds = { x: drawn([2, 3], 1), unused: drawn([4], 2) };
    const b = declareAll(feeds);
    const found = gradients(b, b.mean("x", [0, 1], false), ["x", "unused"]);
    const results = runNumeric(programOf(b, feeds, Object.fromEntries(found)), feeds);
    expect([...results["x"]!.data]).toEqual(new Array(6).fill(1 / 6));
    expect([...results["unused"]!.data]).toEqual([0, 0, 0, 0]);
  });

  it("a narrow cotangent counts once for every element that it stands for", () => {
    const feeds = { x: drawn([2, 3, 2], 1), bias: drawn([3, 1], 2), scale: drawn([], 3), k: drawn([2, 2], 4) };
    const build = (b: ReturnType<typeof declareAll>): string =>
      b.sum(b.add(b.mul(b.matMul("x", "k"), "scale"), "bias"), [0, 1, 2], false);
    expect(gradientError(feeds, ["x", "bias", "scale", "k"], build)).toBeLessThan(1e-8);
  });

  it("refuses a loss of several elements", () => {
    const b = declareAll({ x: drawn([2], 1) });
    expect(() => gradients(b, "x", ["x"])).toThrow("gradient of x: expected a value of one element, got [2]; reduce it first");
  });

  it("softmax cross-entropy comes out as (onehot − softmax)·(−1/N), with three elementwise nodes", () => {
    const graph = mlp({ name: "m", inputShape: [2], widths: [2], classes: 3 }).graph;
    const binding = openBinding(graph, { batch: 4, mode: "train" });
    const { perSample, logits } = appendLoss(binding, { graph, task: "classification" }, 4);
    const loss = binding.emitter.mean(perSample, [0], false);
    const found = gradients(binding.emitter, loss, [logits]);
    const { nodes } = assembleProgram(binding, [{ name: "d", value: found.get(logits)! }]);
    const backward = nodes.filter((node) => node.id.startsWith("grad/")).map((node) => node.op);
    expect(backward.toSorted()).toEqual(["exp", "fill", "mul", "sub"]);
  });

  it("a probe gives the gradient at inner values", () => {
    const host = mlp({ name: "m", inputShape: [2], widths: [3, 3], classes: 2 });
    const layer = host.layers[1]!;
    const program = probe({ host, batch: BATCH, values: ["x", layer.output], gradients: [layer.preActivation] });
    const feeds = feedsFor(program, 2);
    const results = runNumeric(program, feeds);
    const dz = results[`gradient:${layer.preActivation}`]!;
    expect(results[`value:${layer.output}`]!.shape).toEqual([BATCH, 3]);
    expect(dz.shape).toEqual([BATCH, 3]);
    // The bias is added to every row of z, so that its gradient is the sum of dz's rows.
    const mean = meanLossProgram(program);
    const expected = centralDifferences(mean, feeds, "h2/bias", "mean", 1e-6);
    const rows = [0, 1, 2].map((j) => [0, 1, 2].reduce((sum, i) => sum + dz.data[i * 3 + j]!, 0));
    expect(distance(rows, expected)).toBeLessThan(1e-8);
  });
});

const meanLossProgram = (program: Program): Program => {
  const perSample = program.outputs.find((output) => output.name === "lossPerSample")!.value;
  return {
    ...program,
    nodes: [...program.nodes, { id: "mean", op: "reduceMean", inputs: [perSample], attributes: { axes: [0], keepDims: false } }],
    outputs: [{ name: "mean", value: "mean" }],
  };
};

describe("simplification", () => {
  const x = drawn([2, 2], 9);
  const built = (build: (b: ReturnType<typeof declareAll>) => string): string[] => {
    const b = declareAll({ x });
    const y = build(b);
    return programOf(b, { x }, { y }).nodes.map((node) => node.op);
  };

  it("answers the same question with the same value", () => {
    expect(built((b) => b.add(b.mul("x", b.unary("exp", "x")), b.mul(b.unary("exp", "x"), "x")))).toEqual(["exp", "mul", "add"]);
  });

  it("drops identities and folds constants", () => {
    expect(built((b) => b.add(b.mul("x", b.scalar(1)), b.scalar(0)))).toEqual([]);
    expect(built((b) => b.unary("neg", b.unary("neg", "x")))).toEqual([]);
    expect(built((b) => b.mul(b.mul("x", b.scalar(2)), b.scalar(3)))).toEqual(["fill", "mul"]);
    expect(built((b) => b.mul(b.scalar(2), b.scalar(3)))).toEqual(["fill"]);
    expect(built((b) => b.reshape(b.reshape("x", [4]), [2, 2]))).toEqual([]);
    expect(built((b) => b.sum(b.scalar(2), [], false))).toEqual(["fill"]);
  });

  it("keeps the values that it rewrites", () => {
    const cases: ((b: ReturnType<typeof declareAll>) => string)[] = [
      (b) => b.sub("x", b.unary("neg", b.unary("exp", "x"))),
      (b) => b.sub(b.mul(b.unary("exp", "x"), b.scalar(3)), b.mul("x", b.scalar(3))),
      (b) => b.sum(b.unary("neg", b.mul("x", b.scalar(2))), [0], true),
      (b) => b.mul(b.unary("neg", "x"), b.emit("fill", [], { value: 2, shape: [1, 2] })),
      (b) => b.sum(b.emit("fill", [], { value: 2, shape: [3, 2] }), [0], false),
      (b) => b.sub(b.mul(b.unary("exp", "x"), b.scalar(3)), b.mul("x", b.scalar(2))),
      (b) => b.mul(b.sub("x", b.unary("exp", "x")), b.sub(b.unary("exp", "x"), "x")),
      // One-hot rows sum to 1 along the classes, and to counts along the samples.
      (b) => b.sum(b.mul(b.emit("oneHot", [b.emit("argMax", ["x"], { axis: 1 })], { depth: 2 }), b.scalar(5)), [1], false),
      (b) => b.sum(b.emit("oneHot", [b.emit("argMax", [b.sub("x", "x")], { axis: 1 })], { depth: 2 }), [0], false),
    ];
    const e = (i: number): number => Math.exp(x.data[i]!);
    const expected = [
      [0, 1, 2, 3].map((i) => x.data[i]! + e(i)),
      [0, 1, 2, 3].map((i) => 3 * (e(i) - x.data[i]!)),
      [-2 * (x.data[0]! + x.data[2]!), -2 * (x.data[1]! + x.data[3]!)],
      [0, 1, 2, 3].map((i) => -2 * x.data[i]!),
      [6, 6],
      [0, 1, 2, 3].map((i) => 3 * e(i) - 2 * x.data[i]!),
      [0, 1, 2, 3].map((i) => -((x.data[i]! - e(i)) ** 2)),
      [5, 5],
      [2, 0],
    ];
    cases.forEach((build, i) => {
      expect(distance(evaluateWith({ x }, build).data, expected[i]!)).toBeLessThan(1e-14);
    });
  });
});
