/**
 * Replaces a layer by a fresh one of its own form, for weights that training can no longer put right.
 *
 * What stands behind such a layer has learned to live with it, so the fresh layer is tried with a copy of all that: the tail, from the layer to the
 * logits, that learns beside the host and starts as the host's own but for the layer.
 *
 * L1  While it is tried, logits are (1 − alpha) · the host's + alpha · the tail's: at alpha 0 exactly the host, at alpha 1 exactly the tail.
 * L2  All that it brings has the seed's name, as a bypass has; `<seed>/<parameter>` stands for the host's own `<parameter>`.
 * L3  What is kept is the host's own graph: names, shapes and parameter count stay, and the tail's parameters hold what the copy learned.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, GraphNode, Host, HostLayer, Initializer, Parameter } from "../contracts/graph.ts";
import { type Affine, affineOf, weightAxes } from "./affine.ts";
import { GraphView } from "./graph-view.ts";
import { alphaInput, scaledValue, seedValue, sumValue } from "./rewrite.ts";
import { sizeOf } from "./shapes.ts";

/** From a layer to the logits. */
export interface Tail {
  /** In the host's order: the layer, all that depends on it, and what is computed from their parameters alone. */
  readonly nodes: readonly GraphNode[];
  readonly parameters: readonly Parameter[];
  /** The layer's own parameters, as they start afresh: He's normal weights (He et al., 2015), zero shifts, unit scales and statistics. */
  readonly fresh: ReadonlyMap<string, Initializer>;
}

type Normalization = Extract<GraphNode, { readonly op: "batchNorm" }>;

const freshStart = ({ weight, product, bias }: Affine, normalization: Normalization | undefined): Tail["fresh"] => {
  const fanIn = sizeOf(weight.shape) / weight.shape[weightAxes(product).output]!;
  const starts = new Map<string, Initializer>([[weight.name, { kind: "heNormal", fanIn }]]);
  if (bias !== undefined) starts.set(bias.name, { kind: "constant", value: 0 });
  // gamma, beta, running mean and variance.
  for (const [index, value] of [1, 0, 0, 1].entries()) {
    const name = normalization?.inputs[index + 1];
    if (name !== undefined) starts.set(name, { kind: "constant", value });
  }
  return starts;
};

/** Nodes from the first one on that depend on it, and the fixed values that they read. */
const nodesFrom = (view: GraphView, first: string): Map<string, GraphNode> => {
  const reached = new Set([first]);
  for (const { id, inputs } of view.graph.nodes) if (inputs.some((input) => reached.has(input))) reached.add(id);
  for (const { id, inputs } of view.graph.nodes.toReversed())
    if (reached.has(id)) for (const input of inputs) if (view.isFixed(input) && view.node(input)) reached.add(input);
  return new Map(view.graph.nodes.filter(({ id }) => reached.has(id)).map((node) => [node.id, node]));
};

/**
 * The tail of a layer; undefined where it cannot be replaced: it is no weighted sum of its input, with a bias or batch normalisation or without, or
 * parameters of its tail serve other values too.
 */
export const tailOf = (view: GraphView, layer: HostLayer): Tail | undefined => {
  if (layer.kind === "output") return undefined;
  const last = view.node(layer.preActivation);
  const normalization = last?.op === "batchNorm" ? last : undefined;
  const affine = affineOf(view, normalization?.inputs[0] ?? layer.preActivation);
  if (affine === undefined || affine.input !== layer.input) return undefined;
  const nodes = nodesFrom(view, affine.product.id);
  const read = new Set([...nodes.values()].flatMap(({ inputs }) => inputs));
  const parameters = view.graph.parameters.filter(({ name }) => read.has(name));
  const isShared = parameters.some(({ name }) => view.readers(name).some(({ node }) => !nodes.has(node.id)));
  const endsInLogits = view.graph.outputs.every(({ value }) => nodes.has(value));
  if (isShared || !endsInLogits) return undefined;
  return { nodes: [...nodes.values()], parameters, fresh: freshStart(affine, normalization) };
};

const layerNamed = (host: Host, site: string): HostLayer => {
  const layer = host.layers.find(({ name }) => name === site);
  if (layer !== undefined) return layer;
  const names = host.layers.map(({ name }) => name).join(", ");
  throw new GraphError(`replacement of ${site}: expected one of the layers ${names}; name one of them`, { path: site });
};

