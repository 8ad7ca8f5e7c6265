/** What is told of a run's life, and of the node's own. */
import { z } from "zod";
import { MorphogeneticConfig } from "./config-morphogenetic.ts";
import { HostSummary } from "./plan.ts";
import { ReportDamage } from "./report.ts";

/** The run's life as Tolaria tells it. */
export const RunEvent = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("started"),
    runId: z.string(),
    arm: z.string(),
    dataset: z.string(),
    engine: z.string(),
    host: HostSummary,
    flopsMax: z.number(),
    epochSteps: z.int(),
    hostSteps: z.int(),
    resumedAtEpoch: z.int().optional(),
    /** Whether the arm may grow, and by what it decides: what a reader of the log needs to read its measurements. */
    growth: z.boolean().optional(),
    morphogenetic: MorphogeneticConfig.optional(),
  }),
  z.strictObject({ kind: z.literal("checkpoint"), runId: z.string(), epoch: z.int(), file: z.string() }),
  z.strictObject({ kind: z.literal("checkpoint_failed"), runId: z.string(), epoch: z.int(), reason: z.string() }),
  z.strictObject({ kind: z.literal("rolled_back"), runId: z.string(), epoch: z.int(), reason: z.string(), rollbacks: z.int() }),
  z.strictObject({ kind: z.literal("paused"), runId: z.string(), epoch: z.int() }),
  z.strictObject({ kind: z.literal("resumed"), runId: z.string(), epoch: z.int() }),
  /** Nothing trains: the kernel of a seed is outstanding at the boundary after this window. Told after two seconds, four, eight … */
  z.strictObject({
    kind: z.literal("waiting"),
    runId: z.string(),
    epoch: z.int(),
    seedId: z.string(),
    outstanding: z.enum(["compilation", "characterization"]),
    waitedMs: z.number().min(0),
  }),
  z.strictObject({
    kind: z.literal("finished"),
    runId: z.string(),
    arm: z.string(),
    outcome: z.enum(["done", "stopped", "failed"]),
    reason: z.string(),
    testAccuracy: z.number().optional(),
    /** Told only now, when no decision can use it. */
    damage: ReportDamage.optional(),
  }),
]);
export type RunEvent = z.infer<typeof RunEvent>;

export const SupervisionEvent = z.strictObject({
  kind: z.enum([
    "started",
    "exited",
    "restarting",
    "escalated",
    "stopped",
    "shutdown_overrun",
    "dead_letter",
    "slow_consumer",
    "consumer_recovered",
    "consumers_restored",
    "stream_lost",
  ]),
  child: z.string(),
  detail: z.string(),
});
export type SupervisionEvent = z.infer<typeof SupervisionEvent>;
