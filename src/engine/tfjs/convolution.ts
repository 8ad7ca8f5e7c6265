/**
 * Convolution, pooling and their adjoints in tensorflow.js, from operators that the wasm backend has.
 * The IR is NCHW and OIHW; the library computes NHWC and HWIO.
 */
import type { Tensor, Tensor4D } from "@tensorflow/tfjs";
import type { OpAttributes } from "../../contracts/graph.ts";
import type { TensorflowLibrary } from "./library.ts";
import type { Clause } from "./operators.ts";

type Pads = readonly [number, number, number, number];
type Size = readonly [number, number];

const toNhwc = (tf: TensorflowLibrary, x: Tensor): Tensor4D => tf.transpose(x as Tensor4D, [0, 2, 3, 1]);
const toNchw = (tf: TensorflowLibrary, x: Tensor): Tensor => tf.transpose(x, [0, 3, 1, 2]);

/** Zeros around the two axes from `axis` on; a negative pad cuts off. */
const padAxes = (tf: TensorflowLibrary, x: Tensor4D, axis: 1 | 2, [top, left, bottom, right]: Pads): Tensor4D => {
  if (top === 0 && left === 0 && bottom === 0 && right === 0) return x;
  const pads: [number, number][] = x.shape.map(() => [0, 0]);
  pads[axis] = [top, bottom];
  pads[axis + 1] = [left, right];
  const grown = tf.pad(
    x,
    pads.map(([before, after]): [number, number] => [Math.max(before, 0), Math.max(after, 0)]),
  );
  if (top >= 0 && left >= 0 && bottom >= 0 && right >= 0) return grown;
  const starts = pads.map(([before]) => Math.max(-before, 0));
  const sizes = grown.shape.map((size, index) => size - starts[index]! - Math.max(-pads[index]![1], 0));
  return tf.slice(grown, starts, sizes);
};

/** Runs `each` on the groups' slices of both operands along the given axes and joins the results along axis `out`. */
const byGroup = (
  tf: TensorflowLibrary,
  groups: number,
  operands: readonly (readonly [Tensor4D, number])[],
  out: number,
  each: (...slices: Tensor4D[]) => Tensor,
): Tensor => {
  if (groups === 1) return each(...operands.map(([tensor]) => tensor));
  const split = operands.map(([tensor, axis]) => tf.split<Tensor4D>(tensor, groups, axis));
  const results = Array.from({ length: groups }, (_, group) => each(...split.map((slices) => slices[group]!)));
  return tf.concat(results, out);
};

export const conv2d: Clause<OpAttributes<"conv2d">> = ({ tf, inputs }, { strides, pads, groups }) => {
  const x = padAxes(tf, toNhwc(tf, inputs[0]!), 1, pads);
  const w = tf.transpose(inputs[1] as Tensor4D, [2, 3, 1, 0]);
  const y = byGroup(
    tf,
    groups,
    [
      [x, 3],
      [w, 3],
    ],
    3,
    (xs, ws) => tf.conv2d(xs!, ws!, strides, "valid"),
  );
  return toNchw(tf, y);
};

