/**
 * Makes a host smaller by rewriting its graph: takes units out of a layer, or a committed bypass out of the host. Weights, biases,
 * normalisation vectors and optimizer moments go with them.
 *
 * P1 Where each removed unit was the given constant for every input, the logits stay as they were.
 * P2 What cannot be taken out without changing another layer is refused with the reason; the host is then untouched.
 * P3 A tensor named `<parameter>#…` is an optimizer's slot and is cut like its parameter; constants are added to parameters alone.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Host, HostLayer, Initializer, Parameter, Tensor } from "../contracts/graph.ts";
import type { PruneTarget } from "../contracts/pruning.ts";
import { parameterOf } from "./optimizers.ts";
import { removeBypass } from "./rewrite.ts";
import { sizeOf } from "./shapes.ts";
import { UnitRefusal } from "./unit-constants.ts";
import { type ParameterCut, traceUnits, type UnitTrace } from "./unit-trace.ts";

export type TensorMap = ReadonlyMap<string, Tensor>;

export type Pruning =
  | {
      readonly kind: "pruned";
      readonly host: Host;
      readonly parameters: Map<string, Tensor>;
      /** Parameter → what went, so that a copy of its moments elsewhere can be cut alike with `cutTensors`. */
      readonly cuts: UnitTrace["cuts"];
    }
  | { readonly kind: "refused"; readonly reason: string };

export interface PruneUnits {
  readonly layer: string;
  /** In any order. */
  readonly units: readonly number[];
  /** What each unit gives at the layer's output, in the order of `units`: its readers keep that constant. Left out: 0. */
  readonly constants?: readonly number[];
}

const withoutIndices = (tensor: Tensor, { axis, indices }: ParameterCut): Tensor => {
  const gone = new Set(indices);
  const size = tensor.shape[axis]!;
  const kept = Array.from({ length: size }, (_, index) => index).filter((index) => !gone.has(index));
  const outer = sizeOf(tensor.shape.slice(0, axis));
  const inner = sizeOf(tensor.shape.slice(axis + 1));
  const shape = tensor.shape.map((dim, at) => (at === axis ? kept.length : dim));
  const data = tensor.dtype === "float32" ? new Float32Array(sizeOf(shape)) : new Int32Array(sizeOf(shape));
  for (let block = 0; block < outer; block++) {
    for (const [place, index] of kept.entries()) {
      const start = (block * size + index) * inner;
      data.set(tensor.data.subarray(start, start + inner), (block * kept.length + place) * inner);
    }
  }
  return { dtype: tensor.dtype, shape, data };
};

/** P3: every tensor without what was cut from its parameter; the others as they are. */
export const cutTensors = (tensors: TensorMap, cuts: UnitTrace["cuts"]): Map<string, Tensor> =>
  new Map(
    Array.from(tensors, ([name, tensor]) => [name, (cuts.get(parameterOf(name)) ?? []).reduce(withoutIndices, tensor)] as const),
  );

const shifted = (tensors: TensorMap, shifts: UnitTrace["shifts"]): Map<string, Tensor> => {
  const result = new Map(tensors);
  for (const [name, shift] of shifts) {
    const tensor = tensors.get(name)!;
    result.set(name, { ...tensor, data: Float32Array.from(tensor.data, (value, index) => value + shift[index]!) });
  }
  return result;
};

/** A fresh draw of a narrower weight keeps the scale that the rule asks for. */
const narrowedInitializer = (initializer: Initializer, cut: ParameterCut, length: number): Initializer => {
  const narrowed = (fan: number): number => Math.max(1, Math.round((fan * (length - cut.indices.length)) / length));
  if (initializer.kind === "heNormal" && cut.role === "input") return { ...initializer, fanIn: narrowed(initializer.fanIn) };
  if (initializer.kind !== "glorotUniform") return initializer;
  return cut.role === "input"
    ? { ...initializer, fanIn: narrowed(initializer.fanIn) }
    : { ...initializer, fanOut: narrowed(initializer.fanOut) };
};

const narrowedParameter = (parameter: Parameter, cut: ParameterCut): Parameter => ({
  ...parameter,
  shape: parameter.shape.map((dim, axis) => (axis === cut.axis ? dim - cut.indices.length : dim)),
  initializer: narrowedInitializer(parameter.initializer, cut, parameter.shape[cut.axis]!),
});

const applyTrace = (host: Host, { cuts, edits }: UnitTrace): Host => ({
  ...host,
  graph: {
    ...host.graph,
    parameters: host.graph.parameters.map((parameter) => (cuts.get(parameter.name) ?? []).reduce(narrowedParameter, parameter)),
    nodes: host.graph.nodes.map((node) => edits.get(node.id) ?? node),
  },
});

const layerNamed = (host: Host, name: string): HostLayer => {
  const layer = host.layers.find((candidate) => candidate.name === name);
  if (layer !== undefined) return layer;
  const known = host.layers.map((candidate) => candidate.name).join(", ");
  throw new GraphError(`prune ${name}: expected one of the layers ${known}, got ${name}; name one of them`, { path: name });
};

