/** The sending half of a bus: checks, wraps, sends. B1, B3, B5 and B8 of nats-bus.ts are kept here. */
import { createHash } from "node:crypto";
import type { Envelope } from "../contracts/envelope.ts";
import { describeError } from "../contracts/errors.ts";
import { type Clock, delay, type Entropy } from "../contracts/ports.ts";
import { type Principal, type SubjectName, subjectNames } from "../contracts/subjects.ts";
import type { PublishOutcome, RequestOutcome, SendOptions } from "./bus.ts";
import { type Link, LostWhileAsking } from "./link.ts";
import { answerFailure, clientFailure, headers, type MsgHdrs } from "./nats-client.ts";
import { mayPublish, mayResend } from "./permissions.ts";
import { streamOf } from "./streams.ts";
import { sentAs } from "./vouched.ts";
import { checkPayload, decodeReply, encodeMessage, failureKind, traceparent } from "./wire.ts";

export interface Identifiers {
  /** Never given out before. */
  readonly nextId: () => string;
  /** 32 hexadecimal digits. */
  readonly traceId: (id: string) => string;
  /** With a new span of the trace. */
  readonly traceHeaders: (traceId: string) => MsgHdrs;
}

const idBytes = 12;
const spanBytes = 4;
const attemptMsMax = 1_500;
const attemptPauseMs = 50;

const hex = (text: string, digits: number): string => createHash("sha256").update(text).digest("hex").slice(0, digits);

export const createIdentifiers = (entropy: Entropy): Identifiers => {
  const base = entropy.token(idBytes);
  let count = 0;
  let spans = 0;
  // Of W3C Trace Context: any number that is not used twice in a trace.
  const spanBase = entropy.token(spanBytes);
  const nextSpan = (): string => `${spanBase}${(spans++ % 0x1_0000_0000).toString(16).padStart(8, "0")}`;
  return {
    nextId: () => `${base}-${(count++).toString(36)}`,
    traceId: (id) => hex(`trace:${id}`, 32),
    traceHeaders: (traceId) => {
      const sent = headers();
      sent.set("traceparent", traceparent(traceId, nextSpan()));
      return sent;
    },
  };
};

export interface SenderOptions {
  readonly link: Link;
  readonly principal: Principal;
  readonly bytesMax: number;
  readonly requestTimeoutMs: number;
  readonly identifiers: Identifiers;
  readonly clock: Clock;
}

export interface Sender {
  publish(subject: SubjectName, payload: unknown, send: SendOptions): Promise<PublishOutcome>;
  /** The value of a reply fits the subject's reply schema. */
  request(subject: SubjectName, payload: unknown, send: SendOptions): Promise<RequestOutcome<unknown>>;
  resend(envelope: Envelope, repeatId: string): Promise<PublishOutcome>;
}

interface Outgoing {
  readonly kind: "outgoing";
  readonly body: Uint8Array;
  readonly headers: MsgHdrs;
  /** What the stream knows the message by. */
  readonly id: string;
}

