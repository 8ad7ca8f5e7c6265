/** How each operator of a host is written as Keras layers. */
import type { GraphNode, OpName } from "../../contracts/graph.ts";
import { formatShape, sizeOf } from "../../graph/shapes.ts";
import { type ConstantValue, type ExportGraph, isMap, kerasShape, type LayerValue } from "./export-graph.ts";

type NodeOf<O extends OpName> = Extract<GraphNode, { readonly op: O }>;

const layerValue = (layer: string, shape: readonly number[]): LayerValue => ({ kind: "layer", layer, shape });

/** A layer named after its weight: `h1/weight` → h1. */
const layerName = (weight: string): string => weight.replace(/\/(weight|kernel|table)$/, "");

const layerInput = (g: ExportGraph, node: GraphNode, index: number): LayerValue => {
  const known = g.known(node.inputs[index]!, node);
  if (known.kind === "layer") return known;
  throw g.refuse(node, "a computed value", "a weight");
};

const weightInput = (g: ExportGraph, node: GraphNode, index: number): ConstantValue => {
  const known = g.known(node.inputs[index]!, node);
  if (known.kind === "constant") return known;
  throw g.refuse(node, "a weight", "a computed value");
};

/** The bias of a product: a vector of as many elements as it has units, added by the one node that reads it. */
const takeBias = (
  g: ExportGraph,
  node: GraphNode,
  units: number,
): { readonly bias: Float32Array; readonly value: string } | undefined => {
  const next = g.onlyReader(node.id);
  const other = next?.inputs.find((input) => input !== node.id);
  if (next?.op !== "add" || other === undefined) return undefined;
  // What stands between is computed from parameters alone, such as a bias reshaped to stand per channel.
  const ready = g.has(other) ? g.known(other, next) : foldAhead(g, other);
  if (ready?.kind !== "constant" || ready.data.length !== units) return undefined;
  return { bias: ready.data, value: next.id };
};

/** A reshape of a parameter that stands after the node that is being written. */
const foldAhead = (g: ExportGraph, value: string): ConstantValue | undefined => {
  const node = g.host.graph.nodes.find(({ id }) => id === value);
  return node?.op === "reshape" && g.has(node.inputs[0]!) && g.known(node.inputs[0]!, node).kind === "constant"
    ? g.fold(node)
    : undefined;
};

const dense = (g: ExportGraph, node: NodeOf<"matMul">): LayerValue => {
  const x = layerInput(g, node, 0);
  const weight = weightInput(g, node, 1);
  const { transposeA, transposeB } = node.attributes;
  if (weight.shape.length !== 2 || transposeA || isMap(x))
    throw g.refuse(node, "a matrix for the last axis", formatShape(weight.shape));
  const [inputs, units] = transposeB ? [weight.shape[1]!, weight.shape[0]!] : [weight.shape[0]!, weight.shape[1]!];
  const kernel = transposeB ? swapped(weight.data, units, inputs) : weight.data;
  const taken = takeBias(g, node, units);
  const config = { units, activation: "linear", use_bias: taken !== undefined };
  const bias = taken === undefined ? [] : [["bias", [units], taken.bias] as const];
  const layer = g.writer.layer("Dense", layerName(node.inputs[1]!), [x.layer], config, [
    ["kernel", [inputs, units], kernel],
    ...bias,
  ]);
  const made = layerValue(layer, [...x.shape.slice(0, -1), units]);
  if (taken !== undefined) g.set(taken.value, made);
  return made;
};

const swapped = (data: Float32Array, rows: number, columns: number): Float32Array => {
  const result = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]!;
  return result;
};

/** OIHW → HWIO. */
const toKernel = ({ data, shape }: ConstantValue): Float32Array => {
  const [filters, inputs, plane] = [shape[0]!, shape[1]!, shape[2]! * shape[3]!];
  const result = new Float32Array(data.length);
  for (let o = 0; o < filters; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let at = 0; at < plane; at++) result[(at * inputs + i) * filters + o] = data[(o * inputs + i) * plane + at]!;
    }
  }
  return result;
};

