/**
 * A host as a tf.LayersModel: a functional Keras model whose input is a map [H, W, C] where ours is [C, H, W].
 *
 * An operator that Keras has no layer for is refused by name; ONNX and safetensors hold every host.
 */
import type { GraphNode, OpName } from "../../contracts/graph.ts";
import { broadcastShapes, formatShape, sizeOf } from "../../graph/shapes.ts";
import { checkExport, type ExportRequest } from "../exported.ts";
import { producer } from "../lineage.ts";
import { type ConstantValue, ExportGraph, isMap, type Known, kerasShape, type LayerValue } from "./export-graph.ts";
import { affine, layerWriters } from "./export-layers.ts";
import { type LayersModelFiles, ModelWriter } from "./writer.ts";

/** A constant as one number for each unit or channel of a value; undefined when it says more than that. */
const perUnit = (x: LayerValue, { shape, data }: ConstantValue): Float32Array | undefined => {
  const units = isMap(x) ? x.shape[0]! : x.shape.at(-1)!;
  if (data.length === 1) return new Float32Array(units).fill(data[0]!);
  const trimmed = shape.slice(Math.max(0, shape.length - x.shape.length));
  const wanted = isMap(x) ? [units, 1, 1] : [...x.shape.slice(0, -1).map(() => 1), units];
  const aligned = [...wanted.slice(0, wanted.length - trimmed.length).map(() => 1), ...trimmed];
  return data.length === units && formatShape(aligned) === formatShape(wanted) ? data : undefined;
};

const filled = (like: Float32Array, value: number): Float32Array => new Float32Array(like.length).fill(value);

type Arithmetic = Extract<GraphNode, { readonly op: "add" | "sub" | "mul" | "div" }>;

const withConstant = (
  g: ExportGraph,
  node: Arithmetic,
  x: LayerValue,
  constant: ConstantValue,
  constantIsFirst: boolean,
): LayerValue => {
  const c = perUnit(x, constant);
  if (c === undefined || (node.op === "div" && constantIsFirst))
    throw g.refuse(node, "a constant for each unit or channel", formatShape(constant.shape));
  const zeros = new Float32Array(c.length);
  switch (node.op) {
    case "add":
      return affine(g, node.id, x, filled(c, 1), c);
    case "sub": {
      const opposite = c.map((value) => -value);
      return constantIsFirst ? affine(g, node.id, x, filled(c, -1), c) : affine(g, node.id, x, filled(c, 1), opposite);
    }
    case "mul":
      return affine(g, node.id, x, c, zeros);
    case "div": {
      const inverse = c.map((value) => 1 / value);
      return affine(g, node.id, x, inverse, zeros);
    }
  }
};

const negated = (g: ExportGraph, node: GraphNode, x: LayerValue): LayerValue => {
  const units = isMap(x) ? x.shape[0]! : x.shape.at(-1)!;
  return affine(g, `${node.id}/negative`, x, new Float32Array(units).fill(-1), new Float32Array(units));
};

const arithmetic = (g: ExportGraph, node: Arithmetic): LayerValue => {
  const [a, b] = [g.known(node.inputs[0]!, node), g.known(node.inputs[1]!, node)];
  if (a.kind === "layer" && b.kind === "constant") return withConstant(g, node, a, b, false);
  if (a.kind === "constant" && b.kind === "layer") return withConstant(g, node, b, a, true);
  if (a.kind !== "layer" || b.kind !== "layer") throw g.refuse(node, "a computed value", "constants");
  const shape = broadcastShapes(a.shape, b.shape);
  if (shape === null || a.shape.length !== b.shape.length || node.op === "div")
    throw g.refuse(node, "a sum or product of values of one rank", `${formatShape(a.shape)} and ${formatShape(b.shape)}`);
  const second = node.op === "sub" ? negated(g, node, b) : b;
  const layer = g.writer.layer(node.op === "mul" ? "Multiply" : "Add", node.id, [a.layer, second.layer], {});
  return { kind: "layer", layer, shape };
};

const isArithmetic = (node: GraphNode): node is Arithmetic => ["add", "sub", "mul", "div"].includes(node.op);

const write = (g: ExportGraph, node: GraphNode): Known => {
  const constant = g.fold(node);
  if (constant !== undefined) return constant;
  if (isArithmetic(node)) return arithmetic(g, node);
  const writer = layerWriters[node.op] as ((g: ExportGraph, node: GraphNode) => LayerValue) | undefined;
  if (writer === undefined) throw g.refuse(node, `one of the operators ${exportedOperators.join(", ")}`, node.op);
  return writer(g, node);
};

const exportedOperators: readonly OpName[] = [...(Object.keys(layerWriters) as OpName[]), "add", "sub", "mul", "div"];

/** The last value: a host of tokens ends in a reshape of [N, T, V] to [N·T, V], which a Keras model leaves out. */
const outputValue = (g: ExportGraph): string => {
  const { value } = g.host.graph.outputs[0]!;
  const last = g.host.graph.nodes.find(({ id }) => id === value);
  return g.host.rows > 1 && last?.op === "reshape" ? last.inputs[0]! : value;
};

/** `model.json` and `weights.bin`. @throws GraphError naming the operator that Keras has no layer for. */
export const exportLayersModel = (request: ExportRequest): LayersModelFiles => {
  checkExport(request);
  const { host, parameters, lineage } = request;
  const writer = new ModelWriter();
  const g = new ExportGraph(host, parameters, writer);
  const { dtype, shape: whole } = host.graph.inputs[0]!;
  const shape = whole.slice(1);
  const input = writer.input("x", kerasShape(shape), dtype);
  g.set("x", { kind: "layer", layer: input, shape });
  const output = outputValue(g);
  for (const node of host.graph.nodes) {
    const isLeftOut = node.id === host.graph.outputs[0]!.value && node.id !== output;
    // A sum that went into the bias of the product before it is known already.
    if (!isLeftOut && !g.has(node.id)) g.set(node.id, write(g, node));
  }
  const last = g.known(output, host.graph.nodes.at(-1)!);
  if (last.kind !== "layer" || sizeOf(last.shape) !== host.rows * host.classes)
    throw g.refuse(host.graph.nodes.at(-1)!, `logits of ${host.classes} classes`, last.kind);
  return writer.files({ name: "esper", input, output: last.layer, metadata: { esper: lineage }, producer });
};
