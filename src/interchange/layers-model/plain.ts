/** Keras layers without weights: activations, shapes, pooling, merging. */
import { formatShape, sameShape, sizeOf } from "../../graph/shapes.ts";
import { samePads } from "../padding.ts";
import { asImage, asPlain, flatten, imageValue, inKerasOrder, type KerasValue, plainValue } from "./layout.ts";
import { activation, emit, type LayerCall, type TranslateLayer } from "./translate.ts";

const first = ({ inputs }: LayerCall): KerasValue => inputs[0]!;

/** In the order in which Keras has it, unless the layer works on single elements. */
const ordered = (call: LayerCall): KerasValue => {
  const x = first(call);
  return x.flattened === undefined ? x : asPlain(call.sketch, x, call.name);
};

const reLU: TranslateLayer = (call) => {
  const { config } = call;
  const top = config.get("max_value") ?? null;
  const slope = config.get("negative_slope") ?? 0;
  const plain = (slope === 0 || (Array.isArray(slope) && slope[0] === 0)) && config.number("threshold", 0) === 0;
  config.require(plain && (top === null || top === 6), "a plain relu, or one that ends at 6", JSON.stringify({ top, slope }));
  return activation(call, first(call), top === 6 ? "relu6" : "relu");
};

const leakyReLU: TranslateLayer = (call) => {
  const x = first(call);
  const slope = call.sketch.scalar(call.config.number("alpha", call.config.number("negative_slope", 0.3)), call.name);
  const below = emit(call, "relu", [emit(call, "neg", [x.value], {}, "below")], {}, "negative");
  const scaled = emit(call, "mul", [below, slope], {}, "scaled");
  return { ...x, value: emit(call, "sub", [emit(call, "relu", [x.value], {}, "positive"), scaled], {}, "activation") };
};

const softmax: TranslateLayer = (call) => {
  const x = ordered(call);
  const axis = call.config.number("axis", -1);
  call.config.require(axis === -1 || axis === x.shape.length, "the last axis", String(axis));
  return activation(call, x, "softmax");
};

const reshape: TranslateLayer = (call) => {
  const x = first(call);
  const wanted = call.config.numbers("target_shape") ?? [];
  const known = sizeOf(wanted.filter((dim) => dim !== -1));
  const shape = wanted.map((dim) => (dim === -1 ? sizeOf(x.shape) / known : dim));
  call.config.require(sizeOf(shape) === sizeOf(x.shape), `a shape of ${sizeOf(x.shape)} elements`, formatShape(wanted));
  const value = emit(call, "reshape", [inKerasOrder(call.sketch, x, call.name)], { shape: [-1, ...shape] }, "reshaped");
  const made = plainValue(value, shape);
  return shape.length === 3 ? asImage(call.sketch, made, call.name) : made;
};

/** `dims` counts from 1: the batch is 0. */
const permute: TranslateLayer = (call) => {
  const x = first(call);
  const dims = call.config.numbers("dims") ?? [];
  const shape = dims.map((dim) => x.shape[dim - 1]!);
  const value = emit(call, "transpose", [inKerasOrder(call.sketch, x, call.name)], { perm: [0, ...dims] }, "permuted");
  const made = plainValue(value, shape);
  return shape.length === 3 ? asImage(call.sketch, made, call.name) : made;
};

const image = (call: LayerCall): KerasValue => {
  const x = first(call);
  call.config.require(x.shape.length === 3, "a map of [height, width, channels]", formatShape(x.shape));
  call.config.require(call.config.text("data_format", "channels_last") === "channels_last", "channels_last", "channels_first");
  return asImage(call.sketch, x, call.name);
};

const globalAveragePooling2d: TranslateLayer = (call) => {
  const x = image(call);
  const channels = x.shape[2]!;
  if (!call.config.flag("keepdims", false))
    return plainValue(emit(call, "globalAveragePool", [x.value], {}, "pooled"), [channels]);
  return imageValue(emit(call, "reduceMean", [x.value], { axes: [2, 3], keepDims: true }, "pooled"), [1, 1, channels]);
};

const globalAveragePooling1d: TranslateLayer = (call) => {
  const x = ordered(call);
  call.config.require(x.shape.length === 2, "tokens of [steps, width]", formatShape(x.shape));
  return plainValue(emit(call, "reduceMean", [x.value], { axes: [1], keepDims: false }, "pooled"), [x.shape[1]!]);
};

