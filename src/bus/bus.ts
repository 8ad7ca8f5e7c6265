/** Oona's interface: what an actor may do on the bus. One connection and one identity per actor. */
import type { Envelope } from "../contracts/envelope.ts";
import type { InputOf, PayloadOf, ReplyOf, RequestSubject, SubjectName } from "../contracts/subjects.ts";

export interface MessageContext {
  readonly id: string;
  /** On a vouched subject the login itself, else what the envelope says. */
  readonly sender: string;
  readonly sentAtMs: number;
  readonly traceId: string;
  /** After this the sender no longer waits; milliseconds since the Unix epoch. */
  readonly deadlineAtMs?: number;
  /** How often a durable message was handed over before this time. */
  readonly redeliveries: number;
}

export interface SendOptions {
  /** Continue this trace; left out, a new one begins. */
  readonly traceId?: string;
  /** Same id within the stream's window: stored once. */
  readonly messageId?: string;
  readonly timeoutMs?: number;
  /** A durable message for which there is no stream fails at once, instead of waiting for the stream to be made. */
  readonly atOnce?: boolean;
  /** A request ends at its timeout or here, whatever comes first; milliseconds since the Unix epoch. */
  readonly deadlineAtMs?: number;
}

export interface RespondOptions {
  /** Requests that are handled at the same time; left out, one after the other. They begin in the order in which they came. */
  readonly atOnceMax?: number;
}

/** `unavailable`: nobody answers on the subject. `invalid`: the message or the reply does not fit its schema. */
export type RequestOutcome<T> =
  | { readonly kind: "reply"; readonly value: T }
  | {
      readonly kind: "timeout" | "unavailable" | "invalid" | "denied";
      readonly reason: string;
      /** Asking again is in vain before. */
      readonly retryAfterMs?: number;
      /** Known at once: nobody listens there, or there is no connection. The question was not put. */
      readonly absent?: true;
    };

/** Of a durable message that this listener cannot handle and another one of the same actor may: it goes back, and to somebody else if there is one. */
export interface Declined {
  readonly kind: "declined";
  readonly reason: string;
}

export type PublishOutcome = { readonly kind: "sent" } | { readonly kind: "failed"; readonly reason: string };

// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing has handled its message.
export type HandledAs = void | Declined;

export interface Subscription {
  close(): Promise<void>;
}

export interface Bus {
  readonly principal: string;
  /** A durable subject's message is in its stream when this resolves with `sent`. */
  publish<S extends SubjectName>(subject: S, payload: InputOf<S>, options?: SendOptions): Promise<PublishOutcome>;
  request<S extends RequestSubject>(subject: S, payload: InputOf<S>, options?: SendOptions): Promise<RequestOutcome<ReplyOf<S>>>;
  /**
   * Puts a message on its durable subject again, as its sender sent it. The same `repeatId` for the same message: stored once within
   * the stream's window. The supervisor alone may.
   */
  resend(envelope: Envelope, repeatId: string): Promise<PublishOutcome>;
  /**
   * On a durable subject each actor has one durable consumer; a message is acknowledged when the handler resolves,
   * redelivered (bounded) when it rejects or declines, and a dead letter after that.
   */
  subscribe<S extends SubjectName>(
    subject: S,
    handler: (payload: PayloadOf<S>, context: MessageContext) => HandledAs | Promise<HandledAs>,
  ): Promise<Subscription>;
  respond<S extends RequestSubject>(
    subject: S,
    handler: (payload: PayloadOf<S>, context: MessageContext) => Promise<ReplyOf<S>>,
    options?: RespondOptions,
  ): Promise<Subscription>;
  /** Resolves with the reason when the connection is lost for good. */
  readonly closed: Promise<string>;
  close(): Promise<void>;
}
