/**
 * Operators that are written in other operators. Each checks its inputs, then expands into primitives; the last primitive carries
 * the composite's own id. Their gradients follow from the primitives'.
 */
import type { GraphNode, OpAttributes, Parameter } from "../../contracts/graph.ts";
import { type Dims, formatShape } from "../shapes.ts";
import {
  type Check,
  type CompositeOp,
  checkFor,
  describeTypes,
  type Emit,
  expectFloats,
  type NodeOf,
  type ValueType,
} from "./operator.ts";

export type Mode = "train" | "eval";

export type CompositeNode = Extract<GraphNode, { readonly op: CompositeOp }>;

/** Where a composite is expanded. */
export interface Expansion {
  readonly b: Emit;
  readonly mode: Mode;
  /** Parameter of that name; undefined for other values. */
  parameter(value: string): Parameter | undefined;
  /** True when parameters of this cohort learn in the graph being built. */
  isTrainable(cohort: string): boolean;
  /** A further input of the bound graph: uniform draws in [0, 1), fresh for each run. */
  uniform(name: string, shape: Dims): string;
  /** Gives a parameter's value after a training step. */
  update(parameter: string, value: string): void;
}

interface Call<O extends CompositeOp> extends Expansion {
  readonly id: string;
  readonly inputs: readonly string[];
  readonly types: readonly ValueType[];
  readonly attributes: OpAttributes<O>;
  readonly check: Check;
}

interface Composite<O extends CompositeOp> {
  readonly arity: number;
  readonly expand: (call: Call<O>) => string;
}

const gelu: Composite<"gelu"> = {
  arity: 1,
  expand: ({ b, id, inputs, attributes }) => {
    const x = inputs[0]!;
    const half = b.mul(x, b.scalar(0.5));
    const gate =
      attributes.approximate === "none"
        ? b.unary("erf", b.mul(x, b.scalar(Math.SQRT1_2)))
        : b.unary("tanh", b.mul(b.add(x, b.mul(b.mul(x, b.mul(x, x)), b.scalar(0.044715))), b.scalar(Math.sqrt(2 / Math.PI))));
    return b.emit("mul", [half, b.add(gate, b.scalar(1))], {}, id);
  },
};

/**
 * Ioffe & Szegedy (2015). Running statistics follow r ← momentum·r + (1 − momentum)·batch, with the population variance. A layer whose
 * cohort does not learn normalises by its running statistics and leaves them alone.
 */
const batchNorm: Composite<"batchNorm"> = {
  arity: 5,
  expand: (call) => {
    const { b, id, inputs, types, attributes, check, mode } = call;
    const [x, gamma, beta, mean, variance] = [inputs[0]!, inputs[1]!, inputs[2]!, inputs[3]!, inputs[4]!];
    const shape = types[0]!.shape;
    check(
      shape.length >= 2 && types.slice(1).every((type) => type.shape.length === 1 && type.shape[0] === shape[1]),
      `x of rank 2 or more and four vectors of its ${shape[1]} channels`,
      describeTypes(types),
    );
    const perChannel = (v: string): string => b.reshape(v, [shape[1]!, ...shape.slice(2).map(() => 1)]);
    const running = call.parameter(mean);
    const learns = mode === "train" && (running === undefined || call.isTrainable(running.cohort));
    const scaleBy = (v: string): string => b.div(gamma, b.unary("sqrt", b.add(v, b.scalar(attributes.epsilon))));
    if (!learns) {
      const scale = scaleBy(variance);
      const shift = b.sub(beta, b.mul(mean, scale));
      return b.emit("add", [b.mul(x, perChannel(scale)), perChannel(shift)], {}, id);
    }
    const axes = shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
    const batchMean = b.mean(x, axes, true);
    const centred = b.sub(x, batchMean);
    const batchVariance = b.reshape(b.mean(b.mul(centred, centred), axes, true), [shape[1]!]);
    const blend = (old: string, now: string): string =>
      b.add(b.mul(old, b.scalar(attributes.momentum)), b.mul(now, b.scalar(1 - attributes.momentum)));
    call.update(mean, blend(mean, b.reshape(batchMean, [shape[1]!])));
    call.update(variance, blend(variance, batchVariance));
    return b.emit("add", [b.mul(centred, perChannel(scaleBy(batchVariance))), perChannel(beta)], {}, id);
  },
};

/** Ba et al. (2016), over the last axis. */
const layerNorm: Composite<"layerNorm"> = {
  arity: 3,
  expand: ({ b, id, inputs, types, attributes, check }) => {
    const [x, gamma, beta] = [inputs[0]!, inputs[1]!, inputs[2]!];
    const shape = types[0]!.shape;
    check(
      shape.length >= 1 && types.slice(1).every((type) => type.shape.length === 1 && type.shape[0] === shape.at(-1)),
      `x and two vectors of its last dimension`,
      describeTypes(types),
    );
    const axes = [shape.length - 1];
    const centred = b.sub(x, b.mean(x, axes, true));
    const deviation = b.unary("sqrt", b.add(b.mean(b.mul(centred, centred), axes, true), b.scalar(attributes.epsilon)));
    return b.emit("add", [b.mul(b.div(centred, deviation), gamma), beta], {}, id);
  },
};

