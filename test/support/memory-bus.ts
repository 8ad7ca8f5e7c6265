/**
 * The bus in memory, for tests of actors: the contract of the real one without a server. Messages go through JSON and the same
 * checks; every delivery is queued, so that nobody is called from inside `publish`; time passes on the given clock alone.
 */

import type {
  Bus,
  MessageContext,
  PublishOutcome,
  RequestOutcome,
  RespondOptions,
  SendOptions,
  Subscription,
} from "../../src/bus/bus.ts";
import { mayListen, mayPublish, mayResend } from "../../src/bus/permissions.ts";
import { type DeadLetter, isDeclined } from "../../src/bus/receiver.ts";
import { createSerialQueue, type SerialQueue } from "../../src/bus/serial-queue.ts";
import { consumerSpecs, consumesDurably, durableName, isActor, streamOf } from "../../src/bus/streams.ts";
import { checkPayload, checkReply, decodeMessage, encodeMessage, failureKind, rawText } from "../../src/bus/wire.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { ContractError, describeError, ServiceError } from "../../src/contracts/errors.ts";
import type { Clock } from "../../src/contracts/ports.ts";
import {
  type PayloadOf,
  type Principal,
  type ReplyOf,
  type RequestSubject,
  type SubjectName,
  subjectNames,
} from "../../src/contracts/subjects.ts";

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  readonly payloadBytesMax?: number;
  readonly mailboxMessagesMax?: number;
  readonly requestTimeoutMs?: number;
  readonly deliveriesMax?: number;
  readonly retryMs?: number;
}

export interface MemoryBroker {
  connect(principal: Principal): Promise<Bus>;
  /** Every message that was accepted, in order; replies are not among them. */
  readonly sent: readonly Envelope[];
  readonly deadLetters: readonly DeadLetter[];
  /** Puts raw bytes on a subject, as a broken sender would. */
  inject(subject: SubjectName, data: Uint8Array): void;
  /** Ends all connections of a principal as a lost server would. */
  lose(principal: Principal, reason: string): void;
}

type Handler = (payload: unknown, context: MessageContext) => unknown;
type Listener = (data: Uint8Array) => void;
type Reply =
  | { readonly kind: "reply"; readonly data: unknown }
  | { readonly kind: "failure"; readonly code: number; readonly reason: string };
type Question = { readonly data: Uint8Array; readonly answer: (reply: Reply) => void };
type Responder = { readonly queue: SerialQueue<Question> };

interface Stored {
  readonly data: Uint8Array;
  readonly sequence: number;
  deliveries: number;
}

interface Durable {
  readonly waiting: Stored[];
  readonly consumers: Consumer[];
}

interface Consumer {
  readonly handle: (stored: Stored) => Promise<void>;
  /** The message at work. */
  work: Promise<void> | undefined;
}

const contextOf = ({ id, sender, sentAtMs, traceId, deadlineAtMs }: Envelope, redeliveries: number): MessageContext => ({
  id,
  sender,
  sentAtMs,
  traceId,
  ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }),
  redeliveries,
});

