/** What the translation of one ONNX node may use: the sketch, its operands as values or constants, its attributes. */
import type { OpAttributes, OpName } from "../../contracts/graph.ts";
import { formatShape, sizeOf } from "../../graph/shapes.ts";
import type { GraphSketch } from "../sketch.ts";
import type { NodeReader } from "./attributes.ts";
import type { Constant, Weight } from "./constants.ts";

/** A value of the graph, or something that is known beforehand. */
export type Operand = { readonly kind: "value"; readonly value: string } | Constant;

/** A constant table with entries this large is a mask: it hides, it does not learn. */
const maskMin = 1e4;

/** Weights that have become parameters, by their name in the file and the form in which they are read. */
export type Placed = Map<string, string>;

export class Translation {
  readonly sketch: GraphSketch;
  readonly reader: NodeReader;
  readonly #operands: readonly (Operand | undefined)[];
  readonly #placed: Placed;

  constructor(sketch: GraphSketch, reader: NodeReader, operands: readonly (Operand | undefined)[], placed: Placed) {
    this.sketch = sketch;
    this.reader = reader;
    this.#operands = operands;
    this.#placed = placed;
  }

  get name(): string {
    return this.reader.name;
  }

  get count(): number {
    return this.#operands.length;
  }

  has(index: number): boolean {
    return this.#operands[index] !== undefined;
  }

  /** The operand as a value of the graph: what was computed, a weight as a parameter, one number as a constant. */
  value(index: number): string {
    const operand = this.#operand(index);
    if (operand.kind === "value") return operand.value;
    if (operand.kind === "integers") return this.#integerValue(index, operand.values[0]);
    if (sizeOf(operand.shape) === 1) {
      return this.sketch.op("fill", [], { value: operand.data[0]!, shape: [...operand.shape] }, `${this.name}/constant`);
    }
    return this.#place(operand, "as it is", operand.shape, () => operand.data);
  }

  /** The weight of an operand that must come with the model. */
  weight(index: number, what: string): Weight {
    const operand = this.#operand(index);
    if (operand.kind === "weight") return operand;
    throw this.reader.refuse(`${what} as an initializer`, "a computed value", "export the model with its weights inside");
  }

  isWeight(index: number): boolean {
    return this.#operands[index]?.kind === "weight";
  }

  /** A weight of rank 2, its axes swapped where `transposed`: our matrices stand [inputs, units]. */
  matrix(index: number, transposed: boolean): string {
    const weight = this.weight(index, "a matrix");
    const [rows, columns] = [weight.shape[0]!, weight.shape[1]!];
    this.reader.require(weight.shape.length === 2, "a matrix of rank 2", formatShape(weight.shape));
    if (!transposed) return this.#place(weight, "as it is", weight.shape, () => weight.data);
    return this.#place(weight, "transposed", [columns, rows], () => {
      const result = new Float32Array(weight.data.length);
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = weight.data[i * columns + j]!;
      return result;
    });
  }

  /** A weight in a shape of the same size: a bias of [1, C] as [C]. */
  vector(index: number, what: string, options: { readonly trainable?: boolean } = {}): string {
    const weight = this.weight(index, what);
    const size = sizeOf(weight.shape);
    return this.#place(weight, "as a vector", [size], () => weight.data, options);
  }

  integers(index: number, what: string): readonly [readonly number[], readonly number[]] {
    const operand = this.#operand(index);
    if (operand.kind === "integers") return operand.values;
    throw this.reader.refuse(
      `${what} that is known before the model runs`,
      "a computed value",
      "export the model with fixed shapes",
    );
  }

  /** Integers that do not follow the batch, when the operand is such; undefined for anything else. */
  tryIntegers(index: number): readonly number[] | undefined {
    return this.#operands[index]?.kind === "integers" ? this.fixedIntegers(index, "integers") : undefined;
  }

  isScalar(index: number): boolean {
    const operand = this.#operands[index];
    return operand?.kind === "integers" && operand.scalar;
  }

  /** Integers that do not follow the batch. */
  fixedIntegers(index: number, what: string): readonly number[] {
    const [a, b] = this.integers(index, what);
    this.reader.require(
      a.every((value, i) => value === b[i]),
      `${what} that does not follow the batch`,
      formatShape(a),
    );
    return a;
  }

  shape(value: string): readonly number[] {
    return this.sketch.shape(value);
  }

  emit<O extends OpName>(op: O, inputs: readonly string[], attributes: OpAttributes<O>, suffix = ""): string {
    return this.sketch.op(op, inputs, attributes, `${this.name}${suffix}`);
  }

  /** An axis as a count from the front. */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    this.reader.require(counted >= 0 && counted < rank, `an axis of a value of rank ${rank}`, String(axis));
    return counted;
  }

  #operand(index: number): Operand {
    const operand = this.#operands[index];
    if (operand !== undefined) return operand;
    throw this.reader.refuse(`an input ${index + 1}`, "nothing", "the file is damaged: export it again");
  }

  /** Exporters mix integers into arithmetic of floats only as single numbers. */
  #integerValue(index: number, values: readonly number[]): string {
    this.reader.require(values.length === 1, `one number as input ${index + 1}`, formatShape(values));
    return this.sketch.scalar(values[0]!, this.name);
  }

  #place(
    weight: Weight,
    form: string,
    shape: readonly number[],
    data: () => Float32Array,
    options: { readonly trainable?: boolean } = {},
  ): string {
    const key = `${weight.name} ${form}`;
    const known = this.#placed.get(key);
    if (known !== undefined) return known;
    if ([...this.#placed.keys()].some((placed) => placed.startsWith(`${weight.name} `))) {
      this.sketch.note(`Weight ${weight.name} is read in two forms; they are two parameters from now on.`);
    }
    const trainable = options.trainable ?? (weight.trained && weight.data.every((value) => Math.abs(value) < maskMin));
    const name = this.sketch.parameter(weight.name, shape, data(), { trainable });
    this.#placed.set(key, name);
    return name;
  }
}

/** Gives the IR's value of the node's first output. */
export type Translate = (t: Translation) => string;
