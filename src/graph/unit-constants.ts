/** What is left of units that are taken out: the constants that they were, how operators pass them on, and whose bias takes them up. */
import type { GraphNode } from "../contracts/graph.ts";
import { evaluateNode, type GraphView } from "./graph-view.ts";
import type { NumericArray } from "./operators/operator.ts";
import { type Dims, sameShape, sizeOf } from "./shapes.ts";

/** Why units cannot be taken out. Never leaves this folder: callers get a union. */
export class UnitRefusal extends Error {}

/** The value of a unit for every sample and place; null where it is not one constant. */
export type Constant = number | null;

/** Entries of a value that go. */
export interface Lost {
  readonly axis: number;
  /** Ascending. */
  readonly indices: Dims;
  readonly constants: readonly Constant[];
}

export type NodeOf<O extends GraphNode["op"]> = Extract<GraphNode, { readonly op: O }>;

const vector = (values: Dims): NumericArray => ({ dtype: "float32", shape: [values.length], data: Float64Array.from(values) });

/** A node of scalars. Zero times anything is zero, also where the other factor is not one constant. */
export const applyToConstants = (node: GraphNode, operands: readonly Constant[]): Constant => {
  if (node.op === "mul" && operands.includes(0)) return 0;
  if (node.op === "div" && operands[0] === 0) return 0;
  const known = operands.filter((operand) => operand !== null);
  if (known.length < operands.length) return null;
  return evaluateNode(
    node,
    known.map((operand) => vector([operand])),
  ).data[0]!;
};

/** Batch normalisation of one constant channel by its running statistics. `vectors`: scale, shift, mean, variance. */
export const normalizeConstant = (node: NodeOf<"batchNorm">, constant: Constant, vectors: readonly number[]): Constant => {
  if (constant === null) return null;
  const x: NumericArray = { dtype: "float32", shape: [1, 1], data: Float64Array.of(constant) };
  return evaluateNode(node, [x, ...vectors.map((value) => vector([value]))]).data[0]!;
};

/** At a padded border zeros stand beside the constant: only zero stays one constant. */
export const constantsInside = (constants: readonly Constant[], pads: Dims): readonly Constant[] =>
  pads.some((pad) => pad > 0) ? constants.map((constant) => (constant === 0 ? 0 : null)) : constants;

/** What the units gave each output of a weight. Refuses a unit that is not one constant where it is read. */
const weightedSum = (
  node: GraphNode,
  { indices, constants }: Omit<Lost, "axis">,
  outputs: number,
  weightOf: (unit: number, output: number) => number,
): Float64Array => {
  const sum = new Float64Array(outputs);
  for (const [at, unit] of indices.entries()) {
    const constant = constants[at]!;
    if (constant === null) throw new UnitRefusal(`${node.op} ${node.id} reads unit ${unit} where it is not one constant`);
    if (constant === 0) continue;
    for (let output = 0; output < outputs; output++) sum[output] = sum[output]! + constant * weightOf(unit, output);
  }
  return sum;
};

/** c · W over the rows of the units, [n]. */
export const matrixSum = (node: NodeOf<"matMul">, weight: NumericArray, lost: Lost): Float64Array => {
  const [rows, columns] = [weight.shape[0]!, weight.shape[1]!];
  return node.attributes.transposeB
    ? weightedSum(node, lost, rows, (unit, output) => weight.data[output * columns + unit]!)
    : weightedSum(node, lost, columns, (unit, output) => weight.data[unit * columns + output]!);
};

const filterSum = ({ data, shape }: NumericArray, filter: number, channel: number): number => {
  const places = shape[2]! * shape[3]!;
  const start = (filter * shape[1]! + channel) * places;
  return data.subarray(start, start + places).reduce((sum, value) => sum + value, 0);
};

/** c · ΣW over the channels of the units, [O]. */
export const convolutionSum = (node: NodeOf<"conv2d">, weight: NumericArray, { indices, constants }: Lost): Float64Array => {
  const seen = constantsInside(constants, node.attributes.pads);
  return weightedSum(node, { indices, constants: seen }, weight.shape[0]!, (unit, filter) => filterSum(weight, filter, unit));
};

/** The same for a depthwise convolution: the channel that each filter makes of its own one. */
export const depthwiseConstants = (
  node: NodeOf<"conv2d">,
  weight: NumericArray,
  filters: readonly { readonly filter: number; readonly constant: Constant }[],
): Constant[] => {
  const seen = constantsInside(
    filters.map(({ constant }) => constant),
    node.attributes.pads,
  );
  return filters.map(({ filter }, at) => (seen[at] === null ? null : seen[at]! * filterSum(weight, filter, 0)));
};

/** Where an axis of `from` goes in `to`, and how many entries of it one index fills; undefined when the reshape splits it. */
export const reshapedAxis = (
  from: Dims,
  axis: number,
  to: Dims,
): { readonly axis: number; readonly block: number } | undefined => {
  const outer = sizeOf(from.slice(0, axis));
  const inner = sizeOf(from.slice(axis + 1));
  for (const [target, dim] of to.entries()) {
    const within = sizeOf(to.slice(target + 1));
    const fits = sizeOf(to.slice(0, target)) === outer && dim * within === from[axis]! * inner && inner % within === 0;
    if (fits && (dim > 1 || from[axis] === 1)) return { axis: target, block: inner / within };
  }
  return undefined;
};

export interface ShiftTarget {
  readonly parameter: string;
  /** −1 for a running mean, which is taken away. */
  readonly sign: 1 | -1;
}

/**
 * The parameter through which a constant per unit can be added to a value: the bias that it is summed with, also further down a chain of
 * sums, or the running mean of its normalisation. Undefined when there is none that serves this value alone.
 */
export const shiftTarget = (view: GraphView, start: string, axis: number, length: number): ShiftTarget | undefined => {
  let value = start;
  for (let reader = view.onlyReader(value); reader !== undefined; reader = view.onlyReader(value)) {
    const { node, index } = reader;
    if (node.op === "batchNorm" && index === 0 && axis === 1) {
      const mean = view.parameter(node.inputs[3]!)?.name;
      return mean === undefined || view.onlyReader(mean) === undefined ? undefined : { parameter: mean, sign: -1 };
    }
    if (node.op !== "add" || !sameShape(view.shape(node.id), view.shape(value))) return undefined;
    const bias = view.vectorParameter(node.inputs[1 - index]!, axis, view.shape(value).length, length);
    if (bias !== undefined) return { parameter: bias.name, sign: 1 };
    value = node.id;
  }
  return undefined;
};
