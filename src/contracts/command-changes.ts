/** Changes beside those of a seed's life: assets, kernels in the lane, the policy, the node itself, dead letters. */
import { z } from "zod";
import { BlueprintRequest } from "./blueprint-kinds.ts";
import { base, reason } from "./command-base.ts";
import { FirstCommand, firstCommandsMax } from "./command-steering.ts";
import { StartConfig } from "./config.ts";
import { ContentHash, SeedId, SiteId } from "./ids.ts";
import { LifecycleState } from "./lifecycle.ts";
import { Policy, PolicyChanges } from "./policy.ts";

const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, "expected letters, digits and . _ - (at most 64)");
/** Of one sample: [units], [tokens, units] or [channels, height, width]. */
const sampleShape = z.array(z.int().min(1).max(65_536)).min(1).max(3);

/** A recipe of the catalogue for two shapes of one sample. */
export const BlueprintSubmission = z.strictObject({
  name,
  request: BlueprintRequest,
  from: sampleShape,
  to: sampleShape,
});
export type BlueprintSubmission = z.infer<typeof BlueprintSubmission>;

/** Something that an agent saw, did and got, for whoever learns from it. */
export const Experience = z.strictObject({
  /** What was seen, by name. */
  observation: z.record(z.string().min(1).max(64), z.number()).refine((seen) => Object.keys(seen).length <= 128, {
    message: "expected at most 128 values",
  }),
  action: z.string().min(1).max(200),
  reward: z.number(),
  /** The end of an episode. */
  terminal: z.boolean().default(false),
  site: SiteId.optional(),
  seedId: SeedId.optional(),
  epoch: z.int().min(0).optional(),
});
export type Experience = z.infer<typeof Experience>;

export const kernelStatuses = ["active", "withdrawn"] as const;
export type KernelStatus = (typeof kernelStatuses)[number];

export const changeCommands = [
  /** Stores a blueprint; its id is its hash, and a germination may name it. */
  z.strictObject({ ...base, kind: z.literal("submit_blueprint"), blueprint: BlueprintSubmission, reason }),
  /** Withdraws a kernel, so that it is never taken any more, or takes that back. */
  z.strictObject({ ...base, kind: z.literal("kernel_status"), hash: ContentHash, status: z.enum(kernelStatuses), reason }),
  /** Makes a kernel resident in the lane's cache at the next boundary, so that a trial with it need not load it. */
  z.strictObject({ ...base, kind: z.literal("load_kernel"), site: SiteId, hash: ContentHash, reason }),
  /** Takes it out of the cache. */
  z.strictObject({ ...base, kind: z.literal("unload_kernel"), site: SiteId, hash: ContentHash, reason }),
  /** Asks a seed's machine for a state. Only what a person may bring about; it becomes the command that does. */
  z.strictObject({ ...base, kind: z.literal("transition"), seedId: SeedId, to: LifecycleState, reason }),
  /** Writes a checkpoint at the next boundary, whatever `checkpoint.everyEpochs` says. */
  z.strictObject({ ...base, kind: z.literal("checkpoint"), reason }),
  /** Has Tamiyo decide on the last signal now, and act on it as she would. */
  z.strictObject({ ...base, kind: z.literal("step"), reason }),
  /** Puts a policy in force at the next boundary: one that is stored, or one that comes along and is stored. */
  z.strictObject({
    ...base,
    kind: z.literal("policy_load"),
    policy: z.union([z.strictObject({ hash: ContentHash }), Policy]),
    /** What the policy that comes along must hash to. */
    hash: ContentHash.optional(),
    reason,
  }),
  /** Changes values of the policy that is in force, or that accepted commands will have put in force. */
  z.strictObject({
    ...base,
    kind: z.literal("policy_update"),
    set: PolicyChanges,
    name: name.optional(),
    /** The policy that follows, as far as it is known when the command is accepted, and its hash: Kasmina fills them in. */
    policy: Policy.optional(),
    hash: ContentHash.optional(),
    reason,
  }),
  z.strictObject({ ...base, kind: z.literal("experience"), experience: Experience }),
  /** A run on a node that stays; it waits until no other run is going on. */
  z.strictObject({
    ...base,
    kind: z.literal("start"),
    config: StartConfig,
    /** A checkpoint in the node's data directory, or a run's folder of them, relative to it; the run then has the checkpoint's configuration. */
    resume: z.string().min(1).max(500).optional(),
    /** Asked for at the run's first boundary by who asks for the start, each with a receipt of its own. */
    first: z.array(FirstCommand).max(firstCommandsMax).optional(),
    reason,
  }),
  /** Ends the node: the run that is going on is stopped with a checkpoint, what waits is dropped. */
  z.strictObject({ ...base, kind: z.literal("shutdown"), reason }),
  /** Sends a dead letter again, or drops it. */
  z.strictObject({ ...base, kind: z.literal("dead_letter"), action: z.enum(["retry", "drop"]), id: z.int().min(1), reason }),
] as const;
