/** The zero padding that `same` stands for in TensorFlow and in ONNX's SAME_UPPER: as many results as strides fit, the odd zero last. */

/** Top, left, bottom, right for an image of that size. */
export const samePads = (
  image: readonly [number, number],
  kernel: readonly [number, number],
  strides: readonly [number, number],
): [number, number, number, number] => {
  const total = image.map((size, axis) =>
    Math.max(0, (Math.ceil(size / strides[axis]!) - 1) * strides[axis]! + kernel[axis]! - size),
  );
  const before = total.map((pad) => Math.floor(pad / 2));
  return [before[0]!, before[1]!, total[0]! - before[0]!, total[1]! - before[1]!];
};
