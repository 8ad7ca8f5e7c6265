/** ONNX operators that work element by element, reduce, or normalise. */
import type { OpName } from "../../contracts/graph.ts";
import { formatShape } from "../../graph/shapes.ts";
import type { Translate, Translation } from "./translate.ts";

type Unary = "neg" | "exp" | "log" | "sqrt" | "tanh" | "sigmoid" | "relu" | "erf";
type Binary = "add" | "sub" | "mul" | "div";

const unary =
  (op: Unary & OpName): Translate =>
  (t) =>
    t.emit(op, [t.value(0)], {});

const binary =
  (op: Binary & OpName): Translate =>
  (t) =>
    t.emit(op, [t.value(0), t.value(1)], {});

const same: Translate = (t) => t.value(0);

const gelu: Translate = (t) =>
  t.emit("gelu", [t.value(0)], { approximate: t.reader.text("approximate", "none") === "tanh" ? "tanh" : "none" });

const pow: Translate = (t) => {
  const exponent = t.isWeight(1) ? t.weight(1, "an exponent").data[0] : t.tryIntegers(1)?.[0];
  const x = t.value(0);
  if (exponent === 2) return t.emit("mul", [x, x], {});
  if (exponent === 0.5) return t.emit("sqrt", [x], {});
  if (exponent === 3) return t.emit("mul", [t.emit("mul", [x, x], {}, "/square"), x], {});
  throw t.reader.refuse(
    "a constant exponent of 2, 3 or 0.5",
    String(exponent ?? "a computed one"),
    "write it with other operators",
  );
};

const leakyRelu: Translate = (t) => {
  const x = t.value(0);
  const slope = t.sketch.scalar(t.reader.float("alpha", 0.01), t.name);
  const below = t.emit("relu", [t.emit("neg", [x], {}, "/below")], {}, "/negative");
  return t.emit("sub", [t.emit("relu", [x], {}, "/positive"), t.emit("mul", [below, slope], {}, "/scaled")], {});
};

const softmaxOver =
  (op: "softmax" | "logSoftmax"): Translate =>
  (t) => {
    const x = t.value(0);
    const rank = t.shape(x).length;
    return t.emit(op, [x], { axis: t.axis(t.reader.int("axis", -1), rank) });
  };

/** Axes stand among the attributes in older operator sets and among the inputs in newer ones. */
const axesOf = (t: Translation, rank: number): number[] => {
  const listed = t.has(1) ? t.fixedIntegers(1, "axes") : t.reader.ints("axes");
  if (listed === undefined || listed.length === 0) {
    if (t.reader.int("noop_with_empty_axes", 0) !== 0) return [];
    return Array.from({ length: rank }, (_, axis) => axis);
  }
  return listed.map((axis) => t.axis(axis, rank));
};

const reduction =
  (op: "reduceMean" | "reduceSum" | "reduceMax"): Translate =>
  (t) => {
    const x = t.value(0);
    const shape = t.shape(x);
    const axes = axesOf(t, shape.length);
    t.reader.require(!axes.some((axis) => shape[axis] === -1), "axes without the batch", formatShape(axes));
    return t.emit(op, [x], { axes, keepDims: t.reader.int("keepdims", 1) !== 0 });
  };

/** Ids stay ids, floats stay floats; nothing else is computed with. */
const cast: Translate = (t) => {
  const x = t.value(0);
  const to = t.reader.int("to", 1);
  const wanted = to === 1 ? "float32" : to === 6 || to === 7 ? "int32" : `type ${to}`;
  t.reader.require(
    wanted === t.sketch.dtype(x),
    `a cast of ${t.sketch.dtype(x)} to itself`,
    wanted,
    "feed the model the type that it computes with",
  );
  return x;
};

const dropout: Translate = (t) => {
  const rate = t.isWeight(1) ? t.weight(1, "a rate").data[0]! : t.reader.float("ratio", 0.5);
  return t.emit("dropout", [t.value(0)], { rate: Math.min(0.999, Math.max(0, rate)) });
};

export const elementwiseOperators: Readonly<Record<string, Translate>> = {
  Add: binary("add"),
  Sub: binary("sub"),
  Mul: binary("mul"),
  Div: binary("div"),
  Neg: unary("neg"),
  Exp: unary("exp"),
  Log: unary("log"),
  Sqrt: unary("sqrt"),
  Tanh: unary("tanh"),
  Sigmoid: unary("sigmoid"),
  Relu: unary("relu"),
  Erf: unary("erf"),
  Gelu: gelu,
  Pow: pow,
  LeakyRelu: leakyRelu,
  Softmax: softmaxOver("softmax"),
  LogSoftmax: softmaxOver("logSoftmax"),
  ReduceMean: reduction("reduceMean"),
  ReduceSum: reduction("reduceSum"),
  ReduceMax: reduction("reduceMax"),
  Identity: same,
  Dropout: dropout,
  Cast: cast,
};
