/**
 * Oona: the node's message bus. Starts the embedded server, or connects to the configured one, makes the streams, and hands out
 * one connection for each principal.
 *
 * O1 When `startOona` returns, every principal can connect; when it throws, nothing is left running.
 * O2 Streams and consumers are made again after every reconnection: a server that lost them gets them back.
 * O3 A durable message that was handed over too often without an answer is reported as a dead letter.
 * O4 `exited` resolves once: with the reason when the server is lost for good, or `stopped`.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { NatsConfig } from "../contracts/config.ts";
import { describeError, InputError } from "../contracts/errors.ts";
import { type Clock, delay, type Entropy, type Log } from "../contracts/ports.ts";
import type { Principal } from "../contracts/subjects.ts";
import type { Bus } from "./bus.ts";
import type { DurableLimits } from "./durable-consumer.ts";
import { newCredentials, startEmbeddedServer } from "./embedded-server.ts";
import { findNatsServer } from "./find-server.ts";
import { keepServer } from "./kept-server.ts";
import { createNatsBus } from "./nats-bus.ts";
import { type NatsConnection, openConnection, publicUrl } from "./nats-client.ts";
import { operatorFile, readOperatorFile, removeOperatorFiles, writeOperatorFiles } from "./operator-file.ts";
import { inboxPrefix, maxDeliveriesAdvisory } from "./permissions.ts";
import type { DeadLetter } from "./receiver.ts";
import type { Credential } from "./server-config.ts";
import { type Processes, systemProcesses } from "./server-process.ts";
import { ensureStreams } from "./stream-admin.ts";
import { consumerSpecs, streamNames, streamSpecs } from "./streams.ts";

export type { DeadLetter } from "./receiver.ts";

export interface BusPorts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

export interface OonaOptions extends BusPorts {
  readonly config: NatsConfig;
  readonly dataDir: string;
  readonly payloadBytesMax: number;
  /** Messages that wait for one subscription. */
  readonly mailboxMessagesMax?: number;
  readonly requestTimeoutMs?: number;
  readonly onDeadLetter?: (letter: DeadLetter) => void;
  readonly durable?: Partial<DurableLimits>;
  readonly reconnectMsMax?: number;
  /** Restarts of a dead embedded server in a row before `exited` resolves. */
  readonly restartsMax?: number;
  readonly processes?: Processes;
  /** Where set-up puts nats-server. */
  readonly serverFolders?: readonly string[];
}

export interface Oona {
  /** A new connection with the principal's own rights. @throws ServiceError */
  connect(principal: Principal): Promise<Bus>;
  readonly url: string;
  readonly mode: NatsConfig["mode"];
  readonly operatorFile: string;
  readonly exited: Promise<string>;
  /** Process id of the embedded server. */
  readonly serverPid: () => number | undefined;
  stop(): Promise<void>;
}

const connectMsMax = 5_000;
const reconnectWaitMs = 50;
const closeMsMax = 2_000;
/** Streams' share of an external server, whose size is its owner's business. */
const externalStorageBytesMax = 2_147_483_648;

const durableDefaults: DurableLimits = {
  ackWaitMs: 30_000,
  deliveriesMax: 5,
  handlerMsMax: 600_000,
  retryMsMin: 200,
  retryMsMax: 10_000,
  pullMs: 5_000,
};

export const defaultServerFolders = (): readonly string[] => [
  fileURLToPath(new URL("../../.esper/bin", import.meta.url)),
  join(homedir(), ".cache", "esper", "bin"),
];

interface Server {
  readonly url: string;
  readonly storageBytesMax: number;
  readonly credential: (principal: Principal) => Partial<Credential>;
  readonly pid: () => number | undefined;
  readonly exited?: Promise<string>;
  stop(): Promise<void>;
}

const readPassword = async (file: string): Promise<string> => {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new InputError(
      `expected the password of the NATS server in the first line of ${file}, it cannot be read (${describeError(error)}).`,
      {
        path: "services.nats.passwordFile",
        file,
      },
    );
  });
  return text.split(/\r?\n/)[0] ?? "";
};

const openServer = async (options: OonaOptions): Promise<Server> => {
  const { config, clock, log, processes = systemProcesses } = options;
  if (config.mode === "external") {
    const password = config.passwordFile === undefined ? undefined : await readPassword(config.passwordFile);
    const credential = {
      ...(config.user === undefined ? {} : { user: config.user }),
      ...(password === undefined ? {} : { password }),
    };
    return {
      url: config.url,
      storageBytesMax: externalStorageBytesMax,
      credential: () => credential,
      pid: () => undefined,
      stop: () => Promise.resolve(),
    };
  }
  const folders = options.serverFolders ?? defaultServerFolders();
  const found = await findNatsServer({ binary: config.binary, folders, processes });
  log.debug("nats-server found", { ...found });
  const { memoryBytesMax, storageBytesMax } = config;
  const { dataDir, payloadBytesMax } = options;
  const credentials = newCredentials(options.entropy);
  const fixed = {
    binary: found.path,
    dataDir,
    memoryBytesMax,
    storageBytesMax,
    payloadBytesMax,
    credentials,
    processes,
    clock,
    log,
  };
  const start = (port: number) => startEmbeddedServer({ ...fixed, port });
  const kept = await keepServer({ start, port: config.port, restartsMax: options.restartsMax ?? 3, clock, log });
  return { ...kept, storageBytesMax, credential: (principal) => credentials[principal] };
};

interface ConnectOptions extends BusPorts {
  readonly url: string;
  readonly principal: Principal;
  readonly credential: Partial<Credential>;
  readonly reconnectMsMax: number;
}