export const createSender = ({ link, principal, bytesMax, requestTimeoutMs, identifiers, clock }: SenderOptions): Sender => {
  /** B1. */
  const prepare = (
    subject: SubjectName,
    payload: unknown,
    send: SendOptions,
    deadlineAtMs?: number,
  ): Outgoing | { readonly kind: "denied" | "invalid"; readonly reason: string } => {
    if (!mayPublish(principal, subject)) return { kind: "denied", reason: `${principal} may not publish on ${subject}` };
    const checked = checkPayload(subject, payload);
    if (checked.kind === "unfit") return { kind: "invalid", reason: checked.reason };
    const id = send.messageId ?? identifiers.nextId();
    const traceId = send.traceId ?? identifiers.traceId(id);
    const deadline = deadlineAtMs === undefined ? {} : { deadlineAtMs };
    const fields = { id, subject, sender: principal, sentAtMs: clock.nowMs(), traceId, ...deadline };
    const encoded = encodeMessage(fields, checked.value, bytesMax);
    if (encoded.kind === "unfit") return { kind: "invalid", reason: encoded.reason };
    return { kind: "outgoing", body: encoded.value, headers: identifiers.traceHeaders(traceId), id };
  };

  /** B5. The server stores a message of the same id once, so that it may be sent again. */
  const store = async (subject: SubjectName, message: Outgoing, timeoutMs: number, atOnce = false): Promise<PublishOutcome> => {
    const untilMs = clock.monotonicMs() + timeoutMs;
    message.headers.set("Nats-Msg-Id", `${subject}:${message.id}`);
    let reason = "the bus is disconnected";
    while (await link.whenConnected(untilMs)) {
      const leftMs = untilMs - clock.monotonicMs();
      if (leftMs <= 0) break;
      try {
        const answer = await link.ask(subject, message.body, {
          timeoutMs: Math.min(attemptMsMax, leftMs),
          headers: message.headers,
        });
        const ack = answer.json<{ readonly stream?: string; readonly error?: { readonly description?: string } }>();
        if (ack.stream) return { kind: "sent" };
        return {
          kind: "failed",
          reason: `the stream of ${subject} refused the message: ${ack.error?.description ?? "no reason given"}`,
        };
      } catch (error) {
        const failure = clientFailure(error);
        if (failure === "denied")
          return { kind: "failed", reason: `denied: the server does not let ${principal} publish on ${subject}` };
        reason = failure === "no_responders" ? "no stream keeps it" : describeError(error);
        if (link.connection.isClosed() || (atOnce && failure === "no_responders")) break;
        await delay(clock, attemptPauseMs);
      }
    }
    return { kind: "failed", reason: `${subject} was not stored within ${timeoutMs} ms: ${reason}` };
  };

  /** Nobody got a question that found no responder, so it may be put again while actors come back after a loss. */
  const ask = async (subject: SubjectName, message: Outgoing, untilMs: number) => {
    for (;;) {
      const leftMs = untilMs - clock.monotonicMs();
      try {
        return await link.ask(sentAs(subject, principal), message.body, { timeoutMs: leftMs, headers: message.headers });
      } catch (error) {
        const again = clientFailure(error) === "no_responders" && link.settling() && leftMs > attemptPauseMs;
        if (!again) throw error;
        await delay(clock, attemptPauseMs);
      }
    }
  };

  return {
    publish: async (subject, payload, send) => {
      const message = prepare(subject, payload, send);
      if (message.kind !== "outgoing") return { kind: "failed", reason: `${message.kind}: ${message.reason}` };
      if (streamOf(subject)) return store(subject, message, send.timeoutMs ?? requestTimeoutMs, send.atOnce);
      // The client would keep what it cannot send without bound.
      if (!link.connected()) return { kind: "failed", reason: "the bus is disconnected" };
      try {
        link.connection.publish(sentAs(subject, principal), message.body, { headers: message.headers });
        return { kind: "sent" };
      } catch (error) {
        return { kind: "failed", reason: describeError(error) }; // B3
      }
    },

    resend: async (envelope, repeatId) => {
      const { id, sender, sentAtMs, traceId, payload } = envelope;
      const subject = subjectNames.find((name) => name === envelope.subject);
      if (subject === undefined || !mayResend(principal, subject))
        return { kind: "failed", reason: `denied: ${principal} may not send a message on ${envelope.subject} again` };
      const checked = checkPayload(subject, payload);
      if (checked.kind === "unfit") return { kind: "failed", reason: `invalid: ${checked.reason}` };
      const encoded = encodeMessage({ id, subject, sender, sentAtMs, traceId }, payload, bytesMax);
      if (encoded.kind === "unfit") return { kind: "failed", reason: `invalid: ${encoded.reason}` };
      const repeated = `${id}:${repeatId}`;
      const message = { body: encoded.value, headers: identifiers.traceHeaders(traceId), id: repeated };
      return store(subject, { kind: "outgoing", ...message }, requestTimeoutMs);
    },

    request: async (subject, payload, send) => {
      const nowMs = clock.nowMs();
      const timeoutMs = Math.min(send.timeoutMs ?? requestTimeoutMs, (send.deadlineAtMs ?? Number.POSITIVE_INFINITY) - nowMs); // B8
      const untilMs = clock.monotonicMs() + timeoutMs;
      const message = prepare(subject, payload, send, nowMs + timeoutMs);
      if (message.kind !== "outgoing") return message;
      if (timeoutMs <= 0) return { kind: "timeout", reason: `the deadline had passed before ${subject} was asked` };
      if (!(await link.whenConnected(untilMs)))
        return { kind: "unavailable", reason: `the bus of ${principal} is disconnected`, absent: true };
      try {
        const answer = await ask(subject, message, untilMs);
        const failure = answerFailure(answer);
        if (failure) return { kind: failureKind(failure.code), reason: failure.reason };
        const reply = decodeReply(subject, answer.data);
        return reply.kind === "fits" ? { kind: "reply", value: reply.value } : { kind: "invalid", reason: reply.reason };
      } catch (error) {
        const failure = clientFailure(error);
        if (failure === "timeout") return { kind: "timeout", reason: `no answer on ${subject} within ${timeoutMs} ms` };
        if (error instanceof LostWhileAsking) return { kind: "timeout", reason: `no answer on ${subject}: ${error.message}` };
        if (failure === "denied") return { kind: "denied", reason: `the server does not let ${principal} send on ${subject}` };
        if (failure === "no_responders") return { kind: "unavailable", reason: `nobody answers on ${subject}`, absent: true };
        return { kind: "unavailable", reason: describeError(error) }; // B3
      }
    },
  };
};
