/**
 * Dead letters: messages that a stream kept for an actor and that the actor could not handle. What is lost of live telemetry, and a
 * request that fails to its asker's face, is none.
 */
import { z } from "zod";
import { Envelope } from "./envelope.ts";

const reasonMax = 4000;
/** Characters of a message that is no envelope. */
export const rawLengthMax = 4096;

/** What is told when a message is given up. */
export const DeadLetterReport = z.strictObject({
  /** Who should have handled it. */
  principal: z.string().min(1).max(128),
  subject: z.string().min(1).max(255),
  reason: z.string().max(reasonMax),
  deliveries: z.int().min(0),
  stream: z.string().min(1).max(128),
  /** Its place in the stream. */
  sequence: z.int().min(0),
  /** Left out when the message is none, is larger than is kept, or is gone from its stream. */
  envelope: Envelope.optional(),
  /** The beginning of a message that is no envelope. */
  raw: z.string().max(rawLengthMax).optional(),
});
export type DeadLetterReport = z.infer<typeof DeadLetterReport>;

export const deadLetterStates = ["waiting", "retried"] as const;

/** A dead letter as it is kept. */
export const DeadLetter = z.strictObject({
  id: z.int().min(1),
  state: z.enum(deadLetterStates),
  principal: z.string(),
  subject: z.string(),
  messageId: z.string(),
  reason: z.string().max(reasonMax),
  deliveries: z.int().min(0),
  /** How often this message died: once more after each retry in vain. */
  occurrences: z.int().min(1),
  retries: z.int().min(0),
  firstAtMs: z.number(),
  lastAtMs: z.number(),
  /** Why it cannot be sent again; left out when it can. */
  stuck: z.string().optional(),
});
export type DeadLetter = z.infer<typeof DeadLetter>;

export const DeadLetterQuery = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("list"),
    /** Only letters of a greater id: the next page. */
    afterId: z.int().min(0).default(0),
    limit: z.int().min(1).max(500).default(100),
    subject: z.string().max(255).optional(),
    principal: z.string().max(128).optional(),
  }),
  z.strictObject({ kind: z.literal("show"), id: z.int().min(1) }),
]);
export type DeadLetterQuery = z.infer<typeof DeadLetterQuery>;

export const DeadLetterAnswer = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("letters"),
    letters: z.array(DeadLetter).max(500),
    /** All that are kept, whatever was asked for. */
    kept: z.int().min(0),
  }),
  z.strictObject({
    kind: z.literal("letter"),
    letter: DeadLetter,
    envelope: Envelope.optional(),
    raw: z.string().optional(),
  }),
  z.strictObject({ kind: z.literal("unknown"), reason: z.string() }),
]);
export type DeadLetterAnswer = z.infer<typeof DeadLetterAnswer>;

export const DeadLetterEvent = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("died"), report: DeadLetterReport }),
  z.strictObject({
    kind: z.enum(["retried", "dropped"]),
    id: z.int(),
    subject: z.string(),
    principal: z.string(),
    messageId: z.string(),
    /** Who asked for it. */
    by: z.string(),
  }),
]);
export type DeadLetterEvent = z.infer<typeof DeadLetterEvent>;
