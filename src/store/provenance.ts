/**
 * Signed statements of where an artifact comes from: made, and opened again only when everything about them holds.
 *
 * P1 A statement's bytes are its canonical JSON and nothing else, so that no bit of them can change unnoticed.
 * P2 The signature is by a key that counts here.
 * P3 The statement is about these bytes: their hash, their number, and the kind that is asked for.
 * P4 All this is checked before the artifact's own bytes are parsed.
 */

import { type ArtifactFault, type ArtifactKind, type ArtifactStatement, SignedArtifact } from "../contracts/artifact.ts";
import { DataError, describeError } from "../contracts/errors.ts";
import type { ContentHash } from "../contracts/ids.ts";
import { checkContract, encodeJson, type Schema } from "./json.ts";
import type { KeyRing, LedgerSigner } from "./ledger-signature.ts";

/** An artifact or the index is not what was signed; `fault` says in which way. */
export class ArtifactError extends DataError {
  readonly fault: ArtifactFault;
  constructor(fault: ArtifactFault, message: string, file: string, options?: ErrorOptions) {
    super(message, { file }, options);
    this.fault = fault;
  }
}

/** Bytes that are the canonical JSON of what the schema says (P1). Throws ArtifactError `damaged`. */
export const decodeCanonical = <T>(bytes: Uint8Array, schema: Schema<T>, what: string, file: string): T => {
  const damaged = (found: string, cause?: unknown): ArtifactError =>
    new ArtifactError(
      "damaged",
      `${what}: expected the bytes as they were written, found ${found}; put the file back from a backup`,
      file,
      cause === undefined ? undefined : { cause },
    );
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw damaged(`something else: ${describeError(error)}`, error);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw damaged(`what does not fit its schema: ${parsed.error.message}`);
  if (Buffer.compare(Buffer.from(encodeJson(parsed.data, what)), bytes) !== 0) throw damaged("other bytes of the same meaning");
  return parsed.data;
};

export const signArtifact = (signer: LedgerSigner, artifact: ArtifactStatement): SignedArtifact =>
  checkContract({ artifact, ...signer.signValue("artifact", artifact) }, SignedArtifact, `provenance of ${artifact.hash}`);

export const encodeSigned = (signed: SignedArtifact): Uint8Array =>
  new TextEncoder().encode(encodeJson(signed, `provenance of ${signed.artifact.hash}`));

/** What a statement must be about. */
export interface ExpectedArtifact {
  readonly hash: ContentHash;
  readonly kind: ArtifactKind;
  /** Left out where the hash alone says it. */
  readonly bytes?: number;
}

/** Opens a signed statement (P1 to P3). Throws ArtifactError. `file` is where the bytes lay. */
export const openSigned = (bytes: Uint8Array, expected: ExpectedArtifact, ring: KeyRing, file: string): SignedArtifact => {
  const what = `provenance ${file}`;
  const signed = decodeCanonical(bytes, SignedArtifact, what, file); // P1
  const { artifact } = signed;
  const refused = (fault: ArtifactFault, text: string): ArtifactError => new ArtifactError(fault, `${what}: ${text}`, file);
  const verdict = ring.check("artifact", artifact, signed);
  if (verdict === "foreign") {
    throw refused(
      "foreign_key",
      `expected a signature by this node's key ${ring.own}, found one by another key; add its fingerprint to services.artifacts.trustedKeys when you trust the node that made it`,
    ); // P2
  }
  if (verdict === "false")
    throw refused(
      "false_signature",
      "expected a signature over what it says, found a false one; put the file back from a backup",
    );
  if (artifact.hash !== expected.hash || (expected.bytes !== undefined && artifact.bytes !== expected.bytes)) {
    throw refused(
      "other_bytes",
      `expected a statement about ${expected.bytes ?? artifact.bytes} bytes with SHA-256 ${expected.hash}, found one about ${artifact.bytes} bytes with ${artifact.hash}; put both files back from a backup`,
    ); // P3
  }
  if (artifact.kind !== expected.kind)
    throw refused("other_kind", `expected a statement about a ${expected.kind}, found one about a ${artifact.kind}`); // P3
  return signed;
};
