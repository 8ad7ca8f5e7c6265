/** ONNX models written by hand, operator by operator, give the same logits on onnxruntime and as hosts of ours. */
import { describe, expect, test } from "vitest";
import type { Tensor } from "../../src/contracts/graph.ts";
import type { ImportedModel } from "../../src/interchange/imported.ts";
import { importOnnx } from "../../src/interchange/onnx/import.ts";
import { attribute, draw, elementType, expectClose, floats, logitsOf, OnnxWriter, random, runOnnx } from "./support.ts";

const agree = async (bytes: Uint8Array, x: Tensor, dtype: "float32" | "int64" = "float32"): Promise<ImportedModel> => {
  const imported = importOnnx(bytes, "model");
  expectClose(await logitsOf(imported.host, imported.parameters, x), await runOnnx(bytes, x, dtype));
  return imported;
};

const sites = ({ host }: ImportedModel): string[] => host.layers.map(({ name, kind }) => `${name}:${kind}`);

const positive = (size: number, label: string): Float32Array => draw([size], label).map((value) => Math.abs(value) + 0.5);

describe("dense models", () => {
  test("Gemm with a transposed weight, MatMul and Add, activations, Identity and Dropout", async () => {
    const w = new OnnxWriter();
    w.node("Gemm", ["input", w.weight("fc1.weight", [6, 5]), w.weight("fc1.bias", [6])], "z1", [attribute.int("transB", 1)]);
    w.node("Tanh", ["z1"], "a1");
    w.node("Identity", ["a1"], "i1");
    w.node("MatMul", ["i1", w.weight("onnx::MatMul_7", [6, 4])], "p2");
    w.node("Add", [w.weight("fc.2.bias", [4]), "p2"], "z2");
    w.node("Gelu", ["z2"], "a2", [attribute.string("approximate", "tanh")]);
    w.node("Dropout", ["a2"], "d2");
    w.node("Gemm", ["d2", w.weight("head.3.weight", [4, 3]), w.weight("head.3.bias", [3])], "z3");
    w.node("Sigmoid", ["z3"], "a3");
    w.node("Gemm", ["a3", w.weight("last.weight", [3, 2]), w.weight("last.bias", [2])], "y");
    const imported = await agree(w.encode({ shape: ["N", 5] }, { name: "y", shape: ["N", 2] }), floats([4, 5], "dense"));
    expect(sites(imported)).toEqual(["fc1:dense", "p2:dense", "head-3:dense", "output:output"]);
    const [first, second] = imported.host.layers;
    // The weight stands [inputs, units] and the activation is the layer's own.
    expect(imported.parameters[first!.parameters[0]!]!.shape).toEqual([5, 6]);
    expect(imported.host.graph.nodes.find(({ id }) => id === first!.output)!.op).toBe("tanh");
    expect(second!.parameters).toHaveLength(2);
  });

  test("arithmetic that a formula is written in: erf, powers, constants, normalisation by hand", async () => {
    const w = new OnnxWriter();
    w.node("ReduceMean", ["input", w.int64("axes", [-1])], "mean", [attribute.int("keepdims", 1)]);
    w.node("Sub", ["input", "mean"], "centred");
    w.node("Pow", ["centred", w.weight("two", [], Float32Array.of(2))], "squares");
    w.node("ReduceMean", ["squares", "axes"], "variance");
    w.node("Add", ["variance", w.weight("epsilon", [], Float32Array.of(1e-5))], "shifted");
    w.node("Sqrt", ["shifted"], "deviation");
    w.node("Div", ["centred", "deviation"], "normal");
    w.node("Mul", ["normal", w.weight("gamma", [6])], "scaled");
    w.node("Neg", ["scaled"], "negative");
    w.node("Erf", ["negative"], "erf");
    w.node("LeakyRelu", ["erf"], "leaky", [attribute.float("alpha", 0.1)]);
    w.node("Exp", ["leaky"], "grown");
    w.node("Log", ["grown"], "back");
    w.node("Gemm", ["back", w.weight("w", [6, 3]), w.weight("b", [3])], "y");
    const imported = await agree(w.encode({ shape: ["N", 6] }, { name: "y", shape: ["N", 3] }), floats([3, 6], "formula"));
    expect(imported.host.graph.parameters.map(({ name }) => name)).toEqual(["gamma", "w", "b"]);
  });

  test.each(["Softmax", "LogSoftmax"])("a %s at the end is dropped, and said so", async (op) => {
    const w = new OnnxWriter();
    w.node("Gemm", ["input", w.weight("w", [5, 3]), w.weight("b", [3])], "z");
    w.node(op, ["z"], "p", [attribute.int("axis", -1)]);
    const bytes = w.encode({ shape: ["N", 5] }, { name: "p", shape: ["N", 3] });
    const imported = importOnnx(bytes, "model");
    expect(imported.notes.join()).toContain("softmax p at the end was dropped");
    const x = floats([2, 5], "soft");
    const [logits, given] = [await logitsOf(imported.host, imported.parameters, x), await runOnnx(bytes, x)];
    for (let row = 0; row < 2; row++) {
      const line = Array.from(logits.subarray(3 * row, 3 * row + 3));
      const total = line.reduce((sum, value) => sum + Math.exp(value), 0);
      line.forEach((value, i) => {
        const probability = Math.exp(value) / total;
        expect(given[3 * row + i]!).toBeCloseTo(op === "Softmax" ? probability : Math.log(probability), 5);
      });
    }
  });
});

