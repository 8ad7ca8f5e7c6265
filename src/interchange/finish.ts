/** The last step of every importer: from a sketch and its last value to a host. */
import { GraphError } from "../contracts/errors.ts";
import { formatShape } from "../graph/shapes.ts";
import type { ImportedModel } from "./imported.ts";
import { recoverLayers } from "./recover-layers.ts";
import type { GraphSketch } from "./sketch.ts";

export interface Ending {
  readonly name: string;
  /** The value of the logits: [N, K], or [N, T, K] for one prediction a token. */
  readonly logits: string;
  readonly layerNames: ReadonlyMap<string, string>;
  /** Shape of one sample of `x`. */
  readonly inputShape: readonly number[];
}

/** Parameters that no node reads are left out. @throws GraphError when the output is no table of predictions. */
export const finishImport = (sketch: GraphSketch, { name, logits, layerNames, inputShape }: Ending): ImportedModel => {
  const shape = sketch.shape(logits);
  const classes = shape.at(-1)!;
  const fits = (shape.length === 2 || shape.length === 3) && shape[0] === -1 && shape.slice(1).every((dim) => dim > 0);
  if (!fits || sketch.dtype(logits) !== "float32") {
    throw new GraphError(
      `model ${name}: expected an output of float32 [batch, classes] or [batch, tokens, classes], got ${sketch.dtype(logits)} ${formatShape(shape)}; cut the model after its last dense layer`,
      { path: logits },
    );
  }
  const rows = shape.length === 3 ? shape[1]! : 1;
  sketch.output(shape.length === 3 ? sketch.op("reshape", [logits], { shape: [-1, classes] }, "logits/rows") : logits);
  const graph = sketch.build();
  const read = new Set(graph.nodes.flatMap((node) => node.inputs));
  const used = { ...graph, parameters: graph.parameters.filter((parameter) => read.has(parameter.name)) };
  const parameters = Object.fromEntries(used.parameters.map((parameter) => [parameter.name, sketch.parameters[parameter.name]!]));
  const layers = recoverLayers(used, { of: layerNames });
  return {
    host: { name, graph: used, layers, task: "classification", rows, classes },
    parameters,
    inputShape,
    notes: sketch.notes,
  };
};