const dropout: Composite<"dropout"> = {
  arity: 1,
  expand: ({ b, id, inputs, types, attributes, mode, uniform }) => {
    if (mode === "eval" || attributes.rate === 0) return inputs[0]!;
    const kept = b.emit("greater", [uniform(`uniform:${id}`, types[0]!.shape), b.scalar(attributes.rate)], {});
    return b.emit("mul", [inputs[0]!, b.mul(kept, b.scalar(1 / (1 - attributes.rate)))], {}, id);
  },
};

const globalAveragePool: Composite<"globalAveragePool"> = {
  arity: 1,
  expand: ({ b, id, inputs, types, check }) => {
    check(types[0]!.shape.length === 4, "an image batch [N, C, H, W]", describeTypes(types));
    return b.emit("reduceMean", [inputs[0]!], { axes: [2, 3], keepDims: false }, id);
  },
};

/**
 * y = max + Σ share · (x − max) over each window, where share is 1 at the largest value and split where several are equal. The sum is
 * exactly zero; it is there for its gradient, since neither the maximum nor a comparison passes one.
 */
const maxPool2d: Composite<"maxPool2d"> = {
  arity: 1,
  expand: ({ b, id, inputs, types, attributes, check }) => {
    const { kernelSize, strides } = attributes;
    const [n, channels, height, width] = types[0]!.shape;
    check(types[0]!.shape.length === 4, "an image batch [N, C, H, W]", describeTypes(types));
    check(
      formatShape(kernelSize) === formatShape(strides),
      "strides equal to the window, so that windows do not overlap",
      `window ${formatShape(kernelSize)}, strides ${formatShape(strides)}`,
    );
    const [rows, columns] = [Math.floor(height! / kernelSize[0]), Math.floor(width! / kernelSize[1])];
    check(rows > 0 && columns > 0, `a window no larger than the image`, `${formatShape(kernelSize)} for ${describeTypes(types)}`);
    const covered = [n!, channels!, rows * kernelSize[0], columns * kernelSize[1]];
    const whole = formatShape(covered) === formatShape(types[0]!.shape);
    const image = whole ? inputs[0]! : b.emit("slice", [inputs[0]!], { starts: [0, 0, 0, 0], ends: covered });
    const windows = b.reshape(image, [n!, channels!, rows, kernelSize[0], columns, kernelSize[1]]);
    const axes = [3, 5];
    const largest = b.emit("reduceMax", [windows], { axes, keepDims: true });
    const isLargest = b.sub(b.scalar(1), b.emit("greater", [largest, windows], {}));
    const share = b.div(isLargest, b.sum(isLargest, axes, true));
    const passed = b.sum(b.mul(b.sub(windows, largest), share), axes, false);
    return b.emit("add", [b.reshape(largest, [n!, channels!, rows, columns]), passed], {}, id);
  },
};

/** By logSoftmax, so that large logits neither overflow nor lose the small probabilities. */
const softmaxCrossEntropy: Composite<"softmaxCrossEntropy"> = {
  arity: 2,
  expand: ({ b, id, inputs, types, check }) => {
    const [logits, labels] = [types[0]!, types[1]!];
    check(
      logits.shape.length === 2 &&
        labels.dtype === "int32" &&
        formatShape(labels.shape) === formatShape(logits.shape.slice(0, 1)),
      "float32 logits [N, K] and int32 labels [N]",
      describeTypes(types),
    );
    const picked = b.mul(
      b.emit("logSoftmax", [inputs[0]!], { axis: 1 }),
      b.emit("oneHot", [inputs[1]!], { depth: logits.shape[1]! }),
    );
    return b.emit("neg", [b.sum(picked, [1], false)], {}, id);
  },
};

const meanSquaredError: Composite<"meanSquaredError"> = {
  arity: 2,
  expand: ({ b, id, inputs, types, check }) => {
    expectFloats(types, check);
    check(
      types[0]!.shape.length === 2 && formatShape(types[0]!.shape) === formatShape(types[1]!.shape),
      "prediction and target of one shape [N, K]",
      describeTypes(types),
    );
    const error = b.sub(inputs[0]!, inputs[1]!);
    return b.emit("reduceMean", [b.mul(error, error)], { axes: [1], keepDims: false }, id);
  },
};

const composites: { readonly [O in CompositeOp]: Composite<O> } = {
  gelu,
  batchNorm,
  layerNorm,
  dropout,
  globalAveragePool,
  maxPool2d,
  softmaxCrossEntropy,
  meanSquaredError,
};

/** Adds a composite's primitives and returns the value that stands for it. That is an input when nothing is to be computed. */
export const expandComposite = <O extends CompositeOp>(node: NodeOf<O>, expansion: Expansion): string => {
  const composite: Composite<O> = composites[node.op];
  const check = checkFor(node.op, node.id);
  check(node.inputs.length === composite.arity, `${composite.arity} inputs`, String(node.inputs.length));
  const types = node.inputs.map((input) => expansion.b.type(input));
  check(types[0]!.dtype === "float32", "a float32 first input", describeTypes(types));
  const { id, inputs, attributes } = node;
  return composite.expand({ ...expansion, id, inputs, types, attributes, check });
};
