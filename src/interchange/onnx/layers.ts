/** ONNX operators with weights: products, convolutions, pooling, normalisation, embedding. */
import { formatShape } from "../../graph/shapes.ts";
import { samePads } from "../padding.ts";
import type { Translate, Translation } from "./translate.ts";

const flags = { transposeA: false, transposeB: false };

const gemm: Translate = (t) => {
  const { reader } = t;
  const [alpha, beta, transA] = [reader.float("alpha", 1), reader.float("beta", 1), reader.int("transA", 0)];
  reader.require(alpha === 1 && beta === 1 && transA === 0, "alpha 1, beta 1, transA 0", `${alpha}, ${beta}, ${transA}`);
  const transposed = reader.int("transB", 0) !== 0;
  const product = t.isWeight(1)
    ? t.emit("matMul", [t.value(0), t.matrix(1, transposed)], flags, "/product")
    : t.emit("matMul", [t.value(0), t.value(1)], { ...flags, transposeB: transposed }, "/product");
  if (!t.has(2)) return product;
  const units = t.shape(product).at(-1)!;
  const bias = t.isWeight(2) && t.weight(2, "a bias").data.length === units && units > 1 ? t.vector(2, "a bias") : t.value(2);
  return t.emit("add", [product, bias], {}, "/preActivation");
};

const matMul: Translate = (t) => {
  const right = t.isWeight(1) && t.weight(1, "a matrix").shape.length === 2 ? t.matrix(1, false) : t.value(1);
  return t.emit("matMul", [t.value(0), right], flags, "/product");
};

type Pair = [number, number];
type Pads = [number, number, number, number];

const pairOf = (t: Translation, name: string, otherwise: Pair): Pair => {
  const found = t.reader.ints(name);
  if (found === undefined) return otherwise;
  t.reader.require(found.length === 2, `${name} of two axes`, formatShape(found), "only images are convolved and pooled");
  return [found[0]!, found[1]!];
};

/** Pads top, left, bottom, right, of the four ways in which a node may say them. */
const padsOf = (t: Translation, x: string, kernel: Pair, strides: Pair): Pads => {
  const { reader } = t;
  const auto = reader.text("auto_pad", "NOTSET");
  if (auto === "VALID") return [0, 0, 0, 0];
  if (auto === "SAME_UPPER" || auto === "SAME_LOWER") {
    const shape = t.shape(x);
    const late = samePads([shape[2]!, shape[3]!], kernel, strides);
    return auto === "SAME_UPPER" ? late : [late[2], late[3], late[0], late[1]];
  }
  const pads = reader.ints("pads") ?? [0, 0, 0, 0];
  reader.require(pads.length === 4 && pads.every((pad) => pad >= 0), "pads of two axes, none negative", formatShape(pads));
  return [pads[0]!, pads[1]!, pads[2]!, pads[3]!];
};

const expectImage = (t: Translation, x: string): void =>
  t.reader.require(
    t.shape(x).length === 4,
    "an image batch [N, C, H, W]",
    formatShape(t.shape(x)),
    "only images are convolved and pooled",
  );

const plainWindow = (t: Translation): void => {
  const dilations = t.reader.ints("dilations") ?? [];
  t.reader.require(
    dilations.every((dilation) => dilation === 1),
    "dilations of 1",
    formatShape(dilations),
  );
  t.reader.require(t.reader.int("ceil_mode", 0) === 0, "ceil_mode 0", "1");
};

const conv: Translate = (t) => {
  const x = t.value(0);
  expectImage(t, x);
  plainWindow(t);
  const weight = t.weight(1, "a kernel");
  const kernel: Pair = [weight.shape[2]!, weight.shape[3]!];
  const strides = pairOf(t, "strides", [1, 1]);
  const pads = padsOf(t, x, kernel, strides);
  const product = t.emit("conv2d", [x, t.value(1)], { strides, pads, groups: t.reader.int("group", 1) }, "/convolution");
  if (!t.has(2)) return product;
  const filters = weight.shape[0]!;
  const perChannel = t.emit("reshape", [t.vector(2, "a bias")], { shape: [filters, 1, 1] }, "/biasPerChannel");
  return t.emit("add", [product, perChannel], {}, "/preActivation");
};

const poolOf = (t: Parameters<Translate>[0]) => {
  const x = t.value(0);
  expectImage(t, x);
  plainWindow(t);
  const kernelSize = pairOf(t, "kernel_shape", [1, 1]);
  const strides = pairOf(t, "strides", [1, 1]);
  return { x, kernelSize, strides, pads: padsOf(t, x, kernelSize, strides) };
};

