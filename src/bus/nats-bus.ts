/**
 * The bus over one NATS connection, for one principal.
 *
 * B1 Nothing leaves that does not fit its schema, its bound in bytes, or the sender's rights.
 * B2 Nothing that does not fit reaches a handler: it is a dead letter with its reason. A handler never sees a broken message.
 * B3 Outcomes are unions: `publish` and `request` do not reject.
 * B4 One handler of a subscription runs at a time, in order, or as many of a responder as it allows; what waits is bounded, and what is over the bound is a dead letter.
 * B5 `publish` on a durable subject resolves with `sent` only when the message is in its stream; it is tried again, stored once.
 * B6 A request whose deadline passed while it waited is not handled.
 * B7 `closed` resolves once, when the connection is lost for good, and not after `close`.
 * B8 A request never outlives the deadline it is given: what is left of it is the timeout, and it travels with the message.
 * B9 A durable message is given up only after its dead letter was told.
 * B10 A live listener that reached its bound is told as slow, once, and as recovered once half of it is free.
 */
import { schemaVersion } from "../contracts/envelope.ts";
import { ContractError, ServiceError } from "../contracts/errors.ts";
import { type Clock, delay, type Entropy, type Log } from "../contracts/ports.ts";
import {
  type PayloadOf,
  type Principal,
  type ReplyOf,
  type RequestSubject,
  type SubjectName,
  subjects,
} from "../contracts/subjects.ts";
import type { Bus, HandledAs, MessageContext, RequestOutcome, RespondOptions, Subscription } from "./bus.ts";
import type { DurableLimits } from "./durable-consumer.ts";
import type { ConsumerEvent } from "./kept-streams.ts";
import { createLink } from "./link.ts";
import type { NatsConnection } from "./nats-client.ts";
import { mayListen } from "./permissions.ts";
import { createReceiver, type DeadLetter, type Handler } from "./receiver.ts";
import { createIdentifiers, createSender } from "./sender.ts";
import { headerBytesMax } from "./server-config.ts";
import { startServiceHost } from "./service-host.ts";
import { consumesDurably, isActor, streamOf } from "./streams.ts";

export interface NatsBusOptions {
  readonly connection: NatsConnection;
  readonly principal: Principal;
  /** Under which name it logs in and sends, where it takes the principal's part on another machine; left out, the principal's own. */
  readonly login?: Principal;
  /** What an actor tells of itself to whoever looks for services. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly payloadBytesMax: number;
  readonly mailboxMessagesMax: number;
  readonly requestTimeoutMs: number;
  readonly closeMsMax: number;
  readonly durable: DurableLimits;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly onDeadLetter: (letter: DeadLetter) => void | Promise<void>;
  readonly onConsumer: (event: ConsumerEvent) => void;
}

export const createNatsBus = async (options: NatsBusOptions): Promise<Bus> => {
  const { connection, principal, clock, log } = options;
  const serverBytesMax = connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
  const bytesMax = Math.min(options.payloadBytesMax, serverBytesMax - headerBytesMax);
  const link = createLink({ connection, principal, clock, log });
  const identifiers = createIdentifiers(options.entropy);
  const login = options.login ?? principal;
  const { requestTimeoutMs } = options;
  const sender = createSender({ link, principal: login, bytesMax, requestTimeoutMs, identifiers, clock });
  const services = isActor(principal)
    ? await startServiceHost({
        connection,
        name: principal,
        version: `${schemaVersion}.0.0`,
        description: `${principal} of an Esper node`,
        schemasLengthMax: Math.floor(bytesMax / 2),
        ...(options.metadata === undefined ? {} : { metadata: options.metadata }),
      })
    : undefined;
  const { mailboxMessagesMax, durable, onDeadLetter, onConsumer } = options;
  const receiver = createReceiver({
    link,
    principal,
    services,
    bytesMax,
    mailboxMessagesMax,
    durable,
    identifiers,
    clock,
    log,
    onDeadLetter,
    onConsumer,
  });
  const subscriptions = new Set<Subscription>();
  let closing: Promise<void> | undefined;

  const keep = (subscription: Subscription): Subscription => {
    const kept: Subscription = {
      close: async () => {
        if (subscriptions.delete(kept)) await subscription.close();
      },
    };
    subscriptions.add(kept);
    return kept;
  };

  const checkListener = (subject: SubjectName): void => {
    if (closing || connection.isClosed())
      throw new ServiceError(`expected an open bus, that of ${principal} is closed`, { subject });
    if (!mayListen(principal, subject))
      throw new ContractError(`expected a listener of ${subject} (${subjects[subject].listeners.join(", ")}), got ${principal}`, {
        subject,
      });
  };

  const bounded = async (work: Promise<unknown>): Promise<void> => {
    const timeout = new AbortController();
    await Promise.race([work.catch(() => undefined), delay(clock, options.closeMsMax, timeout.signal).catch(() => undefined)]);
    timeout.abort();
  };

  const end = async (): Promise<void> => {
    link.expectEnd();
    if (services && !connection.isClosed()) await bounded(services.stop());
    await bounded(Promise.all([...subscriptions].map((subscription) => subscription.close())));
    if (!connection.isClosed()) await bounded(connection.drain());
    await connection.close();
  };

  return {
    principal,
    closed: link.lost, // B7
    publish: (subject, payload, send = {}) => sender.publish(subject, payload, send),

    resend: (envelope, repeatId) => sender.resend(envelope, repeatId),

    // Payloads and replies were checked against the subject's schemas, so they are of its types.
    request: async <S extends RequestSubject>(subject: S, payload: unknown, send = {}) =>
      (await sender.request(subject, payload, send)) as RequestOutcome<ReplyOf<S>>,

    subscribe: async <S extends SubjectName>(
      subject: S,
      handler: (payload: PayloadOf<S>, context: MessageContext) => HandledAs | Promise<HandledAs>,
    ) => {
      checkListener(subject);
      const typed: Handler = (payload, context) => handler(payload as PayloadOf<S>, context);
      const stream = streamOf(subject);
      const durable = stream !== undefined && consumesDurably(principal);
      return keep(durable ? receiver.durable(subject, stream, typed) : await receiver.live(subject, typed));
    },

    respond: async <S extends RequestSubject>(
      subject: S,
      handler: (payload: PayloadOf<S>, context: MessageContext) => Promise<ReplyOf<S>>,
      { atOnceMax = 1 }: RespondOptions = {},
    ) => {
      checkListener(subject);
      const typed: Handler = (payload, context) => handler(payload as PayloadOf<S>, context);
      return keep(await receiver.requests(subject, typed, atOnceMax));
    },

    close: () => {
      closing ??= Promise.resolve().then(end);
      return closing;
    },
  };
};
