/** What a circuit breaker tells: its states, its changes, and the statistics that a query reads. */
import { z } from "zod";

export const breakerStates = ["CLOSED", "OPEN", "HALF_OPEN"] as const;
export const BreakerState = z.enum(breakerStates);
export type BreakerState = z.infer<typeof BreakerState>;

/** `lane.training`, `lane.twin`, `lane.forge`, `lane.experiment`, `download`, `nats`, or the subject of the request that it guards. */
const BreakerName = z.string().min(1).max(255);

export const BreakerEvent = z.strictObject({
  name: BreakerName,
  from: BreakerState,
  to: BreakerState,
  reason: z.string().max(2000),
  atMs: z.number(),
});
export type BreakerEvent = z.infer<typeof BreakerEvent>;

/** Quantiles of the calls' durations, over the last ones. */
export const LatencyQuantiles = z.strictObject({
  samples: z.int().min(1),
  p50Ms: z.number().min(0),
  p95Ms: z.number().min(0),
  p99Ms: z.number().min(0),
  maxMs: z.number().min(0),
});
export type LatencyQuantiles = z.infer<typeof LatencyQuantiles>;

/** Counts since the node started. `calls` = succeeded + failed + cancelled + in flight; rejected calls never began. */
export const BreakerStats = z.strictObject({
  name: BreakerName,
  state: BreakerState,
  calls: z.int().min(0),
  succeeded: z.int().min(0),
  failed: z.int().min(0),
  cancelled: z.int().min(0),
  inFlight: z.int().min(0),
  rejected: z.int().min(0),
  opened: z.int().min(0),
  lastError: z.string().max(2000).optional(),
  lastErrorAtMs: z.number().optional(),
  /** Left out before the first call ended: what was not measured has no value. */
  latency: LatencyQuantiles.optional(),
});
export type BreakerStats = z.infer<typeof BreakerStats>;