/** Zeros between rows and between columns, stride − 1 of them. */
const dilate = (tf: TensorflowLibrary, x: Tensor4D, strides: Size): Tensor4D => {
  if (strides[0] === 1 && strides[1] === 1) return x;
  const [n, height, width, channels] = x.shape;
  const spaced = tf.pad(tf.reshape(x, [n * height, 1, width, 1, channels]), [
    [0, 0],
    [0, strides[0] - 1],
    [0, 0],
    [0, strides[1] - 1],
    [0, 0],
  ]);
  const full = tf.reshape(spaced, [n, height * strides[0], width * strides[1], channels]) as Tensor4D;
  return tf.slice(full, [0, 0, 0, 0], [n, (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1, channels]);
};

/** dy NHWC, kernel [KH, KW, O, C] already flipped → dx NHWC: a forward convolution of dy dilated by the stride. */
const transposedConv = (
  tf: TensorflowLibrary,
  dy: Tensor4D,
  flipped: Tensor4D,
  strides: Size,
  pads: Pads,
  inputSize: Size,
): Tensor => {
  const spaced = dilate(tf, dy, strides);
  const [kernelHeight, kernelWidth] = flipped.shape;
  const [top, left] = [kernelHeight - 1 - pads[0], kernelWidth - 1 - pads[1]];
  const bottom = inputSize[0] + kernelHeight - 1 - spaced.shape[1] - top;
  const right = inputSize[1] + kernelWidth - 1 - spaced.shape[2] - left;
  return tf.conv2d(padAxes(tf, spaced, 1, [top, left, bottom, right]), flipped, 1, "valid");
};

export const conv2dInputGrad: Clause<OpAttributes<"conv2dInputGrad">> = (
  { tf, inputs },
  { strides, pads, groups, inputSize },
) => {
  const dy = toNhwc(tf, inputs[0]!);
  const w = inputs[1] as Tensor4D;
  const dx = byGroup(
    tf,
    groups,
    [
      [dy, 3],
      [w, 0],
    ],
    3,
    (dys, ws) => {
      const flipped = tf.reverse(tf.transpose(ws!, [2, 3, 0, 1]), [0, 1]);
      return transposedConv(tf, dys!, flipped, strides, pads, inputSize);
    },
  );
  return toNchw(tf, dx);
};

/** A matrix product per tap of the kernel: dw[:, :, i, j] = x shifted by (i, j) · dy, contracted over samples and positions. */
export const conv2dFilterGrad: Clause<OpAttributes<"conv2dFilterGrad">> = (
  { tf, inputs },
  { strides, pads, groups, kernelSize },
) => {
  const x = padAxes(tf, tf.transpose(inputs[0] as Tensor4D, [1, 0, 2, 3]), 2, pads);
  const dy = toNhwc(tf, inputs[1]!);
  const [n, height, width] = dy.shape;
  const positions = n * height * width;
  // [KH, KW, C / groups, O]: the groups' output channels stand side by side.
  const dw = byGroup(
    tf,
    groups,
    [
      [x, 0],
      [dy, 3],
    ],
    3,
    (xs, dys) => {
      const channels = xs!.shape[0];
      const right = tf.reshape(dys!, [positions, dys!.shape[3]]);
      const taps: Tensor[] = [];
      for (let i = 0; i < kernelSize[0]; i++) {
        for (let j = 0; j < kernelSize[1]; j++) {
          const ends = [channels, n, i + strides[0] * (height - 1) + 1, j + strides[1] * (width - 1) + 1];
          const seen = tf.stridedSlice(xs!, [0, 0, i, j], ends, [1, 1, ...strides]);
          taps.push(tf.matMul(tf.reshape(seen, [channels, positions]), right));
        }
      }
      return tf.reshape(tf.concat(taps, 0), [...kernelSize, channels, dys!.shape[3]]);
    },
  );
  return tf.transpose(dw, [3, 2, 0, 1]);
};

export const avgPool2d: Clause<OpAttributes<"avgPool2d">> = ({ tf, inputs }, { kernelSize, strides, pads }) => {
  // The library's own padding would not count in the mean.
  const x = padAxes(tf, toNhwc(tf, inputs[0]!), 1, pads);
  return toNchw(tf, tf.avgPool(x, kernelSize, strides, "valid"));
};

/** The adjoint of a convolution of each channel with the constant kernel 1 / (KH · KW). */
export const avgPool2dGrad: Clause<OpAttributes<"avgPool2dGrad">> = (
  { tf, inputs, result },
  { kernelSize, strides, pads, inputSize },
) => {
  const [n, channels, height, width] = (inputs[0] as Tensor4D).shape;
  const planes = tf.reshape(inputs[0]!, [n * channels, height, width, 1]) as Tensor4D;
  const kernel = tf.fill([...kernelSize, 1, 1], 1 / (kernelSize[0] * kernelSize[1])) as Tensor4D;
  return tf.reshape(transposedConv(tf, planes, kernel, strides, pads, inputSize), [...result.shape]);
};
