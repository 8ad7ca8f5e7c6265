import { describe, expect, it } from "vitest";
import type { Host } from "../../src/contracts/graph.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { pruneUnits } from "../../src/graph/prune.ts";
import { distance } from "./numeric.ts";
import { expectPruned, killUnits, logitsOf, plain, randomTensors } from "./sculpt.ts";

describe("pruneUnits through graphs written by hand", () => {
  it("a flattened channel takes its whole block of columns along", () => {
    const b = new GraphBuilder();
    const x = b.input("x", [-1, 1, 2, 3]);
    const weight = b.parameter("c/weight", [3, 1, 1, 1], { kind: "heNormal", fanIn: 1 });
    const bias = b.parameter("c/bias", [3], { kind: "constant", value: 0 });
    const product = b.op("conv2d", [x, weight], { strides: [1, 1], pads: [0, 0, 0, 0], groups: 1 });
    const preActivation = b.op("add", [product, b.op("reshape", [bias], { shape: [3, 1, 1] })], {}, "c");
    const output = b.op("relu", [preActivation], {}, "c/activation");
    const flat = b.op("reshape", [output], { shape: [-1, 18] }, "flat");
    const dense = b.parameter("d/weight", [18, 2], { kind: "heNormal", fanIn: 18 });
    const shift = b.parameter("d/bias", [2], { kind: "constant", value: 0 });
    const sum = b.op("add", [b.op("matMul", [flat, dense], { transposeA: false, transposeB: false }), shift], {}, "d");
    b.output("logits", sum);
    const host: Host = {
      name: "flat",
      graph: b.build(),
      layers: [
        { name: "c", kind: "conv2d", input: x, preActivation, output, parameters: [weight, bias] },
        { name: "output", kind: "output", input: flat, preActivation: sum, output: sum, parameters: [dense, shift] },
      ],
      task: "classification",
      rows: 1,
      classes: 2,
    };
    const tensors = killUnits(host, randomTensors(host), "c", [1], 0.5);
    const result = expectPruned(pruneUnits(host, tensors, { layer: "c", units: [1], constants: [0.5] }));
    expect(result.cuts.get("d/weight")).toEqual([{ axis: 0, indices: [6, 7, 8, 9, 10, 11], role: "input" }]);
    expect(result.parameters.get("d/weight")!.shape).toEqual([12, 2]);
    expect(result.host.graph.parameters.find(({ name }) => name === "d/weight")!.initializer).toEqual({
      kind: "heNormal",
      fanIn: 12,
    });
    expect(distance(logitsOf(result.host, result.parameters), logitsOf(host, tensors))).toBeLessThan(1e-6);
  });

  it("units pass through a depthwise convolution and a squeeze-excite gate to a transposed weight", () => {
    const b = new GraphBuilder();
    const x = b.input("x", [-1, 2, 5, 5]);
    const none: [number, number, number, number] = [0, 0, 0, 0];
    const weight = b.parameter("c/weight", [4, 2, 1, 1], { kind: "heNormal", fanIn: 2 });
    const bias = b.parameter("c/bias", [4], { kind: "constant", value: 0 });
    const product = b.op("conv2d", [x, weight], { strides: [1, 1], pads: none, groups: 1 });
    const preActivation = b.op("add", [product, b.op("reshape", [bias], { shape: [4, 1, 1] })], {}, "c");
    const output = b.op("relu", [preActivation], {}, "c/activation");
    const filters = b.parameter("depth/weight", [8, 1, 3, 3], { kind: "heNormal", fanIn: 9 });
    const depth = b.op("conv2d", [output, filters], { strides: [1, 1], pads: none, groups: 4 }, "depth");
    const squeezed = b.op("globalAveragePool", [depth], {}, "squeezed");
    const down = b.parameter("down/weight", [8, 2], { kind: "heNormal", fanIn: 8 });
    const downBias = b.parameter("down/bias", [2], { kind: "constant", value: 0 });
    const flags = { transposeA: false, transposeB: false };
    const hidden = b.op("relu", [b.op("add", [b.op("matMul", [squeezed, down], flags), downBias], {}, "down")], {});
    const up = b.parameter("up/weight", [2, 8], { kind: "heNormal", fanIn: 2 });
    const gate = b.op("sigmoid", [b.op("matMul", [hidden, up], flags)], {}, "gate");
    const gated = b.op("mul", [depth, b.op("reshape", [gate], { shape: [-1, 8, 1, 1] }, "gate/maps")], {}, "gated");
    const places = b.op("avgPool2d", [gated], { kernelSize: [3, 3], strides: [1, 1], pads: none });
    const flat = b.op("reshape", [places], { shape: [-1, 8] }, "flat");
    const dense = b.parameter("d/weight", [3, 8], { kind: "heNormal", fanIn: 8 });
    const logits = b.op("matMul", [flat, dense], { transposeA: false, transposeB: true }, "logits/value");
    b.output("logits", logits);
    const host: Host = {
      name: "gated",
      graph: b.build(),
      layers: [
        { name: "c", kind: "conv2d", input: x, preActivation, output, parameters: [weight, bias] },
        { name: "output", kind: "output", input: flat, preActivation: logits, output: logits, parameters: [dense] },
      ],
      task: "classification",
      rows: 1,
      classes: 3,
    };
    const tensors = killUnits(host, randomTensors(host), "c", [1, 2], -1);
    const { host: pruned, parameters } = expectPruned(pruneUnits(host, tensors, { layer: "c", units: [1, 2] }));
    expect(distance(logitsOf(pruned, parameters), logitsOf(host, tensors))).toBeLessThan(1e-6);
    const shapes = Object.fromEntries(pruned.graph.parameters.map(({ name, shape }) => [name, shape.join()]));
    expect(shapes).toMatchObject({
      "depth/weight": "4,1,3,3",
      "down/weight": "4,2",
      "up/weight": "2,4",
      "d/weight": "3,4",
    });
    // A constant other than zero is scaled by the gate, sample by sample.
    const result = pruneUnits(host, tensors, { layer: "c", units: [1], constants: [0.5] });
    expect(result.kind === "refused" && result.reason).toContain("where it is not one constant");
  });

  it("a weight that serves two layers is refused", () => {
    const shared = structuredClone(plain);
    const nodes = shared.graph.nodes.map((node) =>
      node.id === "h3/product" ? { ...node, inputs: [node.inputs[0]!, "tied"] } : node,
    );
    const at = nodes.findIndex(({ id }) => id === "h3/product");
    const tied = { id: "tied", op: "slice" as const, inputs: ["h1/weight"], attributes: { starts: [0, 1], ends: [-1, -1] } };
    const host = { ...shared, graph: { ...shared.graph, nodes: nodes.toSpliced(at, 0, tied) } };
    const result = pruneUnits(host, randomTensors(host), { layer: "h1", units: [0] });
    expect(result.kind === "refused" && result.reason).toBe("h1: h1/weight is read by tied too");
  });

  it("U2: a layer that gates another is not narrowed along with it", () => {
    const b = new GraphBuilder();
    const x = b.input("x", [-1, 3]);
    const made = ["a", "b"].map((name) => {
      const weight = b.parameter(`${name}/weight`, [3, 4], { kind: "heNormal", fanIn: 3 });
      const value = b.op("matMul", [x, weight], { transposeA: false, transposeB: false }, name);
      return { name, kind: "dense" as const, input: x, preActivation: value, output: value, parameters: [weight] };
    });
    const gated = b.op("mul", ["a", "b"], {}, "gated");
    const weight = b.parameter("o/weight", [4, 2], { kind: "heNormal", fanIn: 4 });
    const logits = b.op("matMul", [gated, weight], { transposeA: false, transposeB: false }, "o");
    b.output("logits", logits);
    const output = {
      name: "output",
      kind: "output" as const,
      input: gated,
      preActivation: logits,
      output: logits,
      parameters: [weight],
    };
    const host: Host = { name: "glu", graph: b.build(), layers: [...made, output], task: "classification", rows: 1, classes: 2 };
    const result = pruneUnits(host, randomTensors(host), { layer: "a", units: [0] });
    expect(result).toEqual({ kind: "refused", reason: "a: b would narrow the layer b, which it is joined with" });
  });
});
