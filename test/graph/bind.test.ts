import { describe, expect, it } from "vitest";
import { GraphError } from "../../src/contracts/errors.ts";
import { Graph, type GraphNode } from "../../src/contracts/graph.ts";
import { bind } from "../../src/graph/bind.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { programTypes } from "../../src/graph/program.ts";
import { runReference } from "../../src/graph/reference.ts";

const dense = (): GraphBuilder => {
  const b = new GraphBuilder();
  const x = b.input("x", [-1, 3]);
  const w = b.parameter("w", [3, 2], { kind: "constant", value: 1 });
  b.output("y", b.op("matMul", [x, w], { transposeA: false, transposeB: false }, "product"));
  return b;
};

const withNode = (node: GraphNode): Graph => {
  const graph = dense().build();
  return { ...graph, nodes: [...graph.nodes, node] };
};

const bindIt = (graph: Graph) => () => bind(graph, { batch: 4, mode: "train" });

describe("bind", () => {
  it("gives the batch a size and every value a type", () => {
    const b = dense();
    const flat = b.op("reshape", ["product"], { shape: [-1] });
    b.op("broadcastTo", [b.op("fill", [], { value: 2, shape: [-1, 1] }, "twos")], { shape: [-1, 5] }, "wide");
    b.op("slice", ["product"], { starts: [1, 0], ends: [-1, 1] }, "part");
    const bound = bind(b.build(), { batch: 4, mode: "eval" });
    expect(bound.inputs).toEqual([{ name: "x", dtype: "float32", shape: [4, 3] }]);
    expect(bound.types.get("product")).toEqual({ dtype: "float32", shape: [4, 2] });
    expect(bound.types.get(flat)!.shape).toEqual([8]);
    expect(bound.types.get("wide")!.shape).toEqual([4, 5]);
    // Engines see concrete attributes only.
    expect(bound.nodes.find((node) => node.id === flat)!.attributes).toEqual({ shape: [8] });
    expect(bound.nodes.find((node) => node.id === "part")!.attributes).toEqual({ starts: [1, 0], ends: [4, 1] });
  });

  it("keeps the id of a composite for its value and says where nothing is left of it", () => {
    const b = dense();
    b.op("gelu", ["product"], { approximate: "none" }, "smooth");
    b.op("dropout", ["smooth"], { rate: 0.5 }, "dropped");
    const graph = b.build();
    const train = bind(graph, { batch: 2, mode: "train" });
    expect(train.types.get("smooth")!.shape).toEqual([2, 2]);
    expect(train.randomInputs).toEqual([{ name: "uniform:dropped", shape: [2, 2] }]);
    expect(train.aliases.size).toBe(0);
    const evaluation = bind(graph, { batch: 2, mode: "eval" });
    expect(evaluation.randomInputs).toEqual([]);
    expect(evaluation.aliases.get("dropped")).toBe("smooth");
    expect(evaluation.types.get("dropped")!.shape).toEqual([2, 2]);
  });

  it("leaves a builder's graph valid under its contract", () => {
    const b = dense();
    b.op("relu", ["product"], {});
    b.op("relu", ["product"], {});
    const graph = b.build();
    expect(Graph.parse(graph)).toEqual(graph);
    expect(graph.nodes.map((node) => node.id)).toEqual(["product", "relu", "relu2"]);
  });

  it("refuses what is not well formed, and says what was expected and found", () => {
    const relu = (id: string, inputs: string[]): GraphNode => ({ id, op: "relu", inputs, attributes: {} });
    expect(bindIt(withNode(relu("a", ["nowhere"])))).toThrow(
      "relu a: expected inputs that stand before it, got the unknown value nowhere; check the name and the order of nodes",
    );
    expect(bindIt(withNode({ id: "g", op: "gelu", inputs: ["later"], attributes: { approximate: "tanh" } }))).toThrow(
      "gelu g: expected inputs that stand before it, got the unknown value later",
    );
    expect(bindIt(withNode(relu("w", ["product"])))).toThrow("expected every value name once, got w twice");
    expect(bindIt(withNode(relu("a", ["x", "w"])))).toThrow("relu a: expected 1 inputs, got 2");
    expect(bindIt(withNode({ id: "s", op: "add", inputs: ["x", "w"], attributes: {} }))).toThrow(
      "add s: expected shapes that broadcast together, got float32 [4, 3] and float32 [3, 2]",
    );
    expect(bindIt(withNode({ id: "o", op: "oneHot", inputs: ["x"], attributes: { depth: 2 } }))).toThrow(
      "oneHot o: expected int32 ids, got float32 [4, 3]",
    );
    expect(bindIt({ ...dense().build(), outputs: [{ name: "y", value: "lost" }] })).toThrow(
      "output y: expected the name of a value, got the unknown lost",
    );
    expect(() => bind(dense().build(), { batch: 0, mode: "eval" })).toThrow(GraphError);
  });

  it.each<[GraphNode, string]>([
    [
      { id: "n", op: "matMul", inputs: ["x", "x"], attributes: { transposeA: false, transposeB: false } },
      "expected equal inner dimensions",
    ],
    [
      { id: "n", op: "conv2d", inputs: ["x", "w"], attributes: { strides: [1, 1], pads: [0, 0, 0, 0], groups: 1 } },
      "expected inputs of rank 4",
    ],
    [{ id: "n", op: "reshape", inputs: ["x"], attributes: { shape: [5, -1] } }, "expected a shape of 12 elements"],
    [{ id: "n", op: "reshape", inputs: ["x"], attributes: { shape: [-1, -1] } }, "expected at most one -1"],
    [{ id: "n", op: "transpose", inputs: ["x"], attributes: { perm: [0, 0] } }, "expected a permutation of 2 axes"],
    [
      { id: "n", op: "concat", inputs: ["x", "w"], attributes: { axis: 0 } },
      "expected inputs of one type that differ in axis 0 alone",
    ],
    [{ id: "n", op: "slice", inputs: ["x"], attributes: { starts: [0, 0], ends: [9, 1] } }, "expected start < end ≤ length"],
    [{ id: "n", op: "pad", inputs: ["x"], attributes: { before: [1], after: [1] } }, "expected 2 counts before and after"],
    [{ id: "n", op: "reduceSum", inputs: ["x"], attributes: { axes: [2], keepDims: false } }, "expected distinct axes below 2"],
    [{ id: "n", op: "softmax", inputs: ["x"], attributes: { axis: 3 } }, "expected an axis below 2"],
    [{ id: "n", op: "gather", inputs: ["w", "x"], attributes: {} }, "expected a float32 table of rank 2 and int32 ids"],
    [{ id: "n", op: "equal", inputs: ["x", "x"], attributes: {} }, "expected int32 inputs"],
    [{ id: "n", op: "broadcastTo", inputs: ["x"], attributes: { shape: [4, 4] } }, "expected a shape that broadcasts to [4, 4]"],
    [{ id: "n", op: "layerNorm", inputs: ["x", "w", "w"], attributes: { epsilon: 1 } }, "expected x and two vectors"],
    [{ id: "n", op: "globalAveragePool", inputs: ["x"], attributes: {} }, "expected an image batch"],
    [
      { id: "n", op: "softmaxCrossEntropy", inputs: ["x", "x"], attributes: {} },
      "expected float32 logits [N, K] and int32 labels [N]",
    ],
    [{ id: "n", op: "meanSquaredError", inputs: ["x", "w"], attributes: {} }, "expected prediction and target of one shape"],
  ])("names the operator, the node and the shapes: %j", (node, text) => {
    expect(bindIt(withNode(node))).toThrow(`${node.op} n: ${text}`);
  });

  it("refuses an image window that does not fit, and a gradient of the wrong size", () => {
    const images = (node: GraphNode): Graph => ({
      inputs: [
        { name: "i", dtype: "float32", shape: [-1, 2, 3, 3] },
        { name: "k", dtype: "float32", shape: [2, 2, 5, 5] },
        { name: "odd", dtype: "float32", shape: [2, 3, 3, 3] },
      ],
      parameters: [],
      nodes: [node],
      outputs: [{ name: "n", value: "n" }],
    });
    const window = { strides: [1, 1] as [number, number], pads: [0, 0, 0, 0] as [number, number, number, number], groups: 1 };
    expect(bindIt(images({ id: "n", op: "conv2d", inputs: ["i", "k"], attributes: window }))).toThrow(
      "a window no larger than the padded image",
    );
    expect(bindIt(images({ id: "n", op: "conv2d", inputs: ["i", "odd"], attributes: window }))).toThrow(
      "channels = weight channels × groups",
    );
    expect(
      bindIt(images({ id: "n", op: "conv2dInputGrad", inputs: ["i", "k"], attributes: { ...window, inputSize: [9, 9] } })),
    ).toThrow("expected a gradient of size [5, 5] for an image of [9, 9] under a window of [5, 5], got [3, 3]");
    expect(
      bindIt(
        images({
          id: "n",
          op: "avgPool2d",
          inputs: ["i"],
          attributes: { kernelSize: [1, 1], strides: [1, 1], pads: [1, 0, 0, 0] },
        }),
      ),
    ).toThrow("expected pads smaller than the window");
  });
});

