/** Bounds of calls that leave an actor: when a breaker opens, and how often and how soon an idempotent call is tried again. */
import { z } from "zod";

export const BreakerConfig = z.strictObject({
  failuresMax: z.int().min(1).max(1000).default(5).describe("Failures within `windowMs` that open a breaker."),
  windowMs: z.int().min(1).default(30_000).describe("The period that `failuresMax` counts in."),
  recoveryMs: z
    .int()
    .min(1)
    .default(2_000)
    .describe("How long an open breaker rejects every call before it lets a probe through."),
  probesMax: z.int().min(1).max(1000).default(1).describe("Calls let through at a time while a breaker is half open."),
  successesMin: z.int().min(1).max(1000).default(1).describe("Successful probes that close a breaker again."),
});
export type BreakerConfig = z.infer<typeof BreakerConfig>;

export const DeadLetterConfig = z.strictObject({
  lettersMax: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(1_000)
    .describe("Dead letters kept; one more pushes out the oldest that was sent again, else the oldest."),
  letterBytesMax: z
    .int()
    .min(1_024)
    .default(262_144)
    .describe("Size of a message that is kept with its dead letter; of a larger one only the reason is kept."),
});
export type DeadLetterConfig = z.infer<typeof DeadLetterConfig>;

export const DeliveryConfig = z.strictObject({
  healthMs: z.int().min(100).default(10_000).describe("Time between two looks at every durable consumer."),
  slowMessagesMax: z
    .int()
    .min(1)
    .default(10_000)
    .describe("Messages that wait for one durable consumer; with more it is reported as slow."),
});
export type DeliveryConfig = z.infer<typeof DeliveryConfig>;

export const RetryConfig = z.strictObject({
  attemptsMax: z.int().min(1).max(100).default(8).describe("Attempts of an idempotent call, the first included."),
  delayMsMin: z
    .int()
    .min(1)
    .default(100)
    .describe("Bound of the pause after the first attempt; it doubles with each, and the pause is drawn below it."),
  delayMsMax: z.int().min(1).default(2_000).describe("Bound of every pause between two attempts."),
});
export type RetryConfig = z.infer<typeof RetryConfig>;