describe("images", () => {
  test("convolutions with pads, strides, groups and auto_pad, batch normalisation, pooling, flatten", async () => {
    const w = new OnnxWriter();
    const conv = (input: string, output: string, weight: readonly number[], extra: Parameters<OnnxWriter["node"]>[3] = []) =>
      w.node("Conv", [input, w.weight(`${output}.weight`, weight), w.weight(`${output}.bias`, [weight[0]!])], output, extra);
    conv("input", "c1", [4, 2, 3, 3], [attribute.ints("pads", [1, 0, 2, 1]), attribute.ints("strides", [2, 1])]);
    const vectors = ["scale", "shift", "mean"].map((name) => w.weight(`bn.${name}`, [4]));
    w.node("BatchNormalization", ["c1", ...vectors, w.weight("bn.var", [4], positive(4, "var"))], "n1", [
      attribute.float("epsilon", 1e-3),
    ]);
    w.node("Relu", ["n1"], "a1");
    conv(
      "a1",
      "c2",
      [4, 1, 3, 3],
      [attribute.int("group", 4), attribute.string("auto_pad", "SAME_UPPER"), attribute.ints("strides", [2, 2])],
    );
    w.node("AveragePool", ["c2"], "p2", [
      attribute.ints("kernel_shape", [2, 2]),
      attribute.ints("pads", [1, 1, 0, 0]),
      attribute.int("count_include_pad", 1),
    ]);
    conv("p2", "c3", [6, 4, 1, 1]);
    w.node("MaxPool", ["c3"], "p3", [attribute.ints("kernel_shape", [2, 2]), attribute.ints("strides", [2, 2])]);
    w.node("Flatten", ["p3"], "flat");
    const size = 6 * 1 * 1;
    const x = floats([3, 2, 7, 6], "pictures");
    const imported = importOnnx(finish(w, "flat", size, 4, { shape: ["N", 2, 7, 6] }), "shape check");
    expect(imported.inputShape).toEqual([2, 7, 6]);
    expect(sites(imported)).toEqual(["c1:conv2d", "c2:conv2d", "c3:conv2d", "output:output"]);
    expect(imported.host.layers[0]!.parameters).toHaveLength(6);
    await agree(finish(w, "flat", size, 4, { shape: ["N", 2, 7, 6] }, false), x);
  });

  test("a flatten that computes its shape from the batch, and one that was traced with a batch of one", async () => {
    const body = () => {
      const w = new OnnxWriter();
      w.node("Conv", ["input", w.weight("c.weight", [3, 1, 3, 3])], "c");
      w.node("GlobalAveragePool", ["c"], "g");
      return w;
    };
    const computed = body();
    computed.node("Shape", ["g"], "shape");
    computed.node("Gather", ["shape", computed.int64("zero", [0], [])], "batch", [attribute.int("axis", 0)]);
    computed.node("Unsqueeze", ["batch", computed.int64("front", [0])], "batches");
    computed.node("Concat", ["batches", computed.int64("rest", [-1])], "wanted", [attribute.int("axis", 0)]);
    computed.node("Reshape", ["g", "wanted"], "flat");
    await agree(finish(computed, "flat", 3, 2, { shape: ["N", 1, 5, 5] }), floats([4, 1, 5, 5], "computed"));

    const traced = body();
    traced.node("Reshape", ["g", traced.int64("wanted", [1, 3])], "flat");
    const imported = importOnnx(finish(traced, "flat", 3, 2, { shape: [1, 1, 5, 5] }), "traced");
    expect(imported.notes.join()).toMatch(/fixed batch of 1.*fixed batch of 1/);
    expect(await logitsOf(imported.host, imported.parameters, floats([4, 1, 5, 5], "traced"))).toHaveLength(8);
  });
});

/** A dense layer at the end. */
const finish = (
  w: OnnxWriter,
  value: string,
  inputs: number,
  classes: number,
  input: Parameters<OnnxWriter["encode"]>[0],
  adds = true,
): Uint8Array => {
  if (adds) w.node("Gemm", [value, w.weight("end.weight", [inputs, classes]), w.weight("end.bias", [classes])], "y");
  return w.encode(input, { name: "y", shape: ["M", classes] });
};

