/**
 * What the writers of single operators share: the values of a host as layers of a Keras model, and what is known of weights and constants.
 *
 * X1  A value of rank 4 is a map: [N, C, H, W] with us, [N, H, W, C] in the Keras model. Everything else stands as it is.
 * X2  What depends on parameters and constants alone is no layer: it is computed here and becomes a layer's weight.
 */
import { GraphError } from "../../contracts/errors.ts";
import type { GraphNode, Host, Tensor } from "../../contracts/graph.ts";
import { broadcastShapes, broadcastStrides, sizeOf, walk } from "../../graph/shapes.ts";
import type { ModelWriter } from "./writer.ts";

/** A value that a Keras layer makes; `shape` is ours, without the batch. */
export interface LayerValue {
  readonly kind: "layer";
  readonly layer: string;
  readonly shape: readonly number[];
}

/** X2. */
export interface ConstantValue {
  readonly kind: "constant";
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type Known = LayerValue | ConstantValue;

export const isMap = ({ shape }: LayerValue): boolean => shape.length === 3;

/** A shape of ours as Keras sees it. */
export const kerasShape = (shape: readonly number[]): readonly number[] =>
  shape.length === 3 ? [shape[1]!, shape[2]!, shape[0]!] : shape;

const arithmetic: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
};

export class ExportGraph {
  readonly writer: ModelWriter;
  readonly host: Host;
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly #known = new Map<string, Known>();
  readonly #readers = new Map<string, GraphNode[]>();
  readonly #outputs: ReadonlySet<string>;

  constructor(host: Host, parameters: Readonly<Record<string, Tensor>>, writer: ModelWriter) {
    this.host = host;
    this.parameters = parameters;
    this.writer = writer;
    this.#outputs = new Set(host.graph.outputs.map(({ value }) => value));
    for (const node of host.graph.nodes) {
      for (const input of new Set(node.inputs)) this.#readers.set(input, [...(this.#readers.get(input) ?? []), node]);
    }
    for (const { name, shape } of host.graph.parameters) {
      this.#known.set(name, { kind: "constant", shape, data: parameters[name]!.data as Float32Array });
    }
  }

  has(value: string): boolean {
    return this.#known.has(value);
  }

  set(value: string, known: Known): void {
    this.#known.set(value, known);
  }

  known(value: string, node: GraphNode): Known {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    throw new GraphError(`LayersModel export, ${node.op} ${node.id}: expected inputs that stand before it, got ${value}`, {
      path: node.id,
    });
  }

  /** The one node that reads a value and may take it over; undefined when there are more or it is the output. */
  onlyReader(value: string): GraphNode | undefined {
    const readers = this.#readers.get(value) ?? [];
    return readers.length === 1 && !this.#outputs.has(value) ? readers[0] : undefined;
  }

  refuse(node: GraphNode, expected: string, found: string): GraphError {
    return new GraphError(
      `LayersModel export, ${node.op} ${node.id}: expected ${expected}, got ${found}; Keras has no layer for it: export as ONNX or safetensors`,
      { path: node.id },
    );
  }

  /** X2: the node's value when its inputs are all known numbers; undefined when one of them is a layer's. */
  fold(node: GraphNode): ConstantValue | undefined {
    if (node.op === "fill" && !node.attributes.shape.includes(-1)) {
      const { shape, value } = node.attributes;
      return { kind: "constant", shape, data: new Float32Array(sizeOf(shape)).fill(value) };
    }
    const inputs = node.inputs.map((input) => this.known(input, node));
    if (inputs.length === 0 || !inputs.every((input): input is ConstantValue => input.kind === "constant")) return undefined;
    const [a, b] = [inputs[0]!, inputs[1]];
    if (node.op === "reshape") {
      const known = sizeOf(node.attributes.shape.filter((dim) => dim !== -1));
      return { ...a, shape: node.attributes.shape.map((dim) => (dim === -1 ? a.data.length / known : dim)) };
    }
    if (node.op === "matMul" && b !== undefined) return this.#product(node, a, b);
    const f = arithmetic[node.op];
    const shape = b === undefined ? null : broadcastShapes(a.shape, b.shape);
    if (f === undefined || b === undefined || shape === null) {
      throw this.refuse(node, "arithmetic on constants of add, sub, mul, div, matMul or reshape", node.op);
    }
    const data = new Float32Array(sizeOf(shape));
    walk(shape, [broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape)], (i, offsets) => {
      data[i] = f(a.data[offsets[0]!]!, b.data[offsets[1]!]!);
    });
    return { kind: "constant", shape, data };
  }

  /** A weight that is itself a product of two, such as one of bounded rank. */
  #product(node: Extract<GraphNode, { op: "matMul" }>, a: ConstantValue, b: ConstantValue): ConstantValue {
    const { transposeA, transposeB } = node.attributes;
    if (a.shape.length !== 2 || b.shape.length !== 2 || transposeA || transposeB)
      throw this.refuse(node, "a product of two matrices", "another product of constants");
    const [m, k, n] = [a.shape[0]!, a.shape[1]!, b.shape[1]!];
    const data = new Float32Array(m * n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += a.data[i * k + l]! * b.data[l * n + j]!;
        data[i * n + j] = sum;
      }
    }
    return { kind: "constant", shape: [m, n], data };
  }

  /** The map as a value in our order of memory, [C, H, W] to Keras; needed where the order shows. */
  ourOrder(value: LayerValue, name: string): string {
    const [c, h, w] = [value.shape[0]!, value.shape[1]!, value.shape[2]!];
    if (!isMap(value) || c === 1 || h * w === 1) return value.layer;
    return this.writer.layer("Permute", `${name}_order`, [value.layer], { dims: [3, 1, 2] });
  }

  /** A value that Keras has as [C, H, W], as a map. */
  fromOurOrder(layer: string, name: string): string {
    return this.writer.layer("Permute", `${name}_map`, [layer], { dims: [2, 3, 1] });
  }
}