const zeroPad = (g: ExportGraph, x: LayerValue, [top, left, bottom, right]: readonly number[], name: string): string => {
  if (top! + left! + bottom! + right! === 0) return x.layer;
  const padding = [
    [top, bottom],
    [left, right],
  ];
  return g.writer.layer("ZeroPadding2D", `${name}_padding`, [x.layer], { padding, data_format: "channels_last" });
};

const windows = (
  shape: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  pads: readonly number[],
): number[] =>
  [0, 1].map((axis) => Math.floor((shape[axis + 1]! + pads[axis]! + pads[axis + 2]! - kernel[axis]!) / strides[axis]!) + 1);

/** Padding becomes a layer of its own: what Keras calls `same` depends on strides in another way. */
const convolution = (g: ExportGraph, node: NodeOf<"conv2d">): LayerValue => {
  const x = layerInput(g, node, 0);
  const weight = weightInput(g, node, 1);
  const { strides, pads, groups } = node.attributes;
  const [filters, perGroup] = [weight.shape[0]!, weight.shape[1]!];
  const kernel = weight.shape.slice(2);
  const name = layerName(node.inputs[1]!);
  const taken = takeBias(g, node, filters);
  const common = { kernel_size: kernel, strides, padding: "valid", data_format: "channels_last", dilation_rate: [1, 1] };
  const config = { ...common, activation: "linear", use_bias: taken !== undefined };
  const bias = taken === undefined ? [] : [["bias", [filters], taken.bias] as const];
  const input = zeroPad(g, x, pads, name);
  const shape = [filters, ...windows(x.shape, kernel, strides, pads)];
  const place = (layer: string): LayerValue => {
    const made = layerValue(layer, shape);
    if (taken !== undefined) g.set(taken.value, made);
    return made;
  };
  if (groups === 1) {
    const weights = [["kernel", [...kernel, perGroup, filters], toKernel(weight)] as const, ...bias];
    return place(g.writer.layer("Conv2D", name, [input], { ...config, filters }, weights));
  }
  if (perGroup !== 1 || groups !== x.shape[0]) throw g.refuse(node, "one group, or one for each channel", `${groups} groups`);
  const multiplier = filters / groups;
  const weights = [["depthwise_kernel", [...kernel, groups, multiplier], toKernel(weight)] as const, ...bias];
  return place(g.writer.layer("DepthwiseConv2D", name, [input], { ...config, depth_multiplier: multiplier }, weights));
};

/** y = scale·x + shift for each unit or channel: a batch normalisation with mean 0 and variance 1. */
export const affine = (g: ExportGraph, name: string, x: LayerValue, scale: Float32Array, shift: Float32Array): LayerValue => {
  const size = scale.length;
  const weights = [
    ["gamma", [size], scale] as const,
    ["beta", [size], shift] as const,
    ["moving_mean", [size], new Float32Array(size)] as const,
    ["moving_variance", [size], new Float32Array(size).fill(1)] as const,
  ];
  const config = { axis: -1, momentum: 0.99, epsilon: 0, center: true, scale: true };
  return layerValue(g.writer.layer("BatchNormalization", name, [x.layer], config, weights), x.shape);
};

const batchNorm = (g: ExportGraph, node: NodeOf<"batchNorm">): LayerValue => {
  const x = layerInput(g, node, 0);
  if (x.shape.length !== 1 && !isMap(x)) throw g.refuse(node, "a table or a map", `a value of shape ${formatShape(x.shape)}`);
  const { epsilon, momentum } = node.attributes;
  const names = ["gamma", "beta", "moving_mean", "moving_variance"];
  const weights = names.map((name, i) => {
    const { shape, data } = weightInput(g, node, i + 1);
    return [name, shape, data] as const;
  });
  const layer = g.writer.layer(
    "BatchNormalization",
    node.id,
    [x.layer],
    { axis: -1, momentum, epsilon, center: true, scale: true },
    weights,
  );
  return layerValue(layer, x.shape);
};

