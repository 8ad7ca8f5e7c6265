/**
 * What a host knows at each depth. Cut 0 is the host's input; cut i is what layers above hidden layer i can still read: its
 * activation, and the hidden units of every folded bypass that runs past it. A dead layer that a bypass bridges has lost nothing.
 */
import type { Graph, Host } from "../../contracts/graph.ts";

export interface Cut {
  /** The hidden layer that the cut stands behind; absent for the input. */
  readonly site?: string;
  /** Values of the graph. */
  readonly values: readonly string[];
}

export interface Bypass {
  readonly seedId: string;
  /** The value that its last, zero-initialised operation reads. */
  readonly hidden: string;
  /** Index of the layer whose input it reads, and of the layer to whose pre-activation it adds. */
  readonly from: number;
  readonly to: number;
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

/** One cut per hidden layer and one for the input, in order of depth. */
export const cutsOf = (host: Host): Cut[] => {
  const bypasses = foldedBypasses(host);
  const hidden = host.layers.filter(({ kind }) => kind !== "output");
  const first = host.layers[0];
  if (first === undefined) return [];
  return [
    { values: [first.input] },
    ...hidden.map((layer, index) => ({
      site: layer.name,
      values: [layer.output, ...bypasses.filter(({ from, to }) => from <= index && index < to).map((bypass) => bypass.hidden)],
    })),
  ];
};
