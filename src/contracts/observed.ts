/** What is known of a node from outside: whether it is ready, what asks for attention, how its runs stand, what came of commands. */
import { z } from "zod";
import { LifecycleState } from "./lifecycle.ts";
import { transports } from "./roles.ts";

const text = z.string().max(1000);
const count = z.int().min(0);

export const Health = z.strictObject({
  atMs: z.number(),
  /** The process answers. */
  live: z.literal(true),
  /** Every actor is up. */
  ready: z.boolean(),
  /** Why it is not ready. */
  reasons: z.array(text).max(64),
  actors: z
    .array(
      z.strictObject({
        /** Ids from the root of the tree of actors, joined by `/`. */
        actor: text,
        status: z.enum(["waiting", "starting", "up", "stopping", "finished"]),
        /** How often it was started. */
        generation: count,
      }),
    )
    .max(1000),
});
export type Health = z.infer<typeof Health>;

export const alertKinds = [
  "supervisor_escalated",
  "actor_down",
  "breaker_open",
  "dead_letter",
  "slow_consumer",
  "events_lost",
  "escalation_waiting",
  "rollback",
  "disk",
  "run_failed",
] as const;
export type AlertKind = (typeof alertKinds)[number];
export const severities = ["info", "warning", "critical"] as const;

export const Alert = z.strictObject({
  kind: z.enum(alertKinds),
  severity: z.enum(severities),
  /** What it is about: an actor, a breaker, a run, a seed, a message. */
  about: text,
  reason: text,
  sinceMs: z.number(),
  /** When it was over; left out while it lasts. */
  untilMs: z.number().optional(),
  /** How often it was told since. */
  count: z.int().min(1),
});
export type Alert = z.infer<typeof Alert>;

export const alertsMax = 256;

export const AlertQuery = z.strictObject({ activeOnly: z.boolean().default(false) });

export const Alerts = z.strictObject({
  atMs: z.number(),
  active: count,
  /** Those that last come first, then those that are over; in each the newest first. */
  alerts: z.array(Alert).max(alertsMax),
});
export type Alerts = z.infer<typeof Alerts>;

/** A run as its last events tell it; what was not measured is left out. */
export const RunStanding = z.strictObject({
  runId: z.string(),
  arm: z.string(),
  epoch: count,
  hostStep: count,
  trainLoss: z.number().optional(),
  validationLoss: z.number().optional(),
  accuracy: z.number().optional(),
  flops: z.number().min(0),
  flopsMax: z.number().min(0),
  parameters: count,
  outcome: z.enum(["done", "stopped", "failed"]).optional(),
  /** How many seeds are in each state. */
  seeds: z.partialRecord(LifecycleState, count),
});
export type RunStanding = z.infer<typeof RunStanding>;

export const runStandingsMax = 8;

export const Observed = z.strictObject({
  atMs: z.number(),
  runs: z.array(RunStanding).max(runStandingsMax),
});
export type Observed = z.infer<typeof Observed>;

/** Upper bounds of the buckets that the Gate's time is counted in, in seconds. */
export const gateBucketsSeconds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const;

/** What came of commands since the Gate started. */
export const CommandCounts = z.strictObject({
  counts: z
    .array(
      z.strictObject({
        /** Of the command; `invalid` where it is none. */
        kind: z.string(),
        transport: z.enum(transports),
        /** The receipt's kind, or the code of a refusal. */
        outcome: z.string(),
        count,
      }),
    )
    .max(4096),
  /** From a command's arrival at the Gate to its receipt. */
  seconds: z.strictObject({
    /** Commands no slower than each bucket's bound, and faster than the bucket before. The last is without bound. */
    buckets: z.array(count).length(gateBucketsSeconds.length + 1),
    sum: z.number().min(0),
  }),
});
export type CommandCounts = z.infer<typeof CommandCounts>;
