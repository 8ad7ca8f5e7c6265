/**
 * Capability tokens: claims in canonical JSON, signed with Ed25519 (RFC 8032), as two parts in base64url with a dot between them.
 *
 * T1 What a signature covers says what it is for: that of a token never passes for one of the ledger.
 * T2 There is one algorithm; a token names none.
 * T3 One reading of a token: bytes that are not the canonical form of the claims are refused, whoever signed them.
 */
import { createPublicKey, sign, verify } from "node:crypto";
import { CapabilityClaims } from "../contracts/work.ts";
import { readSigningKey } from "./ed25519.ts";
import { checkContract, encodeJson } from "./json.ts";

export interface CapabilityAuthority {
  /** @throws ContractError when the claims do not fit their schema */
  mint(claims: CapabilityClaims): string;
  /** What the token says; undefined when this authority did not sign exactly that. */
  read(token: string): CapabilityClaims | undefined;
}

const what = "capability token";
const lengthMax = 8192;

/** T1 */
const signedBytes = (claims: string): Buffer => Buffer.from(`esper-capability-v1\n${claims}`);

/** @throws DataError when the text is no Ed25519 private key */
export const capabilityAuthority = (pem: string, file?: string): CapabilityAuthority => {
  const key = readSigningKey(pem, { what, file, remedy: "delete the file, the next start makes a new key" });
  const publicKey = createPublicKey(key);
  return {
    mint: (claims) => {
      const text = encodeJson(checkContract(claims, CapabilityClaims, what), what);
      return `${Buffer.from(text).toString("base64url")}.${sign(null, signedBytes(text), key).toString("base64url")}`;
    },
    read: (token) => {
      if (token.length > lengthMax) return undefined;
      const [body = "", signature = "", ...rest] = token.split(".");
      if (rest.length > 0) return undefined;
      const text = Buffer.from(body, "base64url").toString("utf8");
      const signed = Buffer.from(signature, "base64url");
      // base64url is read leniently: only the form that `mint` writes is taken.
      if (Buffer.from(text).toString("base64url") !== body || signed.toString("base64url") !== signature) return undefined;
      try {
        if (!verify(null, signedBytes(text), publicKey, signed)) return undefined; // T2
        const claims = CapabilityClaims.parse(JSON.parse(text));
        return encodeJson(claims, what) === text ? claims : undefined; // T3
      } catch {
        return undefined;
      }
    },
  };
};
