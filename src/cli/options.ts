/** Command-line options as configuration overrides. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { ConfigOverride } from "../config/load.ts";
import type { DatasetConfig, EsperConfig } from "../contracts/config.ts";
import { InputError } from "../contracts/errors.ts";
import type { GlobalOptions } from "./context.ts";
import { datasetSettings, modelSettings, naturalModel } from "./sources.ts";

/** A number where the text is one; else the text, so that the schema says what it expected. */
export const scalar = (text: string): string | number =>
  text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;

const set = (origin: string, path: readonly string[], value: unknown): ConfigOverride => ({ path, value, origin });

/** Names of a published set's files, and folders besides its own that they may lie in. */
const publishedFiles: Readonly<
  Partial<Record<DatasetConfig["name"], { readonly files: RegExp; readonly folders: readonly string[] }>>
> = {
  mnist: { files: /(images|labels).*idx[13].*ubyte/, folders: [] },
  "fashion-mnist": { files: /(images|labels).*idx[13].*ubyte/, folders: [] },
  cifar10: { files: /^(data_batch_1|cifar-10-binary)\.(bin|tar)/, folders: ["cifar-10-batches-bin"] },
  cifar100: { files: /^(train|cifar-100-binary)\.(bin|tar)/, folders: ["cifar-100-binary"] },
};

const holdsFiles = (folder: string, files: RegExp): boolean => {
  try {
    return readdirSync(folder).some((name) => files.test(name));
  } catch {
    // A folder that is not there yet is made by the node.
    return false;
  }
};

/** `--data-dir` is where the node writes. */
export const globalOverrides = ({ dataDir, debug }: GlobalOptions): ConfigOverride[] => [
  ...(dataDir === undefined ? [] : [set("--data-dir", ["services", "dataDir"], dataDir)]),
  ...(debug ? [set("--debug", ["logging", "level"], "debug")] : []),
];

/** A published set's files that lie in `--data-dir`, or in a folder of it that is named after the set, are what is trained on. */
export const withDataDir = (config: EsperConfig, { dataDir }: GlobalOptions): EsperConfig => {
  const { dataset } = config;
  const published = publishedFiles[dataset.name];
  if (dataDir === undefined || dataset.dataDir !== undefined || published === undefined) return config;
  const folders = ["", dataset.name, ...published.folders].map((name) => join(dataDir, name));
  if (!folders.some((folder) => holdsFiles(folder, published.files))) return config;
  return { ...config, dataset: { ...dataset, dataDir } };
};

export interface TrainOptions extends GlobalOptions {
  readonly model?: string;
  readonly dataset?: string;
  readonly target?: string;
  readonly task?: string;
  readonly epochs?: string;
  readonly config?: string;
  /** False after `--no-morphogenetic`. */
  readonly morphogenetic?: boolean;
  readonly damage?: string;
  readonly arms?: string;
  readonly device?: string;
  readonly randomSeed?: string;
  readonly resume?: string;
  readonly report?: string;
  readonly json?: boolean;
  readonly open?: boolean;
}

/** `h2:dead`, `h2:rank`, `random:dead:4`. */
const damageOverrides = (text: string): ConfigOverride[] => {
  const [site, kind, live, ...rest] = text.split(":");
  if (!site || !kind || rest.length > 0 || live === "") {
    throw new InputError(
      `expected --damage LAYER:KIND or LAYER:KIND:LIVE, for example h2:dead or random:rank:4, got "${text}"; name the layer and how it is damaged`,
    );
  }
  const overrides = [set("--damage", ["damage", "site"], site), set("--damage", ["damage", "kind"], kind)];
  return live === undefined ? overrides : [...overrides, set("--damage", ["damage", "live"], scalar(live))];
};

/** One arm that may grow, unless a file or the options say otherwise. */
export const trainOverrides = (options: TrainOptions): ConfigOverride[] => {
  const overrides = globalOverrides(options);
  if (options.config === undefined) overrides.push(set("train", ["arms"], ["grown"]));
  const natural = options.dataset === undefined ? undefined : naturalModel(options.dataset);
  if (options.model !== undefined)
    overrides.push(...modelSettings(options.model).map(({ path, value }) => set("--model", path, value)));
  else if (options.config === undefined && natural !== undefined) overrides.push(set("--dataset", ["model", "name"], natural));
  if (options.dataset !== undefined)
    overrides.push(...datasetSettings(options.dataset).map(({ path, value }) => set("--dataset", path, value)));
  if (options.target !== undefined) overrides.push(set("--target", ["dataset", "target"], options.target));
  if (options.task !== undefined) overrides.push(set("--task", ["dataset", "task"], options.task));
  if (options.epochs !== undefined) overrides.push(set("--epochs", ["optimization", "epochs"], scalar(options.epochs)));
  if (options.randomSeed !== undefined) overrides.push(set("--random-seed", ["randomSeed"], scalar(options.randomSeed)));
  if (options.device !== undefined) overrides.push(set("--device", ["device"], options.device));
  if (options.damage !== undefined) overrides.push(...damageOverrides(options.damage));
  if (options.arms !== undefined)
    overrides.push(
      set(
        "--arms",
        ["arms"],
        options.arms.split(",").map((arm) => arm.trim()),
      ),
    );
  if (options.morphogenetic === false) {
    overrides.push(set("--no-morphogenetic", ["morphogenetic", "enabled"], false));
    if (options.arms === undefined) overrides.push(set("--no-morphogenetic", ["arms"], ["no-growth"]));
  }
  return overrides;
};

/** What decides a run: the part of a configuration that a checkpoint must agree with. */
const decisiveKeys = ["model", "dataset", "optimization", "damage", "randomSeed"] as const;

/** What the person asked for in words, options and file: beside --resume the checkpoint must hold the same. */
export const askedOf = (
  options: TrainOptions,
  config: EsperConfig,
): readonly { readonly path: string; readonly value: unknown }[] => {
  const told = trainOverrides(options)
    .filter(({ path: [first] }) => decisiveKeys.some((key) => key === first) || first === "morphogenetic")
    .map(({ path, value }) => ({ path: path.join("."), value }));
  const file = options.config === undefined ? [] : decisiveKeys.map((key) => ({ path: key, value: config[key] }));
  return [...told, ...file];
};
