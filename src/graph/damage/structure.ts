/** Damage that training cannot heal because it is in the structure: a product of low rank, or a layer of few units. */
import { GraphError } from "../../contracts/errors.ts";
import type { Graph, GraphNode, Host, Initializer, Parameter } from "../../contracts/graph.ts";
import { sizeOf } from "../shapes.ts";
import { anatomyOf, type LayerAnatomy } from "./anatomy.ts";

/** Standard deviation of a weight's first values. */
const deviationOf = ({ initializer, shape }: Parameter): number => {
  switch (initializer.kind) {
    case "heNormal":
      return Math.sqrt(2 / initializer.fanIn);
    case "glorotUniform":
      return Math.sqrt(2 / (initializer.fanIn + initializer.fanOut));
    case "normal":
      return initializer.sd;
    case "constant":
      return Math.sqrt(2 / sizeOf(shape.slice(1)));
  }
};

/**
 * The host with a layer's weight replaced by a product of two factors, both trainable: [inputs, rank] and [rank, units], for a
 * convolution `rank` filters and a 1×1 convolution. Both factors are of one size, and the product's singular values are as large as the
 * weight's largest would be, sd·(√inputs + √units), as if the weight had been projected.
 */
export const limitRank = (host: Host, name: string, rank: number): Host => {
  const { weight } = anatomyOf(host, name);
  const { parameter, product, units, inputs: fanIn } = weight;
  const convolves = product.op === "conv2d";
  const { shape } = parameter;
  const largest = deviationOf(parameter) * (Math.sqrt(fanIn) + Math.sqrt(units));
  const left: Parameter = {
    ...parameter,
    name: `${parameter.name}:left`,
    shape: convolves ? [rank, ...shape.slice(1)] : [shape[0]!, rank],
    initializer: { kind: "normal", sd: Math.sqrt(largest / fanIn) },
  };
  const right: Parameter = {
    ...parameter,
    name: `${parameter.name}:right`,
    shape: convolves ? [units, rank, 1, 1] : [rank, units],
    initializer: { kind: "normal", sd: Math.sqrt(largest / units) },
  };
  const inner = { ...product, id: `${product.id}:left`, inputs: [product.inputs[0]!, left.name] } as GraphNode;
  const inputs = [inner.id, right.name];
  const outer: GraphNode = convolves
    ? { id: product.id, op: "conv2d", inputs, attributes: { strides: [1, 1], pads: [0, 0, 0, 0], groups: 1 } }
    : { id: product.id, op: "matMul", inputs, attributes: { transposeA: false, transposeB: false } };
  const graph: Graph = {
    ...host.graph,
    parameters: host.graph.parameters.flatMap((known) => (known.name === parameter.name ? [left, right] : [known])),
    nodes: host.graph.nodes.flatMap((node) => (node.id === product.id ? [inner, outer] : [node])),
  };
  const layers = host.layers.map((layer) => ({
    ...layer,
    parameters: layer.parameters.flatMap((known) => (known === parameter.name ? [left.name, right.name] : [known])),
  }));
  return { ...host, graph, layers };
};

/** The initialiser of a unit that sums over `share` times as many inputs. */
const forFanIn = (initializer: Initializer, share: number): Initializer => {
  switch (initializer.kind) {
    case "heNormal":
      return { ...initializer, fanIn: Math.max(1, Math.round(initializer.fanIn * share)) };
    case "glorotUniform":
      return { ...initializer, fanIn: Math.max(1, Math.round(initializer.fanIn * share)) };
    case "normal":
      return { ...initializer, sd: initializer.sd / Math.sqrt(share) };
    case "constant":
      return initializer;
  }
};

/** The axis of a weight that runs over units, or over what a unit reads. */
const axesOf = ({ weight }: LayerAnatomy): { readonly units: number; readonly inputs: number } =>
  weight.product.op === "conv2d" ? { units: 0, inputs: 1 } : { units: 1, inputs: 0 };

const resized = (parameter: Parameter, axis: number, length: number): Parameter => ({
  ...parameter,
  shape: parameter.shape.map((dim, i) => (i === axis ? length : dim)),
});

/** The host with `units` units in that layer, and in its readers the inputs for them. Throws GraphError when others read its width. */
export const narrow = (host: Host, name: string, units: number): Host => {
  const anatomy = anatomyOf(host, name);
  const { readers, weight } = anatomy;
  if (readers === undefined || !readers.every(({ direct }) => direct)) {
    throw new GraphError(`layer ${name}: expected units that layers alone read, found others; choose another layer`, {
      path: name,
    });
  }
  const { gamma, beta, mean, variance } = anatomy.normalization ?? {};
  const vectors = new Set([anatomy.bias, gamma, beta, mean, variance].filter((known) => known !== undefined));
  const changed = new Map<string, Parameter>([
    [weight.parameter.name, resized(weight.parameter, axesOf(anatomy).units, units)],
    ...host.graph.parameters
      .filter((known) => vectors.has(known.name))
      .map((known) => [known.name, resized(known, 0, units)] as const),
  ]);
  for (const { layer } of readers) {
    const reader = anatomyOf(host, layer);
    const { parameter } = reader.weight;
    const narrowed = resized(parameter, axesOf(reader).inputs, units);
    changed.set(parameter.name, { ...narrowed, initializer: forFanIn(parameter.initializer, units / weight.units) });
  }
  const nodes = host.graph.nodes.map((node): GraphNode => {
    if (node.op !== "reshape" || !vectors.has(node.inputs[0]!)) return node;
    return { ...node, attributes: { shape: node.attributes.shape.map((dim) => (dim === weight.units ? units : dim)) } };
  });
  const parameters = host.graph.parameters.map((known) => changed.get(known.name) ?? known);
  return { ...host, graph: { ...host.graph, parameters, nodes } };
};
