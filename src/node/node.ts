/**
 * A node from start to end: stores, services, then one arm after the other and the report; where it stays, the runs that it is handed,
 * one after the other, until it is told to end.
 */
import { mkdir } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { RunNode, RunNodeOptions, RunNodeResult } from "./api.ts";

export type { NodeHandle } from "./api.ts";

import { forgeFile } from "../bus/forge-file.ts";
import { CheckpointState } from "../contracts/checkpoint.ts";
import type { EsperConfig } from "../contracts/config.ts";
import { forgeRoles, isForgeOnly, isForgeRole } from "../contracts/config-roles.ts";
import { describeError, EsperError, InputError, ServiceError } from "../contracts/errors.ts";
import { type Clock, delay } from "../contracts/ports.ts";
import type { Report } from "../contracts/report.ts";
import { createRandom } from "../graph/random.ts";
import type { ToldRun } from "../policy/report.ts";
import { guardForgeLane } from "../resilience/guard-lanes.ts";
import { createResilience } from "../resilience/resilience.ts";
import { nodeFileSystem, saveDurably } from "../store/file-system.ts";
import type { WaitingRun } from "../store/waiting-runs.ts";
import { createForgeLane } from "../workers/piscina-lanes.ts";
import { runArm, validationBatchesOf } from "./arm.ts";
import { type FirstAsked, firstIdProblem } from "./first-commands.ts";
import { describeMachine } from "./machine.ts";
import { type Prepared, prepare } from "./prepare.ts";
import { createRunQueue } from "./run-queue.ts";
import { type Services, startServices } from "./services.ts";
import { openStores, type Stores } from "./stores.ts";

const toolchain = "esper 0.1.0";

/** A lane whose thread is inside one long call of its engine is left to it; the program then ends without it. */
const cleanupMsMax = 30_000;

/** Undoes what was set up, last first, whatever happens on the way, each within its time. */
class Cleanup {
  readonly #steps: (() => Promise<void>)[] = [];
  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }
  async run(clock: Clock, onError: (error: unknown) => void): Promise<void> {
    for (const step of this.#steps.reverse()) {
      const timeout = new AbortController();
      const late = delay(clock, cleanupMsMax, timeout.signal).then(() => {
        throw new ServiceError(`expected a part of the node to close within ${cleanupMsMax} ms, it did not; it is left as it is`);
      });
      await Promise.race([step(), late]).catch(onError);
      timeout.abort();
    }
  }
}

export const runNode: RunNode = async (options) => {
  const { ports, view, stay = false } = options;
  const { clock, entropy, log } = ports;
  const cleanup = new Cleanup();
  if (isForgeOnly(options.config.roles))
    throw new InputError("expected a node that trains, the roles are those of a forge; start it with `esper start --config …`", {
      path: "roles",
    });
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
    const queue = createRunQueue({
      runsWaitingMax: config.control.runsWaitingMax,
      stays: stay,
      interrupt: options.signal,
      store: stores.waitingRuns,
    });
    const { signal } = queue;
    const note = (text: string): void => view.note(text);
    const prepareFor = (wanted: EsperConfig): Promise<Prepared> =>
      prepare({ config: wanted, resilience, clock, datasetsFolder: stores.paths.datasets, signal, note });

    let prepared: Prepared | undefined = await prepareFor(config);
    cleanup.add(async () => prepared?.dispose());
    const { engine } = prepared;
    const forge = config.roles.some(isForgeRole)
      ? guardForgeLane(createForgeLane(), resilience.breakers.get("lane.forge"))
      : undefined;
    cleanup.add(async () => forge?.destroy());
    const stampOf = (): string => `r-${new Date(clock.nowMs()).toISOString().replaceAll(/[-:]|\.\d+Z/g, "")}-${entropy.token(2)}`;
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
      engineVersion: engine.version,
      watch: (envelope) => view.onMessage(envelope),
      validationBatches: validationBatchesOf(prepared.dataset, config),
      steward: {
        start: ({ requestId, config: wanted, resume, first, by }) => {
          if (resume !== undefined && outside(stores.paths.checkpoints, join(dataDir, resume)))
            return {
              kind: "refused",
              code: "invalid",
              reason: `resume: expected a path under checkpoints/ in the data directory, got ${resume}`,
            };
          const name = stampOf();
          const long = first === undefined ? undefined : firstIdProblem(requestId);
          if (long !== undefined) return { kind: "refused", code: "invalid", reason: long };
          const queued = queue.add({
            requestId,
            name,
            config: wanted,
            resume,
            ...(first === undefined ? {} : { first: [...first], by }),
          });
          return queued.kind === "refused" ? queued : { ...queued, name };
        },
        end: (reason) => queue.end(reason),
      },
    });
    cleanup.add(() => services.stop());
    view.note(
      `node: NATS at ${services.oona().url}, operator's connection in ${services.oona().operatorFile}, data in ${dataDir}`,
    );
    if (!forgeRoles.every((role) => config.roles.includes(role)))
      view.note(`forge: work waits for those who join with ${forgeFile(dataDir)}`);
    const httpUrl = services.httpUrl();
    if (httpUrl !== undefined) view.note(`http: ${httpUrl}`);

    options.onUp?.({
      supervisor: services.supervisor,
      serverPid: () => services.oona().serverPid(),
      httpUrl: services.httpUrl,
      hub: services.hub,
    });

    const runs = { options, stores, services, signal };
    let result = await runArms({
      ...runs,
      name: stampOf(),
      config,
      prepared,
      resume: options.resume,
      reportFile: options.reportFile,
    });
    while (stay && !signal.aborted) {
      options.onReport?.(result.report, result.reportFile);
      view.note("no run is going on; waiting for one: `esper ctl start --config FILE`, or `esper ctl shutdown` to end");
      const next = await queue.next();
      if (next === undefined) break;
      // The lane of the run before, with its sessions, is not needed any more.
      await prepared?.dispose();
      prepared = undefined;
      try {
        const wanted = await startedConfig(options, config, next, stores, dataDir);
        prepared = await prepareFor(wanted);
        const reportFile = join(dataDir, "reports", `${next.name}.json`);
        const resume = next.resume === undefined ? undefined : join(dataDir, next.resume);
        const { requestId, first, by } = next;
        const asked = first === undefined || by === undefined ? undefined : { requestId, by, commands: first };
        result = await runArms({ ...runs, name: next.name, config: wanted, prepared, resume, reportFile, asked });
      } catch (error) {
        // What was asked for cannot be run: the node stays. What the node itself lacks ends it, and so does a bug.
        if (signal.aborted) break;
        if (!(error instanceof EsperError) || (error instanceof ServiceError && prepared !== undefined)) throw error;
        view.note(`${next.name} could not be started: ${describeError(error)}`);
        services.announce({ kind: "exited", child: next.name, detail: `could not be started: ${describeError(error)}` });
      }
    }
    return { report: result.report, exitCode: result.exitCode };
  } finally {
    await cleanup.run(clock, (error) => log.error("cleaning up failed", { error }));
  }
};

