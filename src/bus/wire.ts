/**
 * What a message looks like on the wire, and how it is checked on both ends. Pure.
 *
 * A message is an `Envelope` as JSON. A person's NATS client may also send a request as the bare payload: it counts as one from
 * the operator and is answered bare.
 */
import type { z } from "zod";
import { rawLengthMax } from "../contracts/dead-letter.ts";
import { Envelope, schemaVersion } from "../contracts/envelope.ts";
import { describeError, describeFault } from "../contracts/errors.ts";
import { type Principal, type SubjectName, subjects } from "../contracts/subjects.ts";

export type Checked<T> = { readonly kind: "fits"; readonly value: T } | { readonly kind: "unfit"; readonly reason: string };

export type Incoming =
  | { readonly kind: "message"; readonly envelope: Envelope; readonly payload: unknown; readonly bare: boolean }
  | {
      readonly kind: "unfit";
      readonly reason: string;
      readonly bare: boolean;
      readonly envelope?: Envelope;
      readonly requestId?: string;
    };

const issuesMax = 3;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

const issueText = (error: z.ZodError): string => {
  const shown = error.issues
    .slice(0, issuesMax)
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join(".")}: ${describeFault(issue)}` : describeFault(issue)));
  const more = error.issues.length - shown.length;
  return shown.join("; ") + (more > 0 ? `; and ${more} more` : "");
};

const check = <T>(schema: z.ZodType<T>, value: unknown, what: string): Checked<T> => {
  const result = schema.safeParse(value);
  if (result.success) return { kind: "fits", value: result.data };
  return { kind: "unfit", reason: `${what} does not fit its schema: ${issueText(result.error)}` };
};

export const checkPayload = (subject: SubjectName, value: unknown): Checked<unknown> =>
  check<unknown>(subjects[subject].payload, value, `the message on ${subject}`);

export const checkReply = (subject: SubjectName, value: unknown): Checked<unknown> => {
  const entry: { readonly about: string; readonly reply?: z.ZodType } = subjects[subject];
  if (!entry.reply) return { kind: "unfit", reason: `expected a request subject, ${subject} has no reply` };
  return check<unknown>(entry.reply, value, `the reply on ${subject}`);
};

export interface EnvelopeFields {
  readonly id: string;
  readonly subject: string;
  readonly sender: string;
  readonly sentAtMs: number;
  readonly traceId: string;
  readonly deadlineAtMs?: number;
}

/** Fails when the payload is no JSON (a cycle, a BigInt) or larger than the bound. */
export const encodeMessage = (fields: EnvelopeFields, payload: unknown, bytesMax: number): Checked<Uint8Array> => {
  let body: Uint8Array;
  try {
    body = encoder.encode(JSON.stringify({ ...fields, schemaVersion, payload }));
  } catch (error) {
    return { kind: "unfit", reason: `expected a message on ${fields.subject} that is JSON: ${describeError(error)}` };
  }
  if (body.byteLength > bytesMax)
    return {
      kind: "unfit",
      reason: `expected at most ${bytesMax} bytes on ${fields.subject}, got ${body.byteLength}. Send less, or raise \`services.payloadBytesMax\``,
    };
  return { kind: "fits", value: body };
};

const isObject = (value: unknown): value is Readonly<{ [key: string]: unknown }> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The `traceparent` of W3C Trace Context: version, trace id, parent id, flags. */
export const traceparent = (traceId: string, spanId: string): string => `00-${traceId}-${spanId}-01`;

export const traceIdOf = (header: string | undefined): string | undefined =>
  /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(header ?? "")?.[1];

const takesBare = (subject: SubjectName): boolean =>
  "reply" in subjects[subject] && (subjects[subject].publishers as readonly Principal[]).includes("operator");

/**
 * @param bareFields the envelope for a bare payload: its id, time and trace are the receiver's
 * @param vouched whom the server vouches for as the sender: the envelope must say the same
 */
