/**
 * A nats-server of the node's own, as a child process, on loopback unless the configuration names another address.
 *
 * N1 When it returns, the server takes connections; when it throws, no process is left.
 * N2 Passwords stand in files that only the owner reads, and nowhere else.
 * N3 Every wait is bounded.
 * N4 `exited` resolves exactly once, with the reason.
 * N5 `stop` ends the process: politely, then by force. It may be called again.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describeError, ServiceError } from "../contracts/errors.ts";
import { type Clock, delay, type Entropy, type Log } from "../contracts/ports.ts";
import { principals } from "../contracts/subjects.ts";
import { makePrivateFolder, writePrivateFile } from "./private-file.ts";
import { type Credentials, serverConfigText } from "./server-config.ts";
import type { ProcessExit, Processes, ServerProcess } from "./server-process.ts";
import { claimRecord, completeRecord, dropRecord, type RecordOptions, reapOrphan } from "./server-record.ts";

export interface EmbeddedOptions {
  readonly binary: string;
  readonly dataDir: string;
  /** Address to listen on; left out, loopback. */
  readonly host?: string;
  /** TCP port there; -1 lets the server choose. */
  readonly port: number;
  readonly memoryBytesMax: number;
  readonly storageBytesMax: number;
  readonly payloadBytesMax: number;
  readonly credentials: Credentials;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  readonly startMsMax?: number;
  readonly stopMsMax?: number;
}

export interface EmbeddedServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

const hostOf = ({ host = "127.0.0.1" }: Pick<EmbeddedOptions, "host">): string => host;

/** Where the node itself reaches its server: one that listens everywhere listens on loopback too. */
const urlOf = (host: string, port: number): string => {
  const everywhere = host === "0.0.0.0" || host === "::";
  const name = everywhere ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `nats://${name}:${port}`;
};

const pollMs = 5;
const passwordBytes = 24;

/** A user with a random password for every principal. */
export const newCredentials = (entropy: Entropy): Credentials => {
  const entries = principals.map(
    (principal) => [principal, { user: principal, password: entropy.token(passwordBytes) }] as const,
  );
  return Object.fromEntries(entries) as Credentials;
};

const exitText = ({ code, signal }: ProcessExit): string => (signal === null ? `code ${code}` : `signal ${signal}`);

/** The server's own last complaint. */
const complaint = async (logFile: string): Promise<string> => {
  const text = await readFile(logFile, "utf8").catch(() => "");
  const lines = text.split("\n").filter((line) => line !== "");
  const worst =
    lines.findLast((line) => line.includes("[FTL]")) ?? lines.findLast((line) => line.includes("[ERR]")) ?? lines.at(-1);
  return worst?.replace(/^\[\d+\] \S+ \S+ /, "") ?? "it wrote no log";
};

const startFailure = async (options: EmbeddedOptions, logFile: string, what: string): Promise<ServiceError> => {
  const said = await complaint(logFile);
  if (/address already in use/i.test(said))
    return new ServiceError(
      `expected TCP port ${options.port} on ${hostOf(options)} to be free for nats-server, another program holds it (perhaps the packaged nats-server service or another node; \`ss -ltnp 'sport = :${options.port}'\` names it). Stop it, or set \`services.nats.port\` to -1 for a free port.`,
      { path: "services.nats.port" },
    );
  return new ServiceError(`expected nats-server to start, ${what}: ${said}. Its log is ${logFile}.`, { file: logFile });
};

/** The URL that the server wrote into its ports file, once it is there. */
const readPort = async (folder: string, pid: number): Promise<number | undefined> => {
  const names = await readdir(folder).catch(() => []);
  const name = names.find((candidate) => candidate.endsWith(`_${pid}.ports`));
  if (name === undefined) return undefined;
  const text = await readFile(join(folder, name), "utf8").catch(() => "");
  const port = /"nats:\/\/[^"]*:(\d+)"\s*\]/.exec(text)?.[1];
  return port === undefined ? undefined : Number(port);
};

