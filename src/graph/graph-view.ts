/** A graph looked at by name: who makes a value, who reads it, what depends on no input, and what parameters compute to. */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, GraphNode, Parameter, Tensor } from "../contracts/graph.ts";
import { bind } from "./bind.ts";
import type { NumericArray, ValueType } from "./operators/operator.ts";
import { runNumeric, toNumeric } from "./reference.ts";
import { type Dims, sizeOf } from "./shapes.ts";

export interface Reader {
  readonly node: GraphNode;
  /** Position among the node's inputs. */
  readonly index: number;
}

/** More than one sample, so that the batch is not taken for an axis of one element. */
const viewBatch = 2;

/** Where an operand's axis lies when NumPy aligns it with a result of that rank; below zero when it has no such axis. */
export const alignedAxis = (axis: number, rank: number, operand: Dims): number => axis - (rank - operand.length);

/** The value of one node for given inputs; running statistics are used and dropout is off. */
export const evaluateNode = (node: GraphNode, inputs: readonly NumericArray[]): NumericArray => {
  const names = inputs.map((_, index) => `in${index}`);
  const graph: Graph = {
    inputs: inputs.map(({ dtype, shape }, index) => ({ name: names[index]!, dtype, shape: [...shape] })),
    parameters: [],
    nodes: [{ ...node, id: "out", inputs: names }],
    outputs: [{ name: "out", value: "out" }],
  };
  const bound = bind(graph, { batch: 1, mode: "eval" });
  const feeds = Object.fromEntries(inputs.map((input, index) => [names[index]!, input]));
  return runNumeric({ inputs: bound.inputs, nodes: bound.nodes, outputs: bound.outputs }, feeds)["out"]!;
};

export class GraphView {
  readonly graph: Graph;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #types: ReadonlyMap<string, ValueType>;
  readonly #nodes: ReadonlyMap<string, GraphNode>;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #readers = new Map<string, Reader[]>();
  readonly #fixed: Set<string>;
  readonly #values = new Map<string, NumericArray>();

  constructor(graph: Graph, tensors: ReadonlyMap<string, Tensor>) {
    this.graph = graph;
    this.#tensors = tensors;
    this.#types = bind(graph, { batch: viewBatch, mode: "eval" }).types;
    this.#nodes = new Map(graph.nodes.map((node) => [node.id, node]));
    this.#parameters = new Map(graph.parameters.map((parameter) => [parameter.name, parameter]));
    this.#fixed = new Set(this.#parameters.keys());
    for (const node of graph.nodes) {
      if (node.inputs.every((input) => this.#fixed.has(input))) this.#fixed.add(node.id);
      for (const [index, input] of node.inputs.entries()) {
        const readers = this.#readers.get(input);
        if (readers === undefined) this.#readers.set(input, [{ node, index }]);
        else readers.push({ node, index });
      }
    }
  }

  node(value: string): GraphNode | undefined {
    return this.#nodes.get(value);
  }

  parameter(value: string): Parameter | undefined {
    return this.#parameters.get(value);
  }

  shape(value: string): Dims {
    const type = this.#types.get(value);
    if (type === undefined)
      throw new GraphError(`expected a value of the graph, got the unknown ${value}; check its name`, { path: value });
    return type.shape;
  }

  readers(value: string): readonly Reader[] {
    return this.#readers.get(value) ?? [];
  }

  isOutput(value: string): boolean {
    return this.graph.outputs.some((output) => output.value === value);
  }

  /** The one node that reads a value; undefined when there are several, none, or the graph gives the value out. */
  onlyReader(value: string): Reader | undefined {
    const readers = this.readers(value);
    return readers.length === 1 && !this.isOutput(value) ? readers[0] : undefined;
  }

  /** True for parameters and for what is computed from nothing else. */
  isFixed(value: string): boolean {
    return this.#fixed.has(value);
  }

  /** What a fixed value is with these tensors. Throws GraphError for another value and for a tensor that is missing. */
  fixedValue(value: string): NumericArray {
    const known = this.#values.get(value);
    if (known !== undefined) return known;
    const node = this.#nodes.get(value);
    const tensor = this.#tensors.get(value);
    if (!this.isFixed(value) || (node === undefined && tensor === undefined)) {
      throw new GraphError(`expected a tensor for the parameter ${value}, got none; pass all of the host's parameters`, {
        path: value,
      });
    }
    const computed =
      node === undefined
        ? toNumeric(tensor!)
        : evaluateNode(
            node,
            node.inputs.map((input) => this.fixedValue(input)),
          );
    this.#values.set(value, computed);
    return computed;
  }

  /** The parameter behind a value that has one entry per index of `axis` of a result of that rank, and nobody else reads. */
  vectorParameter(value: string, axis: number, rank: number, length: number): Parameter | undefined {
    const shape = this.shape(value);
    const own = alignedAxis(axis, rank, shape);
    if (own < 0 || shape[own] !== length || sizeOf(shape) !== length || this.onlyReader(value) === undefined) return undefined;
    const parameter = this.parameter(value);
    if (parameter !== undefined) return parameter;
    const node = this.node(value);
    const source = node?.op === "reshape" ? node.inputs[0]! : undefined;
    return source === undefined || this.onlyReader(source) === undefined ? undefined : this.parameter(source);
  }
}
