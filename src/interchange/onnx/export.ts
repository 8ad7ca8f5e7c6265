/**
 * A host as an ONNX model for inference: its own operators as the native engine lowers them, parameters as initializers, the batch open.
 *
 * E1  The model is lowered for two sizes of the batch. Where the two differ, a shape follows the batch: it is written open. Anything else
 *     that differs is refused.
 * E2  Host and lineage travel as metadata with a hash of the nodes, so that Esper reads back exactly the host that it wrote, and an edited
 *     file is read by its nodes like any other.
 */
import { ContractError, GraphError } from "../../contracts/errors.ts";
import { Host, type Tensor } from "../../contracts/graph.ts";
import { type DecodedModel, decodeModel } from "../../engine/onnx/decode.ts";
import { lowerProgram } from "../../engine/onnx/lower.ts";
import { elementType, encodeModel, type OnnxModel, type OnnxNode, type OnnxTensor } from "../../engine/onnx/schema.ts";
import { contentHash } from "../../graph/hash.ts";
import { inference } from "../../graph/programs.ts";
import { sameShape } from "../../graph/shapes.ts";
import { checkExport, type ExportRequest } from "../exported.ts";
import type { ImportedModel } from "../imported.ts";
import { Lineage } from "../lineage.ts";
import { trialBatches } from "../sketch.ts";
import { readTensor } from "./constants.ts";

const keys = { host: "esper.host", lineage: "esper.lineage", nodes: "esper.nodes" } as const;

const endOfAxis = 9_223_372_036_854_775_807n;

const int64s = ({ rawData }: OnnxTensor): BigInt64Array =>
  new BigInt64Array(rawData.buffer.slice(rawData.byteOffset, rawData.byteOffset + rawData.byteLength) as ArrayBuffer);

const refuse = (host: string, reader: OnnxNode | undefined, what: string): GraphError =>
  new GraphError(
    `ONNX export of ${host}: expected a graph that works for every batch, got ${what} in ${reader?.opType ?? "a node"} ${reader?.output[0] ?? ""}; keep the batch on one axis`,
    { path: reader?.output[0] ?? host },
  );

/** E1: what a constant of shapes is for a batch that is not known. */
const openConstant = (host: string, small: OnnxTensor, large: OnnxTensor, nodes: readonly OnnxNode[]): OnnxTensor => {
  if (Buffer.from(small.rawData).equals(Buffer.from(large.rawData)) && sameShape(small.dims, large.dims)) return small;
  const readers = nodes.filter((node) => node.input.includes(small.name));
  const reader = readers[0];
  if (small.dataType !== elementType.int64 || !sameShape(small.dims, large.dims))
    throw refuse(host, reader, "a constant of its size");
  const places = new Set(readers.map((node) => `${node.opType} ${node.input.indexOf(small.name)}`));
  const stands = (place: string): boolean => places.size === 1 && places.has(place);
  if (!stands("Reshape 1") && !stands("Slice 2")) throw refuse(host, reader, "a shape that follows it");
  const [a, b] = [int64s(small), int64s(large)];
  const open = a.map((value, i) => (value === b[i] ? value : stands("Reshape 1") ? -1n : endOfAxis));
  if (open.filter((value) => value === -1n).length > 1) throw refuse(host, reader, "two dimensions that follow it");
  return { ...small, rawData: new Uint8Array(open.buffer) };
};

const openModel = (host: Host): Pick<OnnxModel, "opset" | "nodes" | "initializers"> & { readonly outputs: readonly string[] } => {
  const [small, large] = trialBatches.map((batch) => lowerProgram(inference({ host, batch })));
  if (small === undefined || large === undefined || contentHash([...small.nodes]) !== contentHash([...large.nodes]))
    throw refuse(host.name, undefined, "other operators for another batch");
  if (small.initializers.length !== large.initializers.length)
    throw refuse(host.name, undefined, "other constants for another batch");
  const initializers = small.initializers.map((tensor, i) =>
    openConstant(host.name, tensor, large.initializers[i]!, small.nodes),
  );
  return { opset: small.opset, nodes: small.nodes, initializers, outputs: small.outputs.map(({ name }) => name) };
};

const stored = (name: string, { dtype, shape, data }: Tensor): OnnxTensor => ({
  name,
  dims: shape,
  dataType: elementType[dtype],
  rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

/** protobuf cannot hold more. */
const modelBytesMax = 2_147_483_647;

/** E2 */
const nodesHash = ({ graph }: DecodedModel): string =>
  contentHash(
    graph.node.map(({ opType, input, output, attribute }) => ({
      opType,
      input,
      output,
      attribute: attribute.map(({ name, f, i, s, ints }) => ({
        name,
        f: f ?? 0,
        i: i ?? 0,
        s: Buffer.from(s ?? []).toString("base64"),
        ints,
      })),
    })),
  );

/** The bytes of an ONNX file with input `x` and output `logits`. @throws GraphError for a host that fits no open batch. */
export const exportOnnx = (request: ExportRequest): Uint8Array => {
  checkExport(request);
  const { host, parameters, lineage } = request;
  const { opset, nodes, initializers, outputs } = openModel(host);
  const read = new Set(nodes.flatMap((node) => node.input));
  const used = host.graph.parameters.filter(({ name }) => read.has(name));
  const bytes = used.reduce((sum, { name }) => sum + parameters[name]!.data.byteLength, 0);
  if (bytes > modelBytesMax) {
    throw new ContractError(
      `ONNX export of ${host.name}: expected at most ${modelBytesMax} bytes of parameters, got ${bytes}; export as safetensors`,
    );
  }
  const input = host.graph.inputs[0]!;
  const model: OnnxModel = {
    opset,
    nodes,
    initializers: [...used.map(({ name }) => stored(name, parameters[name]!)), ...initializers],
    inputs: [{ name: "x", elemType: elementType[input.dtype], shape: ["batch", ...input.shape.slice(1)] }],
    outputs: [
      { name: outputs[0]!, elemType: elementType.float32, shape: [host.rows === 1 ? "batch" : "predictions", host.classes] },
    ],
  };
  const nodesAsRead = nodesHash(decodeModel(encodeModel(model), host.name));
  return encodeModel({
    ...model,
    metadata: { [keys.host]: JSON.stringify(host), [keys.lineage]: JSON.stringify(lineage), [keys.nodes]: nodesAsRead },
  });
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** E2: the host that Esper wrote into the file, with the weights as they stand in it now; undefined when the file is not such a one. */
export const readOwnOnnx = (model: DecodedModel): (ImportedModel & { readonly lineage: Lineage }) | undefined => {
  const metadata = new Map(model.metadataProps.map(({ key, value }) => [key, value]));
  const host = Host.safeParse(parseJson(metadata.get(keys.host) ?? ""));
  const lineage = Lineage.safeParse(parseJson(metadata.get(keys.lineage) ?? ""));
  if (!host.success || !lineage.success || metadata.get(keys.nodes) !== nodesHash(model)) return undefined;
  const tensors = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
  const parameters: Record<string, Tensor> = {};
  for (const { name, shape } of host.data.graph.parameters) {
    const tensor = tensors.get(name);
    const weight = tensor === undefined ? undefined : readTensor(tensor, name, true);
    if (weight?.kind !== "weight" || !sameShape(weight.shape, shape)) return undefined;
    parameters[name] = { dtype: "float32", shape, data: weight.data };
  }
  const inputShape = host.data.graph.inputs[0]!.shape.slice(1);
  return { host: host.data, parameters, inputShape, notes: [], lineage: lineage.data };
};