const awaitPort = async (options: EmbeddedOptions, child: ServerProcess, folder: string, logFile: string): Promise<number> => {
  const { clock, startMsMax = 15_000 } = options;
  let ended: ProcessExit | undefined;
  void child.exited.then((exit) => {
    ended = exit;
  });
  const untilMs = clock.monotonicMs() + startMsMax;
  while (clock.monotonicMs() < untilMs) {
    const port = await readPort(folder, child.pid);
    if (ended) throw await startFailure(options, logFile, `it ended with ${exitText(ended)}`);
    if (port !== undefined) return port;
    await delay(clock, pollMs);
  }
  throw await startFailure(options, logFile, `it did not open its port within ${startMsMax} ms`);
};

const stopProcess = async (child: ServerProcess, clock: Clock, stopMsMax: number): Promise<void> => {
  const endsWithin = (ms: number): Promise<boolean> => {
    const timeout = new AbortController();
    const late = delay(clock, ms, timeout.signal).then(
      () => false,
      () => true,
    );
    return Promise.race([child.exited.then(() => true), late]).finally(() => timeout.abort());
  };
  child.signal("SIGINT");
  if (await endsWithin(stopMsMax)) return;
  child.signal("SIGKILL");
  if (!(await endsWithin(stopMsMax)))
    throw new ServiceError(`expected nats-server ${child.pid} to die of SIGKILL within ${stopMsMax} ms, it did not.`);
};

/**
 * Starts nats-server on the data directory; an orphan of an earlier node is stopped first.
 * @throws ServiceError when the directory is in use, the port is taken, or the server does not come up
 */
export const startEmbeddedServer = async (options: EmbeddedOptions): Promise<EmbeddedServer> => {
  const { clock, log, processes, startMsMax = 15_000, stopMsMax = 5_000 } = options;
  const folder = resolve(options.dataDir, "nats");
  const configFile = join(folder, "nats-server.conf");
  const portsFolder = join(folder, "ports");
  const logFile = join(folder, "nats-server.log");
  const record: RecordOptions = { file: join(folder, "server.json"), configFile, processes, clock, log, startMsMax, stopMsMax };

  await makePrivateFolder(folder);
  await reapOrphan(record);
  await claimRecord(record);
  let child: ServerProcess | undefined;
  try {
    await Promise.all([portsFolder, logFile].map((path) => rm(path, { recursive: true, force: true })));
    await makePrivateFolder(portsFolder);
    const { port, memoryBytesMax, storageBytesMax, payloadBytesMax, credentials } = options;
    const host = hostOf(options);
    const storeFolder = join(folder, "store");
    const bounds = { memoryBytesMax, storageBytesMax, payloadBytesMax };
    await writePrivateFile(
      configFile,
      serverConfigText({ serverName: "esper", host, port, portsFolder, storeFolder, credentials, logFile, ...bounds }),
    ); // N2
    child = await processes.start(options.binary, ["-c", configFile]).catch((error: unknown) => {
      throw new ServiceError(`expected to start ${options.binary}: ${describeError(error)}. Check \`services.nats.binary\`.`, {
        file: options.binary,
      });
    });
    await completeRecord(record, child.pid);
    const chosen = await awaitPort(options, child, portsFolder, logFile); // N3
    return running(child, urlOf(host, chosen), chosen, record, clock, stopMsMax);
  } catch (error) {
    if (child) await stopProcess(child, clock, stopMsMax); // N1
    await dropRecord(record);
    throw error;
  }
};

const running = (
  child: ServerProcess,
  url: string,
  port: number,
  record: RecordOptions,
  clock: Clock,
  stopMsMax: number,
): EmbeddedServer => {
  let stopping: Promise<void> | undefined;
  // N4. nats-server ends with code 0 on SIGINT and 1 on SIGTERM.
  const exited = child.exited.then((exit) => (stopping ? "stopped" : `nats-server ended with ${exitText(exit)}`));
  return {
    url,
    port,
    pid: child.pid,
    exited,
    stop: () => {
      stopping ??= stopProcess(child, clock, stopMsMax).then(() => dropRecord(record)); // N5
      return stopping;
    },
  };
};
