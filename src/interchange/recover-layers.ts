/**
 * Finds the layers of an imported graph: a dense product or a convolution with its bias, its batch normalisation and its activation.
 *
 * K1  A layer's weight is a parameter that learns and that one node alone reads: what is shared cannot be repaired in one place.
 * K2  A step along the layer (bias, normalisation, activation) is taken only where nothing else reads the value before it, so that a bypass
 *     that adds to the pre-activation reaches every reader.
 * K3  The layer that makes the logits is `output`, and no other layer has that name.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, GraphNode, HostLayer } from "../contracts/graph.ts";
import { siteName } from "./names.ts";

const activations: ReadonlySet<string> = new Set(["relu", "tanh", "sigmoid", "gelu"]);

class Readers {
  readonly #byValue = new Map<string, GraphNode[]>();
  readonly #outputs: ReadonlySet<string>;

  constructor(graph: Graph) {
    this.#outputs = new Set(graph.outputs.map(({ value }) => value));
    for (const node of graph.nodes) {
      for (const input of new Set(node.inputs)) this.#byValue.set(input, [...(this.#byValue.get(input) ?? []), node]);
    }
  }

  /** The node that alone reads a value; undefined when there are several, none, or the graph's output reads it too. */
  only(value: string): GraphNode | undefined {
    const readers = this.#byValue.get(value) ?? [];
    return readers.length === 1 && !this.#outputs.has(value) ? readers[0] : undefined;
  }
}

export interface LayerNames {
  /** From the id of a product or convolution to the name that its layer has in the model it came from. */
  readonly of: ReadonlyMap<string, string>;
}

/** Layers in topological order. @throws GraphError when no dense layer makes the logits. */
export const recoverLayers = (graph: Graph, names: LayerNames): HostLayer[] => {
  const readers = new Readers(graph);
  const made = new Map(graph.nodes.map((node) => [node.id, node]));
  const parameters = new Map(graph.parameters.map((parameter) => [parameter.name, parameter]));
  const logits = graph.outputs[0]!.value;
  const learns = (value: string, rank: number): boolean => {
    const parameter = parameters.get(value);
    return parameter?.trainable === true && parameter.shape.length === rank && readers.only(value) !== undefined; // K1
  };

  /** The vector that an addition adds: a parameter, or one reshaped to stand per channel. */
  const biasOf = (node: GraphNode, value: string): string | undefined => {
    const other = node.inputs.find((input) => input !== value);
    if (node.op !== "add" || other === undefined) return undefined;
    const reshaped = made.get(other);
    const source = reshaped?.op === "reshape" ? reshaped.inputs[0]! : other;
    return parameters.get(source)?.trainable === true ? source : undefined;
  };

  const read = (node: GraphNode): Omit<HostLayer, "name" | "kind"> => {
    const own = [node.inputs[1]!];
    let value = node.id;
    const next = readers.only(value); // K2
    const bias = next === undefined ? undefined : biasOf(next, value);
    if (next !== undefined && bias !== undefined) {
      own.push(bias);
      value = next.id;
    }
    const norm = readers.only(value);
    if (norm?.op === "batchNorm" && norm.inputs[0] === value) {
      own.push(...norm.inputs.slice(1));
      value = norm.id;
    }
    const act = readers.only(value);
    const output = act !== undefined && activations.has(act.op) ? act.id : value;
    return { input: node.inputs[0]!, preActivation: value, output, parameters: own };
  };

  /** The logits may be reshaped from [N, T, V] to [N·T, V]. */
  const isLogits = (value: string): boolean => {
    if (value === logits) return true;
    const next = readers.only(value);
    return next?.op === "reshape" && next.id === logits;
  };

  const taken = new Set(["output"]);
  const layers = graph.nodes.flatMap((node): HostLayer[] => {
    const isDense = node.op === "matMul" && !node.attributes.transposeA && !node.attributes.transposeB;
    if (!(isDense || node.op === "conv2d") || parameters.has(node.inputs[0]!)) return [];
    if (!learns(node.inputs[1]!, isDense ? 2 : 4)) return [];
    const layer = read(node);
    if (isDense && isLogits(layer.preActivation))
      return [{ ...layer, name: "output", kind: "output", output: layer.preActivation }]; // K3
    const name = siteName(names.of.get(node.id) ?? node.id.replace(/\/product$/, ""), taken);
    return [{ ...layer, name, kind: node.op === "conv2d" ? "conv2d" : "dense" }];
  });
  if (!layers.some(({ kind }) => kind === "output")) {
    const last = made.get(logits);
    throw new GraphError(
      `model: expected a dense layer that makes the logits, got ${last === undefined ? logits : `${last.op} ${last.id}`}; end the model with a dense layer (a softmax after it is dropped)`,
      { path: logits },
    );
  }
  return layers;
};