export interface Replacement {
  /** With the graph input `alpha:<seed>` (L1). */
  readonly grown: Host;
  /** The tail: input `in` is what the layer reads, further inputs are values of the host that the tail reads. */
  readonly blueprint: Graph;
  /** Names of the layer's own parameters in the grown host; the tail's others start as the host's. */
  readonly fresh: ReadonlySet<string>;
}

const logits = "logits";

/** The tail as it stands, as a graph with the input `in`, further inputs of what else it reads, and the output `out`; undefined where there is none. */
export const tailGraph = (view: GraphView, layer: HostLayer): Graph | undefined => {
  const tail = tailOf(view, layer);
  const output = view.graph.outputs.find(({ name }) => name === logits)?.value;
  return tail && output !== undefined ? graphOf(view, layer, tail, output) : undefined;
};

const graphOf = (view: GraphView, layer: HostLayer, tail: Tail, output: string): Graph => {
  const own = new Set([...tail.nodes.map(({ id }) => id), ...tail.parameters.map(({ name }) => name)]);
  const renamed = (value: string): string => (value === layer.input ? "in" : value);
  const outer = new Set([layer.input, ...tail.nodes.flatMap(({ inputs }) => inputs.filter((input) => !own.has(input)))]);
  return {
    inputs: [...outer].map((value) => ({ name: renamed(value), dtype: "float32", shape: [-1, ...view.shape(value).slice(1)] })),
    parameters: [...tail.parameters],
    nodes: tail.nodes.map((node) => ({ ...node, inputs: node.inputs.map(renamed) })),
    outputs: [{ name: "out", value: output }],
  };
};

/** @throws GraphError when there is no such layer, it cannot be replaced, or the host holds the seed already. */
export const insertReplacement = (host: Host, seedId: string, site: string): Replacement => {
  const layer = layerNamed(host, site);
  const view = new GraphView(host.graph, new Map());
  const tail = tailOf(view, layer);
  const output = host.graph.outputs.find(({ name }) => name === logits)?.value;
  if (tail === undefined || output === undefined) {
    throw new GraphError(
      `replacement of ${site}: expected a dense layer or a convolution that reads ${layer.input} with parameters of its own, got another form; grow a bypass instead`,
      { path: site },
    );
  }
  if (host.graph.parameters.some(({ cohort }) => cohort === seedId)) {
    throw new GraphError(`replacement ${seedId}: expected a seed that the host does not hold, got one that it holds already`, {
      path: seedId,
    });
  }
  const own = new Set([...tail.nodes.map(({ id }) => id), ...tail.parameters.map(({ name }) => name)]);
  const parameters = tail.parameters.map((parameter) => ({
    ...parameter,
    initializer: tail.fresh.get(parameter.name) ?? parameter.initializer,
  }));
  const brought = (value: string): string => (own.has(value) ? seedValue(seedId, value) : value);
  const [one, share, kept] = [":one", ":share", ":kept"].map((name) => seedValue(seedId, name)) as [string, string, string];
  const [alpha, scaled, sum] = [alphaInput(seedId), scaledValue(seedId), sumValue(seedId)];
  const blend: GraphNode[] = [
    { id: one, op: "fill", inputs: [], attributes: { value: 1, shape: [] } },
    { id: share, op: "sub", inputs: [one, alpha], attributes: {} },
    { id: kept, op: "mul", inputs: [output, share], attributes: {} },
    { id: scaled, op: "mul", inputs: [brought(output), alpha], attributes: {} },
    { id: sum, op: "add", inputs: [kept, scaled], attributes: {} },
  ];
  const grown: Graph = {
    inputs: [...host.graph.inputs, { name: alpha, dtype: "float32", shape: [] }],
    parameters: [
      ...host.graph.parameters,
      ...parameters.map((parameter) => ({ ...parameter, name: brought(parameter.name), cohort: seedId })),
    ],
    nodes: [
      ...host.graph.nodes,
      ...tail.nodes.map((node) => ({ ...node, id: brought(node.id), inputs: node.inputs.map(brought) })),
      ...blend,
    ],
    outputs: host.graph.outputs.map((each) => (each.value === output ? { ...each, value: sum } : each)),
  };
  return {
    grown: { ...host, graph: grown },
    blueprint: graphOf(view, layer, { ...tail, parameters }, output),
    fresh: new Set([...tail.fresh.keys()].map(brought)),
  };
};

/** L2: the host's own name of what a seed brought, of a slot as of a parameter. */
export const ownName = (seedId: string, name: string): string => name.slice(seedValue(seedId, "").length);
