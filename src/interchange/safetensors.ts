/** A model as one safetensors file: parameters as tensors, the host's graph and the lineage as metadata, so that it can be read back. */
import { DataError } from "../contracts/errors.ts";
import { Host } from "../contracts/graph.ts";
import { formatShape } from "../graph/shapes.ts";
import { decodeSafetensors, encodeSafetensors } from "../store/safetensors.ts";
import { checkExport, type ExportRequest, ownParameters } from "./exported.ts";
import type { ImportedModel } from "./imported.ts";
import { Lineage } from "./lineage.ts";

/** Of the header, which holds the graph. */
const headerBytesMax = 67_108_864;

export const exportSafetensors = (request: ExportRequest): Uint8Array => {
  checkExport(request);
  return encodeSafetensors(ownParameters(request), {
    format: "esper-model",
    host: JSON.stringify(request.host),
    lineage: JSON.stringify(request.lineage),
  });
};

/** @throws DataError for a file that is damaged, or that another program wrote. */
export const importSafetensors = (bytes: Uint8Array, file: string): ImportedModel & { readonly lineage: Lineage } => {
  const { tensors, metadata } = decodeSafetensors(bytes, headerBytesMax, file);
  const fail = (expected: string, found: string): DataError =>
    new DataError(`safetensors file ${file}: expected ${expected}, found ${found}; export the model with Esper, or as ONNX`, {
      file,
    });
  const { host: hostText, lineage: lineageText } = metadata;
  if (metadata["format"] !== "esper-model" || hostText === undefined || lineageText === undefined)
    throw fail("a model that Esper exported, with its graph as metadata", "tensors alone");
  const read = (text: string): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      throw fail("JSON as metadata", "something else");
    }
  };
  const host = Host.safeParse(read(hostText));
  const lineage = Lineage.safeParse(read(lineageText));
  if (!host.success || !lineage.success) throw fail("a host and its lineage", "metadata that do not fit them");
  for (const { name, shape } of host.data.graph.parameters) {
    const found = tensors[name];
    if (found?.dtype !== "float32" || formatShape(found.shape) !== formatShape(shape))
      throw fail(`the parameter ${name} of shape ${formatShape(shape)}`, found === undefined ? "none" : formatShape(found.shape));
  }
  const inputShape = host.data.graph.inputs[0]!.shape.slice(1);
  return { host: host.data, parameters: tensors, inputShape, notes: [], lineage: lineage.data };
};
