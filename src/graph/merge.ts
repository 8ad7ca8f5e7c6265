/**
 * Folds what grew beside a layer into the layer itself, where algebra allows: the graph gets simpler and the logits stay.
 *
 * F1 A bypass without an activation over one dense layer is part of its matrix: W + U·V.
 * F2 A bypass of two affine maps around an activation joins two such maps that stand between the same values with the same activation:
 *    the host's own layers (Net2Wider read backwards; Chen et al., 2016) or an earlier bypass. Units are put side by side.
 * F3 Batch normalisation by running statistics is a scale and a shift of the affine map before it. This is for inference: the folded
 *    graph no longer normalises in training.
 * F4 What cannot be merged stays as it is, with the reason.
 * F5 Slots of an optimizer (`<parameter>#…`) are joined like their parameters; of summed tensors the earlier one's are kept, and F3 drops them.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, GraphNode, Host, Tensor } from "../contracts/graph.ts";
import { type Affine, addendsOf, affineOf, weightAxes } from "./affine.ts";
import { GraphView } from "./graph-view.ts";
import { type GraphPatch, patchHost, TensorPatch } from "./merge-patch.ts";
import { removeBypass, seedValue } from "./rewrite.ts";
import { sameShape } from "./shapes.ts";

export interface MergeOptions {
  /** `fold` (default) is for export: F3. `keep` leaves normalisation as it is, so that the host can be trained on. */
  readonly batchNorm?: "fold" | "keep";
}

export interface Merged {
  readonly host: Host;
  readonly parameters: Map<string, Tensor>;
  /** What was merged into what, for people. */
  readonly merged: string[];
  /** Bypasses that stay, with the reason. */
  readonly kept: { readonly seedId: string; readonly reason: string }[];
}

type Outcome =
  | { readonly kind: "merged"; readonly host: Host; readonly parameters: Map<string, Tensor>; readonly into: string }
  | { readonly kind: "refused"; readonly reason: string };

const refused = (reason: string): Outcome => ({ kind: "refused", reason });

const activations: ReadonlySet<string> = new Set(["relu", "tanh", "sigmoid", "gelu"]);

const sameOperator = (a: GraphNode, b: GraphNode): boolean =>
  a.op === b.op && JSON.stringify(a.attributes) === JSON.stringify(b.attributes);

/** Two weights whose outputs can stand side by side, or whose inputs can. */
const joinable = (a: Affine, b: Affine): boolean =>
  sameOperator(a.product, b.product) &&
  (a.product.op !== "conv2d" || a.product.attributes.groups === 1) &&
  sameShape(a.weight.shape.slice(2), b.weight.shape.slice(2)) &&
  a.weight.trainable === b.weight.trainable;

/** Two affine maps with an activation between them. */
interface Path {
  readonly first: Affine;
  readonly activation: GraphNode;
  readonly last: Affine;
}

const pathTo = (view: GraphView, last: Affine): Path | undefined => {
  const activation = view.node(last.input);
  if (activation === undefined || !activations.has(activation.op)) return undefined;
  const first = affineOf(view, activation.inputs[0]!);
  if (first === undefined || view.onlyReader(activation.id) === undefined || view.onlyReader(first.value) === undefined) {
    return undefined;
  }
  return { first, activation, last };
};

/** The affine maps of a bypass that has nothing else, in order; undefined when it has. */
const affineChain = (view: GraphView, output: string, source: string): Affine[] | undefined => {
  const chain: Affine[] = [];
  for (let value = output; value !== source; value = chain[0]!.input) {
    const map = affineOf(view, value);
    if (map?.product.op !== "matMul" || view.onlyReader(value) === undefined) return undefined;
    chain.unshift(map);
  }
  return chain;
};

/** The value that a bypass reads; undefined when it reads several. */
export const sourceOf = (graph: Graph, seedId: string): string | undefined => {
  const own = seedValue(seedId, "");
  const read = graph.nodes.filter((node) => node.id.startsWith(own)).flatMap((node) => node.inputs);
  const outside = new Set(read.filter((value) => !value.startsWith(own)));
  return outside.size === 1 ? [...outside][0] : undefined;
};

interface Bypass {
  readonly seedId: string;
  readonly source: string;
  readonly output: string;
  /** What it is added to, value by value. */
  readonly addends: readonly string[];
}

const bypassOf = (view: GraphView, seedId: string): Bypass | undefined => {
  const sum = view.node(`${seedId}:sum`);
  const source = sourceOf(view.graph, seedId);
  if (sum === undefined || source === undefined) return undefined;
  const [target, output] = [sum.inputs[0]!, sum.inputs[1]!];
  const addends = view.onlyReader(target) === undefined ? [target] : addendsOf(view, target);
  return { seedId, source, output, addends };
};

