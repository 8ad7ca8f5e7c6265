/** What seeds and runs report over the bus, once a window. */
import { z } from "zod";
import { LifecycleState } from "./lifecycle.ts";
import { EpochResult, HostSummary } from "./plan.ts";
import { PolicyInForce } from "./policy.ts";
import { LayerSignal, SpanEnergy } from "./signal.ts";

/** Health of one site as its seed sees it. */
export const SeedHealth = z.strictObject({
  seedId: z.string(),
  site: z.string(),
  state: LifecycleState,
  /** 1 is sound, 0 is lost; absent when the window measured no signal. */
  health: z.number().min(0).max(1).optional(),
  /** All that was measured of its layer. */
  layer: LayerSignal.optional(),
  /** Windows until the embargo on this site ends; 0 when there is none. */
  embargoEpochs: z.int().min(0),
});
export type SeedHealth = z.infer<typeof SeedHealth>;

/** All seeds of a run in one window: one message, so that a decision sees one moment. */
export const HealthSignal = z.strictObject({
  runId: z.string(),
  epoch: z.int().min(1),
  hostStep: z.int().min(0),
  seeds: z.array(SeedHealth).max(100_000),
  /** Spans that start at the worst site. */
  spans: z.array(SpanEnergy),
  errorPower: z.number().optional(),
  /** Validation loss − loss of the measured training samples. */
  generalizationGap: z.number().optional(),
  validationLoss: z.number().optional(),
  /** The seed that holds the grafting lock. */
  activeSeedId: z.string().optional(),
  host: HostSummary,
  /** FLOPs that trials may still use. */
  flopsLeft: z.number(),
  /** What decides from here on, where it is no longer the configuration's. */
  policy: PolicyInForce.optional(),
});
export type HealthSignal = z.infer<typeof HealthSignal>;

/** The whole state of a run after a window. */
export const SystemStatePacket = z.strictObject({
  runId: z.string(),
  arm: z.string(),
  result: EpochResult,
  flopsMax: z.int().min(0),
  elapsedMs: z.number().min(0),
});
export type SystemStatePacket = z.infer<typeof SystemStatePacket>;

export const RunProgress = z.strictObject({
  runId: z.string(),
  arm: z.string(),
  epoch: z.int().min(1),
  work: z.string(),
  step: z.int().min(0),
  steps: z.int().min(0),
  loss: z.number(),
});
export type RunProgress = z.infer<typeof RunProgress>;