interface Batch {
  readonly options: RunNodeOptions;
  readonly stores: Stores;
  readonly services: Services;
  readonly signal: AbortSignal;
  /** The runs' ids begin with it. */
  readonly name: string;
  readonly config: EsperConfig;
  readonly prepared: Prepared;
  readonly resume: string | undefined;
  readonly reportFile: string | undefined;
  /** What is asked for at the first boundary of each arm. */
  readonly asked?: FirstAsked | undefined;
}

/** The arms of a configuration, one after the other, and their report. */
const runArms = async (batch: Batch): Promise<RunNodeResult & { readonly reportFile: string | undefined }> => {
  const { options, stores, services, signal, name, config, prepared, resume, reportFile, asked } = batch;
  const { ports, view } = options;
  const { clock } = ports;
  const { engine, dataset, source, imported, lane } = prepared;
  const arms: ToldRun[] = [];
  for (const arm of config.arms) {
    if (signal.aborted) break;
    arms.push(
      await runArm({
        runId: `${name}-${arm}`,
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
        ...(resume === undefined ? {} : { resume }),
        ...(asked === undefined ? {} : { asked }),
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
  if (reportFile !== undefined) await writeReport(reportFile, report);
  return { report, reportFile, exitCode: arms.some(({ arm: { outcome } }) => outcome === "failed") ? 6 : 0 };
};

const outside = (folder: string, path: string): boolean => {
  const way = relative(folder, path);
  return way.startsWith("..") || isAbsolute(way);
};

/** A run that was asked for: its own host and data; device, services and all that is the node's stay the node's. */
const startedConfig = async (
  options: RunNodeOptions,
  node: EsperConfig,
  { config, resume }: WaitingRun,
  stores: Stores,
  dataDir: string,
): Promise<EsperConfig> => {
  const { services, logging, control, roles, device } = node;
  const wanted: EsperConfig = { ...config, device, services, logging, control, roles };
  if (resume === undefined) return wanted;
  return { ...(await resumedConfig({ ...options, config: wanted, asked: [] }, join(dataDir, resume), stores)), device, control };
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
    roles: config.roles,
    logging: config.logging,
    checkpoint: config.checkpoint,
  };
};

const writeReport = async (file: string, report: Report): Promise<void> => {
  await mkdir(dirname(resolve(file)), { recursive: true });
  await saveDurably(nodeFileSystem, resolve(file), new TextEncoder().encode(`${JSON.stringify(report, undefined, 2)}\n`));
};
