/** Questions about a run, the library and the decisions, and what is answered. They change nothing. */
import { z } from "zod";
import { Provenance } from "./assets.ts";
import { BlueprintKind, BlueprintRequest } from "./blueprint-kinds.ts";
import { KernelCharacterization } from "./characterization.ts";
import { base } from "./command-base.ts";
import { kernelStatuses } from "./command-changes.ts";
import { Decision, Forecast } from "./decision.ts";
import { Graph } from "./graph.ts";
import { ContentHash, SeedId, SiteId } from "./ids.ts";
import { LifecycleState, LifecycleStep } from "./lifecycle.ts";
import { Judgement, judgeNames, PairedGain } from "./measure.ts";
import { PolicyInForce } from "./policy.ts";
import { PruneTarget } from "./pruning.ts";
import { LayerSignal } from "./signal.ts";

export const pageMax = 500;
const limit = z.int().min(1).max(pageMax).default(100);
const tags = z.array(z.string().min(1).max(64)).max(32).default([]);

export const queryCommands = [
  /** The seeds of a run in their order, a page at a time. */
  z.strictObject({
    ...base,
    kind: z.literal("seeds"),
    state: LifecycleState.optional(),
    site: SiteId.optional(),
    limit,
    /** Only seeds after this one: the next page. */
    after: SeedId.optional(),
  }),
  z.strictObject({ ...base, kind: z.literal("seed"), seedId: SeedId }),
  z.strictObject({ ...base, kind: z.literal("layers") }),
  z.strictObject({ ...base, kind: z.literal("layer"), site: SiteId }),
  /** What Tamiyo and Emrakul decided, the newest first; of one run, or of all. */
  z.strictObject({ ...base, kind: z.literal("decisions"), sinceEpoch: z.int().min(0).default(0), limit }),
  z.strictObject({
    ...base,
    kind: z.literal("kernels"),
    tagsRequired: tags,
    /** Those with more of these tags come first. */
    tagsPreferred: tags,
    tagsExcluded: tags,
    machine: z.string().min(1).max(300).optional(),
    blueprint: BlueprintKind.optional(),
    limit,
  }),
  z.strictObject({ ...base, kind: z.literal("kernel"), hash: ContentHash }),
  z.strictObject({ ...base, kind: z.literal("blueprint"), hash: ContentHash }),
  /** What decides in the run that is going on. */
  z.strictObject({ ...base, kind: z.literal("policy") }),
  /** Policies that are stored, the newest first. */
  z.strictObject({ ...base, kind: z.literal("policies") }),
  /** What Tamiyo makes of the last signal, without acting. */
  z.strictObject({ ...base, kind: z.literal("analyze") }),
] as const;

/** A seed as the status of its run shows it. */
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

/** A seed in a list. */
export const SeedSummary = z.strictObject({
  ...SeedStatus.shape,
  pinned: z.boolean(),
  blueprint: BlueprintRequest.optional(),
  fromSite: z.string().optional(),
  toSite: z.string().optional(),
});
export type SeedSummary = z.infer<typeof SeedSummary>;

/** A seed with its trial and its history. */
export const SeedDetail = z.strictObject({
  ...SeedSummary.shape,
  /** Where a bypass from here may end. */
  legalTargets: z.array(z.string()).max(1024),
  /** States that a person may ask for now, by `transition`. */
  askable: z.array(LifecycleState),
  history: z.array(LifecycleStep).max(256),
  trial: z
    .strictObject({
      startedAtEpoch: z.int().min(0),
      prune: PruneTarget.optional(),
      parameters: z.int().min(0),
      flopsReserved: z.number().min(0),
      kernelHash: z.string().optional(),
      blueprintHash: z.string().optional(),
      trainedSteps: z.int().min(0),
      grownSteps: z.int().min(0),
      twinSteps: z.int().min(0),
      rounds: z.int().min(0),
      forecast: Forecast.optional(),
      confidence: z.number().optional(),
      /** The last gain that a gate looked at. */
      gain: PairedGain.optional(),
      judgements: z.array(Judgement).max(judgeNames.length).optional(),
    })
    .optional(),
});
export type SeedDetail = z.infer<typeof SeedDetail>;

/** A layer as the last signal saw it; a value that was not measured is absent. */
export const LayerStanding = z.strictObject({
  site: z.string(),
  width: z.int().min(1),
  /** Of the last signal. */
  measuredAtEpoch: z.int().min(0).optional(),
  signal: LayerSignal.optional(),
  /** One-sided bounds of the gap by the policy's `trigger.boundErrors`. */
  gapLower: z.number().optional(),
  gapUpper: z.number().optional(),
  severity: z.number().optional(),
  health: z.number().optional(),
  embargoUntilEpoch: z.int().min(0),
  pinned: z.boolean(),
  paused: z.boolean(),
  excluded: z.boolean(),
  legalTargets: z.array(z.string()).max(1024),
  /** Of those that left their first state, by state. */
  seeds: z.record(z.string(), z.int().min(0)),
  seedCount: z.int().min(0),
  /** Kernels that a command made resident for this layer. */
  residentKernels: z.array(z.string()).max(64),
});
export type LayerStanding = z.infer<typeof LayerStanding>;

