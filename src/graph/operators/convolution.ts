/**
 * Two-dimensional convolution and average pooling, each with its adjoints. Images NCHW, weights OIHW, pads top, left, bottom, right.
 * The three convolutions are the three partial applications of one trilinear form, so each one's backward is written in the others.
 */
import { type Dims, formatShape, sizeOf } from "../shapes.ts";
import { type Check, describeTypes, expectFloats, type NumericArray, type Operator, type ValueType } from "./operator.ts";

interface Window {
  readonly strides: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
}

interface Extents {
  readonly image: Dims;
  readonly result: Dims;
  readonly kernel: readonly [number, number];
}

const outputSize = (input: number, kernel: number, stride: number, before: number, after: number): number =>
  Math.floor((input + before + after - kernel) / stride) + 1;

const slide = (
  image: readonly [number, number],
  kernel: readonly [number, number],
  { strides, pads }: Window,
): [number, number] => [
  outputSize(image[0], kernel[0], strides[0], pads[0], pads[2]),
  outputSize(image[1], kernel[1], strides[1], pads[1], pads[3]),
];

const expectImages = (inputs: readonly ValueType[], check: Check): void => {
  expectFloats(inputs, check);
  check(
    inputs.every((type) => type.shape.length === 4),
    "inputs of rank 4",
    describeTypes(inputs),
  );
};

const expectPositive = (size: readonly [number, number], check: Check, inputs: readonly ValueType[]): void =>
  check(
    size[0] > 0 && size[1] > 0,
    "a window no larger than the padded image",
    `${describeTypes(inputs)}, result ${formatShape(size)}`,
  );

const expectSlide = (
  image: readonly [number, number],
  kernel: readonly [number, number],
  window: Window,
  result: Dims,
  check: Check,
): void => {
  const size = slide(image, kernel, window);
  check(
    size[0] === result[2] && size[1] === result[3],
    `a gradient of size ${formatShape(size)} for an image of ${formatShape(image)} under a window of ${formatShape(kernel)}`,
    formatShape(result.slice(2)),
  );
};

const expectGroups = (channels: number, filters: number, perGroup: number, groups: number, check: Check): void =>
  check(
    channels === perGroup * groups && filters % groups === 0,
    `channels = weight channels × groups and filters divisible by ${groups} groups`,
    `${channels} channels, ${perGroup} weight channels, ${filters} filters`,
  );

/** Calls `visit` with every pair (image row and column, result row and column, kernel row and column) that touch each other. */
const eachTap = (
  { image, result, kernel }: Extents,
  { strides, pads }: Window,
  visit: (imageOffset: number, resultOffset: number, kernelOffset: number) => void,
): void => {
  const [height, width] = [image[2]!, image[3]!];
  for (let i = 0; i < result[2]!; i++) {
    for (let j = 0; j < result[3]!; j++) {
      for (let p = 0; p < kernel[0]; p++) {
        const row = i * strides[0] + p - pads[0];
        if (row < 0 || row >= height) continue;
        for (let q = 0; q < kernel[1]; q++) {
          const column = j * strides[1] + q - pads[1];
          if (column < 0 || column >= width) continue;
          visit(row * width + column, i * result[3]! + j, p * kernel[1] + q);
        }
      }
    }
  }
};

/** Calls `visit` with the offsets of x, w and y of every product in y = conv(x, w). */
const eachProduct = (
  extents: Extents,
  weight: Dims,
  window: Window & { readonly groups: number },
  visit: (x: number, w: number, y: number) => void,
): void => {
  const { image, result, kernel } = extents;
  const [imagePlane, resultPlane, kernelPlane] = [image[2]! * image[3]!, result[2]! * result[3]!, kernel[0] * kernel[1]];
  const [filters, perGroup] = [weight[0]!, weight[1]!];
  eachTap(extents, window, (imageOffset, resultOffset, kernelOffset) => {
    for (let n = 0; n < image[0]!; n++) {
      for (let o = 0; o < filters; o++) {
        const group = Math.floor(o / (filters / window.groups));
        for (let c = 0; c < perGroup; c++) {
          visit(
            (n * image[1]! + group * perGroup + c) * imagePlane + imageOffset,
            (o * perGroup + c) * kernelPlane + kernelOffset,
            (n * filters + o) * resultPlane + resultOffset,
          );
        }
      }
    }
  });
};

const kernelOf = (weight: Dims): readonly [number, number] => [weight[2]!, weight[3]!];

