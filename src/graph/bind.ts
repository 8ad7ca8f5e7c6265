/**
 * Makes a graph ready to run: gives the batch a size, checks the graph, expands composites into primitives and infers every type.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, GraphNode, GraphOutput, Parameter } from "../contracts/graph.ts";
import { Emitter } from "./emitter.ts";
import { type CompositeNode, type Expansion, expandComposite, type Mode } from "./operators/composites.ts";
import { isPrimitive, type PrimitiveNode } from "./operators/index.ts";
import type { ValueType } from "./operators/operator.ts";
import type { Dims } from "./shapes.ts";

export interface BindOptions {
  /** What -1 stands for. */
  readonly batch: number;
  readonly mode: Mode;
  /** Cohorts whose normalisation statistics follow the batch in training; all when absent. */
  readonly trainableCohorts?: readonly string[];
}

export interface BoundInput extends ValueType {
  readonly name: string;
}

export interface RandomInput {
  /** Float32 uniform draws in [0, 1), fresh for each run. */
  readonly name: string;
  readonly shape: Dims;
}

export interface BoundGraph {
  readonly inputs: readonly BoundInput[];
  readonly parameters: readonly Parameter[];
  readonly randomInputs: readonly RandomInput[];
  readonly nodes: readonly PrimitiveNode[];
  readonly outputs: readonly GraphOutput[];
  /** The type of every value, and of every name of the graph that was bound. */
  readonly types: ReadonlyMap<string, ValueType>;
  /** Names that stand for another value because nothing is computed there, for example dropout outside training. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Parameter → value that it takes after a training step, for running statistics. */
  readonly stateUpdates: ReadonlyMap<string, string>;
}

/** A bound graph that may still grow: autodiff, losses and optimizers append to `emitter`. */
export interface Binding {
  readonly emitter: Emitter;
  readonly inputs: readonly BoundInput[];
  readonly parameters: readonly Parameter[];
  readonly randomInputs: readonly RandomInput[];
  readonly stateUpdates: ReadonlyMap<string, string>;
  readonly aliases: ReadonlyMap<string, string>;
  /** The value that a name of the graph stands for. */
  resolve(name: string): string;
  /** Appends a composite such as a loss. */
  expand(node: CompositeNode): string;
}

const withBatch = (shape: Dims, batch: number): number[] => shape.map((dim) => (dim === -1 ? batch : dim));

/** A reshape keeps its -1: it is inferred from the size. */
const bindAttributes = (node: PrimitiveNode, batch: number): PrimitiveNode => {
  if (node.op === "fill") return { ...node, attributes: { ...node.attributes, shape: withBatch(node.attributes.shape, batch) } };
  if (node.op === "broadcastTo") return { ...node, attributes: { shape: withBatch(node.attributes.shape, batch) } };
  return node;
};

const reserveNames = (graph: Graph, emitter: Emitter): void => {
  const seen = new Set<string>();
  for (const name of [...graph.inputs, ...graph.parameters]
    .map((value) => value.name)
    .concat(graph.nodes.map((node) => node.id))) {
    if (seen.has(name)) {
      throw new GraphError(`expected every value name once, got ${name} twice; rename an input, a parameter or a node`, {
        path: name,
      });
    }
    seen.add(name);
    emitter.reserve(name);
  }
};

/** Binds a graph and leaves it open for more nodes. */
export const openBinding = (graph: Graph, options: BindOptions): Binding => {
  const { batch, mode, trainableCohorts } = options;
  if (!Number.isInteger(batch) || batch < 1) {
    throw new GraphError(`expected a batch of one sample or more, got ${batch}; pass a positive integer`);
  }
  const emitter = new Emitter();
  reserveNames(graph, emitter);
  const inputs = graph.inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape: withBatch(shape, batch) }));
  for (const { name, dtype, shape } of inputs) emitter.declare(name, { dtype, shape });
  for (const { name, shape } of graph.parameters) emitter.declare(name, { dtype: "float32", shape });

  const parameters = new Map(graph.parameters.map((parameter) => [parameter.name, parameter]));
  const aliases = new Map<string, string>();
  const randomInputs: RandomInput[] = [];
  const stateUpdates = new Map<string, string>();
  const resolve = (name: string): string => aliases.get(name) ?? name;
  const expansion: Expansion = {
    b: emitter,
    mode,
    parameter: (value) => parameters.get(value),
    isTrainable: (cohort) => trainableCohorts?.includes(cohort) ?? true,
    uniform: (name, shape) => {
      randomInputs.push({ name, shape });
      return emitter.declare(name, { dtype: "float32", shape });
    },
    update: (parameter, value) => stateUpdates.set(parameter, value),
  };

  const place = (node: GraphNode): void => {
    const placed = { ...node, inputs: node.inputs.map(resolve) } as GraphNode;
    emitter.scope = node.id;
    if (isPrimitive(placed)) {
      const bound = bindAttributes(placed, batch);
      emitter.emit(bound.op, bound.inputs, bound.attributes, bound.id);
      return;
    }
    for (const input of placed.inputs) {
      if (!emitter.types.has(input)) throw unknownInput(node, input);
    }
    const value = expandComposite(placed as CompositeNode, expansion);
    if (value !== node.id) aliases.set(node.id, value);
  };
  for (const node of graph.nodes) place(node);
  emitter.scope = "";
  return {
    emitter,
    inputs,
    parameters: graph.parameters,
    randomInputs,
    stateUpdates,
    aliases,
    resolve,
    expand: (node) => {
      place(node);
      emitter.scope = "";
      return resolve(node.id);
    },
  };
};

const unknownInput = (node: GraphNode, input: string): GraphError =>
  new GraphError(
    `${node.op} ${node.id}: expected inputs that stand before it, got the unknown value ${input}; check the name and the order of nodes`,
    { path: node.id },
  );

/** The graph's outputs as values of its binding. */
export const resolveOutputs = (graph: Graph, binding: Binding): GraphOutput[] =>
  graph.outputs.map(({ name, value }) => {
    const resolved = binding.resolve(value);
    if (!binding.emitter.types.has(resolved)) {
      throw new GraphError(`output ${name}: expected the name of a value, got the unknown ${value}; check the graph's outputs`, {
        path: name,
      });
    }
    return { name, value: resolved };
  });

/** Binds, checks and expands a graph. Throws GraphError naming what is wrong with it. */
export const bind = (graph: Graph, options: BindOptions): BoundGraph => {
  const binding = openBinding(graph, options);
  const outputs = resolveOutputs(graph, binding);
  const types = new Map(binding.emitter.types);
  for (const [name, value] of binding.aliases) types.set(name, binding.emitter.type(value));
  const { inputs, parameters, randomInputs, stateUpdates, aliases, emitter } = binding;
  return { inputs, parameters, randomInputs, nodes: emitter.nodes, outputs, types, aliases, stateUpdates };
};
