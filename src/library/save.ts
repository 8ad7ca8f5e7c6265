/** Writes a model where a path says, in the format that its ending names. */
import { basename, dirname, extname, join } from "node:path";
import { InputError } from "../contracts/errors.ts";
import type { ExportRequest } from "../interchange/exported.ts";
import { exportLayersModel } from "../interchange/layers-model/export.ts";
import { exportOnnx } from "../interchange/onnx/export.ts";
import { exportSafetensors } from "../interchange/safetensors.ts";
import { nodeFileSystem, saveDurably } from "../store/file-system.ts";

export const exportFormats = ["onnx", "tfjs", "safetensors"] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  /** Left out, by the path's ending. */
  readonly format?: ExportFormat;
  /**
   * True writes plain layers: what grew beside a layer becomes part of it where algebra allows, and normalisation becomes weights and
   * biases. Predictions stay up to rounding; what is written is for inference.
   */
  readonly merged?: boolean;
}

/** A format by its name. @throws InputError for another word. */
export const formatNamed = (text: string): ExportFormat => {
  const format = exportFormats.find((each) => each === text);
  if (format !== undefined) return format;
  throw new InputError(`expected the format ${exportFormats.join(", ")}, found "${text}"; choose one of these`, {
    path: "format",
  });
};

/** `.onnx`, `.safetensors`; a folder, or a `model.json` in one, is a LayersModel. */
export const formatOf = (path: string): ExportFormat => {
  const extension = extname(path).toLowerCase();
  if (extension === ".onnx") return "onnx";
  if (extension === ".safetensors") return "safetensors";
  if (extension === "" || basename(path) === "model.json") return "tfjs";
  throw new InputError(
    `export ${path}: expected a path that ends in .onnx or .safetensors, or a folder for a LayersModel, found ${extension}; choose one of these`,
    { file: path },
  );
};

/** Writes durably: a file is complete or not there. The paths that were written. */
export const saveModel = async (
  path: string,
  request: ExportRequest,
  format: ExportFormat = formatOf(path),
): Promise<readonly string[]> => {
  switch (format) {
    case "onnx":
      await saveDurably(nodeFileSystem, path, exportOnnx(request));
      return [path];
    case "safetensors":
      await saveDurably(nodeFileSystem, path, exportSafetensors(request));
      return [path];
    case "tfjs": {
      const folder = basename(path) === "model.json" ? dirname(path) : path;
      const { "weights.bin": weights, "model.json": model } = exportLayersModel(request);
      // The model names the weights, so it comes last.
      await saveDurably(nodeFileSystem, join(folder, "weights.bin"), weights);
      await saveDurably(nodeFileSystem, join(folder, "model.json"), model);
      return [join(folder, "model.json"), join(folder, "weights.bin")];
    }
  }
};
