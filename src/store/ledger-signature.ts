/**
 * The signatures of a node: Ed25519 (RFC 8032) over canonical JSON, all by the one key of its ledger.
 *
 * S1 A signature says what it is for: that of the ever-changing tail never passes for one of a kept head, nor the other way round;
 *    none of the ledger passes for one of an artifact.
 */
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { LedgerHead } from "../contracts/ledger.ts";
import { readSigningKey } from "./ed25519.ts";
import { encodeJson, sha256 } from "./json.ts";

/** `head` is kept for good, `tail` only until the next entry. */
export type SignaturePurpose = "head" | "tail";
export type UnsignedHead = Pick<LedgerHead, "index" | "hash" | "atMs">;

/** What is signed beside the ledger. */
export type ValuePurpose = "artifact" | "index-head" | "index-entry";

/** A signature over any JSON, and whose it is. */
export interface ValueSignature {
  readonly publicKey: string;
  readonly signature: string;
}

export interface LedgerSigner {
  readonly publicKey: string;
  readonly fingerprint: string;
  sign(purpose: SignaturePurpose, head: UnsignedHead): LedgerHead;
  signValue(purpose: ValuePurpose, value: unknown): ValueSignature;
}

/** S1 */
const signedText = (purpose: SignaturePurpose, { index, hash, atMs, publicKey }: Omit<LedgerHead, "signature">): Buffer =>
  Buffer.from(encodeJson({ purpose: `esper-ledger-${purpose}`, index, hash, atMs, publicKey }, "head of the ledger"));

/** S1 */
const signedValue = (purpose: ValuePurpose, value: unknown, publicKey: string): Buffer =>
  Buffer.from(encodeJson({ purpose: `esper-${purpose}`, value, publicKey }, purpose));

/** SHA-256 of a public key as it stands in a head. */
export const fingerprintOf = (publicKey: string): string => sha256(Buffer.from(publicKey, "hex"));

/** @throws DataError when the text is no Ed25519 private key */
export const ledgerSigner = (pem: string, file?: string): LedgerSigner => {
  const key = readSigningKey(pem, { what: "ledger key", file, remedy: "put the file back from a backup" });
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" }).toString("hex");
  return {
    publicKey,
    fingerprint: fingerprintOf(publicKey),
    sign: (purpose, { index, hash, atMs }) => {
      const unsigned = { index, hash, atMs, publicKey };
      return { ...unsigned, signature: sign(null, signedText(purpose, unsigned), key).toString("hex") };
    },
    signValue: (purpose, value) => ({
      publicKey,
      signature: sign(null, signedValue(purpose, value, publicKey), key).toString("hex"),
    }),
  };
};

/** The key in DER, hexadecimal; undefined when it is no Ed25519 key. */
const keyOf = (publicKey: string): KeyObject | undefined => {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, "hex"), format: "der", type: "spki" });
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    // Bytes that are no key have signed nothing.
    return undefined;
  }
};

export type SignatureVerdict = "valid" | "false" | "foreign";

/** The keys whose signatures count, by their fingerprints. */
export interface KeyRing {
  /** Of the node itself. */
  readonly own: string;
  check(purpose: ValuePurpose, value: unknown, signed: ValueSignature): SignatureVerdict;
}

/** @param trusted fingerprints of further keys */
export const keyRing = (own: string, trusted: readonly string[] = []): KeyRing => {
  const fingerprints = new Set([own, ...trusted]);
  /** Keys by their text; only those that count are kept, so that there are never more than fingerprints. */
  const keys = new Map<string, KeyObject>();
  const counted = (publicKey: string): KeyObject | undefined => {
    const known = keys.get(publicKey);
    if (known !== undefined) return known;
    const key = fingerprints.has(fingerprintOf(publicKey)) ? keyOf(publicKey) : undefined;
    if (key !== undefined) keys.set(publicKey, key);
    return key;
  };
  return {
    own,
    check: (purpose, value, { publicKey, signature }) => {
      const key = counted(publicKey);
      if (key === undefined) return "foreign";
      return verify(null, signedValue(purpose, value, publicKey), key, Buffer.from(signature, "hex")) ? "valid" : "false";
    },
  };
};

/** Whether the key in the head has signed it for this purpose; whose key it is, the fingerprint tells. */
export const verifyHead = (purpose: SignaturePurpose, head: LedgerHead): boolean => {
  const key = keyOf(head.publicKey);
  return key !== undefined && verify(null, signedText(purpose, head), key, Buffer.from(head.signature, "hex"));
};
