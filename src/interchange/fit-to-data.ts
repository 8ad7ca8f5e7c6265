/** An imported model says nothing of what its numbers mean: it is held against the data that it is to learn. */
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { InputError } from "../contracts/errors.ts";
import type { Host } from "../contracts/graph.ts";
import { formatShape, sizeOf } from "../graph/shapes.ts";

type DataShape = Pick<DatasetBuffers, "name" | "kind" | "task" | "inputShape" | "rows" | "classes">;

/** The host with the data's task. @throws InputError naming both where inputs, rows or outputs do not fit. */
export const fitToData = (host: Host, data: DataShape): Host => {
  const { shape, dtype } = host.graph.inputs[0]!;
  const wanted = shape.slice(1);
  const tokens = dtype === "int32";
  const refuse = (expected: string, found: string): InputError =>
    new InputError(
      `model ${host.name}: expected data of ${expected}, found ${found} in ${data.name}; choose other data or another model`,
      {
        path: "model.file",
      },
    );
  if (tokens !== (data.kind === "tokens")) throw refuse(tokens ? "token ids" : "numbers", data.kind);
  if (sizeOf(wanted) !== sizeOf(data.inputShape)) throw refuse(`samples of ${formatShape(wanted)}`, formatShape(data.inputShape));
  if (host.rows !== data.rows) throw refuse(`${host.rows} predictions for each sample`, String(data.rows));
  const fits = data.task === "regression" ? host.classes === data.classes : host.classes >= data.classes;
  if (!fits) throw refuse(`${host.classes} ${data.task === "regression" ? "outputs" : "classes"}`, String(data.classes));
  return host.task === data.task ? host : { ...host, task: data.task };
};
