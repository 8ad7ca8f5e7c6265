/** Keras layers with weights: dense, convolutions, normalisation, embedding. */
import { formatShape } from "../../graph/shapes.ts";
import { samePads } from "../padding.ts";
import { asImage, asPlain, imageValue, type KerasValue, plainValue, reorderRows } from "./layout.ts";
import { activation, emit, type LayerCall, type TranslateLayer, weightOf } from "./translate.ts";

type Pair = [number, number];
type Pads = [number, number, number, number];

/** A map as [N, H, W, C] keeps its channels last, where a dense layer reads them. */
const dense: TranslateLayer = (call) => {
  const { sketch, config, name } = call;
  const x = call.inputs[0]!.image ? asPlain(sketch, call.inputs[0]!, name) : call.inputs[0]!;
  const inputs = x.shape.at(-1)!;
  const units = config.number("units", 0);
  const kernel = weightOf(call, "kernel", [inputs, units]);
  const rows = x.flattened === undefined ? kernel : reorderRows(kernel, units, x.flattened);
  const weight = sketch.parameter(`${name}/weight`, [inputs, units], rows);
  const product = emit(call, "matMul", [x.value, weight], { transposeA: false, transposeB: false }, "product");
  call.nameLayer(product);
  const shape = [...x.shape.slice(0, -1), units];
  let value = product;
  if (config.flag("use_bias", true)) {
    const bias = sketch.parameter(`${name}/bias`, [units], weightOf(call, "bias", [units]));
    value = emit(call, "add", [product, bias], {}, "preActivation");
  }
  const made = activation(call, plainValue(value, shape), config.text("activation", "linear"));
  // A dense layer over a map gives a map.
  return call.inputs[0]!.image ? asImage(sketch, made, `${name}/map`) : made;
};

/** HWIO → OIHW. */
const toFilters = (
  kernel: Float32Array,
  [height, width, inputs, filters]: readonly [number, number, number, number],
): Float32Array => {
  const result = new Float32Array(kernel.length);
  const plane = height * width;
  for (let at = 0; at < plane; at++) {
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < filters; o++) result[(o * inputs + i) * plane + at] = kernel[(at * inputs + i) * filters + o]!;
    }
  }
  return result;
};

const expectPlain = ({ config }: LayerCall): void => {
  config.require(config.text("data_format", "channels_last") === "channels_last", "channels_last", "channels_first");
  const dilations = config.pair("dilation_rate", [1, 1]);
  config.require(dilations[0] === 1 && dilations[1] === 1, "a dilation rate of 1", formatShape(dilations));
};

const padsFor = ({ config }: LayerCall, x: KerasValue, kernel: Pair, strides: Pair): Pads =>
  config.text("padding", "valid") === "same" ? samePads([x.shape[0]!, x.shape[1]!], kernel, strides) : [0, 0, 0, 0];

const image = (call: LayerCall): KerasValue => {
  const x = call.inputs[0]!;
  call.config.require(x.shape.length === 3, "a map of [height, width, channels]", formatShape(x.shape));
  return asImage(call.sketch, x, call.name);
};

interface Convolved {
  readonly kernel: Pair;
  readonly filters: number;
  readonly groups: number;
  readonly weight: string;
  readonly strides: Pair;
  readonly pads: Pads;
}

const convolve = (
  call: LayerCall,
  x: KerasValue,
  { kernel, filters, groups, weight, strides, pads }: Convolved,
  part: string,
): KerasValue => {
  const product = emit(call, "conv2d", [x.value, weight], { strides, pads, groups }, part);
  const size = (axis: 0 | 1): number =>
    Math.floor((x.shape[axis]! + pads[axis]! + pads[axis + 2]! - kernel[axis]!) / strides[axis]!) + 1;
  return imageValue(product, [size(0), size(1), filters]);
};

const finishConvolution = (call: LayerCall, y: KerasValue): KerasValue => {
  const { sketch, config, name } = call;
  call.nameLayer(y.value);
  const filters = y.shape[2]!;
  if (!config.flag("use_bias", true)) return activation(call, y, config.text("activation", "linear"));
  const bias = sketch.parameter(`${name}/bias`, [filters], weightOf(call, "bias", [filters]));
  const perChannel = emit(call, "reshape", [bias], { shape: [filters, 1, 1] }, "biasPerChannel");
  const shifted = { ...y, value: emit(call, "add", [y.value, perChannel], {}, "preActivation") };
  return activation(call, shifted, config.text("activation", "linear"));
};

const conv2d: TranslateLayer = (call) => {
  const { sketch, config, name } = call;
  expectPlain(call);
  const x = image(call);
  const groups = config.number("groups", 1);
  const [inputs, filters] = [x.shape[2]! / groups, config.number("filters", 0)];
  const kernel = config.pair("kernel_size", [1, 1]);
  const strides = config.pair("strides", [1, 1]);
  const data = toFilters(weightOf(call, "kernel", [...kernel, inputs, filters]), [...kernel, inputs, filters]);
  const weight = sketch.parameter(`${name}/weight`, [filters, inputs, ...kernel], data);
  const pads = padsFor(call, x, kernel, strides);
  return finishConvolution(call, convolve(call, x, { kernel, filters, groups, weight, strides, pads }, "convolution"));
};

