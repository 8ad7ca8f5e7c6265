/** The receiving half of a bus: live, durable and answered subjects. B2, B4, B6, B9 and B10 of nats-bus.ts are kept here. */
import type { Envelope } from "../contracts/envelope.ts";
import { ContractError, describeError, ServiceError } from "../contracts/errors.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import type { Principal, SubjectName } from "../contracts/subjects.ts";
import { describeSubject } from "./announcement.ts";
import type { Declined, MessageContext, Subscription } from "./bus.ts";
import { consumeDurable, type DurableLimits, type Handled } from "./durable-consumer.ts";
import type { ConsumerEvent } from "./kept-streams.ts";
import type { Link } from "./link.ts";
import { headerOf, type Msg, type ServiceMsg } from "./nats-client.ts";
import { mayPublish } from "./permissions.ts";
import type { Identifiers } from "./sender.ts";
import { createSerialQueue } from "./serial-queue.ts";
import type { ServiceHost } from "./service-host.ts";
import { limitsOf } from "./stream-admin.ts";
import { durableName, isActor, type StreamName } from "./streams.ts";
import { isVouched, senderOf, wireListens } from "./vouched.ts";
import {
  bareBody,
  checkReply,
  decodeMessage,
  deliveryOf,
  encodeMessage,
  type FailureKind,
  failureBody,
  failureCodes,
  type Incoming,
  rawText,
  traceIdOf,
} from "./wire.ts";

/** A message that nobody will handle. */
export interface DeadLetter {
  /** Who should have handled it. */
  readonly principal: string;
  readonly subject: string;
  readonly reason: string;
  readonly envelope?: Envelope;
  /** Where the stream holds it, or held it; left out for a live message and a request. */
  readonly place?: StreamPlace;
  /** The beginning of a message that is no envelope. */
  readonly raw?: string;
}

export interface StreamPlace {
  readonly stream: StreamName;
  readonly sequence: number;
  readonly deliveries: number;
}

/** Gets a payload that fits the subject's schema. */
export type Handler = (payload: unknown, context: MessageContext) => unknown;

export interface ReceiverOptions {
  readonly link: Link;
  readonly principal: Principal;
  readonly services: ServiceHost | undefined;
  readonly bytesMax: number;
  readonly mailboxMessagesMax: number;
  readonly durable: DurableLimits;
  readonly identifiers: Identifiers;
  readonly clock: Clock;
  readonly log: Log;
  /** Of a durable message it is awaited before the message is given up; a rejection keeps the message. */
  readonly onDeadLetter: (letter: DeadLetter) => void | Promise<void>;
  readonly onConsumer: (event: ConsumerEvent) => void;
}

export interface Receiver {
  live(subject: SubjectName, handler: Handler): Promise<Subscription>;
  durable(subject: SubjectName, stream: StreamName, handler: Handler): Subscription;
  /** `atOnceMax`: requests that are handled at the same time. */
  requests(subject: SubjectName, handler: Handler, atOnceMax: number): Promise<Subscription>;
}

const headerLengthMax = 1_000;

const contextOf = ({ id, sender, sentAtMs, traceId, deadlineAtMs }: Envelope, redeliveries: number): MessageContext => ({
  id,
  sender,
  sentAtMs,
  traceId,
  ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }),
  redeliveries,
});

export const isDeclined = (answer: unknown): answer is Declined =>
  typeof answer === "object" && answer !== null && "kind" in answer && answer.kind === "declined";