/** Units with their constants, ascending. Throws GraphError for what no layer of any host could lose. */
const ordered = ({ layer, units, constants }: PruneUnits): { units: number[]; constants: number[] } => {
  const wrong = (expected: string, found: string): GraphError =>
    new GraphError(`prune ${layer}: expected ${expected}, got ${found}; check the units`, { path: layer });
  if (units.length === 0) throw wrong("one or more units", "none");
  const strange = units.find((unit) => !Number.isInteger(unit) || unit < 0);
  if (strange !== undefined) throw wrong("whole numbers from 0", String(strange));
  if (new Set(units).size < units.length) throw wrong("each unit once", units.join(", "));
  if (constants !== undefined && constants.length !== units.length)
    throw wrong(`${units.length} constants`, String(constants.length));
  const order = units.map((unit, at) => ({ unit, constant: constants?.[at] ?? 0 })).sort((a, b) => a.unit - b.unit);
  const strangeConstant = order.find(({ constant }) => !Number.isFinite(constant));
  if (strangeConstant !== undefined) throw wrong("finite constants", String(strangeConstant.constant));
  return { units: order.map(({ unit }) => unit), constants: order.map(({ constant }) => constant) };
};

/** Units or channels of a layer, as its weight has them. */
export const unitsOf = (host: Host, name: string): number => {
  const layer = layerNamed(host, name);
  const shapes = new Map(host.graph.parameters.map((parameter) => [parameter.name, parameter.shape]));
  const weight = layer.parameters.map((parameter) => shapes.get(parameter)).find((shape) => (shape?.length ?? 0) >= 2);
  if (weight === undefined) {
    throw new GraphError(`prune ${name}: expected a layer with a weight, got none; name another layer`, { path: name });
  }
  return layer.kind === "conv2d" ? weight[0]! : weight[1]!;
};

/**
 * The host without some units or channels of a dense or convolution layer: their weights, biases and normalisation go, and so does what
 * every reader had for them.
 * @param parameters All of the host's parameters by name, and any optimizer slots.
 * @throws GraphError for an unknown layer, a unit that no layer has, or a parameter that is missing.
 */
export const pruneUnits = (host: Host, parameters: TensorMap, request: PruneUnits): Pruning => {
  const layer = layerNamed(host, request.layer);
  const { units, constants } = ordered(request);
  const refused = (reason: string): Pruning => ({ kind: "refused", reason: `${layer.name}: ${reason}` });
  if (layer.kind === "output") return refused("its units are the network's predictions");
  const width = unitsOf(host, layer.name);
  const last = units.at(-1)!;
  if (last >= width) {
    throw new GraphError(`prune ${layer.name}: expected units below ${width}, got ${last}; check the units`, {
      path: layer.name,
    });
  }
  if (units.length >= width) return refused(`all of its ${width} units would go; at least one must stay`);
  try {
    const trace = traceUnits(host, parameters, layer, units, constants);
    return {
      kind: "pruned",
      host: applyTrace(host, trace),
      parameters: cutTensors(shifted(parameters, trace.shifts), trace.cuts),
      cuts: trace.cuts,
    };
  } catch (error) {
    if (error instanceof UnitRefusal) return refused(error.message); // P2
    throw error;
  }
};

export interface Removal {
  readonly host: Host;
  readonly parameters: Map<string, Tensor>;
  /** Names of the parameters that are gone. */
  readonly removed: readonly string[];
}

/**
 * The host without a bypass that was folded into it, as if that seed had never been; its tensors and slots go with it.
 * @throws GraphError when the host does not hold the seed, or something else reads its values.
 */
export const removeCommitted = (host: Host, parameters: TensorMap, seedId: string): Removal => {
  const without = removeBypass(host, seedId);
  const kept = new Set(without.graph.parameters.map(({ name }) => name));
  const removed = host.graph.parameters.map(({ name }) => name).filter((name) => !kept.has(name));
  const gone = new Set(removed);
  const tensors = new Map(Array.from(parameters).filter(([name]) => !gone.has(parameterOf(name))));
  return { host: without, parameters: tensors, removed };
};

/**
 * Takes out what a target names. Bypasses that something else stands on are refused (P2).
 * @throws GraphError for what no host could lose.
 */
export const pruneTarget = (
  host: Host,
  parameters: TensorMap,
  target: PruneTarget,
): Pick<Extract<Pruning, { kind: "pruned" }>, "kind" | "host" | "parameters"> | Extract<Pruning, { kind: "refused" }> => {
  if (target.kind === "units") {
    const { site: layer, units, constants } = target;
    return pruneUnits(host, parameters, { layer, units, ...(constants.length === 0 ? {} : { constants }) });
  }
  try {
    return { kind: "pruned", ...removeCommitted(host, parameters, target.seedId) };
  } catch (error) {
    if (error instanceof GraphError) return { kind: "refused", reason: error.message };
    throw error;
  }
};
