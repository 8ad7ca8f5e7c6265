/** Private keys of a node: Ed25519 (RFC 8032) in PEM (PKCS #8). */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { DataError, describeError } from "../contracts/errors.ts";

/** A new private key. */
export const generateSigningKey = (): string =>
  generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();

interface KeyPlace {
  /** What the key is for, as an error names it. */
  readonly what: string;
  readonly file: string | undefined;
  /** What to do when it cannot be read. */
  readonly remedy: string;
}

/** @throws DataError when the text is no Ed25519 private key */
export const readSigningKey = (pem: string, { what, file, remedy }: KeyPlace): KeyObject => {
  const place = file === undefined ? {} : { file };
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new DataError(`${what}: expected an Ed25519 private key in PEM, found: ${describeError(error)}; ${remedy}`, place);
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  throw new DataError(`${what}: expected an Ed25519 private key, found one of ${key.asymmetricKeyType}; ${remedy}`, place);
};
