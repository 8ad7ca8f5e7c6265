/** Makes a model of the user's grow: a configuration, a tf.LayersModel, a file. */
import { ModelConfig } from "../contracts/config-model.ts";
import type { Task } from "../contracts/graph.ts";
import { importModel } from "../interchange/import-model.ts";
import { importLayersModel, isLayersModel, type LayersModelLike } from "../interchange/layers-model/import.ts";
import { createSystemClock } from "../ports/system.ts";
import { type EngineChoice, openEngines } from "./engines.ts";
import { buildHost, MorphableModel, type Origin } from "./model.ts";
import { checkNames, settings } from "./options.ts";

/** `{name: "mlp", widths: [64, 64]}` and the like, a model of tensorflow.js, or the path of an ONNX, safetensors or model.json file. */
export type WrapSource = { readonly name: ModelConfig["name"]; readonly [setting: string]: unknown } | LayersModelLike | string;

export interface WrapOptions extends EngineChoice {
  /** What the model's numbers mean; left out, the data tell. */
  readonly task?: Task;
  /** For a configuration: the shape of one sample. Left out, the first data tell. */
  readonly inputShape?: readonly number[];
  /** For a configuration: classes, or outputs of a regression. */
  readonly classes?: number;
  /** For a configuration: where its weights start. Default 1. */
  readonly randomSeed?: number;
}

const imagesOf = (shape: readonly number[]): "images" | "table" => (shape.length === 3 ? "images" : "table");

const fromConfig = (source: object, options: WrapOptions): Origin => {
  const next = 'pass a model\'s settings such as {name: "mlp", widths: [64, 64]}, a tf.LayersModel or a path';
  const build = settings("wrap", ModelConfig, source, { path: ["model"], next });
  const { inputShape, classes, task = "classification", randomSeed = 1 } = options;
  const common = { channelsLast: false, notes: [], ...(options.task === undefined ? {} : { task: options.task }) };
  if (inputShape === undefined || classes === undefined) return { ...common, build };
  const tokens = build.name === "transformer";
  const data = {
    kind: tokens ? ("tokens" as const) : imagesOf(inputShape),
    inputShape,
    rows: tokens ? inputShape[0]! : 1,
    classes,
    task,
  };
  return { ...common, build, grown: buildHost(build, data, randomSeed) };
};

const originOf = async (source: WrapSource, options: WrapOptions): Promise<Origin> => {
  const task = options.task === undefined ? {} : { task: options.task };
  if (isLayersModel(source)) {
    const { host, parameters, notes } = await importLayersModel(source);
    return {
      grown: { host: { ...host, ...task }, parameters },
      source: `LayersModel ${host.name}`,
      channelsLast: true,
      notes,
      ...task,
    };
  }
  const path = typeof source === "string" ? source : fileOf(source);
  if (path === undefined) return fromConfig(Object(source), options);
  const { host, parameters, notes, lineage } = await importModel(path);
  const channelsLast = !/\.(onnx|safetensors)$/i.test(path);
  const known = lineage === undefined ? task : { task: options.task ?? host.task };
  return { grown: { host: { ...host, ...known }, parameters }, source: path, channelsLast, notes, ...known };
};

const names = {
  device: true,
  threads: true,
  task: true,
  inputShape: true,
  classes: true,
  randomSeed: true,
} as const satisfies Record<keyof WrapOptions, true>;

/** `{name: "file", file}`, as a configuration says it. */
const fileOf = (source: WrapSource): string | undefined =>
  typeof source === "object" && source !== null && "file" in source && typeof source.file === "string" ? source.file : undefined;

/**
 * Makes a model that can be fitted, grown, and exported. The source is not changed.
 * @throws InputError for settings that do not fit, GraphError naming a layer or operator that is lacking, DataError for a damaged file.
 */
export const wrap = async (source: WrapSource, options: WrapOptions = {}): Promise<MorphableModel> => {
  checkNames("wrap", options, Object.keys(names));
  const origin = await originOf(source, options);
  return new MorphableModel(origin, await openEngines(options), createSystemClock());
};
