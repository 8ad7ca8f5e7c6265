/**
 * Oona: the node's message bus. Starts the embedded server, or connects to the configured one, makes the streams, and hands out
 * one connection for each principal.
 *
 * O1 When `startOona` returns, every principal can connect; when it throws, nothing is left running.
 * O2 Streams and consumers are made again after every reconnection, and whenever one is found gone: a server that lost them gets them back.
 * O3 A durable message that was handed over too often without an answer is reported as a dead letter, also when nobody listened at the time.
 * O4 `exited` resolves once: with the reason when the server is lost for good, or `stopped`.
 * O5 Who does not keep up, durable or live, is told.
 */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { NatsConfig } from "../contracts/config.ts";
import type { Clock, Entropy, Log } from "../contracts/ports.ts";
import { type PersonRole, personRoles } from "../contracts/roles.ts";
import type { Principal } from "../contracts/subjects.ts";
import { watchAdvisories } from "./advisories.ts";
import { type NodeDescription, serviceMetadata } from "./announcement.ts";
import type { Bus } from "./bus.ts";
import type { DurableLimits } from "./durable-consumer.ts";
import { newCredentials, startEmbeddedServer } from "./embedded-server.ts";
import { findNatsServer } from "./find-server.ts";
import { externalLogin, keptForgeLogin, writeForgeFile } from "./forge-file.ts";
import { keepServer } from "./kept-server.ts";
import { type ConsumerEvent, type HealthLimits, keepStreams } from "./kept-streams.ts";
import { createLink } from "./link.ts";
import { createNatsBus } from "./nats-bus.ts";
import { lossOf, type NatsConnection, openConnection, publicUrl } from "./nats-client.ts";
import { operatorFile, readOperatorFile, removeLoginFiles, writeLoginFiles } from "./operator-file.ts";
import { inboxPrefix } from "./permissions.ts";
import type { DeadLetter } from "./receiver.ts";
import type { Credential } from "./server-config.ts";
import { type Processes, systemProcesses } from "./server-process.ts";
import { ensureStreams, lookAtConsumers } from "./stream-admin.ts";
import { createLossMemory, type StreamLoss } from "./stream-loss.ts";
import { isActor, streamSpecs } from "./streams.ts";

export type { ConsumerEvent } from "./kept-streams.ts";
export type { DeadLetter } from "./receiver.ts";
export type { StreamLoss } from "./stream-loss.ts";

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
  /** Of a durable message it is awaited before the message is given up; a rejection keeps the message. */
  readonly onDeadLetter?: (letter: DeadLetter) => void | Promise<void>;
  /** Who does not keep up, and what had to be made again. */
  readonly onConsumer?: (event: ConsumerEvent) => void;
  /** Told of a stream that is not there, before it is made: the first time, and whenever it was lost. Must not throw. */
  readonly onStreamGone?: (loss: StreamLoss) => void;
  readonly health?: HealthLimits;
  readonly durable?: Partial<DurableLimits>;
  readonly reconnectMsMax?: number;
  /** What this node tells of itself to whoever looks for services. */
  readonly description?: NodeDescription;
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
export const closeMsMax = 2_000;
/** Streams' share of an external server, whose size is its owner's business. */
const externalStorageBytesMax = 2_147_483_648;

export const durableDefaults: DurableLimits = {
  ackWaitMs: 30_000,
  deliveriesMax: 5,
  handlerMsMax: 600_000,
  retryMsMin: 200,
  retryMsMax: 10_000,
  pullMs: 5_000,
};

const healthDefaults: HealthLimits = { healthMs: 10_000, slowMessagesMax: 10_000 };

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

