/** Changes to a host that belong together: tensors that are summed, joined or scaled, and the nodes and parameters that follow. */
import { GraphError } from "../contracts/errors.ts";
import type { GraphNode, Host, Initializer, Parameter, Tensor } from "../contracts/graph.ts";
import { parameterOf } from "./optimizers.ts";
import { sizeOf } from "./shapes.ts";

/** Float64 in between, so that one rounding is all that a merge costs. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export interface GraphPatch {
  /** Node id → what stands in its place; empty for nothing. */
  readonly nodes: ReadonlyMap<string, readonly GraphNode[]>;
  readonly dropped: ReadonlySet<string>;
  /** Tensors that are new, slots included. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

const toTensor = ({ shape, data }: Values): Tensor => ({ dtype: "float32", shape, data: Float32Array.from(data) });

const slotSuffixes = (tensors: ReadonlyMap<string, Tensor>, name: string): string[] =>
  [...tensors.keys()].filter((key) => key !== name && parameterOf(key) === name).map((key) => key.slice(name.length));

/** Two tensors one after the other along an axis. */
const concatenate = (a: Tensor, b: Tensor, axis: number): Tensor => {
  const inner = (shape: readonly number[]): number => sizeOf(shape.slice(axis));
  const [left, right] = [inner(a.shape), inner(b.shape)];
  const shape = a.shape.map((dim, at) => (at === axis ? dim + b.shape[axis]! : dim));
  const data = new Float32Array(sizeOf(shape));
  for (let block = 0; block < sizeOf(a.shape.slice(0, axis)); block++) {
    data.set(a.data.subarray(block * left, (block + 1) * left), block * (left + right));
    data.set(b.data.subarray(block * right, (block + 1) * right), block * (left + right) + left);
  }
  return { dtype: "float32", shape, data };
};

export class TensorPatch {
  readonly #parameters: ReadonlyMap<string, Tensor>;
  readonly #tensors = new Map<string, Tensor>();
  readonly #nodes = new Map<string, readonly GraphNode[]>();
  readonly #dropped = new Set<string>();

  constructor(parameters: ReadonlyMap<string, Tensor>) {
    this.#parameters = parameters;
  }

  /** A parameter as it was before the patch. Throws GraphError when its tensor is missing. */
  read(name: string): Values {
    const { shape, data } = this.#tensor(name);
    return { shape, data: Float64Array.from(data) };
  }

  /** [m, k] × [k, n] */
  multiply(a: Values, b: Values): Values {
    const [rows, inner, columns] = [a.shape[0]!, a.shape[1]!, b.shape[1]!];
    const data = new Float64Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < inner; k++) {
        const factor = a.data[row * inner + k]!;
        for (let column = 0; column < columns; column++) {
          const at = row * columns + column;
          data[at] = data[at]! + factor * b.data[k * columns + column]!;
        }
      }
    }
    return { shape: [rows, columns], data };
  }

  /** [k] × [k, n] */
  multiplyRow(a: Values, b: Values): Values {
    const { data } = this.multiply({ shape: [1, a.shape[0]!], data: a.data }, b);
    return { shape: [data.length], data };
  }

  addVectors(a: Values | undefined, b: Values | undefined): Values | undefined {
    if (a === undefined || b === undefined) return a ?? b;
    return { shape: a.shape, data: a.data.map((value, index) => value + b.data[index]!) };
  }

  /** Adds to a parameter; its slots stay. */
  add(name: string, values: Values): void {
    const known = this.read(name);
    this.#tensors.set(name, toTensor({ shape: known.shape, data: known.data.map((value, i) => value + values.data[i]!) }));
  }

  /** Puts another parameter behind one, along an axis, and their slots alike. */
  concat(name: string, other: string, axis: number): void {
    this.#tensors.set(name, concatenate(this.#tensor(name), this.#tensor(other), axis));
    for (const suffix of slotSuffixes(this.#parameters, name)) {
      const slot = this.#parameters.get(`${other}${suffix}`);
      if (slot !== undefined) this.#tensors.set(`${name}${suffix}`, concatenate(this.#tensor(`${name}${suffix}`), slot, axis));
    }
  }

  /** Multiplies a parameter along one axis; its slots go. */
  scale(name: string, axis: number, factors: Float64Array): void {
    const { shape, data } = this.read(name);
    const inner = sizeOf(shape.slice(axis + 1));
    const scaled = data.map((value, index) => value * factors[Math.floor(index / inner) % shape[axis]!]!);
    this.#tensors.set(name, toTensor({ shape, data: scaled }));
    this.#dropSlots(name);
  }

  replaceTensor(name: string, data: Float64Array): void {
    this.#tensors.set(name, toTensor({ shape: this.read(name).shape, data }));
    this.#dropSlots(name);
  }

  dropParameter(name: string): void {
    this.#dropped.add(name);
    this.#dropSlots(name);
  }

  /** In place of the node of the same id; `before` stands in front of it. */
  replaceNode(node: GraphNode, ...before: readonly GraphNode[]): void {
    this.#nodes.set(node.id, [...before, node]);
  }

  dropNode(id: string): void {
    this.#nodes.set(id, []);
  }

  done(): GraphPatch {
    return { nodes: this.#nodes, dropped: this.#dropped, tensors: this.#tensors };
  }

  #dropSlots(name: string): void {
    for (const suffix of slotSuffixes(this.#parameters, name)) this.#dropped.add(`${name}${suffix}`);
  }

  #tensor(name: string): Tensor {
    const tensor = this.#parameters.get(name);
    if (tensor !== undefined) return tensor;
    throw new GraphError(`expected a tensor for the parameter ${name}, got none; pass all of the host's parameters`, {
      path: name,
    });
  }
}

/** A fresh draw of a wider weight keeps the scale that the rule asks for. */
const widened = (initializer: Initializer, from: number, to: number): Initializer =>
  initializer.kind === "heNormal" ? { ...initializer, fanIn: Math.round((initializer.fanIn * to) / from) } : initializer;

const resized = (parameter: Parameter, tensor: Tensor | undefined): Parameter => {
  if (tensor === undefined) return parameter;
  const { shape } = parameter;
  const inputAxis = shape.length === 2 ? 0 : 1;
  const [from, to] = [shape[inputAxis] ?? 1, tensor.shape[inputAxis] ?? 1];
  return {
    ...parameter,
    shape: [...tensor.shape],
    initializer: from === to ? parameter.initializer : widened(parameter.initializer, from, to),
  };
};

/** Parameters that the host does not have are left out of the tensors, with their slots. */
export const patchHost = (
  host: Host,
  parameters: ReadonlyMap<string, Tensor>,
  { nodes, dropped, tensors }: GraphPatch,
): { readonly host: Host; readonly parameters: Map<string, Tensor> } => {
  const kept = host.graph.parameters.filter(({ name }) => !dropped.has(name));
  const names = new Set(kept.map(({ name }) => name));
  const all = new Map([...parameters, ...tensors]);
  const belongs = (name: string): boolean => !dropped.has(name) && names.has(parameterOf(name));
  return {
    host: {
      ...host,
      graph: {
        ...host.graph,
        parameters: kept.map((parameter) => resized(parameter, tensors.get(parameter.name))),
        nodes: host.graph.nodes.flatMap((node) => nodes.get(node.id) ?? [node]),
      },
      layers: host.layers.map((layer) => ({ ...layer, parameters: layer.parameters.filter((name) => names.has(name)) })),
    },
    parameters: new Map([...all].filter(([name]) => belongs(name))),
  };
};