const layerNorm = (g: ExportGraph, node: NodeOf<"layerNorm">): LayerValue => {
  const x = layerInput(g, node, 0);
  if (isMap(x)) throw g.refuse(node, "a table or tokens", "a map");
  const weights = ["gamma", "beta"].map((name, i) => {
    const { shape, data } = weightInput(g, node, i + 1);
    return [name, shape, data] as const;
  });
  const config = { axis: -1, epsilon: node.attributes.epsilon, center: true, scale: true };
  return {
    kind: "layer",
    layer: g.writer.layer("LayerNormalization", node.id, [x.layer], config, weights),
    shape: x.shape,
  };
};

const reshape = (g: ExportGraph, node: NodeOf<"reshape">): LayerValue => {
  const x = layerInput(g, node, 0);
  const [batch, ...wanted] = node.attributes.shape;
  const known = sizeOf(wanted.filter((dim) => dim !== -1));
  const shape = wanted.map((dim) => (dim === -1 ? sizeOf(x.shape) / known : dim));
  if ((batch !== -1 && wanted.includes(-1)) || sizeOf(shape) !== sizeOf(x.shape))
    throw g.refuse(node, "a reshape that leaves the batch alone", formatShape(node.attributes.shape));
  if (formatShape(shape) === formatShape(x.shape)) return x;
  const ordered = g.ourOrder(x, node.id);
  const flat = shape.length === 1;
  const plain = flat
    ? g.writer.layer("Flatten", node.id, [ordered], { data_format: "channels_last" })
    : g.writer.layer("Reshape", node.id, [ordered], {
        target_shape: shape.length === 3 && shape[0] === 1 ? kerasShape(shape) : shape,
      });
  const needsTurn = shape.length === 3 && shape[0] !== 1;
  return { kind: "layer", layer: needsTurn ? g.fromOurOrder(plain, node.id) : plain, shape };
};

const pooled = (g: ExportGraph, node: NodeOf<"avgPool2d"> | NodeOf<"maxPool2d">): LayerValue => {
  const x = layerInput(g, node, 0);
  const { kernelSize, strides } = node.attributes;
  const pads = node.op === "avgPool2d" ? node.attributes.pads : [0, 0, 0, 0];
  const config = { pool_size: kernelSize, strides, padding: "valid", data_format: "channels_last" };
  // Padded zeros count in our means, so padding first says the same.
  const input = zeroPad(g, x, pads, node.id);
  const layer = g.writer.layer(node.op === "avgPool2d" ? "AveragePooling2D" : "MaxPooling2D", node.id, [input], config);
  return layerValue(layer, [x.shape[0]!, ...windows(x.shape, kernelSize, strides, pads)]);
};

const globalPool = (g: ExportGraph, node: GraphNode, keepDims: boolean): LayerValue => {
  const x = layerInput(g, node, 0);
  const channels = x.shape[0]!;
  const layer = g.writer.layer("GlobalAveragePooling2D", node.id, [x.layer], { data_format: "channels_last" });
  if (!keepDims) return layerValue(layer, [channels]);
  const kept = g.writer.layer("Reshape", `${node.id}_kept`, [layer], { target_shape: [1, 1, channels] });
  return { kind: "layer", layer: kept, shape: [channels, 1, 1] };
};

const reduceMean = (g: ExportGraph, node: NodeOf<"reduceMean">): LayerValue => {
  const x = layerInput(g, node, 0);
  const axes = node.attributes.axes.toSorted().join();
  if (isMap(x) && axes === "2,3") return globalPool(g, node, node.attributes.keepDims);
  if (x.shape.length !== 2 || axes !== "1" || node.attributes.keepDims)
    throw g.refuse(node, "a mean over a map or over tokens", `axes ${axes}`);
  return {
    kind: "layer",
    layer: g.writer.layer("GlobalAveragePooling1D", node.id, [x.layer], {}),
    shape: [x.shape[1]!],
  };
};

