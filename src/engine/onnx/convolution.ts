/** Convolution, pooling and their adjoints in ONNX operators. */
import type { OpAttributes } from "../../contracts/graph.ts";
import type { LoweringContext } from "./lower.ts";
import { type Attribute, attribute } from "./schema.ts";
import type { ModelWriter } from "./writer.ts";

type Pads = readonly [number, number, number, number];

export const lowerConv = (
  { writer, names, output }: LoweringContext,
  { strides, pads, groups }: OpAttributes<"conv2d">,
): void => {
  const attributes = [attribute.ints("strides", strides), attribute.ints("pads", pads), attribute.int("group", groups)];
  writer.node("Conv", names, attributes, output);
};

/** Rows and columns that no window reached because the stride does not divide: the transposed convolution must add them. */
const unreached = (
  inputSize: readonly number[],
  kernelSize: readonly number[],
  strides: readonly number[],
  pads: Pads,
): number[] => inputSize.map((size, axis) => (size + pads[axis]! + pads[axis + 2]! - kernelSize[axis]!) % strides[axis]!);

export const lowerConvInputGrad = (
  { writer, names, types, output }: LoweringContext,
  { strides, pads, groups, inputSize }: OpAttributes<"conv2dInputGrad">,
): void => {
  const kernelSize = types[1]!.shape.slice(2);
  const attributes = [
    attribute.ints("strides", strides),
    attribute.ints("pads", pads),
    attribute.int("group", groups),
    attribute.ints("output_padding", unreached(inputSize, kernelSize, strides, pads)),
  ];
  writer.node("ConvTranspose", names, attributes, output);
};

/** Zeros around the last two axes of four. */
const padImages = (writer: ModelWriter, name: string, [top, left, bottom, right]: Pads): string =>
  top + left + bottom + right === 0 ? name : writer.node("Pad", [name, writer.int64([0, 0, top, left, 0, 0, bottom, right])]);

/** Up to this many input channels of a group, the taps' products are one product: narrow ones waste the machine. */
const stackedChannelsMax = 8;

/**
 * A matrix product per tap of the kernel: dw[:, :, i, j] = dy · x shifted by (i, j), contracted over samples and positions.
 * With the channels first, one copy per tap is all the data movement there is.
 */
export const lowerConvFilterGrad = (
  { writer, names, types, result, output }: LoweringContext,
  { strides, pads, groups, kernelSize }: OpAttributes<"conv2dFilterGrad">,
): void => {
  const [, channels] = types[0]!.shape as [number, number];
  const [n, outChannels, height, width] = types[1]!.shape as [number, number, number, number];
  const positions = n * height * width;
  const dy = writer.reshape(writer.transpose(names[1]!, [1, 0, 2, 3]), byGroup(groups, outChannels, positions));
  const x = writer.transpose(padImages(writer, names[0]!, pads), [1, 0, 2, 3]);
  const phases = columnPhases(writer, x, strides[1], Math.min(strides[1], kernelSize[1]));
  const axes = writer.int64([2, 3]);
  const steps = writer.int64([strides[0], 1]);
  const taps: string[] = [];
  for (let i = 0; i < kernelSize[0]; i++) {
    for (let j = 0; j < kernelSize[1]; j++) {
      const column = Math.floor(j / strides[1]);
      const ends = [i + strides[0] * (height - 1) + 1, column + width];
      const seen = writer.node("Slice", [phases[j % strides[1]]!, writer.int64([i, column]), writer.int64(ends), axes, steps]);
      taps.push(writer.reshape(seen, byGroup(groups, channels, positions)));
    }
  }
  const perGroup = channels / groups;
  const stacked = perGroup <= stackedChannelsMax ? [concat(writer, taps, groups === 1 ? 0 : 1)] : taps;
  const tapsEach = taps.length / stacked.length;
  const products = stacked.map((matrix) =>
    writer.reshape(timesTransposed(writer, dy, matrix, groups), [outChannels, tapsEach, perGroup]),
  );
  writer.reshape(writer.transpose(concat(writer, products, 1), [0, 2, 1]), result.shape, output);
};

/**
 * The columns of four-dimensional x dealt out by their remainder modulo the stride. A tap then reads whole runs of columns,
 * which copy several times faster than every second one would.
 */
const columnPhases = (writer: ModelWriter, x: string, stride: number, count: number): string[] => {
  if (stride === 1) return [x];
  const endOfAxis = writer.int64([2 ** 31]);
  return Array.from({ length: count }, (_, phase) =>
    writer.node("Slice", [x, writer.int64([phase]), endOfAxis, writer.int64([3]), writer.int64([stride])]),
  );
};

const concat = (writer: ModelWriter, names: readonly string[], axis: number): string =>
  names.length === 1 ? names[0]! : writer.node("Concat", names, [attribute.int("axis", axis)]);

const byGroup = (groups: number, channels: number, positions: number): number[] =>
  groups === 1 ? [channels, positions] : [groups, channels / groups, positions];

/** a · bᵀ for each group. */
const timesTransposed = (writer: ModelWriter, a: string, b: string, groups: number): string =>
  groups === 1
    ? writer.node("Gemm", [a, b], [attribute.int("transB", 1)])
    : writer.node("MatMul", [a, writer.transpose(b, [0, 2, 1])]);

export const lowerAvgPool = (
  { writer, names, output }: LoweringContext,
  { kernelSize, strides, pads }: OpAttributes<"avgPool2d">,
): void => {
  const attributes: Attribute[] = [
    attribute.ints("kernel_shape", kernelSize),
    attribute.ints("strides", strides),
    attribute.ints("pads", pads),
    attribute.int("count_include_pad", 1),
  ];
  writer.node("AveragePool", names, attributes, output);
};

/** The adjoint of a convolution of each channel with the constant kernel 1 / (KH · KW). */
export const lowerAvgPoolGrad = (
  { writer, names, types, result, output }: LoweringContext,
  { kernelSize, strides, pads, inputSize }: OpAttributes<"avgPool2dGrad">,
): void => {
  const [n, channels, height, width] = types[0]!.shape as [number, number, number, number];
  const kernel = writer.filled("float32", [1, 1, ...kernelSize], 1 / (kernelSize[0] * kernelSize[1]));
  const planes = writer.reshape(names[0]!, [n * channels, 1, height, width]);
  const attributes = [
    attribute.ints("strides", strides),
    attribute.ints("pads", pads),
    attribute.ints("output_padding", unreached(inputSize, kernelSize, strides, pads)),
  ];
  writer.reshape(writer.node("ConvTranspose", [planes, kernel], attributes), result.shape, output);
};
