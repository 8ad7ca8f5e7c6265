/** A model file of any kind that we read, by what it is called: `model.json`, `*.onnx`, `*.safetensors`, or a folder that holds a model.json. */
import { readFile, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { DataError, describeError, InputError } from "../contracts/errors.ts";
import type { ImportedModel } from "./imported.ts";
import { importLayersModelFile } from "./layers-model/import.ts";
import { importOnnx } from "./onnx/import.ts";
import { importSafetensors } from "./safetensors.ts";

/** Of one model file. */
const fileBytesMax = 4_294_967_296;

const sizeOfFile = async (path: string): Promise<{ readonly isFolder: boolean; readonly bytes: number }> => {
  try {
    const found = await stat(path);
    return { isFolder: found.isDirectory(), bytes: found.size };
  } catch (error) {
    throw new DataError(
      `model ${path}: expected a file, found: ${describeError(error)}; check the path`,
      { file: path },
      { cause: error },
    );
  }
};

/**
 * The model at that path as a host with its weights, its notes saying what was dropped or converted.
 * @throws DataError for a file that is missing or damaged, GraphError naming the layer or operator that is lacking, InputError for
 * a file of another kind.
 */
export const importModel = async (path: string): Promise<ImportedModel> => {
  const { isFolder, bytes } = await sizeOfFile(path);
  if (isFolder) return importLayersModelFile(join(path, "model.json"));
  if (bytes > fileBytesMax) {
    throw new DataError(`model ${path}: expected at most ${fileBytesMax} bytes, found ${bytes}; use a smaller model`, {
      file: path,
    });
  }
  const extension = extname(path).toLowerCase();
  const name = basename(path, extname(path));
  switch (extension) {
    case ".json":
      return importLayersModelFile(path);
    case ".onnx":
      return importOnnx(await readFile(path), name);
    case ".safetensors":
      return importSafetensors(await readFile(path), path);
    default:
      throw new InputError(
        `model ${path}: expected model.json, a folder with one, an .onnx or a .safetensors file, found ${extension === "" ? "no extension" : extension}; name a file of one of these kinds`,
        { file: path },
      );
  }
};