describe("tokens", () => {
  test("an embedding of int64 ids with positions, attention written out, layer normalisation, logits of every token", async () => {
    const [tokens, width, vocabulary] = [4, 6, 7];
    const w = new OnnxWriter();
    w.node("Gather", [w.weight("tokens", [vocabulary, width]), "input"], "rows");
    w.node("Gather", [w.weight("positions", [8, width]), w.int64("ids", [0, 1, 2, 3])], "places");
    w.node("Add", ["rows", "places"], "stream");
    w.node("LayerNormalization", ["stream", w.weight("ln.weight", [width]), w.weight("ln.bias", [width])], "normal", [
      attribute.float("epsilon", 1e-5),
    ]);
    const head = (name: string) => {
      w.node("MatMul", ["normal", w.weight(`${name}.weight`, [width, width])], name);
      w.node("Reshape", [name, w.int64(`${name}.split`, [0, 0, 2, 3])], `${name}.heads`);
      return w.node("Transpose", [`${name}.heads`], `${name}.turned`, [attribute.ints("perm", [0, 2, 1, 3])]);
    };
    const [q, k, v] = [head("q"), head("k"), head("v")];
    w.node("Transpose", [k], "kt", [attribute.ints("perm", [0, 1, 3, 2])]);
    w.node("MatMul", [q, "kt"], "scores");
    const mask = Float32Array.from({ length: tokens * tokens }, (_, i) => (i % tokens > Math.floor(i / tokens) ? -1e9 : 0));
    w.node("Add", ["scores", w.weight("mask", [tokens, tokens], mask)], "masked");
    w.node("Softmax", ["masked"], "weights", [attribute.int("axis", -1)]);
    w.node("MatMul", ["weights", v], "mixed");
    w.node("Transpose", ["mixed"], "merged", [attribute.ints("perm", [0, 2, 1, 3])]);
    w.node("Reshape", ["merged", w.int64("join", [0, 0, -1])], "joined");
    w.node("Concat", ["joined", "stream"], "both", [attribute.int("axis", 2)]);
    w.node("Slice", ["both", w.int64("s", [1]), w.int64("e", [2 ** 40]), w.int64("a", [2])], "cut");
    w.node("MatMul", ["cut", w.weight("head.weight", [2 * width - 1, vocabulary])], "y");
    const bytes = w.encode(
      { shape: ["N", tokens], elemType: elementType.int64 },
      { name: "y", shape: ["N", tokens, vocabulary] },
    );
    const x: Tensor = {
      dtype: "int32",
      shape: [3, tokens],
      data: Int32Array.from({ length: 12 }, () => random.integer(vocabulary)),
    };
    const imported = await agree(bytes, x, "int64");
    expect(imported.host).toMatchObject({ rows: tokens, classes: vocabulary });
    expect(sites(imported)).toEqual(["q:dense", "k:dense", "v:dense", "output:output"]);
    // A mask hides and does not learn.
    expect(imported.host.graph.parameters.find(({ name }) => name === "mask")!.trainable).toBe(false);
  });
});

describe("what is refused, by operator and node", () => {
  const one = (
    op: string,
    attributes: Parameters<OnnxWriter["node"]>[3] = [],
    shape: readonly (number | string)[] = ["N", 2, 6, 6],
  ) => {
    const w = new OnnxWriter();
    w.node(op, ["input"], "odd", attributes);
    w.node("Flatten", ["odd"], "flat");
    return finish(w, "flat", 8, 2, { shape });
  };

  test.each([
    ["an unknown operator", () => one("NonZero"), /ONNX NonZero odd: expected one of the operators Add, .*, got NonZero/],
    [
      "overlapping maximum pooling",
      () => one("MaxPool", [attribute.ints("kernel_shape", [3, 3]), attribute.ints("strides", [2, 2])]),
      /ONNX MaxPool odd: expected windows side by side/,
    ],
    [
      "averages that leave padding out",
      () => one("AveragePool", [attribute.ints("kernel_shape", [3, 3]), attribute.ints("pads", [1, 1, 1, 1])]),
      /AveragePool odd: .*count_include_pad/,
    ],
    [
      "an input without its sizes",
      () => one("Relu", [], ["N", "C", 6, 6]),
      /ONNX input input: expected float32.*every other dimension known/,
    ],
    [
      "a mean over the batch",
      () => one("ReduceMean", [attribute.int("keepdims", 1)]),
      /ReduceMean odd: expected axes without the batch/,
    ],
  ])("%s", (_, bytes, message) => {
    expect(() => importOnnx(bytes(), "model")).toThrow(message);
  });

  test("an opset that is too old, two outputs, a model without a dense layer at its end", () => {
    const w = new OnnxWriter();
    w.node("Relu", ["input"], "y");
    expect(() => importOnnx(w.encode({ shape: ["N", 3] }, { name: "y", shape: ["N", 3] }, 3), "old")).toThrow(
      /operator set 7 to 24, got 3/,
    );
    expect(() => importOnnx(w.encode({ shape: ["N", 3] }, { name: "y", shape: ["N", 3] }), "bare")).toThrow(
      /dense layer that makes the logits, got relu y/,
    );
    const missing = new OnnxWriter();
    missing.node("Relu", ["nowhere"], "y");
    expect(() => importOnnx(missing.encode({ shape: ["N", 3] }, { name: "y", shape: ["N", 3] }), "model")).toThrow(
      /Relu y: expected inputs that stand before it, got the unknown nowhere/,
    );
  });
});
