/**
 * Grows a host by rewriting its graph: inserts a bypass over a span, folds it in for good, or takes it out without a trace.
 *
 * K1  A bypass adds to the pre-activation of its last layer: every reader of the old value reads the sum, and nobody else.
 * K2  All that a bypass brings has its seed's name: `<seed>/…`, `<seed>:scaled`, `<seed>:sum`, `alpha:<seed>`, cohort `<seed>`.
 * K3  removeBypass undoes insertBypass exactly, whatever was inserted in between and does not read it.
 * K4  Folding leaves out the factor alpha = 1 and changes nothing else.
 * K5  Whatever else is tried on a host is added to one of its values in the same form.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, GraphNode, Host, HostLayer, Parameter } from "../contracts/graph.ts";
import { bind } from "./bind.ts";
import { formatShape, sameShape } from "./shapes.ts";

export interface BypassOptions {
  readonly seedId: string;
  /** One input `in`, one output `out`. */
  readonly blueprint: Graph;
  /** The value that the bypass reads. */
  readonly from: string;
  /** The layer to whose pre-activation it adds. */
  readonly to: string;
  /** `input`: scaled by the graph input `alpha:<seed>`, shape []. `one`: added as it is. */
  readonly alpha: "input" | "one";
}

/** The graph input that scales a seed's bypass. */
export const alphaInput = (seedId: string): string => `alpha:${seedId}`;
/** The name of a blueprint's value or parameter within the host. */
export const seedValue = (seedId: string, name: string): string => `${seedId}/${name}`;
/** What a seed adds, scaled by its alpha. */
export const scaledValue = (seedId: string): string => `${seedId}:scaled`;
/** The value that a bypass was added to, with what it adds. */
export const sumValue = (seedId: string): string => `${seedId}:sum`;

const belongsTo = (seedId: string, value: string): boolean =>
  value.startsWith(`${seedId}/`) || value === scaledValue(seedId) || value === sumValue(seedId) || value === alphaInput(seedId);

const refusal = (seedId: string, expected: string, found: string, next: string): GraphError =>
  new GraphError(`bypass ${seedId}: expected ${expected}, got ${found}; ${next}`, { path: seedId });

/** True when `value` depends on `source` (or is it). */
const dependsOn = (graph: Graph, value: string, source: string): boolean => {
  const reached = new Set([source]);
  for (const node of graph.nodes) if (node.inputs.some((input) => reached.has(input))) reached.add(node.id);
  return reached.has(value);
};

const layerNamed = (host: Host, name: string, seedId: string): HostLayer => {
  const layer = host.layers.find((candidate) => candidate.name === name);
  if (layer !== undefined) return layer;
  const known = host.layers.map((candidate) => candidate.name).join(", ");
  throw refusal(seedId, `one of the layers ${known}`, name, "name the layer whose pre-activation it adds to");
};

/** Throws GraphError with the reason when a bypass may not span from that value to that layer. */
export const checkSpan = (host: Host, { seedId, blueprint, from, to }: Omit<BypassOptions, "alpha">): void => {
  const layer = layerNamed(host, to, seedId);
  const { types } = bind(host.graph, { batch: 1, mode: "eval" });
  const graph = host.graph;
  if (graph.parameters.some((parameter) => parameter.cohort === seedId) || types.has(sumValue(seedId))) {
    throw refusal(seedId, "a seed that the host does not hold", "one that it holds already", "remove it first");
  }
  const source = types.get(from);
  if (source === undefined || graph.parameters.some((parameter) => parameter.name === from)) {
    throw refusal(seedId, "an activation of the host to start from", from, "use a layer's input or output");
  }
  if (from === layer.preActivation || !dependsOn(graph, layer.preActivation, from)) {
    throw refusal(
      seedId,
      `a value that stands before ${to} and feeds it`,
      from,
      "start at the input of that layer or of an earlier one",
    );
  }
  const [input, output] = [blueprint.inputs[0], blueprint.outputs[0]];
  if (blueprint.inputs.length !== 1 || blueprint.outputs.length !== 1 || input?.name !== "in" || output?.name !== "out") {
    const names = [...blueprint.inputs, ...blueprint.outputs].map(({ name }) => name).join(", ");
    throw refusal(seedId, "a blueprint with the input in and the output out alone", names, "rename them");
  }
  const bound = bind(blueprint, { batch: 1, mode: "eval" });
  const wanted = bound.inputs[0]!.shape;
  if (input.shape[0] !== -1 || !sameShape(wanted, source.shape)) {
    throw refusal(
      seedId,
      `a blueprint for ${from} of shape ${formatShape(source.shape)}`,
      formatShape(wanted),
      "choose a blueprint by the span's shapes",
    );
  }
  const made = bound.types.get(bound.outputs[0]!.value)!.shape;
  const target = types.get(layer.preActivation)!.shape;
  if (!sameShape(made, target)) {
    throw refusal(
      seedId,
      `a blueprint that makes ${to}'s shape ${formatShape(target)}`,
      formatShape(made),
      "choose a blueprint by the span's shapes",
    );
  }
};

const replaceInputs = (node: GraphNode, from: string, to: string): GraphNode =>
  node.inputs.includes(from) ? { ...node, inputs: node.inputs.map((input) => (input === from ? to : input)) } : node;

