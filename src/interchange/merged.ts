/**
 * A model as plain layers: what grew beside a layer becomes part of it where algebra allows, and normalisation by running statistics becomes
 * weights and biases. Predictions stay up to rounding; the result is for inference.
 */
import { mergeAll } from "../graph/merge.ts";
import { checkExport, type ExportRequest } from "./exported.ts";
import { lineageOf } from "./lineage.ts";

export interface MergedModel extends ExportRequest {
  /** What was merged into what, for people. */
  readonly merged: readonly string[];
  /** Seeds that stay beside their layers, with the reason. */
  readonly kept: readonly { readonly seedId: string; readonly reason: string }[];
}

/** The lineage goes on telling of every seed that the model came from. @throws GraphError when the request is not complete. */
export const mergedModel = (request: ExportRequest): MergedModel => {
  checkExport(request);
  const { merged, kept, ...model } = mergeAll(request.host, new Map(Object.entries(request.parameters)));
  const parameters = Object.fromEntries(model.parameters);
  const { hostHash, parametersHash } = lineageOf(model.host, parameters);
  return { host: model.host, parameters, lineage: { ...request.lineage, hostHash, parametersHash }, merged, kept };
};
