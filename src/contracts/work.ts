/**
 * Work as it is handed to a forge: what is to be made, under which constraints, by when, at what cost, and what the result must keep to.
 * One schema for a forge in this process and for one on another machine. Acceptance is data: whoever ordered the work judges by it.
 */
import { z } from "zod";
import { type AssetKind, Cause, KernelKey } from "./assets.ts";
import { ValidationConfig } from "./config-validation.ts";
import { ContentHash, RunId } from "./ids.ts";
import { shown } from "./shown.ts";

/** What a task may be judged by. What a result does not hold counts as unmeasured. */
export const taskMetrics = [
  "compileMs",
  "parameters",
  "latency.kernelStep.medianMs",
  "latency.grownEvaluate.medianMs",
  "memoryBytes",
  "drift.relative",
  "deadShare",
  "firstStepSpike",
  "stability.steps",
  "stability.lossRatio",
] as const;
export type TaskMetric = (typeof taskMetrics)[number];

/** One condition on the result. */
export const AcceptancePredicate = z.strictObject({
  metric: z.enum(taskMetrics),
  op: z.enum(["<=", ">=", "=="]),
  value: z.number(),
});
export type AcceptancePredicate = z.infer<typeof AcceptancePredicate>;

/** A word that a forge says of its machine and that a task may ask for, for example `gpu` or `avx512`. */
export const MachineTag = shown(
  "$SRV.INFO, tasks",
  z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, "expected letters, digits and . _ - (at most 64)"),
).describe("A word about a machine, for example avx512.");

/** The name of a node, as it stands in lists and as a task's assignee. */
export const NodeName = shown(
  "$SRV.INFO, tasks, notes",
  z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, "expected letters, digits and . _ - (at most 64)"),
);

export const TaskConstraints = z.strictObject({
  engine: KernelKey.shape.engine,
  engineVersion: KernelKey.shape.engineVersion,
  /** All of them must be among the words that the forge says of its machine. */
  machineTags: z.array(MachineTag).max(16),
  /** Median time of a kernel step on one batch. */
  latencyMsMax: z.number().positive().optional(),
  /** Held by the kernel's programs and parameters. */
  memoryBytesMax: z.number().positive().optional(),
});
export type TaskConstraints = z.infer<typeof TaskConstraints>;

export const TaskContext = z.strictObject({
  runId: RunId,
  seedId: z.string(),
  /** Assets of the library that the work needs. */
  inputs: z.array(ContentHash).max(64),
});
export type TaskContext = z.infer<typeof TaskContext>;

export const TaskBudget = z.strictObject({
  wallMsMax: z.number().positive(),
  /** Size of what is written to the library, each asset by itself. */
  bytesMax: z.int().min(1),
});
export type TaskBudget = z.infer<typeof TaskBudget>;

const common = {
  id: z.string().min(1).max(128),
  constraints: TaskConstraints,
  context: TaskContext,
  acceptance: z.array(AcceptancePredicate).max(32),
  budget: TaskBudget,
  /** The one node that shall do it; left out, the first that is free. */
  assignee: NodeName.optional(),
  deadlineAtMs: z.number(),
  /** Opens the library for this task and for nothing else; see `CapabilityClaims`. */
  token: z.string().min(1).max(8192),
};

/** Make a kernel from a blueprint for a host: Tezzeret's. */
export const CompileTask = z.strictObject({
  ...common,
  /** `keyHash` is the SHA-256 of the key's canonical JSON. */
  goal: z.strictObject({ kind: z.literal("compile"), key: KernelKey, keyHash: ContentHash }),
});
export type CompileTask = z.infer<typeof CompileTask>;

/** Measure a kernel: Urabrask's. */
export const CharacterizeTask = z.strictObject({
  ...common,
  goal: z.strictObject({ kind: z.literal("characterize"), kernelHash: ContentHash, validation: ValidationConfig }),
});
export type CharacterizeTask = z.infer<typeof CharacterizeTask>;

export const TaskContract = z.union([CompileTask, CharacterizeTask]);
export type TaskContract = z.infer<typeof TaskContract>;

/** Where a capability opens the library. */
export const capabilitySubjects = [
  "library.asset.get",
  "library.asset.put",
  "library.kernel.find",
  "library.tags.find",
  "library.tags.put",
] as const;

/** What may be written: a kernel for one key, a blueprint for one request, the measurements of the kernel that the library has for one key. */
export const CapabilityWrite = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("kernel"), keyHash: ContentHash }),
  z.strictObject({ kind: z.literal("blueprint"), requestHash: ContentHash }),
  z.strictObject({ kind: z.literal("tags"), keyHash: ContentHash }),
]);
export type CapabilityWrite = z.infer<typeof CapabilityWrite>;

/** What a capability token says, signed by the node that owns the library. */
export const CapabilityClaims = z.strictObject({
  version: z.literal(1),
  taskId: z.string().min(1).max(128),
  /** Where what is written comes from, for its provenance: not what the forge says of it. */
  source: z.string().min(1).max(256),
  cause: Cause.optional(),
  subjects: z.array(z.enum(capabilitySubjects)).min(1).max(capabilitySubjects.length),
  reads: z.array(ContentHash).max(64),
  writes: z.array(CapabilityWrite).max(4),
  bytesMax: z.int().min(1),
  issuedAtMs: z.number(),
  expiresAtMs: z.number(),
});
export type CapabilityClaims = z.infer<typeof CapabilityClaims>;

export const capabilityRefusals = [
  "no_token",
  "forged_token",
  "expired_token",
  "early_token",
  "other_subject",
  "other_artifact",
  "too_large",
] as const;

/** Why the library stays shut. */
export const CapabilityRefusal = z.strictObject({
  kind: z.literal("refused"),
  code: z.enum(capabilityRefusals),
  reason: z.string(),
});
export type CapabilityRefusal = z.infer<typeof CapabilityRefusal>;

/** What somebody wants of the library. */
export type CapabilityUse =
  /** `madeFor`, here and below: the key that this is the library's kernel of, where the claims name that key. */
  | {
      readonly subject: "library.asset.get";
      readonly kind: AssetKind;
      readonly hash: string;
      readonly madeFor?: string | undefined;
    }
  | {
      readonly subject: "library.asset.put";
      readonly kind: AssetKind;
      /** SHA-256 of a kernel's key, or of the request that a blueprint answers; undefined when the asset holds none. */
      readonly of: string | undefined;
      /** What it says that it was made from, without the blueprint that a kernel names. */
      readonly inputs: readonly string[];
      readonly bytes: number;
    }
  | { readonly subject: "library.kernel.find"; readonly keyHash: string }
  | { readonly subject: "library.tags.find"; readonly madeFor?: string | undefined }
  | { readonly subject: "library.tags.put"; readonly madeFor?: string | undefined };
