/** Commands that change a run, their receipts, and the decisions that led to them. Operators and Tamiyo send the same messages. */
import { z } from "zod";
import { BlueprintRequest } from "./blueprint-kinds.ts";
import { RequestId, RunId, SeedId, SiteId } from "./ids.ts";
import { LifecycleState } from "./lifecycle.ts";
import { HostSummary } from "./plan.ts";
import { PruneTarget } from "./pruning.ts";

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

/** What Tamiyo wants of the host, with its grounds. */
export const AdaptationSignal = z.strictObject({
  rule: z.string(),
  reason: z.string(),
  confidence: z.number().min(0).max(1),
  forecast: Forecast,
});
export type AdaptationSignal = z.infer<typeof AdaptationSignal>;

const base = { requestId: RequestId, runId: RunId.optional() };

export const KasminaControlCommand = z.discriminatedUnion("kind", [
  z.strictObject({
    ...base,
    kind: z.literal("germinate"),
    seedId: SeedId,
    /** Where the bypass ends; left out, the span of the largest energy, else the nearest legal one. */
    toSite: SiteId.optional(),
    blueprint: BlueprintRequest.optional(),
    /** Takes something out in place of growing; the seed is then `seed:<site>.prune`, and span and blueprint are left out. */
    prune: PruneTarget.optional(),
    adaptation: AdaptationSignal.optional(),
    reason: z.string().max(500).default("asked by the operator"),
  }),
  z.strictObject({
    ...base,
    kind: z.literal("cull"),
    seedId: SeedId,
    reason: z.string().max(500).default("asked by the operator"),
  }),
  /** Undoes the open trial: everything as in the last good snapshot. Without a seed, the one in trial. */
  z.strictObject({
    ...base,
    kind: z.literal("rollback"),
    seedId: SeedId.optional(),
    reason: z.string().max(500).default("asked by the operator"),
  }),
  /** Lets a seed that was rolled back go back to its first state; the embargo on its site stays. */
  z.strictObject({
    ...base,
    kind: z.literal("release"),
    seedId: SeedId,
    reason: z.string().max(500).default("asked by the operator"),
  }),
  /** Answers an escalation: the jury was split on this seed. */
  z.strictObject({
    ...base,
    kind: z.literal("resolve"),
    seedId: SeedId,
    verdict: z.enum(["keep", "cull"]),
    reason: z.string().max(500).default("asked by the operator"),
  }),
  z.strictObject({ ...base, kind: z.literal("pause") }),
  z.strictObject({ ...base, kind: z.literal("resume") }),
  z.strictObject({ ...base, kind: z.literal("status") }),
  z.strictObject({ ...base, kind: z.literal("stop"), reason: z.string().max(500).default("asked by the operator") }),
]);
export type KasminaControlCommand = z.infer<typeof KasminaControlCommand>;

export const SeedStatus = z.strictObject({
  seedId: z.string(),
  site: z.string(),
  state: LifecycleState,
  sinceEpoch: z.int().min(0),
  reason: z.string(),
  embargoUntilEpoch: z.int().min(0),
  health: z.number().optional(),
  alpha: z.number(),
});
export type SeedStatus = z.infer<typeof SeedStatus>;

export const RunStatus = z.strictObject({
  runId: z.string(),
  arm: z.string(),
  epoch: z.int().min(0),
  paused: z.boolean(),
  host: HostSummary,
  /** At most the first 1000; `seedCount` counts all. */
  seeds: z.array(SeedStatus).max(1000),
  seedCount: z.int().min(0),
});
export type RunStatus = z.infer<typeof RunStatus>;

export const refusalCodes = [
  "invalid",
  "unknown_run",
  "unknown_seed",
  "illegal_transition",
  "embargo",
  "lock_held",
  "budget",
  "limit",
  "span",
  "no_run",
  "not_paused",
  "already_paused",
  "stopping",
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

/** The answer to a command. An accepted change takes effect at the next boundary. */
export const CommandReceipt = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("accepted"),
    requestId: z.string(),
    runId: z.string(),
    appliesAtEpoch: z.int().min(1),
    detail: z.string(),
  }),
  z.strictObject({ kind: z.literal("status"), requestId: z.string(), run: RunStatus }),
  z.strictObject({ kind: z.literal("refused"), requestId: z.string(), code: z.enum(refusalCodes), reason: z.string() }),
]);
export type CommandReceipt = z.infer<typeof CommandReceipt>;

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