describe("the reference", () => {
  const { nodes, outputs } = bind(dense().build(), { batch: 1, mode: "eval" });
  const program = {
    inputs: [
      { name: "x", dtype: "float32" as const, shape: [1, 3] },
      { name: "w", dtype: "float32" as const, shape: [3, 2] },
    ],
    nodes,
    outputs,
  };
  const w = { dtype: "float32" as const, shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) };

  it("runs a program on tensors", () => {
    const y = runReference(program, { x: { dtype: "float32", shape: [1, 3], data: Float32Array.of(1, 0, 2) }, w })["y"]!;
    expect(y).toEqual({ dtype: "float32", shape: [1, 2], data: Float32Array.of(11, 14) });
  });

  it("rounds every node to float32 when asked to", () => {
    const tiny = { inputs: [{ name: "x", dtype: "float32" as const, shape: [] }], outputs: [{ name: "y", value: "back" }] };
    const one: GraphNode = { id: "one", op: "fill", inputs: [], attributes: { value: 1, shape: [] } };
    const chain: GraphNode[] = [
      one,
      { id: "sum", op: "add", inputs: ["x", "one"], attributes: {} },
      { id: "back", op: "sub", inputs: ["sum", "one"], attributes: {} },
    ];
    const feeds = { x: { dtype: "float32" as const, shape: [], data: Float32Array.of(1e-9) } };
    expect(runReference({ ...tiny, nodes: chain }, feeds, { precision: "float32" })["y"]!.data[0]).toBe(0);
    expect(runReference({ ...tiny, nodes: chain }, feeds)["y"]!.data[0]).toBeCloseTo(1e-9, 15);
  });

  it("refuses feeds that are missing or do not fit", () => {
    expect(() => runReference(program, { w })).toThrow(
      "feed x: expected float32 [1, 3], got nothing; feed every input of the program",
    );
    expect(() => runReference(program, { w, x: w })).toThrow(
      "feed x: expected float32 [1, 3], got float32 [3, 2] with 6 elements",
    );
    const ids = { dtype: "int32" as const, shape: [1, 3], data: Int32Array.of(1, 2, 3) };
    expect(() => runReference(program, { w, x: ids })).toThrow("feed x: expected float32 [1, 3], got int32 [1, 3]");
  });

  it("refuses composites, unknown values and names used twice", () => {
    const gelu: GraphNode = { id: "g", op: "gelu", inputs: ["x"], attributes: { approximate: "none" } };
    expect(() => programTypes({ ...program, nodes: [gelu] })).toThrow(
      "gelu g: expected a primitive operator, got a composite; bind the graph first",
    );
    expect(() => programTypes({ ...program, nodes: [] })).toThrow(
      "output y: expected values that stand before it, got the unknown value product",
    );
    expect(() => programTypes({ ...program, nodes: [...nodes, ...nodes] })).toThrow("matMul product: expected a name used once");
  });
});