const pooling =
  (op: "avgPool2d" | "maxPool2d"): TranslateLayer =>
  (call) => {
    const { config } = call;
    const x = image(call);
    const kernelSize = config.pair("pool_size", [2, 2]);
    const strides = config.pair("strides", kernelSize);
    const size: [number, number] = [x.shape[0]!, x.shape[1]!];
    const pads = config.text("padding", "valid") === "same" ? samePads(size, kernelSize, strides) : [0, 0, 0, 0];
    config.require(
      pads.every((pad) => pad === 0),
      "pooling without padding",
      `pads ${formatShape(pads)}`,
      "use padding valid, or a size that the windows divide",
    );
    const shape = [...size.map((side, axis) => Math.floor((side - kernelSize[axis]!) / strides[axis]!) + 1), x.shape[2]!];
    if (op === "avgPool2d") {
      return imageValue(emit(call, op, [x.value], { kernelSize, strides, pads: [0, 0, 0, 0] }, "pooled"), shape);
    }
    config.require(
      sameShape(kernelSize, strides),
      "windows side by side (strides = pool_size)",
      `${formatShape(kernelSize)} by ${formatShape(strides)}`,
      "pool without overlap, or average",
    );
    return imageValue(emit(call, op, [x.value], { kernelSize, strides }, "pooled"), shape);
  };

/** [[top, bottom], [left, right]], [vertical, horizontal], or one number. */
const zeroPadding2d: TranslateLayer = (call) => {
  const x = image(call);
  const found = call.config.get("padding");
  const sides = (side: unknown): [number, number] | undefined => {
    if (typeof side === "number") return [side, side];
    return Array.isArray(side) && typeof side[0] === "number" && typeof side[1] === "number" ? [side[0], side[1]] : undefined;
  };
  const both: readonly unknown[] = Array.isArray(found) ? found : [found, found];
  const [rows, columns] = [sides(both[0]), sides(both[1])];
  if (rows === undefined || columns === undefined)
    throw call.config.refuse("a padding", JSON.stringify(found), "check the layer");
  const pads = { before: [0, 0, rows[0], columns[0]], after: [0, 0, rows[1], columns[1]] };
  const shape = [x.shape[0]! + rows[0] + rows[1], x.shape[1]! + columns[0] + columns[1], x.shape[2]!];
  return imageValue(emit(call, "pad", [x.value], pads, "padded"), shape);
};

const dropout: TranslateLayer = (call) => {
  const rate = call.config.number("rate", 0);
  if (rate === 0) return first(call);
  return { ...first(call), value: emit(call, "dropout", [first(call).value], { rate }, "dropped") };
};

/** All in one layout: as maps when they are maps, else in Keras's order. */
const together = (call: LayerCall): readonly KerasValue[] =>
  call.inputs.map((x) => (x.shape.length === 3 ? asImage(call.sketch, x, call.name) : asPlain(call.sketch, x, call.name)));

const merge =
  (op: "add" | "mul"): TranslateLayer =>
  (call) => {
    const parts = together(call);
    call.config.require(parts.length >= 2, "two inputs or more", String(parts.length));
    const rank = parts[0]!.shape.length;
    call.config.require(
      parts.every(({ shape }) => shape.length === rank),
      "inputs of one rank",
      parts.map(({ shape }) => formatShape(shape)).join(" and "),
    );
    const widest = parts[0]!.shape.map((_, axis) => Math.max(...parts.map(({ shape }) => shape[axis]!)));
    const value = parts.slice(1).reduce((sum, part) => emit(call, op, [sum, part.value], {}, "merged"), parts[0]!.value);
    return { ...parts[0]!, value, shape: widest };
  };

/** Axes of Keras count the batch: a map's 1, 2, 3 are our 2, 3, 1. */
const concatenate: TranslateLayer = (call) => {
  const parts = together(call);
  const shape = parts[0]!.shape;
  const found = call.config.number("axis", -1);
  const axis = found < 0 ? found + shape.length + 1 : found;
  call.config.require(axis >= 1 && axis <= shape.length, "an axis other than the batch", String(found));
  const ours = parts[0]!.image ? [2, 3, 1][axis - 1]! : axis;
  const value = emit(
    call,
    "concat",
    parts.map((part) => part.value),
    { axis: ours },
    "joined",
  );
  const length = parts.reduce((sum, part) => sum + part.shape[axis - 1]!, 0);
  return { ...parts[0]!, value, shape: shape.map((dim, i) => (i === axis - 1 ? length : dim)) };
};

export const plainLayers: Readonly<Record<string, TranslateLayer>> = {
  Activation: (call) =>
    activation(
      call,
      call.config.text("activation", "linear") === "softmax" ? ordered(call) : first(call),
      call.config.text("activation", "linear"),
    ),
  ReLU: reLU,
  LeakyReLU: leakyReLU,
  Softmax: softmax,
  Flatten: (call) => flatten(call.sketch, first(call), `${call.name}/flattened`),
  Reshape: reshape,
  Permute: permute,
  GlobalAveragePooling2D: globalAveragePooling2d,
  GlobalAveragePooling1D: globalAveragePooling1d,
  AveragePooling2D: pooling("avgPool2d"),
  MaxPooling2D: pooling("maxPool2d"),
  ZeroPadding2D: zeroPadding2d,
  Dropout: dropout,
  Add: merge("add"),
  Multiply: merge("mul"),
  Concatenate: concatenate,
};