/** One filter set for each channel: [H, W, C, M] → [C·M, 1, H, W] in C groups. */
const depthwise = (call: LayerCall, x: KerasValue, part: string): KerasValue => {
  const { sketch, config, name } = call;
  expectPlain(call);
  const [channels, multiplier] = [x.shape[2]!, config.number("depth_multiplier", 1)];
  const kernel = config.pair("kernel_size", [1, 1]);
  const strides = config.pair("strides", [1, 1]);
  const stored = weightOf(call, "depthwise_kernel", [...kernel, channels, multiplier]);
  const filters = channels * multiplier;
  // Filter c·M + m reads channel c: the kernel's last two axes are one.
  const data = toFilters(stored, [...kernel, 1, filters]);
  const weight = sketch.parameter(`${name}/${part}Weight`, [filters, 1, ...kernel], data);
  const pads = padsFor(call, x, kernel, strides);
  return convolve(call, x, { kernel, filters, groups: channels, weight, strides, pads }, part);
};

const depthwiseConv2d: TranslateLayer = (call) => finishConvolution(call, depthwise(call, image(call), "depthwise"));

const separableConv2d: TranslateLayer = (call) => {
  const { sketch, config, name } = call;
  const spread = depthwise(call, image(call), "depthwise");
  const [inputs, filters] = [spread.shape[2]!, config.number("filters", 0)];
  const data = toFilters(weightOf(call, "pointwise_kernel", [1, 1, inputs, filters]), [1, 1, inputs, filters]);
  const weight = sketch.parameter(`${name}/weight`, [filters, inputs, 1, 1], data);
  const point = { kernel: [1, 1], filters, groups: 1, weight, strides: [1, 1], pads: [0, 0, 0, 0] } satisfies Convolved;
  return finishConvolution(call, convolve(call, spread, point, "convolution"));
};

/** The last axis, in any of the ways in which a file may say it. */
const expectLastAxis = ({ config }: LayerCall, x: KerasValue): void => {
  const found = config.get("axis") ?? -1;
  const axis: unknown = Array.isArray(found) && found.length === 1 ? found[0] : found;
  config.require(axis === -1 || axis === x.shape.length, "the last axis", JSON.stringify(axis));
};

const vectorOf = (call: LayerCall, variable: string, size: number, used: boolean, otherwise: number, trainable = true): string =>
  call.sketch.parameter(
    `${call.name}/${variable}`,
    [size],
    used ? weightOf(call, variable, [size]) : new Float32Array(size).fill(otherwise),
    { trainable: used && trainable },
  );

/** Over the channels, which are our second axis: what is neither a map nor a table is turned. */
const batchNormalization: TranslateLayer = (call) => {
  const { sketch, config, name } = call;
  const x = call.inputs[0]!.flattened === undefined ? call.inputs[0]! : asPlain(sketch, call.inputs[0]!, name);
  expectLastAxis(call, x);
  const size = x.shape.at(-1)!;
  const parameters = [
    vectorOf(call, "gamma", size, config.flag("scale", true), 1),
    vectorOf(call, "beta", size, config.flag("center", true), 0),
    vectorOf(call, "moving_mean", size, true, 0, false),
    vectorOf(call, "moving_variance", size, true, 1, false),
  ];
  const attributes = { epsilon: config.number("epsilon", 1e-3), momentum: config.number("momentum", 0.99) };
  if (x.image || x.shape.length === 1)
    return { ...x, value: emit(call, "batchNorm", [x.value, ...parameters], attributes, "normalised") };
  config.require(x.shape.length === 2, "a table, tokens or a map", formatShape(x.shape));
  const turned = emit(call, "transpose", [x.value], { perm: [0, 2, 1] }, "channelsFirst");
  const normalised = emit(call, "batchNorm", [turned, ...parameters], attributes, "normalised");
  return { ...x, value: emit(call, "transpose", [normalised], { perm: [0, 2, 1] }, "channelsLast") };
};

const layerNormalization: TranslateLayer = (call) => {
  const { sketch, config, name } = call;
  const x = asPlain(sketch, call.inputs[0]!, name);
  expectLastAxis(call, x);
  const size = x.shape.at(-1)!;
  const parameters = [
    vectorOf(call, "gamma", size, config.flag("scale", true), 1),
    vectorOf(call, "beta", size, config.flag("center", true), 0),
  ];
  const value = emit(call, "layerNorm", [x.value, ...parameters], { epsilon: config.number("epsilon", 1e-3) }, "normalised");
  return call.inputs[0]!.image ? asImage(sketch, { ...x, value }, `${name}/map`) : { ...x, value };
};

const embedding: TranslateLayer = (call) => {
  const { sketch, config, name } = call;
  const x = call.inputs[0]!;
  config.require(!config.flag("mask_zero", false), "mask_zero false", "true", "train without masks");
  config.require(sketch.dtype(x.value) === "int32", "token ids from the input", "computed values", "read the input directly");
  const [rows, width] = [config.number("input_dim", 0), config.number("output_dim", 0)];
  const table = sketch.parameter(`${name}/table`, [rows, width], weightOf(call, "embeddings", [rows, width]));
  return plainValue(emit(call, "gather", [table, x.value], {}, "rows"), [...x.shape, width]);
};

export const weightedLayers: Readonly<Record<string, TranslateLayer>> = {
  Dense: dense,
  Conv2D: conv2d,
  DepthwiseConv2D: depthwiseConv2d,
  SeparableConv2D: separableConv2d,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Embedding: embedding,
};
