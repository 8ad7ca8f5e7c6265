/**
 * Program → ONNX model, one clause per operator.
 *
 * Names: an input keeps its name; an output keeps its own unless an input has it too, then it is `<name>:out`
 * (`outputNameOf` undoes that). Every other value has the id of its node, or that with a number where it is taken.
 */
import { GraphError } from "../../contracts/errors.ts";
import type { OpAttributes, Program } from "../../contracts/graph.ts";
import type { ValueType } from "../../graph/operators/operator.ts";
import { programTypes } from "../../graph/program.ts";
import { applyTable, type OpTable, outputPorts } from "../operator-table.ts";
import { lowerAvgPool, lowerAvgPoolGrad, lowerConv, lowerConvFilterGrad, lowerConvInputGrad } from "./convolution.ts";
import { attribute, elementType, type OnnxModel } from "./schema.ts";
import { ModelWriter } from "./writer.ts";

/** The operator set that the lowering is written in; onnxruntime 1.18 and later know it. */
const opset = 20;

/** Constants of more elements than this are expanded from a scalar instead of stored. */
const storedElementsMax = 1024;

export interface LoweringContext {
  readonly writer: ModelWriter;
  /** ONNX names of the node's inputs. */
  readonly names: readonly string[];
  readonly types: readonly ValueType[];
  readonly result: ValueType;
  /** The ONNX name that the node's value must get. */
  readonly output: string;
}

type Lowering<Attributes> = (context: LoweringContext, attributes: Attributes) => void;

const direct =
  (opType: string): Lowering<unknown> =>
  ({ writer, names, output }) => {
    writer.node(opType, names, [], output);
  };

/** Some operators of ONNX refuse scalars that ours hand through. */
const identity = (writer: ModelWriter, names: readonly string[], output: string): void => {
  writer.node("Identity", names, [], output);
};

/** Comparisons give booleans in ONNX and 0 or 1 in the IR. */
const comparison =
  (opType: string): Lowering<unknown> =>
  ({ writer, names, output }) => {
    writer.cast(writer.node(opType, names), "float32", output);
  };

const reduction =
  (opType: string): Lowering<OpAttributes<"reduceSum">> =>
  ({ writer, names, output }, { axes, keepDims }) => {
    if (axes.length === 0) writer.node("Identity", names, [], output);
    else writer.node(opType, [names[0]!, writer.int64(axes)], [attribute.int("keepdims", keepDims ? 1 : 0)], output);
  };

const alongAxis =
  (opType: string): Lowering<{ readonly axis: number }> =>
  ({ writer, names, output }, { axis }) => {
    writer.node(opType, names, [attribute.int("axis", axis)], output);
  };

const matMul: Lowering<OpAttributes<"matMul">> = ({ writer, names, types, output }, { transposeA, transposeB }) => {
  const ranks = types.map((type) => type.shape.length);
  // Without flags MatMul serves better: onnxruntime fuses it with the bias that follows.
  if (ranks[0] === 2 && ranks[1] === 2 && (transposeA || transposeB)) {
    const flags = [attribute.int("transA", transposeA ? 1 : 0), attribute.int("transB", transposeB ? 1 : 0)];
    writer.node("Gemm", names, flags, output);
    return;
  }
  const lastTwoSwapped = (name: string, rank: number): string =>
    writer.transpose(name, [...Array.from({ length: rank - 2 }, (_, axis) => axis), rank - 1, rank - 2]);
  const a = transposeA ? lastTwoSwapped(names[0]!, ranks[0]!) : names[0]!;
  const b = transposeB ? lastTwoSwapped(names[1]!, ranks[1]!) : names[1]!;
  writer.node("MatMul", [a, b], [], output);
};

const fill: Lowering<OpAttributes<"fill">> = ({ writer, output }, { value, shape }) => {
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (count <= storedElementsMax) writer.node("Identity", [writer.filled("float32", shape, value)], [], output);
  else writer.node("Expand", [writer.scalar(value), writer.int64(shape)], [], output);
};

