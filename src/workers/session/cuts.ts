/**
 * What a host knows before and behind each hidden layer. Before it: the value that it reads; behind it: its activation; and both with the
 * hidden units of every folded bypass that runs past. A dead layer that a bypass bridges has lost nothing.
 */
import type { Graph, Host, HostLayer } from "../../contracts/graph.ts";

export interface Bypass {
  readonly seedId: string;
  /** The value that its last, zero-initialised operation reads. */
  readonly hidden: string;
  /** Index of the layer whose input it reads, and of the layer to whose pre-activation it adds. */
  readonly from: number;
  readonly to: number;
}

/** One hidden layer with the values of the graph that stand before and behind it. */
export interface LayerCut {
  readonly layer: HostLayer;
  readonly before: readonly string[];
  readonly behind: readonly string[];
  /** Hidden values of the bypasses that run past the layer. */
  readonly past: readonly string[];
}

const ancestors = (graph: Graph, value: string): ReadonlySet<string> => {
  const found = new Set([value]);
  for (const node of graph.nodes.toReversed()) if (found.has(node.id)) for (const input of node.inputs) found.add(input);
  return found;
};

/** The bypasses that are folded into a host, by the cohorts of its parameters. */
export const foldedBypasses = (host: Host): Bypass[] => {
  const seeds = [...new Set(host.graph.parameters.map(({ cohort }) => cohort))].filter((cohort) => cohort !== "host");
  const before = host.layers.map((layer) => ancestors(host.graph, layer.preActivation));
  return seeds.flatMap((seedId) => {
    const weights = new Set(host.graph.parameters.filter(({ cohort }) => cohort === seedId).map(({ name }) => name));
    const last = host.graph.nodes.findLast(
      ({ op, inputs }) => (op === "matMul" || op === "conv2d") && inputs[1] !== undefined && weights.has(inputs[1]),
    );
    const hidden = last?.inputs[0];
    if (hidden === undefined) return [];
    const read = ancestors(host.graph, hidden);
    const from = host.layers.findLastIndex((layer) => read.has(layer.input));
    const to = before.findIndex((values) => values.has(hidden));
    return [{ seedId, hidden, from, to }];
  });
};

/** The hidden layers in topological order. */
export const layerCuts = (host: Host): LayerCut[] => {
  const bypasses = foldedBypasses(host);
  return host.layers.flatMap((layer, index) => {
    if (layer.kind === "output") return [];
    const arriving = bypasses.filter(({ from, to }) => from < index && index <= to).map(({ hidden }) => hidden);
    const past = bypasses.filter(({ from, to }) => from <= index && index < to).map(({ hidden }) => hidden);
    return [{ layer, before: [layer.input, ...arriving], behind: [layer.output, ...past], past }];
  });
};
