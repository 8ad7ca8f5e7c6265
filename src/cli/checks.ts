/** What this machine can offer a node, checked by using it. */
import { accessSync, constants, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, tmpdir, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import { type BusPorts, defaultServerFolders, startOona } from "../bus/create.ts";
import { findNatsServer } from "../bus/find-server.ts";
import { joinBus } from "../bus/join.ts";
import { systemProcesses } from "../bus/server-process.ts";
import { DatasetConfig, type EsperConfig, NatsConfig } from "../contracts/config.ts";
import { isForgeOnly } from "../contracts/config-roles.ts";
import { describeError } from "../contracts/errors.ts";
import { silentLog } from "../contracts/ports.ts";
import { addressOf } from "../contracts/shown.ts";
import { loadDataset } from "../data/datasets.ts";
import { selectEngine } from "../engine/select.ts";
import { openDatabase } from "../store/database.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import type { CliContext } from "./context.ts";

/** `failed` stops a node; `absent` does not. */
export interface Check {
  readonly name: string;
  readonly status: "ok" | "absent" | "failed";
  readonly detail: string;
}

const attempt = async (
  name: string,
  work: () => Promise<string> | string,
  otherwise: Check["status"] = "failed",
): Promise<Check> => {
  try {
    return { name, status: "ok", detail: await work() };
  } catch (error) {
    return { name, status: otherwise, detail: describeError(error) };
  }
};

export const checkMachine = (): Check => {
  const memory = (totalmem() / 2 ** 30).toFixed(1);
  const cpu = cpus()[0]?.model ?? "unknown processor";
  return {
    name: "machine",
    status: "ok",
    detail: `Node ${process.versions.node}, ${cpu}, ${availableParallelism()} cores, ${memory} GiB`,
  };
};

/** One line per engine: the one that is used, and why the others are not. */
export const checkEngines = async ({ device, threads }: EsperConfig): Promise<Check[]> => {
  const selection = await selectEngine(device, { threads });
  const used = selection.kind === "selected" ? selection.engine.name : undefined;
  if (selection.kind === "selected") await selection.engine.dispose();
  const checks = selection.trials.map((trial): Check => {
    const name = `engine ${trial.name}`;
    if (trial.kind === "works") return { name, status: "ok", detail: `${trial.version}, used` };
    return {
      name,
      status: "absent",
      detail: trial.kind === "fails" ? `does not work: ${trial.reason}` : `not used: ${trial.reason}`,
    };
  });
  if (used !== undefined) return checks;
  return [
    ...checks,
    {
      name: "engine",
      status: "failed",
      detail: `expected an engine for device ${device}, none works; set device to auto, or run set-up again`,
    },
  ];
};

/** Whether twins train beside the grown copy, and whether there are cores for it. */
export const checkLanes = ({ trainingLanes, threads }: Pick<EsperConfig, "trainingLanes" | "threads">): Check => {
  const name = "training lanes";
  const cores = availableParallelism();
  const wanted = 2 * threads;
  if (trainingLanes === 2 && cores >= wanted)
    return { name, status: "ok", detail: "2: a contest's twin trains beside the grown copy" };
  if (trainingLanes === 2) {
    const found = `${wanted} cores for two lanes of ${threads} threads each, found ${cores}`;
    return { name, status: "absent", detail: `2: expected ${found}; set trainingLanes to 1, or lower threads` };
  }
  const spare = cores >= wanted ? "; trainingLanes 2 would use another core for the twin" : "";
  return { name, status: "ok", detail: `1: a contest's twin trains after the grown copy${spare}` };
};

export const checkServerProgram = ({ services }: EsperConfig): Promise<Check> =>
  attempt("nats-server", async () => {
    if (services.nats.mode === "external")
      return `not needed: the configuration names ${services.nats.url === undefined ? "a connection file" : (addressOf(services.nats.url) ?? "a server")}`;
    const found = await findNatsServer({
      binary: services.nats.binary,
      folders: defaultServerFolders(),
      processes: systemProcesses,
    });
    return `${found.version} at ${found.path}`;
  });

/** A forge joins somebody else's bus and makes nothing there. */
const joinOnce = async (
  ports: BusPorts,
  { payloadBytesMax, mailboxMessagesMax, requestTimeoutMs, nodeName, forge }: EsperConfig["services"],
  config: Extract<NatsConfig, { mode: "external" }>,
): Promise<string> => {
  const { tags, costTier } = forge;
  const joined = await joinBus({
    ...ports,
    config,
    payloadBytesMax,
    mailboxMessagesMax,
    requestTimeoutMs,
    joinMsMax: requestTimeoutMs,
    work: undefined,
    description: { node: nodeName, tags, costTier },
  });
  await joined.stop();
  return `the bus at ${joined.url} lets this forge in`;
};

/** Starts a server in a folder of its own (or connects to the configured one) and connects to it. */
export const checkBus = ({ clock, entropy }: CliContext, { services, roles }: EsperConfig): Promise<Check> =>
  attempt("bus", async () => {
    if (services.nats.mode === "external" && isForgeOnly(roles))
      return joinOnce({ clock, entropy, log: silentLog }, services, services.nats);
    const folder = mkdtempSync(join(tmpdir(), "esper-check-"));
    const config: NatsConfig =
      services.nats.mode === "external" ? services.nats : NatsConfig.parse({ ...services.nats, port: -1 });
    try {
      const oona = await startOona({
        config,
        dataDir: folder,
        payloadBytesMax: services.payloadBytesMax,
        clock,
        entropy,
        log: silentLog,
      });
      try {
        const startedMs = clock.monotonicMs();
        const bus = await oona.connect("nissa");
        await bus.close();
        return `${oona.mode} server answered at ${oona.url} in ${(clock.monotonicMs() - startedMs).toFixed(0)} ms`;
      } finally {
        await oona.stop();
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

export const checkDatabase = (): Promise<Check> =>
  attempt("database", () => {
    const folder = mkdtempSync(join(tmpdir(), "esper-check-"));
    try {
      const database = openDatabase({ file: join(folder, "check.db"), migrations: [], busyTimeoutMs: 1_000 });
      database.close();
      return "SQLite opens and closes a file";
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

/** Reads and checks the whole set; never downloads. */
export const checkDataset = (config: EsperConfig, name: DatasetConfig["name"], otherwise: Check["status"]): Promise<Check> =>
  attempt(
    `dataset ${name}`,
    async () => {
      // The settings of another set say nothing of this one.
      const dataset = config.dataset.name === name ? config.dataset : DatasetConfig.parse({ name });
      const folder = join(config.services.dataDir, "datasets");
      const { buffers, source } = await loadDataset(dataset, { files: nodeFileSystem, folder });
      return `${buffers.train.count} training, ${buffers.validation.count} validation, ${buffers.test.count} test samples in ${source}`;
    },
    otherwise,
  );

const freeBytesMin = 268_435_456;

const nearestFolder = (path: string): string => {
  try {
    accessSync(path);
    return path;
  } catch {
    const parent = dirname(path);
    return parent === path ? path : nearestFolder(parent);
  }
};

/** Room and the right to write; the data directory is not made. */
export const checkDisk = ({ services }: EsperConfig): Promise<Check> =>
  attempt("disk", () => {
    const folder = nearestFolder(resolve(services.dataDir));
    accessSync(folder, constants.W_OK);
    const { bavail, bsize } = statfsSync(folder);
    const free = bavail * bsize;
    if (free < freeBytesMin)
      throw new Error(
        `expected ${freeBytesMin} bytes free for ${services.dataDir}, found ${free}; free some, or choose another with --data-dir`,
      );
    return `${(free / 2 ** 30).toFixed(1)} GiB free for ${resolve(services.dataDir)}`;
  });

const words = { ok: "ok", absent: "–", failed: "FAILED" } as const;

export const formatChecks = (checks: readonly Check[]): string[] => {
  const width = Math.max(...checks.map(({ name }) => name.length));
  return checks.map(({ name, status, detail }) => `${words[status].padEnd(6)} ${name.padEnd(width)}  ${detail}`);
};
