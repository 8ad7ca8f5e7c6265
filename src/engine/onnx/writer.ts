/** Collects the nodes and constants of an ONNX model, hands out names that do not clash, and shares equal constants. */
import { type Attribute, attribute, elementType, type OnnxNode, type OnnxTensor } from "./schema.ts";

export class ModelWriter {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];
  readonly #taken: Set<string>;
  readonly #constants = new Map<string, string>();

  constructor(reserved: Iterable<string>) {
    this.#taken = new Set(reserved);
  }

  /** The name itself when it is free, else with the first free number. */
  fresh(prefix: string): string {
    let name = prefix;
    for (let n = 1; this.#taken.has(name); n++) name = `${prefix}:${n}`;
    this.#taken.add(name);
    return name;
  }

  /** Adds a node with one output and returns the output's name. */
  node(opType: string, inputs: readonly string[], attributes: readonly Attribute[] = [], output = this.fresh(opType)): string {
    this.nodes.push({ opType, input: inputs, output: [output], attribute: attributes });
    return output;
  }

  int64(values: readonly number[]): string {
    return this.#constant("int64", [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
  }

  /** The int32 constant 0, 1, … count − 1. */
  indices(count: number): string {
    return this.#constant("int32", [count], new Uint8Array(Int32Array.from({ length: count }, (_, index) => index).buffer));
  }

  /** A constant of one repeated value. */
  filled(dtype: "float32" | "int32", shape: readonly number[], value: number): string {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const data = dtype === "float32" ? new Float32Array(count) : new Int32Array(count);
    return this.#constant(dtype, shape, new Uint8Array(data.fill(value).buffer));
  }

  scalar(value: number): string {
    return this.filled("float32", [], value);
  }

  cast(input: string, to: keyof typeof elementType, output?: string): string {
    return this.node("Cast", [input], [attribute.int("to", elementType[to])], output);
  }

  transpose(input: string, perm: readonly number[], output?: string): string {
    return this.node("Transpose", [input], [attribute.ints("perm", perm)], output);
  }

  reshape(input: string, shape: readonly number[], output?: string): string {
    return this.node("Reshape", [input, this.int64(shape)], [attribute.int("allowzero", 1)], output);
  }

  #constant(type: keyof typeof elementType, dims: readonly number[], rawData: Uint8Array): string {
    const key = `${type}|${dims.join(",")}|${Buffer.from(rawData).toString("latin1")}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.fresh("const");
    this.#constants.set(key, name);
    this.initializers.push({ name, dims, dataType: elementType[type], rawData });
    return name;
  }
}
