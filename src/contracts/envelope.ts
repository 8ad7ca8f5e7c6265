/** The wrapper around every message on the bus, and a line of the event log. */
import { z } from "zod";

export const schemaVersion = 1;

export const Envelope = z.strictObject({
  id: z.string().min(1).max(128),
  subject: z.string().min(1).max(255),
  /** The actor or person that sent it. */
  sender: z.string().min(1).max(128),
  sentAtMs: z.number(),
  /** W3C trace id: 32 hexadecimal digits. Messages that follow from one another share it. */
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  /** After this the sender no longer waits. */
  deadlineAtMs: z.number().optional(),
  schemaVersion: z.literal(schemaVersion),
  payload: z.unknown(),
});
export type Envelope = z.infer<typeof Envelope>;
