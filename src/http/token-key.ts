/**
 * The key that a node's tokens are signed with: Ed25519 (RFC 8032), made on the first start, readable by its owner alone. Whoever can read
 * it can make tokens of every role, as whoever can read the login files can use them.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { calculateJwkThumbprint, exportJWK } from "jose";
import { writePrivateFile } from "../bus/private-file.ts";
import { DataError, describeError, ServiceError } from "../contracts/errors.ts";

export interface TokenKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Thumbprint of the public key (RFC 7638). */
  readonly id: string;
}

export const tokenKeyFile = (dataDir: string): string => join(dataDir, "http", "key.pem");

const errorCode = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);

const parseKey = async (pem: string, file: string): Promise<TokenKey> => {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch (error) {
    throw new DataError(
      `expected an Ed25519 private key in PEM in ${file}, found: ${describeError(error)}; delete it and restart the node: it makes another, and tokens of the old one end`,
      { file },
    );
  }
  if (privateKey.asymmetricKeyType !== "ed25519")
    throw new DataError(`expected an Ed25519 private key in ${file}, found one of ${privateKey.asymmetricKeyType}; delete it`, {
      file,
    });
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, id: await calculateJwkThumbprint(await exportJWK(publicKey)) };
};

/** @throws ServiceError when there is none: no node was started there yet; DataError when it is damaged */
export const readTokenKey = async (file: string): Promise<TokenKey> => {
  let pem: string;
  try {
    pem = await readFile(file, "utf8");
  } catch (error) {
    throw new ServiceError(
      `expected the key of a node at ${file}, it cannot be read (${describeError(error)}). A node makes it on its first start; name its data directory with --data-dir.`,
      { file },
    );
  }
  return parseKey(pem, file);
};

/** Makes the key where there is none. Only the node that holds the data directory calls this. */
export const openTokenKey = async (file: string): Promise<TokenKey> => {
  try {
    return await parseKey(await readFile(file, "utf8"), file);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  const pem = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  await writePrivateFile(file, pem);
  return parseKey(pem, file);
};
