/** What is asked of the library, and what it answers. Whoever works on a task shows the task's token. */
import { z } from "zod";
import { AssetKind, Cause } from "./assets.ts";
import { BlueprintKind } from "./blueprint-kinds.ts";
import { KernelTags } from "./characterization.ts";
import { ContentHash } from "./ids.ts";
import { CapabilityRefusal } from "./work.ts";

/** Signed for a task by the node that owns the library. */
const token = z.string().max(8192).optional();

export const AssetPut = z.strictObject({
  kind: AssetKind,
  asset: z.unknown(),
  inputs: z.array(ContentHash).max(64),
  producer: z.string(),
  /** What it was made in, for its provenance; left out, the login that sent it. */
  source: z.string().min(1).max(256).optional(),
  cause: Cause.optional(),
  token,
});
export const AssetPutReply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("stored"), hash: ContentHash, existed: z.boolean() }),
  z.strictObject({ kind: z.literal("refused"), reason: z.string(), code: CapabilityRefusal.shape.code.optional() }),
]);

export const AssetGet = z.strictObject({ kind: AssetKind, hash: ContentHash, token });
export const AssetGetReply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("found"), hash: ContentHash, asset: z.unknown() }),
  z.strictObject({ kind: z.literal("missing"), reason: z.string() }),
  CapabilityRefusal,
]);

export const KernelFind = z.strictObject({ keyHash: ContentHash, token });
/** Which kernel a key was compiled to, if it was before. */
export const KernelFindReply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("found"), hash: ContentHash }),
  z.strictObject({ kind: z.literal("missing") }),
  CapabilityRefusal,
]);

export const TagsFind = z.strictObject({
  kernelHash: ContentHash.optional(),
  machine: z.string().optional(),
  kind: BlueprintKind.optional(),
  tags: z.array(z.string()).max(32).default([]),
  token,
});
/** Known tags, the newest first. */
export const TagsFindReply = z.strictObject({ found: z.array(KernelTags).max(256), refused: CapabilityRefusal.optional() });

export const TagsPut = z.strictObject({ characterized: KernelTags, token });
export const TagsPutReply = z.discriminatedUnion("kind", [z.strictObject({ kind: z.literal("stored") }), CapabilityRefusal]);
