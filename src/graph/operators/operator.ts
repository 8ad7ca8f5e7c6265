/**
 * What one operator of the graph is: its shape rule, its forward on plain arrays, its backward in operators of the graph, its cost.
 * Every operator is written once, in a file of this folder; everything else is derived from these definitions.
 */
import { GraphError } from "../../contracts/errors.ts";
import type { compositeOps, DType, OpAttributes, OpName } from "../../contracts/graph.ts";
import { type Dims, formatShape } from "../shapes.ts";

export type CompositeOp = (typeof compositeOps)[number];
export type PrimitiveOp = Exclude<OpName, CompositeOp>;

/** One node whose operator is `O`. A union of operators gives attributes of the same union. */
export interface NodeOf<O extends OpName> {
  readonly id: string;
  readonly op: O;
  readonly inputs: readonly string[];
  readonly attributes: OpAttributes<O>;
}

export interface ValueType {
  readonly dtype: DType;
  readonly shape: Dims;
}

/** Dense, row-major, in float64 whatever the dtype: int32 is exact in it. What the reference computes with. */
export interface NumericArray {
  readonly dtype: DType;
  readonly shape: Dims;
  readonly data: Float64Array;
}

/** Says that a node is not well formed unless `holds`. */
export type Check = (holds: boolean, expected: string, found: string) => void;

/** A check whose errors name the operator and the node. */
export const checkFor =
  (op: OpName, id: string): Check =>
  (holds, expected, found) => {
    if (!holds) {
      throw new GraphError(`${op} ${id}: expected ${expected}, got ${found}; check what feeds it and its attributes`, {
        path: id,
      });
    }
  };

/**
 * Adds primitive nodes to a bound graph and names the value of each. The same node asked for twice gives the same value, and what
 * is a constant or an identity is folded. Shapes are inferred at once.
 */
export interface Emit {
  type(value: string): ValueType;
  emit<O extends PrimitiveOp>(op: O, inputs: readonly string[], attributes: OpAttributes<O>, id?: string): string;
  scalar(value: number): string;
  add(a: string, b: string): string;
  sub(a: string, b: string): string;
  mul(a: string, b: string): string;
  div(a: string, b: string): string;
  unary(op: UnaryOp, x: string): string;
  sum(x: string, axes: Dims, keepDims: boolean): string;
  mean(x: string, axes: Dims, keepDims: boolean): string;
  reshape(x: string, shape: Dims): string;
  broadcastTo(x: string, shape: Dims): string;
  matMul(a: string, b: string, transposeA?: boolean, transposeB?: boolean): string;
}

export type UnaryOp = "neg" | "exp" | "log" | "sqrt" | "tanh" | "sigmoid" | "relu" | "erf" | "stopGradient";

/**
 * What a backward rule may use. `dy` broadcasts to the shape of `y`: a cotangent that is the same along an axis may be left narrow
 * there, so that sums need no broadcast node on the way back.
 */
export interface Backward<O extends PrimitiveOp> {
  readonly b: Emit;
  readonly inputs: readonly string[];
  readonly attributes: OpAttributes<O>;
  readonly y: string;
  readonly dy: string;
}

/** The cotangent of one input, made only when somebody needs it. It broadcasts to the input's shape. Null: not differentiable. */
export type Cotangent = (() => string) | null;

export interface Operator<O extends PrimitiveOp> {
  /** Number of inputs; null: one or more. */
  readonly arity: number | null;
  readonly infer: (inputs: readonly ValueType[], attributes: OpAttributes<O>, check: Check) => ValueType;
  /** Attributes with everything relative made concrete. */
  readonly resolve?: (attributes: OpAttributes<O>, inputs: readonly ValueType[], output: ValueType) => OpAttributes<O>;
  readonly forward: (inputs: readonly NumericArray[], attributes: OpAttributes<O>, output: ValueType) => Float64Array;
  /** The vector-Jacobian product per input; null when the operator passes no gradient at all. */
  readonly backward: ((call: Backward<O>) => readonly Cotangent[]) | null;
  /**
   * Floating-point operations of one run. Multiply and add count one each; an element of an elementwise result counts one, whichever
   * function it is; reductions count one per element read; moving data counts nothing.
   */
  readonly flops: (inputs: readonly ValueType[], attributes: OpAttributes<O>, output: ValueType) => number;
}

export const isFloat = (type: ValueType): boolean => type.dtype === "float32";

export const describeTypes = (types: readonly ValueType[]): string =>
  types.length === 0 ? "no inputs" : types.map((type) => `${type.dtype} ${formatShape(type.shape)}`).join(" and ");

export const expectFloats = (inputs: readonly ValueType[], check: Check): void =>
  check(inputs.every(isFloat), "float32 inputs", describeTypes(inputs));

export const noFlops = (): number => 0;
