/** What a configuration needs before its first run: an engine, the data, the host's file, a training lane. */
import type { EsperConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { ServiceError } from "../contracts/errors.ts";
import type { SessionSpec } from "../contracts/plan.ts";
import type { Clock } from "../contracts/ports.ts";
import { loadDataset } from "../data/datasets.ts";
import { createDownload, DownloadError } from "../data/download.ts";
import { selectEngine } from "../engine/select.ts";
import { fitToData } from "../interchange/fit-to-data.ts";
import { importModel } from "../interchange/import-model.ts";
import { guardDownload } from "../resilience/guard-download.ts";
import { guardTrainingLane, guardTwinThread } from "../resilience/guard-lanes.ts";
import type { Resilience } from "../resilience/resilience.ts";
import { nodeFileSystem, saveDurably } from "../store/file-system.ts";
import type { ImportedHost, TrainingLane } from "../workers/lane.ts";
import { createTrainingLane } from "../workers/piscina-lanes.ts";
import { createTwinThread } from "../workers/twin-thread.ts";

const downloadTimeoutMs = 120_000;

export interface Prepared {
  readonly engine: { readonly name: SessionSpec["engine"]; readonly version: string };
  readonly dataset: DatasetBuffers;
  /** Where the data came from. */
  readonly source: string;
  readonly imported: ImportedHost | undefined;
  readonly lane: TrainingLane;
  dispose(): Promise<void>;
}

export interface PrepareOptions {
  readonly config: EsperConfig;
  readonly resilience: Resilience;
  readonly clock: Clock;
  readonly datasetsFolder: string;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/** The first engine that works. Throws ServiceError when none does. */
const engineFor = async (config: EsperConfig): Promise<Prepared["engine"]> => {
  const selection = await selectEngine(config.device, { threads: config.threads });
  if (selection.kind === "none") {
    const reasons = selection.trials
      .map((trial) => `${trial.name}: ${trial.kind === "works" ? "works" : trial.reason}`)
      .join("; ");
    throw new ServiceError(`expected an engine for device ${config.device}, none works (${reasons}); run esper doctor`, {
      path: "device",
    });
  }
  const { name, version } = selection.engine;
  await selection.engine.dispose();
  return { name, version };
};

/** Throws what stands in the way, and the signal's reason when it is aborted meanwhile. */
export const prepare = async (options: PrepareOptions): Promise<Prepared> => {
  const { config, resilience, clock, datasetsFolder, signal, note } = options;
  const { breakers, retry } = resilience;
  const engine = await engineFor(config);
  const lanes = config.trainingLanes === 1 ? "" : ", twins in a second lane";
  note(`engine: ${engine.name} ${engine.version}, ${config.threads} thread${config.threads === 1 ? "" : "s"}${lanes}`);
  const {
    buffers: dataset,
    source,
    notes,
  } = await loadDataset(config.dataset, {
    files: nodeFileSystem,
    folder: datasetsFolder,
    download: guardDownload(createDownload({ fetch, clock, timeoutMs: downloadTimeoutMs }), {
      breaker: breakers.get("download"),
      retry,
      isPassing: (error) => error instanceof DownloadError && error.passing,
      signal,
    }),
    save: (path, bytes) => saveDurably(nodeFileSystem, path, bytes),
  });
  const { name, train, validation, test } = dataset;
  note(`data: ${name} from ${source}: ${train.count} training, ${validation.count} validation, ${test.count} test samples`);
  for (const told of notes) note(`data: ${told}`);
  const model = config.model.name === "file" ? await importModel(config.model.file) : undefined;
  const imported = model === undefined ? undefined : { host: fitToData(model.host, dataset), parameters: model.parameters };
  for (const told of model?.notes ?? []) note(`model: ${told}`);
  signal.throwIfAborted();
  const onLost = (reason: string): void => note(`second training lane: ${reason}; twins train after the grown copy from now on`);
  const twins = config.trainingLanes === 1 ? undefined : guardTwinThread(createTwinThread({ onLost }), breakers.get("lane.twin"));
  const lane = guardTrainingLane(createTrainingLane(twins), breakers.get("lane.training"));
  return { engine, dataset, source, imported, lane, dispose: () => lane.destroy() };
};