const openServer = async (options: OonaOptions): Promise<Server> => {
  const { config, clock, log, processes = systemProcesses } = options;
  if (config.mode === "external") {
    const { url, user, password } = await externalLogin(config);
    const credential = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
    return {
      url,
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
  const credentials = { ...newCredentials(options.entropy), forge: await keptForgeLogin(dataDir, options.entropy) };
  const fixed = {
    binary: found.path,
    dataDir,
    host: config.host,
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

export const openAs = ({ url, principal, credential, reconnectMsMax }: ConnectOptions): Promise<NatsConnection> =>
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

/** O2 and O3, on a connection of the supervisor's own. Returns what ends it. */
const administer = async (
  connection: NatsConnection,
  server: Server,
  limits: DurableLimits,
  options: OonaOptions,
): Promise<() => Promise<void>> => {
  const { clock, log } = options;
  const link = createLink({ connection, principal: "supervisor", clock, log });
  link.expectEnd();
  const keepSizes = options.config.mode === "external";
  const losses = createLossMemory();
  const ensure = () =>
    ensureStreams(connection, streamSpecs(server.storageBytesMax), limits, keepSizes, (stream) =>
      options.onStreamGone?.(losses.take(stream)),
    );
  const look = async () => {
    const startMs = clock.nowMs();
    const seen = await lookAtConsumers(connection);
    if (seen !== undefined) losses.note(seen, startMs);
    return seen;
  };
  await ensure();
  const offHealth = keepStreams({
    link,
    ensure,
    look,
    onConsumer: options.onConsumer ?? (() => undefined),
    limits: { ...healthDefaults, ...options.health },
    clock,
    log,
  });
  const advisories = watchAdvisories({
    link,
    limits,
    clock,
    log,
    tell: async (letter) => {
      log.warn("dead letter", { principal: letter.principal, subject: letter.subject, reason: letter.reason });
      await options.onDeadLetter?.(letter);
    },
  });
  await connection.flush();
  return async () => {
    offHealth();
    await advisories.close();
  };
};

/** @throws ServiceError with what to do next; InputError for a password file that cannot be read */
export const startOona = async (options: OonaOptions): Promise<Oona> => {
  const { clock, entropy, log, reconnectMsMax = 10_000 } = options;
  const dataDir = resolve(options.dataDir);
  const limits: DurableLimits = { ...durableDefaults, ...options.durable };
  const server = await openServer({ ...options, dataDir });
  const { url } = server;
  const ports: BusPorts = { clock, entropy, log };
  const openFor = (principal: Principal) =>
    openAs({ ...ports, url, principal, credential: server.credential(principal), reconnectMsMax });
  let admin: NatsConnection | undefined;
  let release: (() => Promise<void>) | undefined;
  let stopping: Promise<void> | undefined;
  try {
    admin = await openFor("supervisor");
    release = await administer(admin, server, limits, options);
    const pid = (options.processes ?? systemProcesses).ownPid;
    const place = { url, dataDir, pid, startedAtMs: clock.nowMs() };
    // The one login to a server of somebody else is the operator's: its rights are that server's business.
    for (const role of options.config.mode === "external" ? (["operator"] as const) : personRoles) {
      const { user, password } = server.credential(role);
      const identity = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
      await writeLoginFiles({ ...place, ...identity }, role);
    }
    const { user, password } = server.credential("forge");
    if (options.config.mode === "embedded" && user !== undefined && password !== undefined)
      await writeForgeFile(dataDir, { url, user, password }, limits.work);
  } catch (error) {
    await release?.();
    await admin?.close(); // O1
    await server.stop();
    throw error;
  }
  const connection = admin;
  const lost = connection
    .closed()
    .then((error) => (stopping ? "stopped" : `the connection to ${publicUrl(url)} is lost: ${lossOf(error)}`));

  return {
    url: publicUrl(url),
    mode: options.config.mode,
    operatorFile: operatorFile(dataDir),
    exited: server.exited ?? lost, // O4
    serverPid: server.pid,
    connect: async (principal) =>
      createNatsBus({
        ...ports,
        connection: await openFor(principal),
        principal,
        payloadBytesMax: options.payloadBytesMax,
        mailboxMessagesMax: options.mailboxMessagesMax ?? 10_000,
        requestTimeoutMs: options.requestTimeoutMs ?? 5_000,
        closeMsMax,
        durable: limits,
        ...(options.description !== undefined && isActor(principal)
          ? { metadata: serviceMetadata(principal, options.description) }
          : {}),
        onDeadLetter: options.onDeadLetter ?? (() => undefined),
        onConsumer: options.onConsumer ?? (() => undefined),
      }),
    stop: () => {
      stopping ??= Promise.resolve().then(async () => {
        await connection.close();
        await release?.();
        await removeLoginFiles(dataDir);
        await server.stop();
      });
      return stopping;
    },
  };
};

/**
 * The bus as a person at a running node: its operator, unless another role is named.
 * @param path the node's data directory, or the connection file of that role
 * @throws ServiceError when no node runs there or it refuses the login
 */
export const connectOperator = async (
  path: string,
  ports: BusPorts,
  limits: { readonly payloadBytesMax?: number; readonly requestTimeoutMs?: number; readonly role?: PersonRole } = {},
): Promise<Bus> => {
  const { role = "operator" } = limits;
  const { url, user, password } = await readOperatorFile(path, role);
  const credential = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
  const connection = await openAs({ ...ports, url, principal: role, credential, reconnectMsMax: 2_000 });
  return createNatsBus({
    ...ports,
    connection,
    principal: role,
    payloadBytesMax: limits.payloadBytesMax ?? 8_388_608,
    mailboxMessagesMax: 10_000,
    requestTimeoutMs: limits.requestTimeoutMs ?? 5_000,
    closeMsMax,
    durable: durableDefaults,
    onDeadLetter: () => undefined,
    onConsumer: () => undefined,
  });
};
