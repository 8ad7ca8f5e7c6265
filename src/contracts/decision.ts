/** What Tamiyo and Emrakul expect, and what they decided. */
import { z } from "zod";

/** What a grown repair is expected to do, made before it starts and scored afterwards. */
export const Forecast = z.strictObject({
  /** Expected fall of validation loss by the verdict, in nats, with an 80 % interval. */
  lossGain: z.number(),
  lossGainLower: z.number(),
  lossGainUpper: z.number(),
  /** FLOPs of the whole trial and parameters that would stay. */
  trialFlops: z.number().min(0),
  parameters: z.int().min(0),
  /** Probability that the seed is culled. */
  cullRisk: z.number().min(0).max(1),
});
export type Forecast = z.infer<typeof Forecast>;

/** A decision of Tamiyo or Emrakul, also when it was to do nothing for a reason worth knowing. */
export const Decision = z.strictObject({
  runId: z.string(),
  epoch: z.int().min(1),
  rule: z.string(),
  /** Left out: Tamiyo. */
  by: z.enum(["tamiyo", "emrakul"]).optional(),
  outcome: z.enum(["germinate", "wait", "probe", "prune", "refused"]),
  site: z.string().optional(),
  seedId: z.string().optional(),
  fromSite: z.string().optional(),
  toSite: z.string().optional(),
  reason: z.string(),
  confidence: z.number().min(0).max(1).optional(),
  forecast: Forecast.optional(),
  requestId: z.string().optional(),
  /** Telemetry in to command out, without the network. */
  latencyMs: z.number().min(0),
});
export type Decision = z.infer<typeof Decision>;
