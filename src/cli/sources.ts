/** `--model` and `--dataset` as a person writes them: a name that ships, or a path of their own. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import type { DatasetConfig } from "../contracts/config.ts";
import { datasetNames } from "../contracts/config-dataset.ts";
import type { ModelConfig } from "../contracts/config-model.ts";

export interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
}

const modelEndings = [".onnx", ".safetensors", ".json"];

const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

/** A model's file, also one that is not there, or a folder with a model.json; anything else is a name. */
export const modelSettings = (text: string): readonly Setting[] => {
  const isPath = modelEndings.includes(extname(text).toLowerCase()) || (isFolder(text) && existsSync(join(text, "model.json")));
  const name = { path: ["model", "name"], value: isPath ? "file" : text };
  return isPath ? [name, { path: ["model", "file"], value: text }] : [name];
};

const fileKinds: Readonly<Record<string, DatasetConfig["name"]>> = {
  ".csv": "csv",
  ".tsv": "csv",
  ".npz": "npz",
  ".txt": "text",
  ".md": "text",
};

const holdsIdx = (folder: string): boolean => readdirSync(folder).some((name) => /idx[13].*ubyte/.test(name));

const kindOf = (text: string): { readonly name: string; readonly key?: "file" | "dataDir" } => {
  if (datasetNames.some((name) => name === text)) return { name: text };
  const name = fileKinds[extname(text).toLowerCase()];
  if (name !== undefined) return { name, key: "file" };
  return isFolder(text) ? { name: holdsIdx(text) ? "idx" : "images", key: "dataDir" } : { name: text };
};

/** A table or text by its ending, a folder of class folders, a folder in MNIST's layout; anything else is a name. */
export const datasetSettings = (text: string): readonly Setting[] => {
  const { name, key } = kindOf(text);
  const settings = [{ path: ["dataset", "name"], value: name }];
  return key === undefined ? settings : [...settings, { path: ["dataset", key], value: text }];
};

const naturalModels: Readonly<Partial<Record<string, ModelConfig["name"]>>> = {
  text: "transformer",
  images: "cnn",
  cifar10: "cnn",
  cifar100: "cnn",
};

/** The host for data when nobody chose one; undefined: the configuration's own default. */
export const naturalModel = (dataset: string): ModelConfig["name"] | undefined => naturalModels[kindOf(dataset).name];