export const decodeMessage = (
  subject: SubjectName,
  data: Uint8Array,
  bareFields: () => Pick<EnvelopeFields, "id" | "sentAtMs" | "traceId">,
  vouched?: Principal,
): Incoming => {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(data));
  } catch (error) {
    return { kind: "unfit", reason: `expected JSON on ${subject}: ${describeError(error)}`, bare: takesBare(subject) };
  }
  if (takesBare(subject) && isObject(value) && !("schemaVersion" in value)) {
    const envelope: Envelope = { ...bareFields(), subject, sender: vouched ?? "operator", schemaVersion, payload: value };
    return decodePayload(subject, envelope, true);
  }
  const parsed = check(Envelope, value, `the envelope on ${subject}`);
  if (parsed.kind === "unfit") return { ...parsed, bare: false };
  const { sender } = parsed.value;
  if (vouched !== undefined && sender !== vouched) {
    const reason = `expected ${vouched} as the sender of what ${vouched} sends on ${subject}, the envelope says ${sender}`;
    return { kind: "unfit", reason, bare: false, envelope: parsed.value };
  }
  return decodePayload(subject, parsed.value, false);
};

const decodePayload = (subject: SubjectName, envelope: Envelope, bare: boolean): Incoming => {
  const requestId = isObject(envelope.payload) ? envelope.payload["requestId"] : undefined;
  const unfit = (reason: string): Incoming => ({
    kind: "unfit",
    reason,
    bare,
    envelope,
    ...(typeof requestId === "string" ? { requestId } : {}),
  });
  if (envelope.subject !== subject) return unfit(`expected an envelope for ${subject}, its subject is ${envelope.subject}`);
  const publishers: readonly string[] = subjects[subject].publishers;
  if (!publishers.includes(envelope.sender))
    return unfit(`expected a sender of ${subject} (${publishers.join(", ")}), got ${envelope.sender}`);
  const payload = checkPayload(subject, envelope.payload);
  return payload.kind === "fits" ? { kind: "message", envelope, payload: payload.value, bare } : unfit(payload.reason);
};

/** The payload of an answer to `subject`; the sender is whoever holds the subject's listener permission. */
export const decodeReply = (subject: SubjectName, data: Uint8Array): Checked<unknown> => {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(data));
  } catch (error) {
    return { kind: "unfit", reason: `expected JSON as the reply on ${subject}: ${describeError(error)}` };
  }
  const envelope = check(Envelope, value, `the envelope of the reply on ${subject}`);
  return envelope.kind === "unfit" ? envelope : checkReply(subject, envelope.value.payload);
};

/** The beginning of a message that is no envelope, for a person to look at. */
export const rawText = (data: Uint8Array): string =>
  new TextDecoder().decode(data.subarray(0, rawLengthMax)).slice(0, rawLengthMax);

/** Why a request was not answered, as the service error code of the NATS services framework (ADR-32). */
export const failureCodes = { invalid: 400, denied: 403, timeout: 408, failed: 500, unavailable: 503 } as const;
export type FailureKind = keyof typeof failureCodes;

export const failureKind = (code: number): "invalid" | "denied" | "timeout" | "unavailable" => {
  if (code === failureCodes.invalid) return "invalid";
  if (code === failureCodes.denied) return "denied";
  return code === failureCodes.timeout ? "timeout" : "unavailable";
};

/** The body of a failure, in the form of a refusal, so that a bare client reads one shape. */
export const failureBody = (kind: FailureKind, reason: string, requestId = ""): Uint8Array =>
  encoder.encode(JSON.stringify({ kind: "refused", requestId, code: kind, reason }));

export const bareBody = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** What the reply subject of a JetStream message tells: `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<sequence>.…` */
export const deliveryOf = (reply: string): { readonly deliveries: number; readonly sequence: number } | undefined => {
  const tokens = reply.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || tokens.length < 9) return undefined;
  const start = tokens.length >= 11 ? 6 : 4;
  const deliveries = Number(tokens[start]);
  const sequence = Number(tokens[start + 1]);
  return Number.isInteger(deliveries) && Number.isInteger(sequence) ? { deliveries, sequence } : undefined;
};
