/** The table of primitive operators, and the few functions through which everything else reads it. */
import { GraphError } from "../../contracts/errors.ts";
import { compositeOps, type GraphNode, type OpAttributes, type OpName } from "../../contracts/graph.ts";
import * as convolution from "./convolution.ts";
import * as elementwise from "./elementwise.ts";
import { matMul } from "./linear-algebra.ts";
import * as lookup from "./lookup.ts";
import * as movement from "./movement.ts";
import {
  type Cotangent,
  checkFor,
  type Emit,
  type NodeOf,
  type NumericArray,
  type Operator,
  type PrimitiveOp,
  type ValueType,
} from "./operator.ts";
import * as reduction from "./reduction.ts";

export type PrimitiveNode = Extract<GraphNode, { readonly op: PrimitiveOp }>;

const { unbroadcast: _, ...elementwiseOperators } = elementwise;

const operators: { readonly [O in PrimitiveOp]: Operator<O> } = {
  ...elementwiseOperators,
  ...convolution,
  ...reduction,
  ...movement,
  ...lookup,
  matMul,
};

const composites: ReadonlySet<OpName> = new Set(compositeOps);

export const primitiveOps = Object.keys(operators) as PrimitiveOp[];

export const isPrimitive = (node: GraphNode): node is PrimitiveNode => !composites.has(node.op);

/** The node as a primitive; an error when it is a composite, which engines do not know. */
export const requirePrimitive = (node: GraphNode): PrimitiveNode => {
  if (isPrimitive(node)) return node;
  throw new GraphError(`${node.op} ${node.id}: expected a primitive operator, got a composite; bind the graph first`, {
    path: node.id,
  });
};

/** The type of a node's value. Throws GraphError naming the operator, the node, what was expected and what came. */
export const inferType = <O extends PrimitiveOp>(node: NodeOf<O>, inputs: readonly ValueType[]): ValueType => {
  const operator: Operator<O> = operators[node.op];
  const check = checkFor(node.op, node.id);
  const arity = operator.arity;
  check(arity === null ? inputs.length > 0 : inputs.length === arity, `${arity ?? "one or more"} inputs`, String(inputs.length));
  return operator.infer(inputs, node.attributes, check);
};

/** The attributes with everything relative to the inputs made concrete. */
export const resolveAttributes = <O extends PrimitiveOp>(
  node: NodeOf<O>,
  inputs: readonly ValueType[],
  output: ValueType,
): OpAttributes<O> => {
  const operator: Operator<O> = operators[node.op];
  return operator.resolve?.(node.attributes, inputs, output) ?? node.attributes;
};

export const runForward = <O extends PrimitiveOp>(node: NodeOf<O>, inputs: readonly NumericArray[]): NumericArray => {
  const operator: Operator<O> = operators[node.op];
  const output = inferType(node, inputs);
  return { ...output, data: operator.forward(inputs, node.attributes, output) };
};

/** The cotangents of a node's inputs, each made on demand; null where none passes. */
export const cotangentsOf = <O extends PrimitiveOp>(b: Emit, node: NodeOf<O>, dy: string): readonly Cotangent[] => {
  const operator: Operator<O> = operators[node.op];
  const call = { b, inputs: node.inputs, attributes: node.attributes, y: node.id, dy };
  return operator.backward?.(call) ?? node.inputs.map(() => null);
};

export const nodeFlops = <O extends PrimitiveOp>(node: NodeOf<O>, inputs: readonly ValueType[], output: ValueType): number => {
  const operator: Operator<O> = operators[node.op];
  return operator.flops(inputs, node.attributes, output);
};
