/** Immutable assets in Urza, addressed by the SHA-256 of their canonical JSON. */
import { z } from "zod";
import { BlueprintRequest } from "./blueprint-kinds.ts";
import { Forecast } from "./decision.ts";
import { Graph, Host } from "./graph.ts";
import { ContentHash } from "./ids.ts";
import { LifecycleState, LifecycleStep } from "./lifecycle.ts";
import { Judgement, judgeNames, PairedGain } from "./measure.ts";
import { OptimizerConfig } from "./optimizer.ts";
import { PruneTarget } from "./pruning.ts";

/** What made somebody want an artifact. */
export const Cause = z.strictObject({
  /** SHA-256 of the canonical JSON of the command, as the ledger has it. */
  commandHash: ContentHash,
  confidence: z.number().min(0).max(1).optional(),
});
export type Cause = z.infer<typeof Cause>;

/** Where an artifact comes from. */
export const Provenance = z.strictObject({
  /** What it was made in, for example `run r-1` or `run r-1 seed:h2`. */
  source: z.string().min(1).max(256),
  producer: z.string(),
  createdAtMs: z.number(),
  /** Hashes of the assets that this one was made from. */
  inputs: z.array(ContentHash).max(64),
  toolchain: z.string(),
  /** Of the decision that led to it, where there was one. */
  confidence: z.number().min(0).max(1).optional(),
  /** SHA-256 of the canonical JSON of the command that caused it, where it is known. */
  commandHash: ContentHash.optional(),
});
export type Provenance = z.infer<typeof Provenance>;

/** A sub-network as a graph with input `in` and output `out`. */
export const BlueprintIR = z.strictObject({
  schemaVersion: z.literal(1),
  name: z.string(),
  request: BlueprintRequest,
  graph: Graph,
});
export type BlueprintIR = z.infer<typeof BlueprintIR>;

export const HostAsset = z.strictObject({ schemaVersion: z.literal(1), host: Host });
export type HostAsset = z.infer<typeof HostAsset>;

/** The programs that one kernel needs over its life; `jointStep` is the host's own step once the kernel is folded in. */
export const kernelPrograms = [
  "kernelStep",
  "jointStep",
  "grownEvaluate",
  "foldedEvaluate",
  "foldedSignal",
  "foldedSpans",
] as const;
export type KernelProgramName = (typeof kernelPrograms)[number];

/** What identifies a compilation: the same key gives the same kernel. */
export const KernelKey = z.strictObject({
  hostHash: ContentHash,
  request: BlueprintRequest,
  /** Present for a pruning: nothing is added, so the request is the control's and both sites are the target's. */
  prune: PruneTarget.optional(),
  seedId: z.string(),
  fromSite: z.string(),
  toSite: z.string(),
  engine: z.enum(["native", "wasm", "cpu"]),
  engineVersion: z.string(),
  optimizer: OptimizerConfig,
  batchSize: z.int().min(1),
  signalSamples: z.int().min(1),
  signalFeatures: z.int().min(1),
});
export type KernelKey = z.infer<typeof KernelKey>;

/** A blueprint compiled into step variants of one host. Program bytes are base64. */
export const CompiledKernelArtifact = z.strictObject({
  schemaVersion: z.literal(1),
  key: KernelKey,
  blueprintHash: ContentHash,
  /** The blueprint's parameters as they stand in the grown host, and the host with the bypass folded in. */
  foldedHost: Host,
  parameters: z.int().min(0),
  programs: z.record(z.enum(kernelPrograms), z.strictObject({ bytes: z.string(), flops: z.number().min(0) })),
});
export type CompiledKernelArtifact = z.infer<typeof CompiledKernelArtifact>;

export const AssetKind = z.enum(["blueprint", "host", "kernel", "policy"]);
export type AssetKind = z.infer<typeof AssetKind>;

/** How the operator was asked about a split jury, and who settled it. */
export const EscalationEnd = z.strictObject({
  sinceEpoch: z.int().min(0),
  /** Further contest windows that ran meanwhile. */
  windows: z.int().min(0),
  settledBy: z.enum(["operator", "policy", "evidence"]),
});
export type EscalationEnd = z.infer<typeof EscalationEnd>;

/** The story of one trial, told when it ended. */
export const FieldReport = z.strictObject({
  runId: z.string(),
  seedId: z.string(),
  site: z.string(),
  fromSite: z.string(),
  toSite: z.string(),
  /** What was asked for, so that a failure counts against that blueprint. */
  blueprint: BlueprintRequest.optional(),
  /** What was to go, where the trial was of a pruning. */
  prune: PruneTarget.optional(),
  blueprintHash: z.string().optional(),
  kernelHash: z.string().optional(),
  outcome: LifecycleState,
  reason: z.string(),
  forecast: Forecast.optional(),
  measuredGain: PairedGain.optional(),
  judgements: z.array(Judgement).max(judgeNames.length).optional(),
  escalation: EscalationEnd.optional(),
  history: z.array(LifecycleStep),
  trialFlops: z.number().min(0),
});
export type FieldReport = z.infer<typeof FieldReport>;
