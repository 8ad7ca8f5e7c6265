/** The epoch boundary: what a lane is asked to do in the next window, and what it reports of it. */
import { z } from "zod";
import { DamageConfig, GovernorConfig, ModelConfig, MorphogeneticConfig } from "./config.ts";
import { TriggerConfig } from "./config-signal.ts";
import { Anomaly, FlopsAccount, KernelMeasurement, Validation } from "./measure.ts";
import { OptimizerConfig } from "./optimizer.ts";
import { HostParts } from "./pruning.ts";
import { Signal } from "./signal.ts";

const count = z.int().min(0);

/** A session is one host in training in a lane. */
export const SessionSpec = z.strictObject({
  runId: z.string(),
  model: ModelConfig,
  optimizer: OptimizerConfig,
  schedule: z.enum(["constant", "cosine"]),
  warmupSteps: count,
  batchSize: z.int().min(1),
  randomSeed: count,
  damage: DamageConfig.optional(),
  engine: z.enum(["native", "wasm", "cpu"]),
  threads: z.int().min(1),
  /** The host's steps if nothing but the host is trained; sets the FLOPs budget and the schedule's length. */
  hostSteps: z.int().min(1),
  epochSteps: z.int().min(1),
  /** The FLOPs of the run; left out, what `hostSteps` steps of the undamaged host cost. */
  flopsMax: z.int().min(1).optional(),
  morphogenetic: MorphogeneticConfig,
  governor: GovernorConfig,
  progressHz: z.number().positive(),
});
export type SessionSpec = z.infer<typeof SessionSpec>;

/** A part of a host: from a layer to the logits. */
export const TailSummary = z.strictObject({
  parameters: count,
  /** FLOPs of one forward pass over one batch. */
  forwardFlops: count,
});
export type TailSummary = z.infer<typeof TailSummary>;

export const SiteSummary = z.strictObject({
  site: z.string(),
  kind: z.enum(["dense", "conv2d", "output"]),
  /** Units or channels of the layer's input and of its output. */
  inputWidth: z.int().min(1),
  width: z.int().min(1),
  /** Shape of one sample of the layer's input and of its pre-activation: [units], [channels, height, width] or [tokens, units]. */
  inputShape: z.array(z.int().min(1)).max(4),
  shape: z.array(z.int().min(1)).max(4),
  /** FLOPs, for one batch, of the loss's gradient at this site's pre-activation beyond the forward pass. */
  slopeFlops: count,
  /** Sites whose pre-activation a bypass from this site's input may legally add to. */
  legalTargets: z.array(z.string()),
  /** What a replacement of the layer copies: the layer and all behind it. Absent where no fresh layer can take its place. */
  tail: TailSummary.optional(),
});
export type SiteSummary = z.infer<typeof SiteSummary>;

export const HostSummary = z.strictObject({
  name: z.string(),
  /** SHA-256 of the host's canonical JSON. */
  hash: z.string(),
  parameters: count,
  /** Samples in one batch. */
  batchSize: z.int().min(1),
  /** FLOPs of one optimizer step of the host, and of one forward pass over one batch. */
  stepFlops: count,
  forwardFlops: count,
  sites: z.array(SiteSummary),
});
export type HostSummary = z.infer<typeof HostSummary>;

export const SessionStatus = z.strictObject({
  runId: z.string(),
  /** Last window that is complete; 0 before the first. */
  epoch: count,
  hostStep: count,
  host: HostSummary,
  /** Where the damage was done, in topological order, for the report and for no decision. Empty without damage. */
  damagedSites: z.array(z.string()),
  flopsMax: count,
  flops: FlopsAccount,
  /** The result of the last complete window, so that a boundary that was interrupted can be taken again. */
  lastResult: z.lazy(() => EpochResult).optional(),
});
export type SessionStatus = z.infer<typeof SessionStatus>;

/** Applied before the window's steps, in order. */
export const BoundaryAction = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("load_kernel"),
    seedId: z.string(),
    kernelHash: z.string(),
    fromSite: z.string(),
    toSite: z.string(),
  }),
  /** FOSSILIZED: fold the kernel into the host. */
  z.strictObject({ kind: z.literal("keep"), seedId: z.string() }),
  /** CULLED: the host goes on as it stood when it was frozen, or from the twin. */
  z.strictObject({ kind: z.literal("discard"), seedId: z.string(), continueFrom: z.enum(["host", "twin"]) }),
  /** ROLLED_BACK: host, moments, random state, data cursor as in the last good snapshot. */
  z.strictObject({ kind: z.literal("rollback"), seedId: z.string().optional(), reason: z.string() }),
  /** A command: a kernel comes into the lane's cache, or goes out of it. */
  z.strictObject({ kind: z.literal("cache_kernel"), site: z.string(), kernelHash: z.string() }),
  z.strictObject({ kind: z.literal("evict_kernel"), site: z.string(), kernelHash: z.string() }),
]);
export type BoundaryAction = z.infer<typeof BoundaryAction>;

