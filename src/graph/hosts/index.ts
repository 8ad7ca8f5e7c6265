/** The hosts that ship, and the one that a configuration names for the data at hand. */
import type { ModelConfig } from "../../contracts/config-model.ts";
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import { InputError } from "../../contracts/errors.ts";
import type { Host } from "../../contracts/graph.ts";
import { formatShape } from "../shapes.ts";
import { cnn } from "./cnn.ts";
import { mlp } from "./mlp.ts";
import { resnet } from "./resnet.ts";
import { transformer } from "./transformer.ts";

export { cnn } from "./cnn.ts";
export { mlp } from "./mlp.ts";
export { resnet } from "./resnet.ts";
export { transformer } from "./transformer.ts";

/** What a host must know of the data. */
export type DataShape = Pick<DatasetBuffers, "kind" | "inputShape" | "rows" | "classes" | "task">;

const imageShape = (model: string, { kind, inputShape }: DataShape): [number, number, number] => {
  const [channels, height, width] = inputShape;
  if (kind === "images" && inputShape.length === 3) return [channels!, height!, width!];
  throw new InputError(
    `model.name: expected images [channels, height, width] for ${model}, found ${kind} of shape ${formatShape(inputShape)}; choose mlp, or transformer for text`,
    { path: "model.name" },
  );
};

/** @throws InputError when the host cannot read such data, or when the model is a file: that one is imported. */
export const hostFor = (model: ModelConfig, data: DataShape): Host => {
  const { classes, task } = data;
  if ((data.kind === "tokens") !== (model.name === "transformer") && model.name !== "file") {
    throw new InputError(`model.name: expected transformer for text and no other data, found ${model.name} for ${data.kind}`, {
      path: "model.name",
    });
  }
  switch (model.name) {
    case "mlp":
      return mlp({ ...model, inputShape: data.inputShape, classes, task });
    case "cnn": {
      const { strides, ...options } = model;
      const inputShape = imageShape("cnn", data);
      return cnn({ ...options, inputShape, classes, task, ...(strides === undefined ? {} : { strides }) });
    }
    case "resnet18":
      return resnet({ ...model, inputShape: imageShape("resnet18", data), classes, task });
    case "transformer": {
      const { hiddenWidth, ...options } = model;
      const sizes = { tokens: data.inputShape[0]!, vocabulary: classes };
      return transformer({ ...options, ...sizes, ...(hiddenWidth === undefined ? {} : { hiddenWidth }) });
    }
    case "file":
      throw new InputError(`model.name: expected a host to build, found the file ${model.file}; import it and hand it over`, {
        path: "model.name",
      });
  }
};
