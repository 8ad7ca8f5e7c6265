/**
 * Algebra that needs no data: identities, constants and the few rewrites that keep generated backward passes lean. Every rule
 * gives a value of the same type as the node that was asked for; null means that the node must be made.
 */
import type { PrimitiveNode } from "./operators/index.ts";
import type { Emit, NodeOf, PrimitiveOp } from "./operators/operator.ts";
import { type Dims, reducedCount, sameShape } from "./shapes.ts";

/** A graph under construction, as far as the rules look at it. */
export interface Lookup extends Emit {
  /** The node that makes a value; undefined for inputs. */
  node(value: string): PrimitiveNode | undefined;
}

type Rule = (b: Lookup, node: PrimitiveNode, shape: Dims) => string | null;

/** The value of a constant tensor; undefined when it is not one. */
const constantOf = (b: Lookup, value: string): number | undefined => {
  const node = b.node(value);
  return node?.op === "fill" ? node.attributes.value : undefined;
};

const has = (b: Lookup, value: string, shape: Dims): boolean => sameShape(b.type(value).shape, shape);

const filled = (b: Lookup, value: number, shape: Dims): string => b.emit("fill", [], { value, shape: [...shape] });

/** `x · c` with its constant, when the value is such a product. */
const scaledOf = (b: Lookup, value: string): { readonly x: string; readonly factor: number } | undefined => {
  const node = b.node(value);
  if (node?.op !== "mul") return undefined;
  const factor = constantOf(b, node.inputs[1]!);
  return factor === undefined || !has(b, node.inputs[0]!, b.type(value).shape) ? undefined : { x: node.inputs[0]!, factor };
};

const negatedOf = (b: Lookup, value: string): { readonly x: string; readonly factor: number } | undefined => {
  const node = b.node(value);
  return node?.op === "neg" ? { x: node.inputs[0]!, factor: -1 } : undefined;
};

const arithmetic = {
  add: (a: number, c: number) => a + c,
  sub: (a: number, c: number) => a - c,
  mul: (a: number, c: number) => a * c,
  div: (a: number, c: number) => a / c,
};

const isArithmetic = (op: PrimitiveOp): op is keyof typeof arithmetic => op in arithmetic;

const foldConstants: Rule = (b, node, shape) => {
  if (!isArithmetic(node.op)) return null;
  const [left, right] = [constantOf(b, node.inputs[0]!), constantOf(b, node.inputs[1]!)];
  return left === undefined || right === undefined ? null : filled(b, arithmetic[node.op](left, right), shape);
};

/** A constant stands second and, where the other operand has the shape already, as a scalar. */
const placeConstant: Rule = (b, node, shape) => {
  if (!isArithmetic(node.op)) return null;
  const [x, c] = [node.inputs[0]!, node.inputs[1]!];
  if ((node.op === "mul" || node.op === "add") && constantOf(b, x) !== undefined) return b.emit(node.op, [c, x], {});
  const value = constantOf(b, c);
  if (value === undefined || b.type(c).shape.length === 0 || !has(b, x, shape)) return null;
  return b.emit(node.op, [x, b.scalar(value)], {});
};

const dropNeutral: Rule = (b, node, shape) => {
  if (!isArithmetic(node.op) || !has(b, node.inputs[0]!, shape)) return null;
  const neutral = node.op === "mul" || node.op === "div" ? 1 : 0;
  return constantOf(b, node.inputs[1]!) === neutral ? node.inputs[0]! : null;
};

/** (x·a)·c = x·(a·c), and −(x·a) = x·(−a). */
const mergeFactors: Rule = (b, node) => {
  if (node.op !== "mul" && node.op !== "neg") return null;
  const inner = scaledOf(b, node.inputs[0]!) ?? negatedOf(b, node.inputs[0]!);
  if (inner === undefined) return null;
  const outer = node.op === "neg" ? -1 : constantOf(b, node.inputs[1]!);
  return outer === undefined || (node.op === "mul" && b.type(node.inputs[1]!).shape.length > 0)
    ? null
    : b.mul(inner.x, b.scalar(inner.factor * outer));
};

/** a·c − x·c = (a − x)·c: one product fewer, which is what softmax cross-entropy's gradient needs. */
const factorOut: Rule = (b, node) => {
  if (node.op !== "sub") return null;
  const [left, right] = [scaledOf(b, node.inputs[0]!), scaledOf(b, node.inputs[1]!)];
  if (left === undefined || right === undefined || left.factor !== right.factor) return null;
  return b.mul(b.sub(left.x, right.x), b.scalar(left.factor));
};

const negations: Rule = (b, node, shape) => {
  if (node.op === "neg") {
    const constant = constantOf(b, node.inputs[0]!);
    if (constant !== undefined) return filled(b, -constant, shape);
    return negatedOf(b, node.inputs[0]!)?.x ?? null;
  }
  if (node.op !== "add" && node.op !== "sub") return null;
  const right = b.node(node.inputs[1]!);
  return right?.op === "neg" ? b.emit(node.op === "add" ? "sub" : "add", [node.inputs[0]!, right.inputs[0]!], {}) : null;
};

/** Sums over a one-hot axis are 1; labels must therefore lie in range. */
const reduceConstants: Rule = (b, node, shape) => {
  if (node.op !== "reduceSum" && node.op !== "reduceMean") return null;
  const x = node.inputs[0]!;
  if (node.attributes.axes.length === 0) return x;
  const wide = b.type(x).shape;
  const constant = constantOf(b, x);
  if (constant !== undefined) {
    return filled(b, node.op === "reduceSum" ? constant * reducedCount(wide, node.attributes.axes) : constant, shape);
  }
  if (node.op === "reduceMean" || !sameShape(node.attributes.axes, [wide.length - 1])) return null;
  const scaled = scaledOf(b, x) ?? { x, factor: 1 };
  return b.node(scaled.x)?.op === "oneHot" ? filled(b, scaled.factor, shape) : null;
};

/** Σ(−x) = −Σx: the sign is changed on the smaller tensor. */
const negateLate: Rule = (b, node) => {
  if (node.op !== "reduceSum") return null;
  const inner = b.node(node.inputs[0]!);
  return inner?.op === "neg" ? b.unary("neg", b.sum(inner.inputs[0]!, node.attributes.axes, node.attributes.keepDims)) : null;
};

const movement: Rule = (b, node, shape) => {
  if (node.op !== "reshape" && node.op !== "broadcastTo" && node.op !== "transpose") return null;
  const x = node.inputs[0]!;
  const constant = constantOf(b, x);
  if (constant !== undefined) return filled(b, constant, shape);
  if (node.op === "transpose") return node.attributes.perm.every((axis, i) => axis === i) ? x : null;
  if (has(b, x, shape)) return x;
  const inner = b.node(x);
  return node.op === "reshape" && inner?.op === "reshape" ? b.reshape(inner.inputs[0]!, shape) : null;
};

const rules: readonly Rule[] = [
  foldConstants,
  placeConstant,
  dropNeutral,
  mergeFactors,
  factorOut,
  negations,
  reduceConstants,
  negateLate,
  movement,
];

/** An existing or simpler value equal to the node's; null when there is none. */
export const simplify = <O extends PrimitiveOp>(b: Lookup, node: NodeOf<O>, shape: Dims): string | null => {
  for (const rule of rules) {
    const value = rule(b, node as PrimitiveNode, shape);
    if (value !== null) return value;
  }
  return null;
};