/** 2·N·O·H'·W'·(C/g)·KH·KW, the same for a convolution and its adjoints. */
const convolutionFlops = (result: Dims, weight: Dims): number => 2 * sizeOf(result) * sizeOf(weight.slice(1));

export const conv2d: Operator<"conv2d"> = {
  arity: 2,
  infer: (inputs, attributes, check) => {
    expectImages(inputs, check);
    const [x, w] = [inputs[0]!.shape, inputs[1]!.shape];
    expectGroups(x[1]!, w[0]!, w[1]!, attributes.groups, check);
    const size = slide([x[2]!, x[3]!], kernelOf(w), attributes);
    expectPositive(size, check, inputs);
    return { dtype: "float32", shape: [x[0]!, w[0]!, ...size] };
  },
  forward: (inputs, attributes, output) => {
    const [x, w] = [inputs[0]!, inputs[1]!];
    const result = new Float64Array(sizeOf(output.shape));
    eachProduct({ image: x.shape, result: output.shape, kernel: kernelOf(w.shape) }, w.shape, attributes, (i, j, k) => {
      result[k] = result[k]! + x.data[i]! * w.data[j]!;
    });
    return result;
  },
  backward: ({ b, inputs, attributes, y, dy }) => {
    const [x, w] = [inputs[0]!, inputs[1]!];
    const [image, weight] = [b.type(x).shape, b.type(w).shape];
    const full = (): string => b.broadcastTo(dy, b.type(y).shape);
    return [
      () => b.emit("conv2dInputGrad", [full(), w], { ...attributes, inputSize: [image[2]!, image[3]!] }),
      () => b.emit("conv2dFilterGrad", [x, full()], { ...attributes, kernelSize: [weight[2]!, weight[3]!] }),
    ];
  },
  flops: (inputs, _attributes, output) => convolutionFlops(output.shape, inputs[1]!.shape),
};

export const conv2dInputGrad: Operator<"conv2dInputGrad"> = {
  arity: 2,
  infer: (inputs, attributes, check) => {
    expectImages(inputs, check);
    const [dy, w] = [inputs[0]!.shape, inputs[1]!.shape];
    check(dy[1] === w[0], "as many gradient channels as filters", describeTypes(inputs));
    expectGroups(w[1]! * attributes.groups, w[0]!, w[1]!, attributes.groups, check);
    expectSlide(attributes.inputSize, kernelOf(w), attributes, dy, check);
    return { dtype: "float32", shape: [dy[0]!, w[1]! * attributes.groups, ...attributes.inputSize] };
  },
  forward: (inputs, attributes, output) => {
    const [dy, w] = [inputs[0]!, inputs[1]!];
    const result = new Float64Array(sizeOf(output.shape));
    eachProduct({ image: output.shape, result: dy.shape, kernel: kernelOf(w.shape) }, w.shape, attributes, (i, j, k) => {
      result[i] = result[i]! + dy.data[k]! * w.data[j]!;
    });
    return result;
  },
  backward: ({ b, inputs, attributes, y, dy: cotangent }) => {
    const [dy, w] = [inputs[0]!, inputs[1]!];
    const { inputSize: _, ...window } = attributes;
    const weight = b.type(w).shape;
    const full = (): string => b.broadcastTo(cotangent, b.type(y).shape);
    return [
      () => b.emit("conv2d", [full(), w], window),
      () => b.emit("conv2dFilterGrad", [full(), dy], { ...window, kernelSize: [weight[2]!, weight[3]!] }),
    ];
  },
  flops: (inputs) => convolutionFlops(inputs[0]!.shape, inputs[1]!.shape),
};