const lowerings: OpTable<LoweringContext, void> = {
  add: direct("Add"),
  sub: direct("Sub"),
  mul: direct("Mul"),
  div: direct("Div"),
  greater: comparison("Greater"),
  equal: comparison("Equal"),
  neg: direct("Neg"),
  exp: direct("Exp"),
  log: direct("Log"),
  sqrt: direct("Sqrt"),
  tanh: direct("Tanh"),
  sigmoid: direct("Sigmoid"),
  relu: direct("Relu"),
  erf: direct("Erf"),
  stopGradient: direct("Identity"),
  fill,
  matMul,
  conv2d: lowerConv,
  conv2dInputGrad: lowerConvInputGrad,
  conv2dFilterGrad: lowerConvFilterGrad,
  avgPool2d: lowerAvgPool,
  avgPool2dGrad: lowerAvgPoolGrad,
  reduceSum: reduction("ReduceSum"),
  reduceMean: reduction("ReduceMean"),
  reduceMax: reduction("ReduceMax"),
  broadcastTo: ({ writer, names, output }, { shape }) => {
    writer.node("Expand", [names[0]!, writer.int64(shape)], [], output);
  },
  reshape: ({ writer, names, result, output }) => {
    writer.reshape(names[0]!, result.shape, output);
  },
  transpose: ({ writer, names, output }, { perm }) => {
    writer.transpose(names[0]!, perm, output);
  },
  concat: alongAxis("Concat"),
  slice: ({ writer, names, result, output }, { starts }) => {
    if (starts.length === 0) return identity(writer, names, output);
    const ends = result.shape.map((dim, axis) => starts[axis]! + dim);
    const axes = result.shape.map((_, axis) => axis);
    writer.node("Slice", [names[0]!, writer.int64(starts), writer.int64(ends), writer.int64(axes)], [], output);
  },
  pad: ({ writer, names, output }, { before, after }) => {
    if (before.length === 0) return identity(writer, names, output);
    writer.node("Pad", [names[0]!, writer.int64([...before, ...after])], [], output);
  },
  softmax: alongAxis("Softmax"),
  logSoftmax: alongAxis("LogSoftmax"),
  gather: ({ writer, names, output }) => {
    writer.node("Gather", names, [attribute.int("axis", 0)], output);
  },
  // An id outside 0 … depth − 1 gives a row of zeros; ONNX's own OneHot would count negative ids from the end.
  oneHot: ({ writer, names, types, output }, { depth }) => {
    const column = writer.reshape(names[0]!, [...types[0]!.shape, 1]);
    writer.cast(writer.node("Equal", [column, writer.indices(depth)]), "float32", output);
  },
  argMax: ({ writer, names, output }, { axis }) => {
    const index = writer.node("ArgMax", names, [attribute.int("axis", axis), attribute.int("keepdims", 0)]);
    writer.cast(index, "int32", output);
  },
};

const outSuffix = ":out";

const onnxOutputName = (name: string, inputs: ReadonlySet<string>): string => (inputs.has(name) ? name + outSuffix : name);

/** The program's name of a model's output. */
export const outputNameOf = (onnxName: string, inputs: ReadonlySet<string>): string => {
  const stem = onnxName.slice(0, -outSuffix.length);
  return onnxName.endsWith(outSuffix) && inputs.has(stem) ? stem : onnxName;
};

/**
 * For each value that is an output, the ONNX name under which its node makes it; outputs that need a copy
 * (a second name for one value, or an input handed through) are not in it.
 */
const directOutputs = (program: Program, onnxNames: ReadonlyMap<string, string>): Map<string, string> => {
  const made = new Set(program.nodes.map((node) => node.id));
  const direct = new Map<string, string>();
  for (const { name, value } of program.outputs) {
    if (made.has(value) && !direct.has(value)) direct.set(value, onnxNames.get(name)!);
  }
  return direct;
};

const outputNames = (program: Program, inputs: ReadonlySet<string>): Map<string, string> => {
  const names = new Map(program.outputs.map(({ name }) => [name, onnxOutputName(name, inputs)]));
  const distinct = new Set([...names.values(), ...inputs]);
  if (names.size !== program.outputs.length || distinct.size !== names.size + inputs.size) {
    throw new GraphError(
      `outputs ${[...names.keys()].join(", ")}: expected distinct names, none of them <input>${outSuffix} beside <input>`,
    );
  }
  return names;
};

/** @throws GraphError on a composite operator, an unknown value or output names that clash. */
export const lowerProgram = (program: Program): OnnxModel => {
  const types = programTypes(program);
  const inputs = new Set(program.inputs.map((input) => input.name));
  const outputs = outputNames(program, inputs);
  const writer = new ModelWriter([...inputs, ...outputs.values()]);
  const direct = directOutputs(program, outputs);
  const names = new Map<string, string>(program.inputs.map(({ name }) => [name, name]));
  for (const node of program.nodes) {
    const output = direct.get(node.id) ?? writer.fresh(node.id);
    applyTable(lowerings, node, {
      writer,
      names: node.inputs.map((name) => names.get(name)!),
      types: node.inputs.map((name) => types.get(name)!),
      result: types.get(node.id)!,
      output,
    });
    names.set(node.id, output);
  }
  for (const { name, value } of program.outputs) {
    const source = names.get(value)!;
    const target = outputs.get(name)!;
    if (source !== target) writer.node("Identity", [source], [], target);
  }
  return {
    opset,
    nodes: writer.nodes,
    initializers: writer.initializers,
    inputs: program.inputs.map(({ name, dtype, shape }) => ({ name, elemType: elementType[dtype], shape })),
    outputs: outputPorts(program, types).map(({ name, dtype, shape }) => ({
      name: outputs.get(name)!,
      elemType: elementType[dtype],
      shape,
    })),
  };
};