export const createReceiver = (options: ReceiverOptions): Receiver => {
  const { link, principal, services, bytesMax, mailboxMessagesMax, identifiers, clock, log } = options;
  const { connection } = link;

  const deadLetter = (subject: SubjectName, reason: string, envelope?: Envelope): void => {
    log.warn("dead letter", { principal, subject, reason, id: envelope?.id });
    void options.onDeadLetter({ principal, subject, reason, ...(envelope ? { envelope } : {}) });
  };

  /** B9 */
  const giveUp = async (subject: SubjectName, stream: StreamName, message: Msg, reason: string): Promise<void> => {
    const { envelope } = decode(subject, message);
    const { deliveries = 0, sequence = 0 } = deliveryOf(message.reply ?? "") ?? {};
    log.warn("dead letter", { principal, subject, reason, id: envelope?.id });
    await options.onDeadLetter({
      principal,
      subject,
      reason,
      place: { stream, sequence, deliveries },
      ...(envelope ? { envelope } : { raw: rawText(message.data) }),
    });
  };

  const decode = (subject: SubjectName, message: Msg | ServiceMsg): Incoming => {
    const vouched = senderOf(subject, message.subject);
    if (vouched.kind === "unknown")
      return { kind: "unfit", reason: `expected a login that may send on ${subject}, got ${vouched.name}`, bare: true };
    const bareFields = () => {
      const id = identifiers.nextId();
      return { id, sentAtMs: clock.nowMs(), traceId: traceIdOf(headerOf(message, "traceparent")) ?? identifiers.traceId(id) };
    };
    return decodeMessage(subject, message.data, bareFields, vouched.kind === "known" ? vouched.principal : undefined);
  };

  const live: Receiver["live"] = async (subject, handler) => {
    let dropped = 0;
    const queue = createSerialQueue<Msg>(mailboxMessagesMax, async (message) => {
      if (dropped > 0 && queue.size <= mailboxMessagesMax / 2) {
        options.onConsumer({ kind: "recovered", principal, subject, waiting: queue.size, dropped }); // B10
        dropped = 0;
      }
      const decoded = decode(subject, message);
      if (decoded.kind === "unfit") return deadLetter(subject, decoded.reason, decoded.envelope); // B2
      try {
        await handler(decoded.payload, contextOf(decoded.envelope, 0));
      } catch (error) {
        deadLetter(subject, `the handler failed: ${describeError(error)}`, decoded.envelope);
      }
    });
    let open = true;
    let refused: Error | undefined;
    const subscription = connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) refused = error;
        else if (!queue.push(message) && open) {
          if (dropped === 0) options.onConsumer({ kind: "slow", principal, subject, waiting: queue.size, dropped: 1 }); // B10
          dropped++;
          deadLetter(subject, `more than ${mailboxMessagesMax} messages wait`); // B4
        }
      },
    });
    await connection.flush();
    if (refused)
      throw new ServiceError(`expected the NATS server to let ${principal} listen to ${subject}: ${describeError(refused)}`, {
        subject,
      });
    return {
      close: async () => {
        open = false;
        if (!connection.isClosed()) subscription.unsubscribe();
        queue.close();
        await queue.idle();
      },
    };
  };

  const durable: Receiver["durable"] = (subject, stream, handler) => {
    if (!isActor(principal)) throw new ContractError(`expected an actor to consume ${subject}, got ${principal}`, { subject });
    const handle = async (message: Msg, redeliveries: number): Promise<Handled> => {
      const decoded = decode(subject, message);
      if (decoded.kind === "unfit") return { kind: "unfit", reason: decoded.reason }; // B2
      try {
        const answer = await handler(decoded.payload, contextOf(decoded.envelope, redeliveries));
        return isDeclined(answer) ? answer : { kind: "done" };
      } catch (error) {
        return { kind: "failed", reason: describeError(error) };
      }
    };
    const onGivenUp = (message: Msg, reason: string): Promise<void> => giveUp(subject, stream, message, reason);
    const place = { stream, durable: durableName(principal, subject) };
    const { onReconnect } = link;
    const limits = limitsOf(options.durable, stream);
    return consumeDurable({ connection, ...place, limits, clock, log, onReconnect, handle, onGivenUp });
  };

  const requests: Receiver["requests"] = async (subject, handler, atOnceMax) => {
    if (!services) throw new ContractError(`expected an actor to answer ${subject}, got ${principal}`, { subject });
    const stats = { failures: 0, handlerMs: 0, lastFailure: "" };

    const refuse = (message: ServiceMsg, kind: FailureKind, reason: string, requestId?: string): void => {
      stats.failures++;
      stats.lastFailure = reason;
      if (connection.isClosed()) return;
      // A header is one line of ASCII.
      const line = reason.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, headerLengthMax);
      message.respondError(failureCodes[kind], line, failureBody(kind, reason, requestId));
    };

    const serve = async (message: ServiceMsg): Promise<void> => {
      const decoded = decode(subject, message);
      if (decoded.kind === "unfit") {
        // B2. What people send is refused to their face; as dead letters it could drown the events of the node.
        if (isVouched(subject) || mayPublish("operator", subject))
          log.info("refused a message", { subject: message.subject, reason: decoded.reason });
        else deadLetter(subject, decoded.reason, decoded.envelope);
        return refuse(message, "invalid", decoded.reason, decoded.requestId);
      }
      const { envelope, payload, bare } = decoded;
      if (envelope.deadlineAtMs !== undefined && clock.nowMs() >= envelope.deadlineAtMs)
        return refuse(message, "timeout", `the request waited past its deadline at ${principal}`); // B6
      const startMs = clock.monotonicMs();
      try {
        const reply = checkReply(subject, await handler(payload, contextOf(envelope, 0)));
        if (reply.kind === "unfit") {
          deadLetter(subject, reply.reason, envelope);
          return refuse(message, "invalid", reply.reason);
        }
        const fields = {
          id: identifiers.nextId(),
          subject,
          sender: principal,
          sentAtMs: clock.nowMs(),
          traceId: envelope.traceId,
        };
        const body = encodeMessage(fields, reply.value, bytesMax);
        if (body.kind === "unfit") return refuse(message, "invalid", body.reason);
        const headers = identifiers.traceHeaders(envelope.traceId);
        if (!connection.isClosed()) message.respond(bare ? bareBody(reply.value) : body.value, { headers });
      } catch (error) {
        const reason = `${principal} failed to answer ${subject}: ${describeError(error)}`;
        deadLetter(subject, reason, envelope);
        refuse(message, "failed", reason);
      } finally {
        stats.handlerMs += clock.monotonicMs() - startMs;
      }
    };

    const queue = createSerialQueue<ServiceMsg>(mailboxMessagesMax, serve, atOnceMax);
    const enqueue = (message: ServiceMsg): void => {
      if (!queue.push(message)) refuse(message, "unavailable", `more than ${mailboxMessagesMax} requests wait at ${principal}`); // B4
    };
    const { about, ...schemas } = describeSubject(subject);
    const wireSubjects = wireListens(subject);
    for (const wireSubject of wireSubjects)
      await services.add({
        subject: wireSubject,
        about,
        ...(wireSubject === subject ? schemas : {}),
        handler: enqueue,
        stats: () => ({ ...stats, waiting: queue.size }),
      });
    return {
      close: async () => {
        for (const wireSubject of wireSubjects) await services.remove(wireSubject);
        for (const message of queue.close()) refuse(message, "unavailable", `${principal} stops answering ${subject}`);
        await queue.idle();
      },
    };
  };

  return { live, durable, requests };
};
