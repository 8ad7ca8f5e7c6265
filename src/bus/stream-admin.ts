/** Makes the streams and durable consumers what the table says. May be repeated at any time; nothing kept is lost by it. */
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { ConsumerLook } from "./kept-streams.ts";
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamManager,
  type NatsConnection,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "./nats-client.ts";
import { advisoryConsumer, consumerSpecs, isWorkQueue, type StreamName, type StreamSpec, streamNames } from "./streams.ts";

export interface DeliveryLimits {
  /** A message that is neither acknowledged nor kept alive for this long is handed over again. */
  readonly ackWaitMs: number;
  /** Handed over this often without success, a message is a dead letter. */
  readonly deliveriesMax: number;
  /** Those of a work queue, where they differ. */
  readonly work?: Pick<DeliveryLimits, "ackWaitMs" | "deliveriesMax"> | undefined;
}

/** The limits of a stream's consumers. */
export const limitsOf = <L extends DeliveryLimits>(limits: L, stream: string): L =>
  isWorkQueue(stream) ? { ...limits, ...limits.work } : limits;

const requestMsMax = 10_000;

const streamConfig = (spec: StreamSpec) =>
  ({
    name: spec.name,
    subjects: [...spec.subjects],
    retention: spec.retention === "work-queue" ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
    discard: spec.whenFull === "refuse" ? DiscardPolicy.New : DiscardPolicy.Old,
    storage: StorageType.File,
    max_bytes: spec.bytesMax,
    max_age: nanos(spec.ageMsMax),
    duplicate_window: nanos(spec.duplicateWindowMs),
  }) satisfies Partial<StreamConfig>;

/** A consumer and what it takes of its stream. */
interface Wanted {
  readonly stream: string;
  readonly durable: string;
  readonly filter: string;
}

const wantedConsumers: readonly Wanted[] = [
  ...consumerSpecs.map(({ stream, durable, subject }) => ({ stream, durable, filter: subject })),
  advisoryConsumer,
];

const consumerConfig = (spec: Wanted, limits: Pick<DeliveryLimits, "ackWaitMs" | "deliveriesMax">) =>
  ({
    durable_name: spec.durable,
    filter_subject: spec.filter,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(limits.ackWaitMs),
    max_deliver: limits.deliveriesMax,
    deliver_policy: DeliverPolicy.All,
  }) satisfies Partial<ConsumerConfig>;

const differs = (wanted: object, found: object): boolean =>
  Object.entries(wanted).some(
    ([key, value]) => JSON.stringify((found as { readonly [key: string]: unknown })[key]) !== JSON.stringify(value),
  );

const notFound = (error: unknown): undefined => {
  if (/not found/i.test(describeError(error))) return undefined;
  throw error;
};

/** True when it had to be made. */
const ensureStream = async (
  manager: JetStreamManager,
  spec: StreamSpec,
  keepSizes: boolean,
  onGone: (stream: StreamName) => void,
): Promise<boolean> => {
  const wanted = streamConfig(spec);
  const found = await manager.streams.info(spec.name).catch(notFound);
  if (!found) {
    onGone(spec.name);
    await manager.streams.add(wanted);
    return true;
  }
  const { max_bytes, max_age } = found.config;
  const config = keepSizes ? { ...wanted, max_bytes, max_age } : wanted;
  if (found.config.retention !== config.retention)
    throw new ServiceError(
      `expected the stream ${spec.name} with retention ${config.retention}, found ${found.config.retention}, which cannot be changed. Delete that stream, or use another server.`,
    );
  if (differs(config, found.config)) await manager.streams.update(spec.name, config);
  return false;
};

/** True when it had to be made. */
const ensureConsumer = async (manager: JetStreamManager, spec: Wanted, limits: DeliveryLimits): Promise<boolean> => {
  const config = consumerConfig(spec, limitsOf(limits, spec.stream));
  const found = await manager.consumers.info(spec.stream, spec.durable).catch(notFound);
  if (!found) await manager.consumers.add(spec.stream, config);
  else if (differs(config, found.config))
    await manager.consumers.update(spec.stream, spec.durable, { ack_wait: config.ack_wait, max_deliver: config.max_deliver });
  return !found;
};

/**
 * @param connection of a principal that may: the supervisor, or the user of an external server
 * @param keepSizes leave the bounds of streams that are there already: on a shared server they are its owner's choice
 * @param onGone told of each stream that is missing, before it is made and anything can be stored in it
 * @returns the names of what had to be made
 * @throws ServiceError
 */
export const ensureStreams = async (
  connection: NatsConnection,
  streams: readonly StreamSpec[],
  limits: DeliveryLimits,
  keepSizes: boolean,
  onGone: (stream: StreamName) => void = () => undefined,
): Promise<readonly string[]> => {
  const made: string[] = [];
  try {
    const manager = await connection.jetstreamManager({ checkAPI: false, timeout: requestMsMax });
    for (const spec of streams) if (await ensureStream(manager, spec, keepSizes, onGone)) made.push(spec.name);
    for (const spec of wantedConsumers)
      if (await ensureConsumer(manager, spec, limits)) made.push(`${spec.stream}/${spec.durable}`);
    return made;
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new ServiceError(
      `expected to make JetStream's streams and consumers: ${describeError(error)}. Check the disk space, \`services.nats.storageBytesMax\`, and on an external server the user's rights.`,
      { path: "services.nats" },
      { cause: error },
    );
  }
};

/**
 * How many messages wait for each actor's durable consumers: those not handed over yet and those not acknowledged.
 * @returns undefined when a consumer or stream that should be there is gone
 */
export const lookAtConsumers = async (connection: NatsConnection): Promise<readonly ConsumerLook[] | undefined> => {
  const manager = await connection.jetstreamManager({ checkAPI: false, timeout: requestMsMax });
  const waiting = new Map<string, number>();
  for (const stream of streamNames) {
    try {
      for await (const { name, num_pending, num_ack_pending } of manager.consumers.list(stream))
        waiting.set(`${stream}/${name}`, num_pending + num_ack_pending);
    } catch (error) {
      notFound(error);
      return undefined;
    }
  }
  if (wantedConsumers.some(({ stream, durable }) => !waiting.has(`${stream}/${durable}`))) return undefined;
  return consumerSpecs.map(({ stream, durable, actor, subject }) => ({
    principal: actor,
    subject,
    waiting: waiting.get(`${stream}/${durable}`) ?? 0,
  }));
};