export const KernelSummary = z.strictObject({
  hash: ContentHash,
  status: z.enum(kernelStatuses),
  machine: z.string(),
  engine: z.string(),
  hostHash: z.string(),
  blueprint: BlueprintRequest,
  tags: z.array(z.string()).max(32),
  measured: KernelCharacterization.optional(),
});
export type KernelSummary = z.infer<typeof KernelSummary>;

export const KernelDetail = z.strictObject({
  hash: ContentHash,
  status: z.enum(kernelStatuses),
  statusReason: z.string().optional(),
  bytes: z.int().min(0),
  provenance: Provenance,
  seedId: z.string(),
  fromSite: z.string(),
  toSite: z.string(),
  hostHash: z.string(),
  blueprintHash: z.string(),
  blueprint: BlueprintRequest,
  engine: z.string(),
  engineVersion: z.string(),
  parameters: z.int().min(0),
  /** FLOPs of one run of each program. */
  flops: z.record(z.string(), z.number().min(0)),
  /** What it was measured to be, by machine. */
  characterized: z.array(KernelSummary).max(256),
});
export type KernelDetail = z.infer<typeof KernelDetail>;

export const BlueprintDetail = z.strictObject({
  hash: ContentHash,
  name: z.string(),
  request: BlueprintRequest,
  bytes: z.int().min(0),
  provenance: Provenance,
  graph: Graph,
});
export type BlueprintDetail = z.infer<typeof BlueprintDetail>;

export const StoredPolicy = z.strictObject({
  hash: ContentHash,
  name: z.string(),
  createdAtMs: z.number(),
  producer: z.string(),
});

/** A place that Tamiyo looked at. */
export const Candidate = z.strictObject({
  site: z.string(),
  severity: z.number(),
  gap: z.number(),
  health: z.number(),
  /** Successive checks that named it, and how many are needed. */
  streak: z.int().min(0),
  checks: z.int().min(1),
  seedId: z.string().optional(),
  fromSite: z.string().optional(),
  toSite: z.string().optional(),
  blueprint: BlueprintRequest.optional(),
  repair: z.string().optional(),
  confidence: z.number().optional(),
  penalty: z.number().optional(),
  forecast: Forecast.optional(),
  /** Why it would not germinate now; left out where nothing stands against it. */
  objection: z.string().optional(),
});
export type Candidate = z.infer<typeof Candidate>;

const of = { requestId: z.string() };
const ofRun = { ...of, runId: z.string() };

export const queryReceipts = [
  z.strictObject({
    ...ofRun,
    kind: z.literal("seeds"),
    epoch: z.int().min(0),
    seeds: z.array(SeedSummary).max(pageMax),
    /** All that fit the filter. */
    seedCount: z.int().min(0),
    /** For `after`; left out at the end. */
    next: z.string().optional(),
  }),
  z.strictObject({ ...ofRun, kind: z.literal("seed"), epoch: z.int().min(0), seed: SeedDetail }),
  z.strictObject({ ...ofRun, kind: z.literal("layers"), epoch: z.int().min(0), layers: z.array(LayerStanding).max(1024) }),
  z.strictObject({
    ...ofRun,
    kind: z.literal("layer"),
    epoch: z.int().min(0),
    layer: LayerStanding,
    /** The first of them. */
    seeds: z.array(SeedSummary).max(pageMax),
  }),
  z.strictObject({ ...of, kind: z.literal("decisions"), decisions: z.array(Decision).max(pageMax), kept: z.int().min(0) }),
  z.strictObject({ ...of, kind: z.literal("kernels"), kernels: z.array(KernelSummary).max(pageMax) }),
  z.strictObject({ ...of, kind: z.literal("kernel"), kernel: KernelDetail }),
  z.strictObject({ ...of, kind: z.literal("blueprint"), blueprint: BlueprintDetail }),
  z.strictObject({ ...ofRun, kind: z.literal("policy"), inForce: PolicyInForce, next: PolicyInForce.optional() }),
  z.strictObject({ ...of, kind: z.literal("policies"), policies: z.array(StoredPolicy).max(256) }),
  z.strictObject({
    ...ofRun,
    kind: z.literal("analysis"),
    epoch: z.int().min(0),
    /** By severity, the worst first. */
    candidates: z.array(Candidate).max(256),
    decision: Decision.optional(),
  }),
  /** Of `step`: what was decided. What came of it is told as every decision is. */
  z.strictObject({ ...ofRun, kind: z.literal("decision"), decision: Decision }),
  /** An asset is in the library. */
  z.strictObject({ ...of, kind: z.literal("stored"), asset: z.string(), hash: ContentHash, existed: z.boolean() }),
  /** A run waits for its turn on a node that stays; 1 is next. */
  z.strictObject({ ...of, kind: z.literal("queued"), runName: z.string(), position: z.int().min(0), detail: z.string() }),
] as const;