export const conv2dFilterGrad: Operator<"conv2dFilterGrad"> = {
  arity: 2,
  infer: (inputs, attributes, check) => {
    expectImages(inputs, check);
    const [x, dy] = [inputs[0]!.shape, inputs[1]!.shape];
    const { groups, kernelSize } = attributes;
    check(x[0] === dy[0], "equal batches", describeTypes(inputs));
    check(x[1]! % groups === 0 && dy[1]! % groups === 0, `channels divisible by ${groups} groups`, describeTypes(inputs));
    expectSlide([x[2]!, x[3]!], kernelSize, attributes, dy, check);
    return { dtype: "float32", shape: [dy[1]!, x[1]! / groups, ...kernelSize] };
  },
  forward: (inputs, attributes, output) => {
    const [x, dy] = [inputs[0]!, inputs[1]!];
    const result = new Float64Array(sizeOf(output.shape));
    const extents = { image: x.shape, result: dy.shape, kernel: attributes.kernelSize };
    eachProduct(extents, output.shape, attributes, (i, j, k) => {
      result[j] = result[j]! + x.data[i]! * dy.data[k]!;
    });
    return result;
  },
  backward: ({ b, inputs, attributes, y, dy: cotangent }) => {
    const [x, dy] = [inputs[0]!, inputs[1]!];
    const { kernelSize: _, ...window } = attributes;
    const image = b.type(x).shape;
    const full = (): string => b.broadcastTo(cotangent, b.type(y).shape);
    return [
      () => b.emit("conv2dInputGrad", [dy, full()], { ...window, inputSize: [image[2]!, image[3]!] }),
      () => b.emit("conv2d", [x, full()], window),
    ];
  },
  flops: (inputs, _attributes, output) => convolutionFlops(inputs[1]!.shape, output.shape),
};

/** Adds image × 1/area to result, or result × 1/area to image: the same walk in both directions. */
const poolWalk = (
  extents: Extents,
  window: Window,
  target: Float64Array,
  source: NumericArray,
  direction: "forward" | "adjoint",
): Float64Array => {
  const { image, result, kernel } = extents;
  const share = 1 / (kernel[0] * kernel[1]);
  const planes = image[0]! * image[1]!;
  eachTap(extents, window, (imageOffset, resultOffset) => {
    for (let plane = 0; plane < planes; plane++) {
      const i = plane * image[2]! * image[3]! + imageOffset;
      const r = plane * result[2]! * result[3]! + resultOffset;
      if (direction === "forward") target[r] = target[r]! + source.data[i]! * share;
      else target[i] = target[i]! + source.data[r]! * share;
    }
  });
  return target;
};

export const avgPool2d: Operator<"avgPool2d"> = {
  arity: 1,
  infer: (inputs, attributes, check) => {
    expectImages(inputs, check);
    const x = inputs[0]!.shape;
    const { kernelSize, pads } = attributes;
    check(
      pads[0] < kernelSize[0] && pads[2] < kernelSize[0] && pads[1] < kernelSize[1] && pads[3] < kernelSize[1],
      "pads smaller than the window",
      `pads ${formatShape(pads)}, window ${formatShape(kernelSize)}`,
    );
    const size = slide([x[2]!, x[3]!], kernelSize, attributes);
    expectPositive(size, check, inputs);
    return { dtype: "float32", shape: [x[0]!, x[1]!, ...size] };
  },
  forward: (inputs, attributes, output) => {
    const extents = { image: inputs[0]!.shape, result: output.shape, kernel: attributes.kernelSize };
    return poolWalk(extents, attributes, new Float64Array(sizeOf(output.shape)), inputs[0]!, "forward");
  },
  backward: ({ b, inputs, attributes, y, dy }) => {
    const image = b.type(inputs[0]!).shape;
    return [
      () => b.emit("avgPool2dGrad", [b.broadcastTo(dy, b.type(y).shape)], { ...attributes, inputSize: [image[2]!, image[3]!] }),
    ];
  },
  flops: (_inputs, attributes, output) => sizeOf(output.shape) * sizeOf(attributes.kernelSize),
};

export const avgPool2dGrad: Operator<"avgPool2dGrad"> = {
  arity: 1,
  infer: (inputs, attributes, check) => {
    expectImages(inputs, check);
    const dy = inputs[0]!.shape;
    expectSlide(attributes.inputSize, attributes.kernelSize, attributes, dy, check);
    return { dtype: "float32", shape: [dy[0]!, dy[1]!, ...attributes.inputSize] };
  },
  forward: (inputs, attributes, output) => {
    const extents = { image: output.shape, result: inputs[0]!.shape, kernel: attributes.kernelSize };
    return poolWalk(extents, attributes, new Float64Array(sizeOf(output.shape)), inputs[0]!, "adjoint");
  },
  backward: ({ b, attributes, y, dy }) => {
    const { inputSize: _, ...window } = attributes;
    return [() => b.emit("avgPool2d", [b.broadcastTo(dy, b.type(y).shape)], window)];
  },
  flops: (inputs, attributes) => sizeOf(inputs[0]!.shape) * sizeOf(attributes.kernelSize),
};
