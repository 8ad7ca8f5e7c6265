/**
 * The bus of another node, joined as its forge: one login for all that works here, no streams to make, no files to write.
 *
 * J1 It looks for the server, with growing pauses, until it is there or `joinMsMax` have passed; the login file is read anew each time.
 * J2 `exited` resolves once: when the connection is lost for good, or with `stopped`. Whoever supervises joins again.
 * J3 A message that cannot be handled here is left to the server's count: the node whose bus it is tells of it.
 */
import type { NatsConfig } from "../contracts/config.ts";
import { describeError, InputError, ServiceError } from "../contracts/errors.ts";
import { delay } from "../contracts/ports.ts";
import type { ActorName } from "../contracts/subjects.ts";
import { type NodeDescription, serviceMetadata } from "./announcement.ts";
import type { Bus } from "./bus.ts";
import { type BusPorts, closeMsMax, durableDefaults, openAs } from "./create.ts";
import { type ExternalLogin, externalLogin } from "./forge-file.ts";
import { createNatsBus } from "./nats-bus.ts";
import { lossOf, type NatsConnection, publicUrl } from "./nats-client.ts";
import type { DeadLetter } from "./receiver.ts";
import type { DeliveryLimits } from "./stream-admin.ts";

export interface JoinOptions extends BusPorts {
  readonly config: Extract<NatsConfig, { mode: "external" }>;
  readonly payloadBytesMax: number;
  readonly mailboxMessagesMax: number;
  readonly requestTimeoutMs: number;
  readonly joinMsMax: number;
  /** Delivery of work where the login file does not tell it. */
  readonly work: DeliveryLimits["work"];
  readonly description: NodeDescription;
  readonly signal?: AbortSignal;
}

export interface JoinedBus {
  /** A new connection for an actor that works here. @throws ServiceError */
  connect(actor: ActorName): Promise<Bus>;
  readonly url: string;
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

const login = "forge";
const pauseMsMin = 250;
const pauseMsMax = 5_000;
/** The link's own patience is the shortest, so that it is the first to be given up, and all join again together. */
const linkReconnectMsMax = 5_000;
const actorReconnectMsMax = 15_000;

/** J1 */
const findServer = async (
  options: JoinOptions,
): Promise<{ readonly connection: NatsConnection; readonly found: ExternalLogin }> => {
  const { clock, log, signal, joinMsMax } = options;
  const untilMs = clock.monotonicMs() + joinMsMax;
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    signal?.throwIfAborted();
    try {
      const found = await externalLogin(options.config);
      const credential = credentialOf(found);
      const connection = await openAs({
        ...options,
        url: found.url,
        principal: login,
        credential,
        reconnectMsMax: linkReconnectMsMax,
      });
      return { connection, found };
    } catch (error) {
      if (error instanceof InputError) throw error;
      if (clock.monotonicMs() + pauseMs > untilMs)
        throw new ServiceError(`no bus to join within ${joinMsMax} ms (services.forge.joinMs): ${describeError(error)}`, {
          path: "services.nats",
        });
      log.info("the bus to join is not there yet", { reason: describeError(error) });
      await delay(clock, pauseMs, signal);
    }
  }
};

const credentialOf = ({ user, password }: ExternalLogin) => ({
  ...(user === undefined ? {} : { user }),
  ...(password === undefined ? {} : { password }),
});

/** J3 */
const leaveToServer = async ({ place, reason }: DeadLetter): Promise<void> => {
  if (place !== undefined) throw new ServiceError(`left to the node whose bus it is: ${reason}`);
};

/** @throws ServiceError when there is no server to join in time; InputError for a configuration that names none */
export const joinBus = async (options: JoinOptions): Promise<JoinedBus> => {
  const { clock, entropy, log } = options;
  const ports: BusPorts = { clock, entropy, log };
  const { connection, found } = await findServer(options);
  let stopping = false;
  const exited = connection
    .closed()
    .then((error) => (stopping ? "stopped" : `the connection to ${publicUrl(found.url)} is lost: ${lossOf(error)}`)); // J2
  return {
    url: publicUrl(found.url),
    exited,
    connect: async (actor) =>
      createNatsBus({
        ...ports,
        connection: await openAs({
          ...ports,
          url: found.url,
          principal: login,
          credential: credentialOf(found),
          reconnectMsMax: actorReconnectMsMax,
        }),
        principal: actor,
        login,
        payloadBytesMax: options.payloadBytesMax,
        mailboxMessagesMax: options.mailboxMessagesMax,
        requestTimeoutMs: options.requestTimeoutMs,
        closeMsMax,
        durable: { ...durableDefaults, work: found.work ?? options.work },
        onDeadLetter: leaveToServer,
        onConsumer: () => undefined,
        metadata: serviceMetadata(actor, options.description),
      }),
    stop: async () => {
      stopping = true;
      await connection.close();
    },
  };
};
