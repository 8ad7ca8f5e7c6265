/**
 * A model that repairs and extends itself while it is fitted, in a user's own program.
 *
 * M1  The wrapped source is never changed: the model works on a copy of its weights.
 * M2  A fit that fails leaves the model as it was.
 * M3  One fit at a time.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { FieldReport } from "../contracts/assets.ts";
import { DatasetConfig } from "../contracts/config.ts";
import type { ModelConfig } from "../contracts/config-model.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { DataError, describeError, InputError } from "../contracts/errors.ts";
import type { Host, Task } from "../contracts/graph.ts";
import type { Validation } from "../contracts/measure.ts";
import type { Clock } from "../contracts/ports.ts";
import { fillBatch } from "../data/batches.ts";
import { loadDataset } from "../data/datasets.ts";
import { type DataShape, hostFor } from "../graph/hosts/index.ts";
import { initializeParameters } from "../graph/initialize.ts";
import { createRandom } from "../graph/random.ts";
import { sizeOf } from "../graph/shapes.ts";
import { type Lineage, lineageOf } from "../interchange/lineage.ts";
import { mergedModel } from "../interchange/merged.ts";
import { nodeFileSystem, saveDurably } from "../store/file-system.ts";
import { type Adapter, applyAdapters, baseOf, encodeAdapters, type GrownModel, listAdapters, settleSeeds } from "./adapters.ts";
import { type ArrayInput, readArray, readSamples } from "./arrays.ts";
import type { Engines } from "./engines.ts";
import { checkFitOptions, type FitOptions, type FitResult, runFit } from "./fit.ts";
import { measure, probabilitiesOf } from "./metrics.ts";
import { settings } from "./options.ts";
import { Predictor } from "./predictor.ts";
import { type ExportFormat, type ExportOptions, saveModel } from "./save.ts";
import { summarize } from "./summary.ts";
import { checkData, dataForms, datasetOf, isUserData, readTargets, type UserData } from "./user-data.ts";

/** Arrays of the user's own, or a data set by its settings, as under `dataset` in a configuration. */
export type FitData = UserData | { readonly name: DatasetConfig["name"]; readonly [setting: string]: unknown };

/** Predictions of all samples. */
export interface Predictions {
  /** [samples · rows, classes]. */
  readonly shape: readonly [number, number];
  readonly data: Float32Array;
}

/** What a model stands on when it is wrapped. */
export interface Origin {
  /** Present once the model is known: at once for an imported one, with the first data for one that is built. */
  readonly grown?: GrownModel;
  /** How to build it when the data are known. */
  readonly build?: ModelConfig;
  readonly source?: string;
  /** Images come as [N, H, W, C] where a shape could be both. */
  readonly channelsLast: boolean;
  readonly task?: Task;
  readonly notes: readonly string[];
}

const datasetFolder = ".esper/datasets";

export class MorphableModel {
  /** What was dropped, converted or assumed when the model was imported. */
  readonly notes: readonly string[];
  readonly #engines: Engines;
  readonly #clock: Clock;
  readonly #origin: Origin;
  readonly #predictor: Predictor;
  #grown: GrownModel | undefined;
  #fits = 0;
  #isFitting = false;
  #fieldReports: readonly FieldReport[] = [];
  #runId: string | undefined;

  constructor(origin: Origin, engines: Engines, clock: Clock) {
    this.#origin = origin;
    this.#engines = engines;
    this.#clock = clock;
    this.#predictor = new Predictor(engines.engine);
    this.#grown = origin.grown;
    this.notes = origin.notes;
  }

  /** The graph as it stands. @throws InputError before the first fit of a model that is built from the data. */
  get host(): Host {
    return this.#known.host;
  }

  /** Every parameter by name. They are copies (M1). */
  get parameters(): GrownModel["parameters"] {
    const { parameters } = this.#known;
    return Object.fromEntries(
      Object.entries(parameters).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
    );
  }

