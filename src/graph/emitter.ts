/**
 * Builds a bound graph node by node: infers each type at once, folds constants and gives the same value for the same node.
 *
 * K1  A value name is used once.
 * K2  Nodes stand in topological order: a node may read only what is already there.
 * K3  A node with a given id is made as asked for; a node without one may be answered by an equal value.
 */
import { GraphError } from "../contracts/errors.ts";
import type { OpAttributes } from "../contracts/graph.ts";
import { inferType, type PrimitiveNode, resolveAttributes } from "./operators/index.ts";
import type { NodeOf, PrimitiveOp, UnaryOp, ValueType } from "./operators/operator.ts";
import { type Dims, sameShape } from "./shapes.ts";
import { type Lookup, simplify } from "./simplify.ts";

/** Two nodes of one key compute the same. */
const keyOf = (op: PrimitiveOp, inputs: readonly string[], attributes: unknown): string => {
  const operands = op === "add" || op === "mul" ? inputs.toSorted() : inputs;
  return JSON.stringify([op, operands, attributes]);
};

export class Emitter implements Lookup {
  /** Prefix of the ids that this emitter chooses, so that a reader of the graph sees where a node comes from. */
  scope = "";
  readonly #nodes: PrimitiveNode[] = [];
  readonly #types = new Map<string, ValueType>();
  readonly #byValue = new Map<string, PrimitiveNode>();
  readonly #byKey = new Map<string, string>();
  readonly #reserved = new Set<string>();

  get nodes(): readonly PrimitiveNode[] {
    return this.#nodes;
  }

  get types(): ReadonlyMap<string, ValueType> {
    return this.#types;
  }

  /** Keeps a name free for a later `declare` or explicit id. */
  reserve(name: string): void {
    this.#reserved.add(name);
  }

  /** Makes a value known that no node computes: an input or a parameter. */
  declare(name: string, type: ValueType): string {
    this.#claim(name, "input");
    this.#types.set(name, type);
    return name;
  }

  /** A name that nobody uses, beginning with the scope and the hint. */
  fresh(hint: string): string {
    const stem = this.scope === "" ? hint : `${this.scope}/${hint}`;
    let name = stem;
    for (let n = 2; this.#types.has(name) || this.#reserved.has(name); n++) name = `${stem}~${n}`;
    return name;
  }

  type(value: string): ValueType {
    const type = this.#types.get(value);
    if (type === undefined) {
      throw new GraphError(`expected a value made before its first use, got the unknown value ${value}; check names and order`, {
        path: value,
      });
    }
    return type;
  }

  node(value: string): PrimitiveNode | undefined {
    return this.#byValue.get(value);
  }

  emit<O extends PrimitiveOp>(op: O, inputs: readonly string[], attributes: OpAttributes<O>, id?: string): string {
    const asked: NodeOf<O> = { id: id ?? this.fresh(op), op, inputs, attributes };
    const types = inputs.map((input) => this.#operandType(input, asked)); // K2
    const type = inferType(asked, types);
    const node: NodeOf<O> = { ...asked, attributes: resolveAttributes(asked, types, type) };
    const key = keyOf(op, inputs, node.attributes);
    if (id === undefined) {
      const known = this.#byKey.get(key) ?? simplify(this, node, type.shape);
      if (known !== null) return known;
    }
    // A rule that looked for something simpler may have taken the fresh name meanwhile.
    const name = id ?? this.fresh(op);
    this.#claim(name, op); // K1
    const made = { ...node, id: name } as PrimitiveNode;
    this.#nodes.push(made);
    this.#types.set(name, type);
    this.#byValue.set(name, made);
    if (!this.#byKey.has(key)) this.#byKey.set(key, name);
    return name;
  }

  scalar(value: number): string {
    return this.emit("fill", [], { value, shape: [] });
  }

  add(a: string, b: string): string {
    return this.emit("add", [a, b], {});
  }

  sub(a: string, b: string): string {
    return this.emit("sub", [a, b], {});
  }

  mul(a: string, b: string): string {
    return this.emit("mul", [a, b], {});
  }

  div(a: string, b: string): string {
    return this.emit("div", [a, b], {});
  }

  unary(op: UnaryOp, x: string): string {
    return this.emit(op, [x], {});
  }

  sum(x: string, axes: Dims, keepDims: boolean): string {
    return this.emit("reduceSum", [x], { axes: [...axes], keepDims });
  }

  mean(x: string, axes: Dims, keepDims: boolean): string {
    return this.emit("reduceMean", [x], { axes: [...axes], keepDims });
  }

  reshape(x: string, shape: Dims): string {
    return this.emit("reshape", [x], { shape: [...shape] });
  }

  broadcastTo(x: string, shape: Dims): string {
    return sameShape(this.type(x).shape, shape) ? x : this.emit("broadcastTo", [x], { shape: [...shape] });
  }

  matMul(a: string, b: string, transposeA = false, transposeB = false): string {
    return this.emit("matMul", [a, b], { transposeA, transposeB });
  }

  #operandType(value: string, reader: NodeOf<PrimitiveOp>): ValueType {
    const type = this.#types.get(value);
    if (type === undefined) {
      throw new GraphError(
        `${reader.op} ${reader.id}: expected inputs that stand before it, got the unknown value ${value}; check the name and the order of nodes`,
        { path: reader.id },
      );
    }
    return type;
  }

  #claim(name: string, what: string): void {
    if (this.#types.has(name)) {
      throw new GraphError(`${what} ${name}: expected a name used once, got one that is taken; rename it`, { path: name });
    }
  }
}

/** Only the nodes that the named values depend on, in their order. */
export const prune = (nodes: readonly PrimitiveNode[], values: Iterable<string>): PrimitiveNode[] => {
  const needed = new Set(values);
  const kept: PrimitiveNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!needed.has(node.id)) continue;
    kept.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  return kept.reverse();
};
