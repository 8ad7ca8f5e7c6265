/**
 * What is signed of an artifact, and the index that leads from a name to it, in the spirit of The Update Framework
 * (Samuel, Mathewson, Cappos, Dingledine: Survivable Key Compromise in Software Update Systems, CCS 2010).
 */
import { z } from "zod";
import { AssetKind, Provenance } from "./assets.ts";
import { ContentHash } from "./ids.ts";
import { hexadecimal } from "./ledger.ts";

export const ArtifactKind = z.enum([...AssetKind.options, "checkpoint"]);
export type ArtifactKind = z.infer<typeof ArtifactKind>;

/** What a node vouches for: these bytes, of this kind, came about in this way. */
export const ArtifactStatement = z.strictObject({
  /** Of the artifact's file; of a checkpoint's manifest, which names all its files with their hashes. */
  hash: ContentHash,
  kind: ArtifactKind,
  /** Of that file. */
  bytes: z.int().min(0),
  provenance: Provenance,
});
export type ArtifactStatement = z.infer<typeof ArtifactStatement>;

const byKey = {
  /** SubjectPublicKeyInfo in DER (RFC 8410), hexadecimal. */
  publicKey: hexadecimal(44),
  /** Ed25519 (RFC 8032) over the canonical JSON of what is signed, what for, and the key. */
  signature: hexadecimal(64),
};

export const SignedArtifact = z.strictObject({ artifact: ArtifactStatement, ...byKey });
export type SignedArtifact = z.infer<typeof SignedArtifact>;

/** What a name leads to: the kernel of a compilation's key, the latest checkpoint of a run, the policy that was stored last under a name. */
export const IndexKind = z.enum(["kernel", "checkpoint", "policy"]);
export type IndexKind = z.infer<typeof IndexKind>;

export const IndexEntry = z.strictObject({
  kind: IndexKind,
  /** The SHA-256 of the kernel's key, the run's id, the policy's name. */
  name: z.string().min(1).max(256),
  hash: ContentHash,
  /** The index's version that this entry came with. */
  version: z.int().min(1),
  /** Of the artifact, as its provenance tells. */
  createdAtMs: z.number(),
});
export type IndexEntry = z.infer<typeof IndexEntry>;

/** Signed by the head's key. */
export const SignedIndexEntry = z.strictObject({ entry: IndexEntry, signature: byKey.signature });
export type SignedIndexEntry = z.infer<typeof SignedIndexEntry>;

export const IndexHead = z.strictObject({
  /** Rises by at least one with every change and every renewal. */
  version: z.int().min(1),
  createdAtMs: z.int(),
  /** After this nobody may rely on it. */
  expiresAtMs: z.int(),
  entries: z.int().min(0),
  /** SHA-256 of the canonical JSON of all entries, in order. */
  snapshot: ContentHash,
});
export type IndexHead = z.infer<typeof IndexHead>;

export const SignedIndexHead = z.strictObject({ head: IndexHead, ...byKey });
export type SignedIndexHead = z.infer<typeof SignedIndexHead>;

/** The index's file. */
export const ArtifactIndex = z.strictObject({
  schemaVersion: z.literal(1),
  signed: SignedIndexHead,
  /** By kind, then by name. */
  entries: z.array(SignedIndexEntry),
});
export type ArtifactIndex = z.infer<typeof ArtifactIndex>;

/** Why an artifact or the index is refused. */
export const artifactFaults = [
  "missing",
  "damaged",
  "unsigned",
  "foreign_key",
  "false_signature",
  "other_bytes",
  "other_kind",
  "other_provenance",
  "swap",
  "rollback",
  "freeze",
  "mix_and_match",
] as const;
export type ArtifactFault = (typeof artifactFaults)[number];