export const createMemoryBroker = (options: MemoryBrokerOptions): MemoryBroker => {
  const {
    clock,
    payloadBytesMax = 8_388_608,
    mailboxMessagesMax = 10_000,
    requestTimeoutMs = 5_000,
    deliveriesMax = 5,
    retryMs = 200,
  } = options;
  const sent: Envelope[] = [];
  const deadLetters: DeadLetter[] = [];
  const listeners = new Map<SubjectName, Set<Listener>>();
  const responders = new Map<SubjectName, Responder[]>();
  const durables = new Map<string, Durable>(consumerSpecs.map(({ durable }) => [durable, { waiting: [], consumers: [] }]));
  const stored = new Set<string>();
  const connections = new Set<{ readonly principal: Principal; readonly lose: (reason: string) => void }>();
  let count = 0;
  let sequences = 0;

  const decode = (subject: SubjectName, data: Uint8Array) =>
    decodeMessage(subject, data, () => {
      const id = `bare-${count++}`;
      return { id, sentAtMs: clock.nowMs(), traceId: (count++).toString(16).padStart(32, "0") };
    });

  const pump = (durable: Durable): void => {
    for (const consumer of durable.consumers) {
      if (consumer.work) continue;
      const next = durable.waiting.shift();
      if (!next) return;
      consumer.work = Promise.resolve()
        .then(() => consumer.handle(next))
        .finally(() => {
          consumer.work = undefined;
          pump(durable);
        });
    }
  };

  const deliver = (subject: SubjectName, data: Uint8Array): void => {
    for (const listener of listeners.get(subject) ?? []) listener(data);
    const sequence = ++sequences;
    for (const spec of consumerSpecs)
      if (spec.subject === subject) {
        const durable = durables.get(spec.durable);
        durable?.waiting.push({ data, sequence, deliveries: 0 });
        if (durable) pump(durable);
      }
  };

  const connect = (principal: Principal): Bus => {
    const subscriptions = new Set<Subscription>();
    let open = true;
    let resolveClosed: (reason: string) => void = () => undefined;
    const closed = new Promise<string>((resolve) => {
      resolveClosed = resolve;
    });
    const connection = {
      principal,
      lose: (reason: string) => {
        open = false;
        for (const subscription of [...subscriptions]) void subscription.close();
        resolveClosed(reason);
      },
    };
    connections.add(connection);

    const deadLetter = (subject: SubjectName, reason: string, envelope?: Envelope): void => {
      deadLetters.push({ principal, subject, reason, ...(envelope ? { envelope } : {}) });
    };
    const giveUp = (subject: SubjectName, { data, sequence, deliveries }: Stored, reason: string, envelope?: Envelope): void => {
      const stream = streamOf(subject);
      if (stream === undefined) return;
      const text = envelope ? { envelope } : { raw: rawText(data) };
      deadLetters.push({ principal, subject, reason, place: { stream, sequence, deliveries }, ...text });
    };

    const keep = (close: () => Promise<void>): Subscription => {
      const subscription: Subscription = {
        close: async () => {
          if (subscriptions.delete(subscription)) await close();
        },
      };
      subscriptions.add(subscription);
      return subscription;
    };

    const prepare = (subject: SubjectName, payload: unknown, send: SendOptions, deadlineAtMs?: number) => {
      if (!mayPublish(principal, subject))
        return { kind: "denied", reason: `${principal} may not publish on ${subject}` } as const;
      const checked = checkPayload(subject, payload);
      if (checked.kind === "unfit") return { kind: "invalid", reason: checked.reason } as const;
      const id = send.messageId ?? `m${count++}`;
      const traceId = send.traceId ?? (count++).toString(16).padStart(32, "0");
      const deadline = deadlineAtMs === undefined ? {} : { deadlineAtMs };
      const fields = { id, subject, sender: principal, sentAtMs: clock.nowMs(), traceId, ...deadline };
      const encoded = encodeMessage(fields, checked.value, payloadBytesMax);
      if (encoded.kind === "unfit") return { kind: "invalid", reason: encoded.reason } as const;
      return {
        kind: "outgoing",
        id,
        data: encoded.value,
        envelope: { ...fields, schemaVersion: 1, payload: checked.value } as const,
      } as const;
    };

    const listenDurable = (subject: SubjectName, handler: Handler): Subscription => {
      if (!isActor(principal)) throw new ContractError(`expected an actor to consume ${subject}, got ${principal}`);
      const durable = durables.get(durableName(principal, subject));
      if (!durable) throw new ContractError(`expected a durable consumer of ${principal} on ${subject}`);
      const work = async (item: Stored): Promise<void> => {
        item.deliveries++;
        const decoded = decode(subject, item.data);
        if (decoded.kind === "unfit") return giveUp(subject, item, decoded.reason, decoded.envelope);
        try {
          const answer = await handler(decoded.payload, contextOf(decoded.envelope, item.deliveries - 1));
          if (isDeclined(answer)) throw new Error(answer.reason);
        } catch (error) {
          if (item.deliveries >= deliveriesMax)
            return giveUp(
              subject,
              item,
              `handed over ${item.deliveries} times, the last time: ${describeError(error)}`,
              decoded.envelope,
            );
          clock.schedule(retryMs, () => {
            durable.waiting.push(item);
            pump(durable);
          });
        }
      };
      const consumer: Consumer = { handle: work, work: undefined };
      durable.consumers.push(consumer);
      pump(durable);
      return keep(async () => {
        durable.consumers.splice(durable.consumers.indexOf(consumer), 1);
        await consumer.work;
      });
    };

    const listenLive = (subject: SubjectName, handler: Handler): Subscription => {
      const queue = createSerialQueue<Uint8Array>(mailboxMessagesMax, async (data) => {
        const decoded = decode(subject, data);
        if (decoded.kind === "unfit") return deadLetter(subject, decoded.reason, decoded.envelope);
        try {
          await handler(decoded.payload, contextOf(decoded.envelope, 0));
        } catch (error) {
          deadLetter(subject, `the handler failed: ${describeError(error)}`, decoded.envelope);
        }
      });
      const listener: Listener = (data) => {
        if (!queue.push(data)) deadLetter(subject, `more than ${mailboxMessagesMax} messages wait`);
      };
      const set = listeners.get(subject) ?? new Set();
      listeners.set(subject, set.add(listener));
      return keep(async () => {
        set.delete(listener);
        queue.close();
        await queue.idle();
      });
    };

    const serve =
      (subject: SubjectName, handler: Handler) =>
      async ({ data, answer }: Question): Promise<void> => {
        const fail = (code: number, reason: string): void => answer({ kind: "failure", code, reason });
        const decoded = decode(subject, data);
        if (decoded.kind === "unfit") {
          deadLetter(subject, decoded.reason, decoded.envelope);
          return fail(400, decoded.reason);
        }
        const { deadlineAtMs } = decoded.envelope;
        if (deadlineAtMs !== undefined && clock.nowMs() >= deadlineAtMs)
          return fail(408, `the request waited past its deadline at ${principal}`);
        try {
          const value: unknown = await handler(decoded.payload, contextOf(decoded.envelope, 0));
          const reply = checkReply(subject, value);
          if (reply.kind === "fits") return answer({ kind: "reply", data: JSON.parse(JSON.stringify(reply.value)) });
          deadLetter(subject, reply.reason, decoded.envelope);
          fail(400, reply.reason);
        } catch (error) {
          const reason = `${principal} failed to answer ${subject}: ${describeError(error)}`;
          deadLetter(subject, reason, decoded.envelope);
          fail(500, reason);
        }
      };

    const checkListener = (subject: SubjectName): void => {
      if (!open) throw new ServiceError(`expected an open bus, that of ${principal} is closed`);
      if (!mayListen(principal, subject)) throw new ContractError(`expected a listener of ${subject}, got ${principal}`);
    };

    return {
      principal,
      closed,

      publish: async (subject, payload, send = {}): Promise<PublishOutcome> => {
        const message = prepare(subject, payload, send);
        if (message.kind !== "outgoing") return { kind: "failed", reason: `${message.kind}: ${message.reason}` };
        if (!open) return { kind: "failed", reason: "the bus is disconnected" };
        if (streamOf(subject)) {
          const key = `${subject}:${message.id}`;
          if (stored.has(key)) return { kind: "sent" };
          stored.add(key);
        }
        sent.push(message.envelope);
        deliver(subject, message.data);
        return { kind: "sent" };
      },

      resend: async (envelope, repeatId): Promise<PublishOutcome> => {
        const subject = subjectNames.find((name) => name === envelope.subject);
        if (subject === undefined || !mayResend(principal, subject))
          return { kind: "failed", reason: `denied: ${principal} may not send a message on ${envelope.subject} again` };
        const checked = checkPayload(subject, envelope.payload);
        if (checked.kind === "unfit") return { kind: "failed", reason: `invalid: ${checked.reason}` };
        if (!open) return { kind: "failed", reason: "the bus is disconnected" };
        const key = `${subject}:${envelope.id}:${repeatId}`;
        if (stored.has(key)) return { kind: "sent" };
        stored.add(key);
        sent.push(envelope);
        deliver(subject, new TextEncoder().encode(JSON.stringify(envelope)));
        return { kind: "sent" };
      },

      request: <S extends RequestSubject>(
        subject: S,
        payload: unknown,
        send: SendOptions = {},
      ): Promise<RequestOutcome<ReplyOf<S>>> => {
        const leftMs = (send.deadlineAtMs ?? Number.POSITIVE_INFINITY) - clock.nowMs();
        const timeoutMs = Math.min(send.timeoutMs ?? requestTimeoutMs, leftMs);
        const message = prepare(subject, payload, send, clock.nowMs() + timeoutMs);
        if (message.kind !== "outgoing") return Promise.resolve(message);
        if (timeoutMs <= 0)
          return Promise.resolve({ kind: "timeout", reason: `the deadline had passed before ${subject} was asked` });
        const queues = responders.get(subject) ?? [];
        const responder = queues[0];
        if (!open || !responder)
          return Promise.resolve({ kind: "unavailable", reason: `nobody answers on ${subject}`, absent: true });
        // The next question goes to the next node that answers.
        queues.push(...queues.splice(0, 1));
        sent.push(message.envelope);
        return new Promise((resolve) => {
          const cancel = clock.schedule(timeoutMs, () =>
            resolve({ kind: "timeout", reason: `no answer on ${subject} within ${timeoutMs} ms` }),
          );
          const answer = (reply: Reply): void => {
            cancel();
            if (reply.kind === "failure") resolve({ kind: failureKind(reply.code), reason: reply.reason });
            else resolve({ kind: "reply", value: reply.data as ReplyOf<S> });
          };
          if (!responder.queue.push({ data: message.data, answer }))
            answer({ kind: "failure", code: 503, reason: `more than ${mailboxMessagesMax} requests wait` });
        });
      },

      subscribe: async <S extends SubjectName>(
        subject: S,
        handler: (payload: PayloadOf<S>, context: MessageContext) => void | Promise<void>,
      ) => {
        checkListener(subject);
        const typed: Handler = (payload, context) => handler(payload as PayloadOf<S>, context);
        return streamOf(subject) && consumesDurably(principal) ? listenDurable(subject, typed) : listenLive(subject, typed);
      },

      respond: async <S extends RequestSubject>(
        subject: S,
        handler: (payload: PayloadOf<S>, context: MessageContext) => Promise<ReplyOf<S>>,
        { atOnceMax = 1 }: RespondOptions = {},
      ) => {
        checkListener(subject);
        const typed: Handler = (payload, context) => handler(payload as PayloadOf<S>, context);
        const responder: Responder = { queue: createSerialQueue(mailboxMessagesMax, serve(subject, typed), atOnceMax) };
        const all = responders.get(subject) ?? [];
        responders.set(subject, all);
        all.push(responder);
        return keep(async () => {
          all.splice(all.indexOf(responder), 1);
          for (const { answer } of responder.queue.close())
            answer({ kind: "failure", code: 503, reason: `${principal} stops answering ${subject}` });
          await responder.queue.idle();
        });
      },

      close: async () => {
        open = false;
        connections.delete(connection);
        await Promise.all([...subscriptions].map((subscription) => subscription.close()));
      },
    };
  };

  return {
    connect: (principal) => Promise.resolve(connect(principal)),
    sent,
    deadLetters,
    inject: deliver,
    lose: (principal, reason) => {
      for (const connection of [...connections])
        if (connection.principal === principal) {
          connections.delete(connection);
          connection.lose(reason);
        }
    },
  };
};
