/** Weighted sums with their bias, recognised in a graph: what can be multiplied out, joined or scaled as a whole. */
import type { GraphNode, Parameter } from "../contracts/graph.ts";
import type { GraphView } from "./graph-view.ts";

export type Product = Extract<GraphNode, { readonly op: "matMul" | "conv2d" }>;

/** x·W + b or conv(x, W) + b, with W and b parameters that serve nothing else. */
export interface Affine {
  /** The value of the sum, or of the product where there is no bias. */
  readonly value: string;
  readonly product: Product;
  readonly input: string;
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  /** The reshape that lays the bias along the channels, when there is one. */
  readonly biasNode: GraphNode | undefined;
}

/** Axis of the weight that runs over its inputs, and over its outputs. Dense weights are [in, out], convolutions OIHW. */
export const weightAxes = ({ op }: Product): { readonly input: 0 | 1; readonly output: 0 | 1 } =>
  op === "matMul" ? { input: 0, output: 1 } : { input: 1, output: 0 };

/** Axis of the product's value that its outputs lie along. */
const outputAxis = (view: GraphView, product: Product): number =>
  product.op === "conv2d" ? 1 : view.shape(product.id).length - 1;

const productOf = (view: GraphView, value: string): { product: Product; weight: Parameter } | undefined => {
  const node = view.node(value);
  if (node?.op !== "matMul" && node?.op !== "conv2d") return undefined;
  const weight = view.parameter(node.inputs[1]!);
  const isPlain = node.op === "conv2d" || (!node.attributes.transposeA && !node.attributes.transposeB);
  if (weight === undefined || !isPlain || view.onlyReader(weight.name) === undefined) return undefined;
  if (node.op === "matMul" && weight.shape.length !== 2) return undefined;
  return { product: node, weight };
};

/** The affine map that makes a value; undefined when it is something else, or parts of it serve other values too. */
export const affineOf = (view: GraphView, value: string): Affine | undefined => {
  const bare = productOf(view, value);
  if (bare !== undefined) return { value, input: bare.product.inputs[0]!, ...bare, bias: undefined, biasNode: undefined };
  const sum = view.node(value);
  if (sum?.op !== "add") return undefined;
  for (const index of [0, 1] as const) {
    const [left, right] = [sum.inputs[index]!, sum.inputs[1 - index]!];
    const found = productOf(view, left);
    if (found === undefined || view.onlyReader(left) === undefined) continue;
    const length = found.weight.shape[weightAxes(found.product).output]!;
    const bias = view.vectorParameter(right, outputAxis(view, found.product), view.shape(value).length, length);
    if (bias === undefined) continue;
    return { value, input: found.product.inputs[0]!, ...found, bias, biasNode: view.node(right) };
  }
  return undefined;
};

/** The values that a chain of sums adds up, from the left. A value that is read elsewhere is not opened. */
export const addendsOf = (view: GraphView, value: string): string[] => {
  const node = view.node(value);
  const isSum = node?.op === "add" && affineOf(view, value) === undefined && !node.inputs.some((input) => view.isFixed(input));
  if (!isSum) return [value];
  return node.inputs.flatMap((input) => (view.onlyReader(input) === undefined ? [input] : addendsOf(view, input)));
};
