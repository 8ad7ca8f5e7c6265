/**
 * A host's graph while an importer writes it: every value's shape is known as soon as its node is there.
 *
 * K1  Shapes are inferred for two sizes of the batch. A dimension that differs between them follows the batch and is shown as -1.
 * K2  Only the batch may be open: a dimension that follows it in another way (2·N, N − 1) has no place in a graph and is refused where it
 *     would have to be written down.
 */
import { GraphError } from "../contracts/errors.ts";
import type { DType, Graph, GraphNode, Initializer, OpAttributes, OpName, Tensor } from "../contracts/graph.ts";
import { GraphBuilder } from "../graph/builder.ts";
import { inferType, isPrimitive } from "../graph/operators/index.ts";
import type { ValueType } from "../graph/operators/operator.ts";
import { formatShape, sizeOf } from "../graph/shapes.ts";
import { valueName } from "./names.ts";

/** K1. Primes that no dimension of a model is likely to have, so that a dimension that equals one of them is the batch. */
export const trialBatches = [1009, 1013] as const;

type Types = readonly [ValueType, ValueType];

const bound = (shape: readonly number[], batch: number): number[] => shape.map((dim) => (dim === -1 ? batch : dim));

/** Type of a composite's value; the ones that importers write. */
const compositeType = (node: GraphNode, inputs: readonly ValueType[]): ValueType => {
  const first = inputs[0]!;
  switch (node.op) {
    case "globalAveragePool":
      return { dtype: "float32", shape: first.shape.slice(0, 2) };
    case "maxPool2d": {
      const { strides } = node.attributes;
      const [n, c, h, w] = [first.shape[0]!, first.shape[1]!, first.shape[2]!, first.shape[3]!];
      return { dtype: "float32", shape: [n, c, Math.floor(h / strides[0]), Math.floor(w / strides[1])] };
    }
    default:
      return { dtype: "float32", shape: first.shape };
  }
};

/** How a parameter of that shape would start if it had to start again. */
const initializerFor = (shape: readonly number[]): Initializer =>
  shape.length < 2
    ? { kind: "constant", value: 0 }
    : { kind: "heNormal", fanIn: shape.length === 2 ? shape[0]! : sizeOf(shape.slice(1)) };

export class GraphSketch {
  readonly parameters: Record<string, Tensor> = {};
  readonly notes: string[] = [];
  readonly #builder = new GraphBuilder();
  readonly #taken = new Set<string>();
  readonly #types = new Map<string, Types>();

  input(name: string, shape: readonly number[], dtype: DType): string {
    this.#taken.add(name);
    this.#types.set(name, [
      { dtype, shape: bound(shape, trialBatches[0]) },
      { dtype, shape: bound(shape, trialBatches[1]) },
    ]);
    return this.#builder.input(name, [...shape], dtype);
  }

  /** A parameter that learns, or with `trainable: false` a constant that comes with the model. */
  parameter(name: string, shape: readonly number[], data: Float32Array, options: { readonly trainable?: boolean } = {}): string {
    const unique = valueName(name, this.#taken);
    const type = { dtype: "float32" as const, shape: [...shape] };
    if (data.length !== sizeOf(shape)) {
      throw new GraphError(
        `weight ${name}: expected ${sizeOf(shape)} elements for ${formatShape(shape)}, got ${data.length}; the file is damaged`,
        { path: name },
      );
    }
    this.#types.set(unique, [type, type]);
    this.parameters[unique] = { ...type, data };
    return this.#builder.parameter(unique, shape, initializerFor(shape), options);
  }

  /** Adds a node. `name` is a wish; the value's name comes back. */
  op<O extends OpName>(op: O, inputs: readonly string[], attributes: OpAttributes<O>, name: string): string {
    const id = valueName(name, this.#taken);
    const node = { id, op, inputs, attributes } as GraphNode;
    const at = (which: 0 | 1): ValueType => {
      const types = inputs.map((input) => this.#known(input, id)[which]);
      return isPrimitive(node) ? inferType(this.#withBatch(node, trialBatches[which]), types) : compositeType(node, types);
    };
    this.#types.set(id, [at(0), at(1)]);
    return this.#builder.op(op, inputs, attributes, id);
  }

  dtype(value: string): DType {
    return this.#known(value, value)[0].dtype;
  }

  /** K1: the batch is -1. */
  shape(value: string): number[] {
    const [a, b] = this.#known(value, value);
    return a.shape.map((dim, axis) => (dim === b.shape[axis] ? dim : -1));
  }

  /** The shape with the batch at each of its two trial sizes. */
  trialShapes(value: string): readonly [readonly number[], readonly number[]] {
    const [a, b] = this.#known(value, value);
    return [a.shape, b.shape];
  }

  /** A reshape to a shape whose dimensions are known for both trial sizes. K2. */
  reshape(value: string, target: readonly [readonly number[], readonly number[]], name: string): string {
    const shape = target[0].map((dim, axis) => (dim === target[1][axis] ? dim : -1));
    if (shape.filter((dim) => dim === -1).length > 1) {
      throw new GraphError(
        `reshape ${name}: expected at most one dimension that follows the batch, got ${formatShape(shape)}; keep the batch on one axis`,
        { path: name },
      );
    }
    return this.op("reshape", [value], { shape }, name);
  }

  scalar(value: number, name: string): string {
    return this.op("fill", [], { value, shape: [] }, `${name}/constant`);
  }

  output(value: string): void {
    this.#builder.output("logits", value);
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  build(): Graph {
    return this.#builder.build();
  }

  #known(value: string, reader: string): Types {
    const types = this.#types.get(value);
    if (types === undefined) {
      throw new GraphError(
        `${reader}: expected a value that stands before it, got the unknown ${value}; check the model's wiring`,
        {
          path: reader,
        },
      );
    }
    return types;
  }

  #withBatch<N extends GraphNode>(node: N, batch: number): N {
    if (node.op === "broadcastTo") return { ...node, attributes: { shape: bound(node.attributes.shape, batch) } };
    if (node.op === "fill") return { ...node, attributes: { ...node.attributes, shape: bound(node.attributes.shape, batch) } };
    return node;
  }
}
