/** A grown host as if it had been built that way: the control that asks whether growing beats starting with the final size. Pure. */
import type { Host, Parameter } from "../contracts/graph.ts";
import { initializeParameters } from "../graph/initialize.ts";
import { createRandom } from "../graph/random.ts";
import type { ImportedHost } from "../workers/lane.ts";

/** Inputs that one unit sums over: dense weights are [in, out], convolutions OIHW. */
const fanInOf = (shape: readonly number[]): number =>
  shape.length === 4
    ? shape.slice(1).reduce((product, dim) => product * dim, 1)
    : shape.slice(0, -1).reduce((product, dim) => product * dim, 1);

/**
 * Weights that growth started at zero would stay a detour from scratch: they take He's start (He et al., 2015) like any other weight. Biases and
 * the vectors of a normalisation stay as they are.
 */
const asBuilt = (parameter: Parameter): Parameter => {
  const { shape, initializer, trainable } = parameter;
  const zeroed = initializer.kind === "constant" && initializer.value === 0 && shape.length >= 2 && trainable;
  return { ...parameter, cohort: "host", ...(zeroed ? { initializer: { kind: "heNormal", fanIn: fanInOf(shape) } } : {}) };
};

/** The host with all its parameters in one cohort, drawn afresh from the same stream as every host of that random seed. */
export const finalSizeHost = (host: Host, randomSeed: number): ImportedHost => {
  const built: Host = { ...host, graph: { ...host.graph, parameters: host.graph.parameters.map(asBuilt) } };
  const parameters = initializeParameters(built.graph.parameters, createRandom(randomSeed).fork("parameters"));
  return { host: built, parameters: Object.fromEntries(parameters) };
};
