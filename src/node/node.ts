/** A node from start to end: data set, engine, stores, lanes, services, then one arm after the other, and the report. */
import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { RunNode, RunNodeOptions } from "./api.ts";

export type { NodeHandle } from "./api.ts";

import { CheckpointState } from "../contracts/checkpoint.ts";
import type { EsperConfig } from "../contracts/config.ts";
import { InputError, ServiceError } from "../contracts/errors.ts";
import type { Report } from "../contracts/report.ts";
import { loadDataset } from "../data/datasets.ts";
import { createDownload, DownloadError } from "../data/download.ts";
import { selectEngine } from "../engine/select.ts";
import { createRandom } from "../graph/random.ts";
import { fitToData } from "../interchange/fit-to-data.ts";
import { importModel } from "../interchange/import-model.ts";
import type { ToldRun } from "../policy/report.ts";
import { guardDownload } from "../resilience/guard-download.ts";
import { guardForgeLane, guardTrainingLane } from "../resilience/guard-lanes.ts";
import { createResilience } from "../resilience/resilience.ts";
import { nodeFileSystem, saveDurably } from "../store/file-system.ts";
import { createForgeLane, createTrainingLane } from "../workers/piscina-lanes.ts";
import { createTwinThread } from "../workers/twin-thread.ts";
import { runArm, validationBatchesOf } from "./arm.ts";
import { describeMachine } from "./machine.ts";
import { startServices } from "./services.ts";
import { openStores, type Stores } from "./stores.ts";

const toolchain = "esper 0.1.0";
const downloadTimeoutMs = 120_000;

/** Undoes what was set up, last first, whatever happens on the way. */
class Cleanup {
  readonly #steps: (() => Promise<void>)[] = [];
  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }
  async run(onError: (error: unknown) => void): Promise<void> {
    for (const step of this.#steps.reverse()) await step().catch(onError);
  }
}