const replaceInLayer = (layer: HostLayer, from: string, to: string): HostLayer => {
  const swap = (value: string): string => (value === from ? to : value);
  return { ...layer, input: swap(layer.input), preActivation: swap(layer.preActivation), output: swap(layer.output) };
};

/** Lets every reader of one value read another: the given nodes, outputs and layers. */
const redirect = (host: Host, nodes: readonly GraphNode[], from: string, to: string): Host => ({
  ...host,
  graph: {
    ...host.graph,
    nodes: nodes.map((node) => replaceInputs(node, from, to)),
    outputs: host.graph.outputs.map((output) => (output.value === from ? { ...output, value: to } : output)),
  },
  layers: host.layers.map((layer) => replaceInLayer(layer, from, to)),
});

/** The blueprint's nodes and parameters under the seed's name, reading `from`. */
const instantiate = ({
  seedId,
  blueprint,
  from,
}: Omit<AddendOptions, "alpha" | "target">): { nodes: GraphNode[]; parameters: Parameter[]; output: string } => {
  const rename = (value: string): string => (value === "in" ? from : seedValue(seedId, value));
  return {
    nodes: blueprint.nodes.map((node) => ({ ...node, id: rename(node.id), inputs: node.inputs.map(rename) })),
    parameters: blueprint.parameters.map((parameter) => ({ ...parameter, name: rename(parameter.name), cohort: seedId })),
    output: rename(blueprint.outputs[0]!.value),
  };
};

export interface AddendOptions extends Omit<BypassOptions, "to"> {
  /** The node to whose value it adds. */
  readonly target: string;
}

/** target ← target + alpha · blueprint(from), right after the target (K5). Shapes are checked when the graph is bound. */
export const insertAddend = (host: Host, options: AddendOptions): Host => {
  const { seedId, target, alpha } = options;
  const { nodes, parameters, output } = instantiate(options);
  const scaled: GraphNode = { id: scaledValue(seedId), op: "mul", inputs: [output, alphaInput(seedId)], attributes: {} };
  const addend = alpha === "input" ? scaled.id : output;
  const sum: GraphNode = { id: sumValue(seedId), op: "add", inputs: [target, addend], attributes: {} };
  const place = host.graph.nodes.findIndex((node) => node.id === target) + 1;
  const before = host.graph.nodes.slice(0, place);
  const after = host.graph.nodes.slice(place);
  const joined = redirect(host, after, target, sum.id); // K1
  return {
    ...joined,
    graph: {
      ...joined.graph,
      inputs: [
        ...host.graph.inputs,
        ...(alpha === "input" ? [{ name: alphaInput(seedId), dtype: "float32" as const, shape: [] }] : []),
      ],
      parameters: [...host.graph.parameters, ...parameters],
      nodes: [...before, ...nodes, ...(alpha === "input" ? [scaled] : []), sum, ...joined.graph.nodes],
    },
  };
};

/** z_to ← z_to + alpha · blueprint(from), right after z_to. Throws GraphError when the span or the blueprint does not fit. */
export const insertBypass = (host: Host, { to, ...options }: BypassOptions): Host => {
  checkSpan(host, { to, ...options });
  return insertAddend(host, { ...options, target: layerNamed(host, to, options.seedId).preActivation });
};

const sumNode = (host: Host, seedId: string): GraphNode => {
  const sum = host.graph.nodes.find((node) => node.id === sumValue(seedId));
  if (sum === undefined) throw refusal(seedId, "a seed that the host holds", "one that it does not", "insert it first");
  return sum;
};

/** The host as it was before that seed's bypass was inserted. Throws GraphError when it is not there or something else reads it. */
export const removeBypass = (host: Host, seedId: string): Host => {
  const target = sumNode(host, seedId).inputs[0]!;
  const kept = host.graph.nodes.filter((node) => !belongsTo(seedId, node.id)); // K2
  const without = redirect(host, kept, sumValue(seedId), target);
  const reader = without.graph.nodes.find((node) => node.inputs.some((input) => belongsTo(seedId, input)));
  if (reader !== undefined) throw refusal(seedId, "no reader outside the seed", reader.id, "remove the seed that reads it first");
  return {
    ...without,
    graph: {
      ...without.graph,
      inputs: host.graph.inputs.filter((input) => input.name !== alphaInput(seedId)),
      parameters: host.graph.parameters.filter((parameter) => parameter.cohort !== seedId),
    },
  };
};

/** The host with that seed's alpha fixed at 1: what is kept for good. */
export const foldBypass = (host: Host, seedId: string): Host => {
  const scaled = host.graph.nodes.find((node) => node.id === scaledValue(seedId));
  const sum = sumNode(host, seedId);
  if (scaled === undefined) return host;
  const nodes = host.graph.nodes
    .filter((node) => node !== scaled)
    .map((node) => (node === sum ? replaceInputs(node, scaled.id, scaled.inputs[0]!) : node)); // K4
  return {
    ...host,
    graph: { ...host.graph, nodes, inputs: host.graph.inputs.filter((input) => input.name !== alphaInput(seedId)) },
  };
};