/** Axis of ours → axis of Keras, both counting the batch. */
const kerasAxis = (x: LayerValue, axis: number): number => (isMap(x) ? [0, 3, 1, 2][axis]! : axis);

const concat = (g: ExportGraph, node: NodeOf<"concat">): LayerValue => {
  const parts = node.inputs.map((_, i) => layerInput(g, node, i));
  const axis = node.attributes.axis;
  const layers = parts.map(({ layer }) => layer);
  const layer = g.writer.layer("Concatenate", node.id, layers, { axis: kerasAxis(parts[0]!, axis) });
  const length = parts.reduce((sum, { shape }) => sum + shape[axis - 1]!, 0);
  return layerValue(
    layer,
    parts[0]!.shape.map((dim, i) => (i === axis - 1 ? length : dim)),
  );
};

const embedding = (g: ExportGraph, node: NodeOf<"gather">): LayerValue => {
  const table = weightInput(g, node, 0);
  const ids = layerInput(g, node, 1);
  const [rows, width] = [table.shape[0]!, table.shape[1]!];
  const config = { input_dim: rows, output_dim: width, mask_zero: false };
  const weights = [["embeddings", [rows, width], table.data] as const];
  const layer = g.writer.layer("Embedding", layerName(node.inputs[0]!), [ids.layer], config, weights);
  return layerValue(layer, [...ids.shape, width]);
};

const padded = (g: ExportGraph, node: NodeOf<"pad">): LayerValue => {
  const x = layerInput(g, node, 0);
  const { before, after } = node.attributes;
  if (!isMap(x) || before[0]! + before[1]! + after[0]! + after[1]! > 0)
    throw g.refuse(node, "zeros around a map", formatShape(before));
  const layer = zeroPad(g, x, [before[2]!, before[3]!, after[2]!, after[3]!], node.id);
  return layerValue(
    layer,
    x.shape.map((dim, i) => before[i + 1]! + dim + after[i + 1]!),
  );
};

const activated = (g: ExportGraph, node: GraphNode, activation: string): LayerValue => {
  const x = layerInput(g, node, 0);
  const layer = g.writer.layer("Activation", node.id, [x.layer], { activation });
  return layerValue(layer, x.shape);
};

const softmax = (g: ExportGraph, node: NodeOf<"softmax">): LayerValue => {
  const x = layerInput(g, node, 0);
  if (kerasAxis(x, node.attributes.axis) !== x.shape.length)
    throw g.refuse(node, "a softmax over units or channels", `axis ${node.attributes.axis}`);
  return activated(g, node, "softmax");
};

const same = (g: ExportGraph, node: GraphNode): LayerValue => layerInput(g, node, 0);

type Writers = { readonly [O in OpName]?: (g: ExportGraph, node: NodeOf<O>) => LayerValue };

/** Operators of one layer's own; arithmetic between values is in `export.ts`. */
export const layerWriters: Writers = {
  matMul: dense,
  conv2d: convolution,
  batchNorm,
  layerNorm,
  reshape,
  avgPool2d: pooled,
  maxPool2d: pooled,
  globalAveragePool: (g, node) => globalPool(g, node, false),
  reduceMean,
  concat,
  gather: embedding,
  pad: padded,
  relu: (g, node) => activated(g, node, "relu"),
  tanh: (g, node) => activated(g, node, "tanh"),
  sigmoid: (g, node) => activated(g, node, "sigmoid"),
  gelu: (g, node) => activated(g, node, node.attributes.approximate === "none" ? "gelu" : "gelu_new"),
  softmax,
  dropout: (g, node) => {
    const x = layerInput(g, node, 0);
    return {
      kind: "layer",
      layer: g.writer.layer("Dropout", node.id, [x.layer], { rate: node.attributes.rate }),
      shape: x.shape,
    };
  },
  stopGradient: same,
};