const take = (host: Host, parameters: ReadonlyMap<string, Tensor>, seedId: string, into: string, patch: GraphPatch): Outcome => ({
  kind: "merged",
  into,
  ...patchHost(removeBypass(host, seedId), parameters, patch),
});

/** F1 */
const mergeLinear = (
  host: Host,
  parameters: ReadonlyMap<string, Tensor>,
  view: GraphView,
  bypass: Bypass,
): Outcome | undefined => {
  const chain = affineChain(view, bypass.output, bypass.source);
  if (chain === undefined || chain.length === 0) return undefined;
  const layer = bypass.addends.map((value) => affineOf(view, value)).find((map) => map?.input === bypass.source);
  if (layer?.product.op !== "matMul") return refused("no dense layer stands between the same values");
  if (layer.bias === undefined && chain.some(({ bias }) => bias !== undefined))
    return refused(`${layer.value} has no bias to take up its own`);
  const patch = new TensorPatch(parameters);
  const [first, ...rest] = chain.map((map) => ({
    weight: patch.read(map.weight.name),
    bias: map.bias && patch.read(map.bias.name),
  }));
  const whole = rest.reduce(
    (composed, map) => ({
      weight: patch.multiply(composed.weight, map.weight),
      bias: patch.addVectors(composed.bias && patch.multiplyRow(composed.bias, map.weight), map.bias),
    }),
    first!,
  );
  patch.add(layer.weight.name, whole.weight);
  if (layer.bias !== undefined && whole.bias !== undefined) patch.add(layer.bias.name, whole.bias);
  return take(host, parameters, bypass.seedId, layer.value, patch.done());
};

/** F2 */
const joinPaths = (host: Host, parameters: ReadonlyMap<string, Tensor>, own: Path, other: Path, seedId: string): Outcome => {
  const patch = new TensorPatch(parameters);
  const width = own.first.weight.shape[weightAxes(own.first.product).output]!;
  patch.concat(other.first.weight.name, own.first.weight.name, weightAxes(own.first.product).output);
  patch.concat(other.last.weight.name, own.last.weight.name, weightAxes(own.last.product).input);
  if (own.first.bias !== undefined) patch.concat(other.first.bias!.name, own.first.bias.name, 0);
  if (own.last.bias !== undefined) patch.add(other.last.bias!.name, patch.read(own.last.bias.name));
  if (other.first.biasNode?.op === "reshape") {
    const node = other.first.biasNode;
    const along = node.attributes.shape.length - (other.first.product.op === "conv2d" ? 3 : 1);
    const shape = node.attributes.shape.map((dim, axis) => (axis === along ? dim + width : dim));
    patch.replaceNode({ ...node, attributes: { shape } });
  }
  return take(host, parameters, seedId, other.first.value, patch.done());
};

/** F2: why two paths cannot be joined; undefined when they can. */
const joinProblem = (own: Path, other: Path): string | undefined => {
  if (other.first.input !== own.first.input) return `${other.first.value} reads ${other.first.input}`;
  if (!sameOperator(own.activation, other.activation)) return `${other.activation.id} is ${other.activation.op}`;
  if (!joinable(own.first, other.first) || !joinable(own.last, other.last)) return `${other.first.value} has other kernels`;
  if ((own.first.bias === undefined) !== (other.first.bias === undefined)) return `${other.first.value} differs in having a bias`;
  return own.last.bias !== undefined && other.last.bias === undefined ? `${other.last.value} has no bias` : undefined;
};

const mergePath = (host: Host, parameters: ReadonlyMap<string, Tensor>, view: GraphView, bypass: Bypass): Outcome => {
  const last = affineOf(view, bypass.output);
  const own = last && pathTo(view, last);
  if (own === undefined || own.first.input !== bypass.source) return refused("it is no pair of layers around an activation");
  const problems: string[] = [];
  for (const addend of bypass.addends) {
    const target = affineOf(view, addend);
    const other = target && pathTo(view, target);
    if (other === undefined) continue;
    const problem = joinProblem(own, other);
    if (problem === undefined) return joinPaths(host, parameters, own, other, bypass.seedId);
    problems.push(problem);
  }
  return refused(problems.length > 0 ? problems.join("; ") : "no plain pair of layers stands between the same values");
};

/**
 * Merges one folded bypass into a layer or an earlier bypass. Refuses with the reason where algebra does not allow it.
 * @throws GraphError when the host does not hold the seed or a parameter is missing.
 */
