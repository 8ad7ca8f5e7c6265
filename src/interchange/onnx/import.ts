/**
 * An ONNX model as a host: one translation for each operator, weights as parameters, the batch open.
 *
 * A model with one input of numbers or ids and one output of logits is taken; a softmax at its end is dropped, because the loss has it.
 */
import { GraphError } from "../../contracts/errors.ts";
import { type DecodedModel, type DecodedNode, type DecodedValue, decodeModel } from "../../engine/onnx/decode.ts";
import { formatShape } from "../../graph/shapes.ts";
import { finishImport } from "../finish.ts";
import type { ImportedModel } from "../imported.ts";
import { GraphSketch } from "../sketch.ts";
import { NodeReader } from "./attributes.ts";
import { foldIntegers, type Integers, readTensor } from "./constants.ts";
import { elementwiseOperators } from "./elementwise.ts";
import { readOwnOnnx } from "./export.ts";
import { layerOperators } from "./layers.ts";
import { movementOperators } from "./movement.ts";
import { type Operand, type Placed, type Translate, Translation } from "./translate.ts";

const operators: Readonly<Record<string, Translate>> = { ...layerOperators, ...elementwiseOperators, ...movementOperators };

export const onnxOperators: readonly string[] = [...Object.keys(operators), "Constant", "Shape"].sort();

/** Of the operator set of ONNX itself; newer ones change the meaning of operators. */
const opsetMax = 24;
const opsetMin = 7;

const inputTypes: Readonly<Record<number, "float32" | "int32">> = { 1: "float32", 6: "int32", 7: "int32" };

const checkOpsets = (model: DecodedModel, name: string): void => {
  const found = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0;
  if (found >= opsetMin && found <= opsetMax) return;
  throw new GraphError(
    `ONNX ${name}: expected operator set ${opsetMin} to ${opsetMax}, got ${found}; export the model for opset 17`,
    { path: name },
  );
};

const addInput = (sketch: GraphSketch, { name, type }: DecodedValue): readonly number[] => {
  const tensor = type?.tensorType;
  const dtype = inputTypes[tensor?.elemType ?? 0];
  const dims = tensor?.shape?.dim ?? [];
  const shape = dims.map(({ dimValue, dimParam }) => (dimParam === undefined ? (dimValue ?? 0) : 0));
  if (dtype === undefined || shape.length < 2 || shape.slice(1).some((dim) => dim < 1)) {
    const found = `${dtype ?? `type ${tensor?.elemType ?? "unknown"}`} ${formatShape(shape)}`;
    throw new GraphError(
      `ONNX input ${name}: expected float32, int32 or int64 [batch, …] with every other dimension known, got ${found}; export the model with fixed shapes and an open batch`,
      { path: name },
    );
  }
  if (shape[0]! > 0) sketch.note(`Input ${name} has a fixed batch of ${shape[0]}; the batch is open now.`);
  sketch.input("x", [-1, ...shape.slice(1)], dtype);
  return shape.slice(1);
};

/** The one input and output; initializers may stand among the inputs. */
const portsOf = ({ graph }: DecodedModel, name: string): { readonly input: DecodedValue; readonly output: string } => {
  const stored = new Set(graph.initializer.map((tensor) => tensor.name));
  const inputs = graph.input.filter((value) => !stored.has(value.name));
  const names = (values: readonly DecodedValue[]): string => values.map((value) => value.name).join(", ") || "none";
  if (inputs.length !== 1 || graph.output.length !== 1) {
    throw new GraphError(
      `ONNX ${name}: expected one input and one output, got inputs ${names(inputs)} and outputs ${names(graph.output)}; cut the model down to the one that classifies`,
      { path: name },
    );
  }
  return { input: inputs[0]!, output: graph.output[0]!.name };
};

class Importer {
  readonly #sketch = new GraphSketch();
  readonly #operands = new Map<string, Operand>();
  readonly #placed: Placed = new Map();
  /** Product → the name of its layer. */
  readonly #layerNames = new Map<string, string>();
  /** Softmaxes: value → what it was computed from, and who asks. */
  readonly #softmaxes = new Map<string, { readonly of: string; readonly name: string }>();
  readonly #model: DecodedModel;
  readonly #name: string;

  constructor(model: DecodedModel, name: string) {
    this.#model = model;
    this.#name = name;
  }