export const runNode: RunNode = async (options) => {
  const { ports, view, signal } = options;
  const { clock, entropy, log } = ports;
  const cleanup = new Cleanup();
  try {
    const dataDir = resolve(options.config.services.dataDir);
    const stores = await openStores(dataDir, options.config, clock, toolchain, log);
    cleanup.add(() => stores.close());
    const config = options.resume === undefined ? options.config : await resumedConfig(options, options.resume, stores);

    const resilience = createResilience({
      breaker: config.services.breaker,
      retry: config.services.retry,
      clock,
      uniform: createRandom(Buffer.from(entropy.token(6)).readUIntBE(0, 6)).fork("retries").uniform,
    });
    const { breakers, retry } = resilience;
    const selection = await selectEngine(config.device, { threads: config.threads });
    if (selection.kind === "none") {
      const reasons = selection.trials
        .map((trial) => `${trial.name}: ${trial.kind === "works" ? "works" : trial.reason}`)
        .join("; ");
      throw new ServiceError(`expected an engine for device ${config.device}, none works (${reasons}); run esper doctor`, {
        path: "device",
      });
    }
    const engine = { name: selection.engine.name, version: selection.engine.version };
    await selection.engine.dispose();
    const lanes = config.trainingLanes === 1 ? "" : ", twins in a second lane";
    view.note(`engine: ${engine.name} ${engine.version}, ${config.threads} thread${config.threads === 1 ? "" : "s"}${lanes}`);

    const {
      buffers: dataset,
      source,
      notes,
    } = await loadDataset(config.dataset, {
      files: nodeFileSystem,
      folder: stores.paths.datasets,
      download: guardDownload(createDownload({ fetch, clock, timeoutMs: downloadTimeoutMs }), {
        breaker: breakers.get("download"),
        retry,
        isPassing: (error) => error instanceof DownloadError && error.passing,
        signal,
      }),
      save: (path, bytes) => saveDurably(nodeFileSystem, path, bytes),
    });
    view.note(
      `data: ${dataset.name} from ${source}: ${dataset.train.count} training, ${dataset.validation.count} validation, ${dataset.test.count} test samples`,
    );
    for (const note of notes) view.note(`data: ${note}`);
    const model = config.model.name === "file" ? await importModel(config.model.file) : undefined;
    const imported = model === undefined ? undefined : { host: fitToData(model.host, dataset), parameters: model.parameters };
    for (const note of model?.notes ?? []) view.note(`model: ${note}`);
    signal.throwIfAborted();

    const twins =
      config.trainingLanes === 1
        ? undefined
        : createTwinThread({
            onLost: (reason) => view.note(`second training lane: ${reason}; twins train after the grown copy from now on`),
          });
    const lane = guardTrainingLane(createTrainingLane(twins), breakers.get("lane.training"));
    cleanup.add(() => lane.destroy());
    const forge = guardForgeLane(createForgeLane(), breakers.get("lane.forge"));
    cleanup.add(() => forge.destroy());
    const services = await startServices({
      config,
      dataDir,
      clock,
      entropy,
      log,
      stores,
      forge,
      resilience,
      engine: engine.name,
      watch: (envelope) => view.onMessage(envelope),
      validationBatches: validationBatchesOf(dataset, config),
    });
    cleanup.add(() => services.stop());
    view.note(
      `node: NATS at ${services.oona().url}, operator's connection in ${services.oona().operatorFile}, data in ${dataDir}`,
    );

    options.onUp?.({ supervisor: services.supervisor, serverPid: () => services.oona().serverPid() });

    const stamp = `${new Date(clock.nowMs()).toISOString().replaceAll(/[-:]|\.\d+Z/g, "")}-${entropy.token(2)}`;
    const arms: ToldRun[] = [];
    for (const arm of config.arms) {
      if (signal.aborted) break;
      const runId = `r-${stamp}-${arm}`;
      const resume = options.resume === undefined ? {} : { resume: options.resume };
      arms.push(
        await runArm({
          runId,
          arm,
          config,
          engine,
          dataset,
          lane,
          services,
          stores,
          clock,
          signal,
          note: (text) => view.note(text),
          ...(imported === undefined ? {} : { imported }),
          ...resume,
        }),
      );
    }

    const first = arms[0];
    if (first === undefined) throw new InputError("interrupted before the first arm began; nothing was trained");
    const damage = arms.find((told) => told.damage !== undefined)?.damage;
    const report: Report = {
      version: 1,
      createdAtMs: clock.nowMs(),
      dataset: {
        name: dataset.name,
        source,
        trainSamples: dataset.train.count,
        validationSamples: dataset.validation.count,
        testSamples: dataset.test.count,
      },
      host: {
        name: first.host.name,
        layers: first.host.sites.map(({ site, width }) => ({ site, width })),
        parameters: first.host.parameters,
      },
      randomSeed: config.randomSeed,
      ...(damage === undefined ? {} : { damage }),
      arms: arms.map(({ arm }) => arm),
      engine: { ...engine, threads: config.threads, trainingLanes: config.trainingLanes },
      machine: describeMachine(),
    };
    if (options.reportFile !== undefined) await writeReport(options.reportFile, report);
    return { report, exitCode: arms.some(({ arm: { outcome } }) => outcome === "failed") ? 6 : 0 };
  } finally {
    await cleanup.run((error) => log.error("cleaning up failed", { error }));
  }
};

/** The checkpoint's own configuration, so that the run goes on as it began; where files lie and what is logged is today's. */
const resumedConfig = async (
  { config, view, asked = [] }: RunNodeOptions,
  path: string,
  stores: Stores,
): Promise<EsperConfig> => {
  const { state, runId, epoch } = await stores.checkpoints.load(path, CheckpointState);
  for (const { path: key, value } of asked) {
    const held = key
      .split(".")
      .reduce<unknown>((part, name) => (part as Record<string, unknown> | undefined)?.[name], state.config);
    if (isDeepStrictEqual(held, value)) continue;
    throw new InputError(
      `checkpoint of another host or run: expected ${key} ${JSON.stringify(value)}, ${path} holds ${JSON.stringify(held)}; leave that option away, or name another checkpoint`,
      { path: key, file: path },
    );
  }
  view.note(`resuming ${runId} after window ${epoch} from ${path}`);
  return {
    ...state.config,
    arms: [state.arm],
    services: config.services,
    logging: config.logging,
    checkpoint: config.checkpoint,
  };
};

const writeReport = async (file: string, report: Report): Promise<void> => {
  await mkdir(dirname(resolve(file)), { recursive: true });
  await saveDurably(nodeFileSystem, resolve(file), new TextEncoder().encode(`${JSON.stringify(report, undefined, 2)}\n`));
};