const open = ({ url, principal, credential, reconnectMsMax }: ConnectOptions): Promise<NatsConnection> =>
  openConnection({
    url,
    user: credential.user,
    password: credential.password,
    name: principal,
    inboxPrefix: inboxPrefix(principal),
    connectMsMax,
    reconnectAttemptsMax: Math.max(1, Math.ceil(reconnectMsMax / reconnectWaitMs)),
    reconnectWaitMs,
  });

/** O2 and O3, on a connection of the supervisor's own. */
const administer = async (
  connection: NatsConnection,
  server: Server,
  limits: DurableLimits,
  options: OonaOptions,
): Promise<void> => {
  const { clock, log } = options;
  const keepSizes = options.config.mode === "external";
  const ensure = () => ensureStreams(connection, streamSpecs(server.storageBytesMax), limits, keepSizes);
  await ensure();

  const ensureAgain = async (): Promise<void> => {
    for (let attempt = 0; attempt < 5 && !connection.isClosed(); attempt++) {
      try {
        return await ensure();
      } catch (error) {
        log.warn("the streams could not be made again", { attempt, reason: describeError(error) });
        await delay(clock, 200 * 2 ** attempt);
      }
    }
  };
  const watch = async (): Promise<void> => {
    for await (const status of connection.status()) if (status.type === "reconnect") await ensureAgain();
  };
  void watch().catch((error: unknown) => log.debug("the status of the bus ended", { reason: describeError(error) }));

  const report = async (advisory: {
    readonly consumer?: string;
    readonly stream?: string;
    readonly deliveries?: number;
  }): Promise<void> => {
    const spec = consumerSpecs.find(({ durable, stream }) => durable === advisory.consumer && stream === advisory.stream);
    if (!spec) return;
    const reason = `handed over ${advisory.deliveries ?? limits.deliveriesMax} times and never acknowledged`;
    log.warn("dead letter", { principal: spec.actor, subject: spec.subject, reason });
    options.onDeadLetter?.({ principal: spec.actor, subject: spec.subject, reason });
  };
  for (const stream of streamNames)
    connection.subscribe(maxDeliveriesAdvisory(stream), {
      callback: (error, message) => {
        if (error) log.warn("no advisories of the stream are to be had", { stream, reason: describeError(error) });
        else
          void report(message.json()).catch((failure: unknown) =>
            log.warn("an advisory could not be read", { reason: describeError(failure) }),
          );
      },
    });
  await connection.flush();
};

/** @throws ServiceError with what to do next; InputError for a password file that cannot be read */
export const startOona = async (options: OonaOptions): Promise<Oona> => {
  const { clock, entropy, log, reconnectMsMax = 10_000 } = options;
  const dataDir = resolve(options.dataDir);
  const limits: DurableLimits = { ...durableDefaults, ...options.durable };
  const server = await openServer({ ...options, dataDir });
  const { url } = server;
  const ports: BusPorts = { clock, entropy, log };
  const openAs = (principal: Principal) =>
    open({ ...ports, url, principal, credential: server.credential(principal), reconnectMsMax });
  let admin: NatsConnection | undefined;
  let stopping: Promise<void> | undefined;
  try {
    admin = await openAs("supervisor");
    await administer(admin, server, limits, options);
    const { user, password } = server.credential("operator");
    const identity = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
    await writeOperatorFiles({
      url,
      ...identity,
      dataDir,
      pid: (options.processes ?? systemProcesses).ownPid,
      startedAtMs: clock.nowMs(),
    });
  } catch (error) {
    await admin?.close(); // O1
    await server.stop();
    throw error;
  }
  const connection = admin;
  const lost = connection
    .closed()
    .then((error) => (stopping ? "stopped" : `the connection to ${publicUrl(url)} is lost: ${error?.message ?? "closed"}`));

  return {
    url: publicUrl(url),
    mode: options.config.mode,
    operatorFile: operatorFile(dataDir),
    exited: server.exited ?? lost, // O4
    serverPid: server.pid,
    connect: async (principal) =>
      createNatsBus({
        ...ports,
        connection: await openAs(principal),
        principal,
        payloadBytesMax: options.payloadBytesMax,
        mailboxMessagesMax: options.mailboxMessagesMax ?? 10_000,
        requestTimeoutMs: options.requestTimeoutMs ?? 5_000,
        closeMsMax,
        durable: limits,
        onDeadLetter: options.onDeadLetter ?? (() => undefined),
      }),
    stop: () => {
      stopping ??= Promise.resolve().then(async () => {
        await connection.close();
        await removeOperatorFiles(dataDir);
        await server.stop();
      });
      return stopping;
    },
  };
};

/**
 * The bus as the operator of a running node.
 * @param path the node's data directory, or its connection file
 * @throws ServiceError when no node runs there or it refuses the login
 */
export const connectOperator = async (
  path: string,
  ports: BusPorts,
  limits: { readonly payloadBytesMax?: number; readonly requestTimeoutMs?: number } = {},
): Promise<Bus> => {
  const { url, user, password } = await readOperatorFile(path);
  const credential = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
  const connection = await open({ ...ports, url, principal: "operator", credential, reconnectMsMax: 2_000 });
  return createNatsBus({
    ...ports,
    connection,
    principal: "operator",
    payloadBytesMax: limits.payloadBytesMax ?? 8_388_608,
    mailboxMessagesMax: 10_000,
    requestTimeoutMs: limits.requestTimeoutMs ?? 5_000,
    closeMsMax,
    durable: durableDefaults,
    onDeadLetter: () => undefined,
  });
};