export const mergeBypass = (host: Host, parameters: ReadonlyMap<string, Tensor>, seedId: string): Outcome => {
  const view = new GraphView(host.graph, parameters);
  if (view.node(`${seedId}:sum`) === undefined) {
    throw new GraphError(`merge ${seedId}: expected a seed that the host holds, got one that it does not; fold it in first`, {
      path: seedId,
    });
  }
  if (view.node(`${seedId}:scaled`) !== undefined) return refused("it is still in trial");
  const bypass = bypassOf(view, seedId);
  if (bypass === undefined) return refused("it reads several values");
  if (view.onlyReader(bypass.output) === undefined) return refused(`${bypass.output} is read elsewhere`);
  return mergeLinear(host, parameters, view, bypass) ?? mergePath(host, parameters, view, bypass);
};

/** F3 for one normalisation; undefined when no affine map that serves it alone stands before it. */
const foldNorm = (host: Host, parameters: ReadonlyMap<string, Tensor>, node: GraphNode): Outcome | undefined => {
  if (node.op !== "batchNorm") return undefined;
  const view = new GraphView(host.graph, parameters);
  const map = affineOf(view, node.inputs[0]!);
  const vectors = node.inputs.slice(1).map((name) => (view.onlyReader(name) === undefined ? undefined : view.parameter(name)));
  if (map === undefined || view.onlyReader(map.value) === undefined || vectors.includes(undefined)) return undefined;
  if (map.product.op === "matMul" && view.shape(map.value).length !== 2) return undefined;
  const [gamma, beta, mean, variance] = vectors.map((parameter) => parameter!.name) as [string, string, string, string];
  const patch = new TensorPatch(parameters);
  const scales = patch
    .read(gamma)
    .data.map((value, k) => value / Math.sqrt(patch.read(variance).data[k]! + node.attributes.epsilon));
  const biases = map.bias === undefined ? undefined : patch.read(map.bias.name).data;
  patch.scale(map.weight.name, weightAxes(map.product).output, scales);
  patch.replaceTensor(
    beta,
    patch.read(beta).data.map((value, k) => value + ((biases?.[k] ?? 0) - patch.read(mean).data[k]!) * scales[k]!),
  );
  for (const name of [gamma, mean, variance, ...(map.bias === undefined ? [] : [map.bias.name])]) patch.dropParameter(name);
  if (map.biasNode !== undefined) patch.dropNode(map.biasNode.id);
  if (map.value !== map.product.id) patch.dropNode(map.value);
  const isImage = map.product.op === "conv2d";
  const shift: GraphNode = {
    id: `${node.id}/shift`,
    op: "reshape",
    inputs: [beta],
    attributes: { shape: [scales.length, 1, 1] },
  };
  const sum: GraphNode = { id: node.id, op: "add", inputs: [map.product.id, isImage ? shift.id : beta], attributes: {} };
  patch.replaceNode(sum, ...(isImage ? [shift] : []));
  return { kind: "merged", into: map.product.id, ...patchHost(host, parameters, patch.done()) };
};

/** Seeds that are folded into a host, oldest first. */
export const foldedSeeds = ({ graph }: Host): string[] => {
  const sums = new Set(graph.nodes.map(({ id }) => id).filter((id) => id.endsWith(":sum")));
  const cohorts = [...new Set(graph.parameters.map(({ cohort }) => cohort))];
  return cohorts.filter((cohort) => sums.has(`${cohort}:sum`));
};

/**
 * Merges all that algebra allows: normalisation first, then bypasses until none merges any more. Logits stay up to rounding.
 * @param parameters All of the host's parameters by name, and any optimizer slots (F5).
 */
export const mergeAll = (host: Host, parameters: ReadonlyMap<string, Tensor>, options: MergeOptions = {}): Merged => {
  let state: Pick<Merged, "host" | "parameters"> = { host, parameters: new Map(parameters) };
  const merged: string[] = [];
  if (options.batchNorm !== "keep") {
    for (const node of host.graph.nodes) {
      const outcome = foldNorm(state.host, state.parameters, node);
      if (outcome?.kind !== "merged") continue;
      state = outcome;
      merged.push(`${node.id} into ${outcome.into}`);
    }
  }
  let kept: Merged["kept"] = [];
  // A merge can free another bypass, so the rest is tried again; each round merges at least one of finitely many.
  for (let again = true; again; ) {
    again = false;
    kept = [];
    for (const seedId of foldedSeeds(state.host)) {
      const outcome = mergeBypass(state.host, state.parameters, seedId);
      if (outcome.kind === "refused") {
        kept.push({ seedId, reason: outcome.reason });
        continue;
      }
      state = outcome;
      merged.push(`${seedId} into ${outcome.into}`);
      again = true;
    }
  }
  return { host: state.host, parameters: state.parameters, merged, kept };
};