  run(): ImportedModel {
    checkOpsets(this.#model, this.#name);
    const { input, output } = portsOf(this.#model, this.#name);
    const inputShape = addInput(this.#sketch, input);
    this.#operands.set(input.name, { kind: "value", value: "x" });
    for (const tensor of this.#model.graph.initializer) this.#operands.set(tensor.name, readTensor(tensor, tensor.name, true));
    for (const node of this.#model.graph.node) this.#node(node);
    const found = this.#operands.get(output);
    if (found?.kind !== "value") {
      throw new GraphError(`ONNX output ${output}: expected a computed value, got none; the file is damaged`, { path: output });
    }
    return finishImport(this.#sketch, {
      name: this.#name,
      logits: this.#beforeSoftmax(found.value),
      layerNames: this.#layerNames,
      inputShape,
    });
  }

  #node(node: DecodedNode): void {
    const reader = new NodeReader(node);
    const operands = node.input.map((name) => (name === "" ? undefined : this.#known(name, reader)));
    const [output] = node.output;
    if (output === undefined) throw reader.refuse("an output", "none", "the file is damaged: export it again");
    this.#operands.set(output, this.#translate(node, reader, operands));
  }

  #translate(node: DecodedNode, reader: NodeReader, operands: readonly (Operand | undefined)[]): Operand {
    if (node.opType === "Constant") return this.#constant(reader);
    if (node.opType === "Shape") return this.#shapeOf(reader, operands[0]);
    const constants = operands.map((operand) => (operand?.kind === "value" ? undefined : operand));
    const folded = foldIntegers(node, constants, reader);
    if (folded !== undefined) return folded;
    const translate = node.domain === "" || node.domain === "ai.onnx" ? operators[node.opType] : undefined;
    if (translate === undefined) {
      throw reader.refuse(
        `one of the operators ${onnxOperators.join(", ")}`,
        node.domain === "" ? node.opType : `${node.domain}.${node.opType}`,
        "write the model without it",
      );
    }
    const value = translate(new Translation(this.#sketch, reader, operands, this.#placed));
    this.#nameLayer(node, reader, value);
    const before = operands[0];
    if ((node.opType === "Softmax" || node.opType === "LogSoftmax") && before?.kind === "value")
      this.#softmaxes.set(value, { of: before.value, name: reader.name });
    return { kind: "value", value };
  }

  /** `Identity` and the like hand their operand through. */
  #beforeSoftmax(value: string): string {
    const softmax = this.#softmaxes.get(value);
    if (softmax === undefined) return value;
    const rank = this.#sketch.shape(value).length;
    this.#sketch.note(
      `The softmax ${softmax.name} at the end was dropped (rank ${rank}): outputs are logits, and the loss has it.`,
    );
    return softmax.of;
  }

  /** A layer is called by its weight's folder (`fc1.weight` → `fc1`), else by its node. */
  #nameLayer(node: DecodedNode, reader: NodeReader, value: string): void {
    if (!["Gemm", "MatMul", "Conv"].includes(node.opType)) return;
    const weight = (node.input[1] ?? "").replace(/[./]?(weight|kernel|W)$/i, "");
    const name = weight !== "" && weight !== node.input[1] ? weight : reader.name;
    for (const suffix of ["/product", "/convolution"])
      this.#layerNames.set(`${value.replace(/\/preActivation(-\d+)?$/, "")}${suffix}`, name);
    this.#layerNames.set(value, name);
  }

  #constant(reader: NodeReader): Operand {
    const tensor = reader.tensor("value");
    if (tensor !== undefined) return readTensor(tensor, reader.name, false);
    if (reader.has("value_float")) {
      return {
        kind: "weight",
        name: reader.name,
        shape: [],
        data: Float32Array.of(reader.float("value_float", 0)),
        trained: false,
      };
    }
    const list = reader.ints("value_ints") ?? [];
    const one = reader.has("value_int");
    if (!one && !reader.has("value_ints"))
      throw reader.refuse("a tensor, a float or integers", "another kind of constant", "store it as an initializer");
    const values = one ? [reader.int("value_int", 0)] : list;
    return { kind: "integers", scalar: one, values: [values, values] };
  }

  #shapeOf(reader: NodeReader, operand: Operand | undefined): Integers {
    if (operand?.kind !== "value") throw reader.refuse("the shape of a computed value", "a constant", "export the model again");
    const [a, b] = this.#sketch.trialShapes(operand.value);
    const cut = (shape: readonly number[]): readonly number[] =>
      shape.slice(reader.int("start", 0), reader.has("end") ? reader.int("end", shape.length) : shape.length);
    return { kind: "integers", scalar: false, values: [cut(a), cut(b)] };
  }

  #known(name: string, reader: NodeReader): Operand {
    const operand = this.#operands.get(name);
    if (operand !== undefined) return operand;
    throw reader.refuse("inputs that stand before it", `the unknown ${name}`, "the file is damaged: export it again");
  }
}

/**
 * The model that the bytes hold: the very host when Esper wrote the file, else one read by its operators.
 * @throws DataError for bytes that are no model, GraphError naming the operator that is lacking.
 */
export const importOnnx = (bytes: Uint8Array, name: string): ImportedModel => {
  const model = decodeModel(bytes, name);
  return readOwnOnnx(model) ?? new Importer(model, name).run();
};