const averagePool: Translate = (t) => {
  const { x, kernelSize, strides, pads } = poolOf(t);
  const counted = pads.every((pad) => pad === 0) || t.reader.int("count_include_pad", 0) === 1;
  t.reader.require(counted, "no padding, or count_include_pad 1", formatShape(pads));
  return t.emit("avgPool2d", [x], { kernelSize, strides, pads });
};

const maxPool: Translate = (t) => {
  const { x, kernelSize, strides, pads } = poolOf(t);
  const fits = kernelSize[0] === strides[0] && kernelSize[1] === strides[1] && pads.every((pad) => pad === 0);
  t.reader.require(
    fits,
    "windows side by side (strides = kernel_shape, no padding)",
    `kernel ${formatShape(kernelSize)}, strides ${formatShape(strides)}, pads ${formatShape(pads)}`,
    "pool without overlap, or average",
  );
  return t.emit("maxPool2d", [x], { kernelSize, strides });
};

const globalAveragePool: Translate = (t) => {
  const x = t.value(0);
  expectImage(t, x);
  return t.emit("reduceMean", [x], { axes: [2, 3], keepDims: true });
};

const batchNormalization: Translate = (t) => {
  t.reader.require(t.reader.int("training_mode", 0) === 0, "training_mode 0", "1", "export the model for inference");
  const momentum = t.reader.float("momentum", 0.9);
  const running = { trainable: false };
  const vectors = [
    t.vector(1, "a scale"),
    t.vector(2, "a shift"),
    t.vector(3, "a mean", running),
    t.vector(4, "a variance", running),
  ];
  const attributes = { epsilon: t.reader.float("epsilon", 1e-5), momentum: Math.min(1, Math.max(0, momentum)) };
  return t.emit("batchNorm", [t.value(0), ...vectors], attributes);
};

const layerNormalization: Translate = (t) => {
  const x = t.value(0);
  const rank = t.shape(x).length;
  const axis = t.axis(t.reader.int("axis", -1), rank);
  t.reader.require(axis === rank - 1, "the last axis", String(axis), "normalise over the last axis");
  const gamma = t.vector(1, "a scale");
  const width = t.shape(x).at(-1)!;
  const beta = t.has(2)
    ? t.vector(2, "a shift")
    : t.sketch.parameter(`${t.name}/beta`, [width], new Float32Array(width), { trainable: true });
  return t.emit("layerNorm", [x, gamma, beta], { epsilon: t.reader.float("epsilon", 1e-5) });
};

/** A table read by ids, or a part of a weight when the ids follow each other. */
const gather: Translate = (t) => {
  if (t.isWeight(0) && t.reader.int("axis", 0) === 0 && t.weight(0, "a table").shape.length === 2) {
    const ids = t.tryIntegers(1);
    if (ids === undefined) return t.emit("gather", [t.matrix(0, false), t.value(1)], {});
    const first = ids[0] ?? 0;
    const inRow = ids.every((id, i) => id === first + i);
    t.reader.require(inRow && ids.length > 0, "constant ids that follow each other", formatShape(ids));
    const width = t.weight(0, "a table").shape[1]!;
    return t.emit("slice", [t.matrix(0, false)], { starts: [first, 0], ends: [first + ids.length, width] });
  }
  const x = t.value(0);
  const shape = t.shape(x);
  const axis = t.axis(t.reader.int("axis", 0), shape.length);
  const ids = t.tryIntegers(1);
  t.reader.require(
    ids?.length === 1 && shape[axis] !== -1,
    "a table of rank 2 with computed ids, or one constant id",
    `a value of shape ${formatShape(shape)}`,
  );
  const at = ids![0]! < 0 ? ids![0]! + shape[axis]! : ids![0]!;
  const part = t.emit(
    "slice",
    [x],
    { starts: shape.map((_, i) => (i === axis ? at : 0)), ends: shape.map((_, i) => (i === axis ? at + 1 : -1)) },
    "/part",
  );
  const drop = (whole: readonly number[]): number[] => whole.filter((_, i) => i !== axis);
  const [a, b] = t.sketch.trialShapes(part);
  return t.isScalar(1) ? t.sketch.reshape(part, [drop(a), drop(b)], t.name) : part;
};

export const layerOperators: Readonly<Record<string, Translate>> = {
  Gemm: gemm,
  MatMul: matMul,
  Conv: conv,
  AveragePool: averagePool,
  MaxPool: maxPool,
  GlobalAveragePool: globalAveragePool,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Gather: gather,
};
