/** How a node does at this moment: its breakers, and the queues of its actors. */
import { z } from "zod";
import { BreakerStats } from "./breaker.ts";

/** Counts since this generation of the actor started. */
const QueueStats = z.strictObject({
  /** Ids from the root of the tree of actors, joined by `/`. */
  actor: z.string().max(1000),
  mailboxDepth: z.int().min(0),
  mailboxDepthMax: z.int().min(0),
  processed: z.int().min(0),
  deadLetters: z.int().min(0),
  processingMsTotal: z.number().min(0),
  processingMsMax: z.number().min(0),
});

export const Performance = z.strictObject({
  atMs: z.number(),
  breakers: z.array(BreakerStats).max(256),
  /** Of the first 1000 actors that are up. */
  queues: z.array(QueueStats).max(1000),
});
export type Performance = z.infer<typeof Performance>;
