/** What a layer of a host is made of, found on the graph itself: its weights, its activation, and who reads its units. */
import { GraphError } from "../../contracts/errors.ts";
import type { GraphNode, Host, HostLayer, Parameter } from "../../contracts/graph.ts";
import { sizeOf } from "../shapes.ts";

/** The product x·W or the convolution of a layer. */
export interface LayerWeight {
  readonly parameter: Parameter;
  readonly product: GraphNode;
  readonly units: number;
  /** Values that a unit sums over. */
  readonly inputs: number;
  /** Place of unit u's weight for input i in the tensor. Dense weights are [inputs, units], convolutions OIHW. */
  indexOf(input: number, unit: number): number;
}

/** A layer that reads another one's units and nobody else's. */
export interface UnitReader {
  readonly layer: string;
  /** Successive inputs of the reader for each unit: 1, or a map's places where it was flattened. */
  readonly inputsPerUnit: number;
  /** False where the units were moved to other axes on the way, as attention heads are. */
  readonly direct: boolean;
}

export interface LayerAnatomy {
  readonly name: string;
  readonly weight: LayerWeight;
  /** Vector [units] that is added; absent with normalisation or without a bias. */
  readonly bias?: string;
  /** Scale, shift and running statistics, each [units]. */
  readonly normalization?: { readonly gamma: string; readonly beta: string; readonly mean: string; readonly variance: string };
  /** `linear` where nothing stands between pre-activation and output. */
  readonly activation: "relu" | "tanh" | "gelu" | "linear" | "other";
  /** All readers of its units; undefined where something else reads them too, such as a residual sum. */
  readonly readers: readonly UnitReader[] | undefined;
}

const readersOfValue = (host: Host, value: string): GraphNode[] =>
  host.graph.nodes.filter(({ inputs }) => inputs.includes(value));

const weightOf = (host: Host, layer: HostLayer): LayerWeight => {
  for (const parameter of host.graph.parameters) {
    if (!layer.parameters.includes(parameter.name) || parameter.shape.length < 2) continue;
    const product = host.graph.nodes.find((node) => node.inputs[1] === parameter.name);
    const { shape } = parameter;
    if (product?.op === "matMul" && shape.length === 2 && !product.attributes.transposeA && !product.attributes.transposeB) {
      const units = shape[1]!;
      return { parameter, product, units, inputs: shape[0]!, indexOf: (input, unit) => input * units + unit };
    }
    if (product?.op === "conv2d" && product.attributes.groups === 1) {
      const inputs = sizeOf(shape.slice(1));
      return { parameter, product, units: shape[0]!, inputs, indexOf: (input, unit) => unit * inputs + input };
    }
  }
  throw new GraphError(
    `layer ${layer.name}: expected a weight in a plain product or an ungrouped convolution, found none; choose another layer`,
    { path: layer.name },
  );
};

const normalizationOf = (host: Host, layer: HostLayer): LayerAnatomy["normalization"] => {
  const node = host.graph.nodes.find(({ op, inputs }) => op === "batchNorm" && layer.parameters.includes(inputs[1]!));
  if (node === undefined) return undefined;
  const [gamma, beta, mean, variance] = [node.inputs[1]!, node.inputs[2]!, node.inputs[3]!, node.inputs[4]!];
  return { gamma, beta, mean, variance };
};

const activationOf = (host: Host, layer: HostLayer): LayerAnatomy["activation"] => {
  if (layer.output === layer.preActivation) return "linear";
  const readers = readersOfValue(host, layer.preActivation);
  const op = readers.length === 1 ? readers[0]!.op : undefined;
  return op === "relu" || op === "tanh" || op === "gelu" ? op : "other";
};

/** Operators that leave each unit in its place. */
const keepsUnits: ReadonlySet<string> = new Set(["globalAveragePool", "avgPool2d", "maxPool2d", "dropout"]);

/** Follows the units forward; undefined when they reach anything but a layer's product. */
const findReaders = (host: Host, layer: HostLayer, units: number): UnitReader[] | undefined => {
  const byProduct = new Map(
    host.layers.flatMap((other) => {
      const product = host.graph.nodes.find(
        ({ op, inputs }) => (op === "matMul" || op === "conv2d") && other.parameters.includes(inputs[1]!),
      );
      return product === undefined ? [] : [[product.id, other] as const];
    }),
  );
  const outputs = new Set(host.graph.outputs.map(({ value }) => value));
  const found: UnitReader[] = [];
  const visit = (value: string, direct: boolean): boolean => {
    if (outputs.has(value)) return false;
    return readersOfValue(host, value).every((node) => {
      const reader = byProduct.get(node.id);
      if (reader !== undefined && node.inputs[0] === value) {
        const inputsPerUnit = readInputs(host, node) / units;
        if (!Number.isInteger(inputsPerUnit)) return false;
        found.push({ layer: reader.name, inputsPerUnit, direct: direct && inputsPerUnit === 1 });
        return true;
      }
      if (keepsUnits.has(node.op)) return visit(node.id, direct);
      const moves = node.op === "reshape" || node.op === "transpose" || (node.op === "matMul" && node.inputs[1] === value);
      return moves && visit(node.id, false);
    });
  };
  return visit(layer.output, true) ? found : undefined;
};

/** Channels that a convolution reads, or inputs of a product. */
const readInputs = (host: Host, product: GraphNode): number => {
  const { shape } = host.graph.parameters.find(({ name }) => name === product.inputs[1])!;
  return product.op === "conv2d" ? shape[1]! : shape[0]!;
};

/** Throws GraphError when the layer is none of the host's or has no weight of a plain form. */
export const anatomyOf = (host: Host, name: string): LayerAnatomy => {
  const layer = host.layers.find((candidate) => candidate.name === name);
  if (layer === undefined) {
    const names = host.layers.map((candidate) => candidate.name).join(", ");
    throw new GraphError(`expected one of the layers ${names}, found ${name}; name a layer of the host`, { path: name });
  }
  const weight = weightOf(host, layer);
  const normalization = normalizationOf(host, layer);
  const taken = new Set(Object.values(normalization ?? {}));
  const bias = host.graph.parameters.find(
    (parameter) =>
      layer.parameters.includes(parameter.name) &&
      parameter.shape.length === 1 &&
      parameter.shape[0] === weight.units &&
      !taken.has(parameter.name),
  );
  return {
    name,
    weight,
    ...(bias === undefined ? {} : { bias: bias.name }),
    ...(normalization === undefined ? {} : { normalization }),
    activation: activationOf(host, layer),
    readers: findReaders(host, layer, weight.units),
  };
};

/** The layer whose units, and nothing else, are what this one reads; undefined where there is none. */
export const feederOf = (host: Host, name: string): LayerAnatomy | undefined => {
  for (const layer of host.layers) {
    if (layer.name === name || layer.kind === "output") continue;
    const anatomy = anatomyOf(host, layer.name);
    if (anatomy.readers?.length === 1 && anatomy.readers[0]!.layer === name) return anatomy;
  }
  return undefined;
};
