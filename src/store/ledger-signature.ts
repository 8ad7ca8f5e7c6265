/**
 * The ledger's signatures: Ed25519 (RFC 8032) over canonical JSON.
 *
 * S1 A signature says what it is for: that of the ever-changing tail never passes for one of a kept head, nor the other way round.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { DataError, describeError } from "../contracts/errors.ts";
import type { LedgerHead } from "../contracts/ledger.ts";
import { encodeJson, sha256 } from "./json.ts";

/** `head` is kept for good, `tail` only until the next entry. */
export type SignaturePurpose = "head" | "tail";
export type UnsignedHead = Pick<LedgerHead, "index" | "hash" | "atMs">;

export interface LedgerSigner {
  readonly publicKey: string;
  readonly fingerprint: string;
  sign(purpose: SignaturePurpose, head: UnsignedHead): LedgerHead;
}

/** S1 */
const signedText = (purpose: SignaturePurpose, { index, hash, atMs, publicKey }: Omit<LedgerHead, "signature">): Buffer =>
  Buffer.from(encodeJson({ purpose: `esper-ledger-${purpose}`, index, hash, atMs, publicKey }, "head of the ledger"));

/** A new private key in PEM (PKCS #8). */
export const generateLedgerKey = (): string =>
  generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();

/** SHA-256 of a public key as it stands in a head. */
export const fingerprintOf = (publicKey: string): string => sha256(Buffer.from(publicKey, "hex"));

/** @throws DataError when the text is no Ed25519 private key */
export const ledgerSigner = (pem: string, file?: string): LedgerSigner => {
  const place = file === undefined ? {} : { file };
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new DataError(
      `ledger key: expected an Ed25519 private key in PEM, found: ${describeError(error)}; put the file back from a backup`,
      place,
    );
  }
  if (key.asymmetricKeyType !== "ed25519")
    throw new DataError(`ledger key: expected an Ed25519 private key, found one of ${key.asymmetricKeyType}`, place);
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" }).toString("hex");
  return {
    publicKey,
    fingerprint: fingerprintOf(publicKey),
    sign: (purpose, { index, hash, atMs }) => {
      const unsigned = { index, hash, atMs, publicKey };
      return { ...unsigned, signature: sign(null, signedText(purpose, unsigned), key).toString("hex") };
    },
  };
};

/** Whether the key in the head has signed it for this purpose; whose key it is, the fingerprint tells. */
export const verifyHead = (purpose: SignaturePurpose, head: LedgerHead): boolean => {
  try {
    const key = createPublicKey({ key: Buffer.from(head.publicKey, "hex"), format: "der", type: "spki" });
    return (
      key.asymmetricKeyType === "ed25519" && verify(null, signedText(purpose, head), key, Buffer.from(head.signature, "hex"))
    );
  } catch {
    // Bytes that are no key have signed nothing.
    return false;
  }
};