export const Work = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("host"), steps: z.int().min(1) }),
  /** Loads and dry-runs only (see `before`). */
  z.strictObject({ kind: z.literal("load"), seedId: z.string() }),
  z.strictObject({ kind: z.literal("train_kernel"), seedId: z.string(), steps: z.int().min(1) }),
  z.strictObject({
    kind: z.literal("graft"),
    seedId: z.string(),
    steps: z.int().min(1),
    /** Progress of the schedule at the window's start and end, 0 to 1. */
    progressFrom: z.number().min(0).max(1),
    progressTo: z.number().min(0).max(1),
  }),
  z.strictObject({ kind: z.literal("stabilize"), seedId: z.string(), steps: z.int().min(2) }),
  z.strictObject({ kind: z.literal("evaluate"), seedId: z.string() }),
  z.strictObject({ kind: z.literal("fine_tune"), seedId: z.string(), steps: z.int().min(1) }),
]);
export type Work = z.infer<typeof Work>;

export const EpochPlan = z.strictObject({
  runId: z.string(),
  /** Number of the window, from 1. */
  epoch: z.int().min(1),
  before: z.array(BoundaryAction).max(16),
  work: Work,
  /** Measure the signal at the window's end. */
  measureSignal: z.boolean(),
  /** False where no decision can follow from the measurement, so that nobody asks where a bypass would end; left out, it is measured. */
  measureSpans: z.boolean().optional(),
  /** Batches to pool in that measurement; left out: one. */
  signalBatches: z.int().min(1).max(16).optional(),
  /** Measure at the window's end which parts of the host earn their cost. */
  measureParts: z.boolean().optional(),
  /** Write a checkpoint before the window, whatever the configuration says. */
  checkpoint: z.boolean().optional(),
  /** Thresholds of a policy that was put in force while the run went on; left out, the configuration's. */
  trigger: TriggerConfig.optional(),
});
export type EpochPlan = z.infer<typeof EpochPlan>;

/** What Kasmina answers at a boundary. */
export const BoundaryReply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("run"), plan: EpochPlan }),
  /** Nothing to do until a command resumes the run; asked again after the given time. */
  z.strictObject({ kind: z.literal("pause"), askAgainMs: z.int().min(1) }),
  /**
   * Nothing trains; asked again after the given time. The windows that a seed leaves its kernel are over and it is still outstanding, or the
   * commands that came with the run's start, which are no seed's, have no receipts yet.
   */
  z.strictObject({
    kind: z.literal("wait"),
    seedId: z.string().optional(),
    outstanding: z.enum(["compilation", "characterization", "commands"]),
    askAgainMs: z.int().min(1),
  }),
  z.strictObject({ kind: z.literal("stop"), reason: z.string() }),
]);
export type BoundaryReply = z.infer<typeof BoundaryReply>;
/** What settles a boundary, so that it can be recorded; the others leave it open. */
export type SettledReply = Extract<BoundaryReply, { kind: "run" | "stop" }>;

export const EpochResult = z.strictObject({
  runId: z.string(),
  epoch: z.int().min(1),
  work: z.enum(["host", "load", "train_kernel", "graft", "stabilize", "evaluate", "fine_tune"]),
  seedId: z.string().optional(),
  /** True when the stop flag ended the window early. */
  interrupted: z.boolean(),
  /** True when the FLOPs budget has no room for another host step. */
  budgetUsed: z.boolean(),
  steps: count,
  hostStep: count,
  durationMs: z.number().min(0),
  /** Steps of a contest's twin that a second lane took meanwhile; absent where all were taken in turn. */
  secondLaneSteps: z.int().min(1).optional(),
  trainLoss: z.number().optional(),
  gradNorm: z.number().optional(),
  validation: Validation.optional(),
  flops: FlopsAccount,
  parameters: count,
  signal: Signal.optional(),
  parts: HostParts.optional(),
  kernel: KernelMeasurement.optional(),
  /** What became of the kernels that commands brought into the cache before this window. */
  cached: z
    .array(z.strictObject({ kernelHash: z.string(), problems: z.array(z.string()).max(64), loadMs: z.number().min(0) }))
    .max(16)
    .optional(),
  anomalies: z.array(Anomaly).max(64),
  /** The host changed its shape at this window's start. */
  host: HostSummary.optional(),
  tensorBytes: count,
});
export type EpochResult = z.infer<typeof EpochResult>;

/** From a lane while a window runs; at most `progressHz` a second. */
export const LaneProgress = z.strictObject({
  runId: z.string(),
  epoch: z.int().min(1),
  work: z.string(),
  step: count,
  steps: count,
  loss: z.number(),
});
export type LaneProgress = z.infer<typeof LaneProgress>;