  /** Trains the model; where a layer holds it back, grows a repair, proves it on held-out samples, and keeps it or takes it away. */
  async fit(data: FitData, options: FitOptions = {}): Promise<FitResult> {
    if (this.#isFitting) throw new InputError("fit: expected one fit at a time, found another going on; await it first"); // M3
    checkFitOptions(options);
    checkData("fit", data);
    this.#isFitting = true;
    try {
      const dataset = await this.#dataset(data, options);
      const model = settleSeeds(this.#grown ?? this.#build(dataset, options.randomSeed ?? 1));
      this.#fits += 1;
      const runId = `fit-${this.#fits}`;
      const { outcome, result } = await runFit({ model, dataset, options, engines: this.#engines, clock: this.#clock, runId });
      this.#grown = { host: outcome.host, parameters: outcome.parameters }; // M2
      this.#fieldReports = [...this.#fieldReports, ...outcome.fieldReports];
      this.#runId = runId;
      const validation = await this.#measure(splitOf(dataset, "validation"));
      // Arrays have no samples beside the two parts.
      const test = dataset.test === dataset.validation ? {} : { test: await this.#measure(splitOf(dataset, "test")) };
      return { ...result, validation, ...test };
    } finally {
      this.#isFitting = false;
    }
  }

  /** Mean loss, and the share that is right (R² for a regression). Of a data set, its test samples. */
  async evaluate(data: FitData): Promise<Validation> {
    checkData("evaluate", data);
    return this.#measure(isUserData(data) ? this.#judged(data) : splitOf(await this.#load(data), "test"));
  }

  /** Logits, or with `probabilities` their softmax; the values of a regression. */
  async predict(x: ArrayInput, options: { readonly probabilities?: boolean } = {}): Promise<Predictions> {
    const { host, parameters } = this.#known;
    const samples = readSamples(x, this.#inputShape, this.#origin.channelsLast, "x");
    const logits = await this.#predictor.logits(host, parameters, samples);
    if (options.probabilities === true && host.task === "regression")
      throw new InputError("predict: expected a classification for probabilities, found a regression; leave the option out");
    const data = options.probabilities === true ? probabilitiesOf(logits, host.classes) : logits;
    return { shape: [samples.count * host.rows, host.classes], data };
  }

  /** A table of the layers and of what was grown. */
  summary(): string {
    return summarize(this.#known.host);
  }

  /** Where the model comes from and which seeds it keeps; travels with every export. */
  get lineage(): Lineage {
    const { host, parameters } = this.#known;
    return lineageOf(host, parameters, {
      runId: this.#runId,
      source: this.#origin.source,
      fieldReports: this.#fieldReports,
    });
  }

  /** Writes `.onnx`, `.safetensors`, or a LayersModel into a folder. The files that were written. */
  async export(path: string, options: ExportFormat | ExportOptions = {}): Promise<readonly string[]> {
    const { format, merged = false }: ExportOptions = typeof options === "string" ? { format: options } : options;
    const { host, parameters } = this.#known;
    const request = { host, parameters, lineage: this.lineage };
    return saveModel(resolve(path), merged ? mergedModel(request) : request, format);
  }

  /** What seeds added, each apart from the base. */
  adapters(): Adapter[] {
    return listAdapters(this.#known);
  }

  /** The adapters alone, with the hash of the base that they belong to. */
  async saveAdapters(path: string): Promise<void> {
    await saveDurably(nodeFileSystem, resolve(path), encodeAdapters(this.#known, this.lineage));
  }

  /** Puts saved adapters onto this base. @throws InputError when they were grown on another. */
  async loadAdapters(path: string): Promise<void> {
    const { host, parameters } = applyAdapters(this.#known, await readOwn(path), path);
    this.#grown = { host, parameters };
  }

  /** The model without what was grown. With a frozen base its predictions are those before the first fit, bit for bit. */
  withoutAdapters(): MorphableModel {
    return new MorphableModel({ ...this.#origin, grown: baseOf(this.#known) }, this.#engines, this.#clock);
  }

  /** Frees the compiled programs. The model stays usable: they are compiled again when they are needed. */
  async dispose(): Promise<void> {
    await this.#predictor.dispose();
  }

  get #known(): GrownModel {
    if (this.#grown !== undefined) return this.#grown;
    throw new InputError(
      `model ${this.#origin.build?.name ?? ""}: expected to know its input and classes, found no data yet; fit it first, or pass inputShape and classes to wrap`,
    );
  }

  get #inputShape(): readonly number[] {
    return this.#known.host.graph.inputs[0]!.shape.slice(1);
  }

  async #dataset(data: FitData, options: FitOptions): Promise<DatasetBuffers> {
    if (!isUserData(data)) return this.#load(data, options);
    const grown = this.#grown;
    const { rows, classes } = grown?.host ?? {};
    return datasetOf(data, options.validationData, {
      inputShape: grown === undefined ? shapeOf(data) : this.#inputShape,
      channelsLast: this.#origin.channelsLast,
      tokens: grown === undefined ? this.#origin.build?.name === "transformer" : grown.host.graph.inputs[0]!.dtype === "int32",
      validationSplit: options.validationSplit ?? 0.2,
      randomSeed: options.randomSeed ?? 1,
      known: { task: this.#origin.task ?? (this.#fits > 0 ? grown?.host.task : undefined), rows, classes },
    });
  }

  async #load(data: Exclude<FitData, UserData>, options: FitOptions = {}): Promise<DatasetBuffers> {
    const { batchSize } = options;
    const given = { ...data, ...(batchSize === undefined ? {} : { batchSize }) };
    const place = { path: ["dataset"], next: dataForms };
    const { buffers } = await loadDataset(settings("data", DatasetConfig, given, place), {
      files: nodeFileSystem,
      folder: join(process.cwd(), datasetFolder),
    });
    return buffers;
  }

  #judged(data: UserData): Judged {
    const { host } = this.#known;
    const samples = readSamples(data.x, this.#inputShape, this.#origin.channelsLast, "x");
    const { task, rows, classes } = host;
    return { samples, targets: readTargets(data.y, samples.count, { task, rows, classes }).data };
  }

  async #measure({ samples, targets }: Judged): Promise<Validation> {
    const { host, parameters } = this.#known;
    const logits = await this.#predictor.logits(host, parameters, samples);
    return measure({ task: host.task, rows: host.rows, classes: host.classes, logits, targets });
  }

  #build(dataset: DatasetBuffers, randomSeed: number): GrownModel {
    const { build } = this.#origin;
    if (build === undefined) throw new InputError("model: expected one to build, found none; wrap a configuration or a model");
    return buildHost(build, { ...dataset, kind: kindOf(dataset) }, randomSeed);
  }
}

/** Arrays of images are images to the host that is built for them. */
const kindOf = ({ kind, inputShape }: DatasetBuffers): DataShape["kind"] =>
  kind === "table" && inputShape.length === 3 ? "images" : kind;

export const buildHost = (model: ModelConfig, data: DataShape, randomSeed: number): GrownModel => {
  const host = hostFor(model, data);
  const parameters = initializeParameters(host.graph.parameters, createRandom(randomSeed).fork("parameters"));
  return { host, parameters: Object.fromEntries(parameters) };
};

/** The shape of a sample when nothing else tells it. */
const shapeOf = ({ x }: UserData): readonly number[] => {
  const { shape } = readArray(x, "x");
  if (shape !== undefined && shape.length >= 2) return shape.slice(1);
  throw new InputError(
    `x: expected samples with their shape, such as nested arrays or {data, shape}, found ${shape === undefined ? "a flat array" : "one number each"}; say the shape, or pass inputShape to wrap`,
    { path: "x" },
  );
};

interface Judged {
  readonly samples: { readonly count: number; readonly data: Float32Array | Int32Array };
  readonly targets: Int32Array | Float32Array;
}

const splitOf = (dataset: DatasetBuffers, split: "validation" | "test"): Judged => {
  const { count } = dataset[split];
  const size = count * sizeOf(dataset.inputShape);
  const data = dataset.kind === "tokens" ? new Int32Array(size) : new Float32Array(size);
  const targets =
    dataset.task === "regression" ? new Float32Array(count * dataset.classes) : new Int32Array(count * dataset.rows);
  const indices = Int32Array.from({ length: count }, (_, i) => i);
  fillBatch(dataset, split, indices, data, targets);
  return { samples: { count, data }, targets };
};

const readOwn = async (path: string): Promise<Uint8Array> => {
  try {
    return await readFile(path);
  } catch (error) {
    throw new DataError(
      `adapters ${path}: expected a file, found: ${describeError(error)}; check the path`,
      { file: path },
      { cause: error },
    );
  }
};
