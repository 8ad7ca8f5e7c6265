import { describe, expect, it } from "vitest";
import type { GraphNode } from "../../src/contracts/graph.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { bind } from "../../src/graph/bind.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { type Expansion, expandComposite } from "../../src/graph/operators/composites.ts";
import type { CompositeOp, Emit, NodeOf, NumericArray } from "../../src/graph/operators/operator.ts";
import { runNumeric } from "../../src/graph/reference.ts";
import { array, declareAll, distance, drawn, evaluateWith, gradientError, programOf } from "./numeric.ts";

const expansionOf = (b: Emit, mode: "train" | "eval" = "train"): Expansion => ({
  b,
  mode,
  parameter: () => undefined,
  isTrainable: () => true,
  uniform: (name) => name,
  update: () => undefined,
});

/** The composite as a function of an emitter, whose inputs are declared feeds of the same names. */
const composite =
  <O extends CompositeOp>(node: Omit<NodeOf<O>, "id">, mode?: "train" | "eval") =>
  (b: Emit): string =>
    expandComposite({ id: "y", ...node }, expansionOf(b, mode));

describe("composites", () => {
  it("gelu, exact and approximate", () => {
    const x = array([4], [-2, 0, 1, 3]);
    const exact = evaluateWith({ x }, composite<"gelu">({ op: "gelu", inputs: ["x"], attributes: { approximate: "none" } }));
    expect(exact.data[2]).toBeCloseTo(0.8413447460685429, 12); // Φ(1)
    const near = evaluateWith({ x }, composite<"gelu">({ op: "gelu", inputs: ["x"], attributes: { approximate: "tanh" } }));
    expect(distance(exact.data, near.data)).toBeLessThan(1e-3);
    for (const approximate of ["none", "tanh"] as const) {
      const build = composite<"gelu">({ op: "gelu", inputs: ["x"], attributes: { approximate } });
      expect(gradientError({ x: drawn([3, 2], 1) }, ["x"], build)).toBeLessThan(1e-8);
    }
  });

  it.each([[[4, 3]], [[3, 2, 2, 3]]])("batchNorm on %j: zero mean and unit variance per channel, and its gradients", (shape) => {
    const channels = shape[1]!;
    const feeds: Record<string, NumericArray> = {
      x: drawn(shape, 3),
      gamma: drawn([channels], 4),
      beta: drawn([channels], 5),
      mean: drawn([channels], 6),
      variance: drawn([channels], 7, "positive"),
    };
    const node = { op: "batchNorm", inputs: Object.keys(feeds), attributes: { epsilon: 1e-5, momentum: 0.9 } } as const;
    expect(gradientError(feeds, ["x", "gamma", "beta"], composite<"batchNorm">(node))).toBeLessThan(1e-7);
    expect(gradientError(feeds, ["x", "gamma", "beta"], composite<"batchNorm">(node, "eval"))).toBeLessThan(1e-8);
    const one = array([channels], new Array(channels).fill(1));
    const zero = array([channels], new Array(channels).fill(0));
    const y = evaluateWith({ ...feeds, gamma: one, beta: zero }, composite<"batchNorm">(node));
    const plane = shape.slice(2).reduce((a, b) => a * b, 1);
    for (let c = 0; c < channels; c++) {
      const values = [...y.data].filter((_, i) => Math.floor(i / plane) % channels === c);
      const mean = values.reduce((a, b) => a + b) / values.length;
      expect(mean).toBeCloseTo(0, 10);
      expect(values.reduce((sum, v) => sum + v * v, 0) / values.length).toBeCloseTo(1, 3);
    }
  });

  it("batchNorm updates running statistics only where its cohort learns", () => {
    const b = new GraphBuilder();
    const x = b.input("x", [-1, 1]);
    const vector = (name: string, value: number, trainable: boolean): string =>
      b.parameter(name, [1], { kind: "constant", value }, { trainable });
    const inputs = [x, vector("gamma", 1, true), vector("beta", 0, true), vector("mean", 0, false), vector("variance", 1, false)];
    b.output("y", b.op("batchNorm", inputs, { epsilon: 1e-5, momentum: 0.75 }, "y"));
    const bound = bind(b.build(), { batch: 2, mode: "train", trainableCohorts: ["host"] });
    const program = {
      inputs: [...bound.inputs, ...bound.parameters.map(({ name, shape }) => ({ name, dtype: "float32" as const, shape }))],
      nodes: bound.nodes,
      outputs: [...bound.stateUpdates].map(([name, value]) => ({ name, value })),
    };
    const feeds = {
      x: array([2, 1], [1, 5]),
      gamma: array([1], [1]),
      beta: array([1], [0]),
      mean: array([1], [2]),
      variance: array([1], [8]),
    };
    const after = runNumeric(program, feeds);
    expect(after["mean"]!.data[0]).toBeCloseTo(0.75 * 2 + 0.25 * 3, 12);
    expect(after["variance"]!.data[0]).toBeCloseTo(0.75 * 8 + 0.25 * 4, 12);
    for (const options of [{ mode: "train", trainableCohorts: ["seed:a"] }, { mode: "eval" }] as const) {
      expect(bind(b.build(), { batch: 2, ...options }).stateUpdates.size).toBe(0);
    }
  });

  it("layerNorm", () => {
    const feeds = { x: drawn([2, 3, 4], 1), gamma: drawn([4], 2), beta: drawn([4], 3) };
    const build = composite<"layerNorm">({ op: "layerNorm", inputs: ["x", "gamma", "beta"], attributes: { epsilon: 1e-5 } });
    expect(gradientError(feeds, ["x", "gamma", "beta"], build)).toBeLessThan(1e-7);
    const two = { x: array([1, 2], [3, 7]), gamma: array([2], [1, 2]), beta: array([2], [0, 1]) };
    expect(evaluateWith(two, build).data[1]).toBeCloseTo(3, 4);
  });

  it("dropout keeps the mean: what is kept is divided by the share that is kept", () => {
    const node: GraphNode = { id: "y", op: "dropout", inputs: ["x"], attributes: { rate: 0.75 } };
    const graph = {
      inputs: [{ name: "x", dtype: "float32" as const, shape: [-1] }],
      parameters: [],
      nodes: [node],
      outputs: [{ name: "y", value: "y" }],
    };
    const bound = bind(graph, { batch: 4, mode: "train" });
    const inputs = [...bound.inputs, { name: "uniform:y", dtype: "float32" as const, shape: [4] }];
    const feeds = { x: array([4], [1, 2, 3, 4]), "uniform:y": array([4], [0, 0.7, 0.8, 0.999]) };
    expect([...runNumeric({ inputs, nodes: bound.nodes, outputs: bound.outputs }, feeds)["y"]!.data]).toEqual([0, 0, 12, 16]);
  });

  it("globalAveragePool and meanSquaredError", () => {
    const pool = composite<"globalAveragePool">({ op: "globalAveragePool", inputs: ["x"], attributes: {} });
    expect([...evaluateWith({ x: array([1, 2, 1, 2], [1, 3, 10, 20]) }, pool).data]).toEqual([2, 15]);
    expect(gradientError({ x: drawn([2, 2, 3, 2], 1) }, ["x"], pool)).toBeLessThan(1e-8);
    const error = composite<"meanSquaredError">({ op: "meanSquaredError", inputs: ["p", "t"], attributes: {} });
    expect([...evaluateWith({ p: array([2, 2], [1, 2, 3, 4]), t: array([2, 2], [1, 4, 0, 4]) }, error).data]).toEqual([2, 4.5]);
    expect(gradientError({ p: drawn([2, 3], 1), t: drawn([2, 3], 2) }, ["p", "t"], error)).toBeLessThan(1e-8);
  });

  it("maxPool2d takes the largest of each window, drops what fills none, and shares the gradient among equals", () => {
    const pool = (side: number, stride = side) =>
      composite<"maxPool2d">({
        op: "maxPool2d",
        inputs: ["x"],
        attributes: { kernelSize: [side, side], strides: [stride, stride] },
      });
    const x = array([1, 1, 3, 4], [1, 9, 2, 3, 4, 5, -6, -7, 100, 100, 100, 100]);
    expect([...evaluateWith({ x }, pool(2)).data]).toEqual([9, 3]);
    // No two values of a window may be within the reach of a finite difference of each other.
    const distinct = array(
      [2, 2, 4, 4],
      [...drawn([64], 1).data].map((value, i) => value + 10 * i * (i % 2 === 0 ? 1 : -1)),
    );
    expect(gradientError({ x: distinct }, ["x"], pool(2))).toBeLessThan(1e-8);
    const b = declareAll({ x: array([1, 1, 2, 2], [5, 5, 1, 5]) });
    const y = pool(2)(b);
    const gradient = gradients(b, b.sum(y, [0, 1, 2, 3], false), ["x"]).get("x")!;
    const feeds = { x: array([1, 1, 2, 2], [5, 5, 1, 5]) };
    const shared = runNumeric(programOf(b, feeds, { gradient }), feeds)["gradient"]!.data;
    expect([...shared]).toEqual([1 / 3, 1 / 3, 0, 1 / 3]);
    expect(() => evaluateWith({ x }, pool(2, 1))).toThrow(/strides equal to the window.*strides \[1, 1\]/);
    expect(() => evaluateWith({ x }, pool(5))).toThrow(/a window no larger than the image/);
  });

  it("softmaxCrossEntropy is −log of the label's probability, also for logits that overflow exp", () => {
    const build = composite<"softmaxCrossEntropy">({ op: "softmaxCrossEntropy", inputs: ["z", "y0"], attributes: {} });
    const labels = array([2], [0, 2], "int32");
    const y = evaluateWith({ z: array([2, 3], [1, 1, 1, 5000, 0, 4000]), y0: labels }, build).data;
    expect(y[0]).toBeCloseTo(Math.log(3), 12);
    expect(y[1]).toBe(1000);
    expect(gradientError({ z: drawn([2, 3], 4), y0: labels }, ["z"], build)).toBeLessThan(1e-8);
  });
});
