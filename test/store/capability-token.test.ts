/** Capability tokens: read back as they were signed, and not at all when one bit is different. */
import { createPrivateKey, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { DataError } from "../../src/contracts/errors.ts";
import type { CapabilityClaims } from "../../src/contracts/work.ts";
import { capabilityAuthority } from "../../src/store/capability-token.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { encodeJson } from "../../src/store/json.ts";
import { ledgerSigner } from "../../src/store/ledger-signature.ts";

const claims: CapabilityClaims = {
  version: 1,
  taskId: "compile-1",
  source: "run r-1",
  subjects: ["library.asset.get", "library.asset.put"],
  reads: ["a".repeat(64)],
  writes: [{ kind: "kernel", keyHash: "b".repeat(64) }],
  bytesMax: 1_000,
  issuedAtMs: 1,
  expiresAtMs: 2,
};
const pem = generateSigningKey();
const authority = capabilityAuthority(pem);
const token = authority.mint(claims);
const base64url = (text: string): string => Buffer.from(text).toString("base64url");

describe("a capability token", () => {
  it("is read as it was signed, also by the same key opened anew", () => {
    expect(authority.read(token)).toEqual(claims);
    expect(capabilityAuthority(pem).read(token)).toEqual(claims);
  });

  it("T2 of another key is nothing", () => {
    expect(capabilityAuthority(generateSigningKey()).read(token)).toBeUndefined();
  });

  it("with any one bit flipped, cut short or longer, is nothing", () => {
    const bytes = Buffer.from(token);
    const opened: string[] = [];
    for (let index = 0; index < bytes.length; index++)
      for (let bit = 0; bit < 8; bit++) {
        const other = Buffer.from(bytes);
        other[index]! ^= 1 << bit;
        if (authority.read(other.toString("latin1")) !== undefined) opened.push(`byte ${index} bit ${bit}`);
      }
    expect(opened).toEqual([]);
    for (const length of [0, 1, token.length - 1]) expect(authority.read(token.slice(0, length))).toBeUndefined();
    for (const longer of [`${token}A`, `${token}.`, `${token}.AA`, ` ${token}`, "A".repeat(100_000)])
      expect(authority.read(longer)).toBeUndefined();
  });

  it("T1 a signature without its purpose, or made by the ledger, opens nothing", () => {
    const text = encodeJson(claims, "claims");
    const bare = sign(null, Buffer.from(text), createPrivateKey(pem)).toString("base64url");
    expect(authority.read(`${base64url(text)}.${bare}`)).toBeUndefined();
    const head = ledgerSigner(pem).sign("head", { index: 1, hash: "a".repeat(64), atMs: 1 });
    expect(authority.read(`${base64url(text)}.${Buffer.from(head.signature, "hex").toString("base64url")}`)).toBeUndefined();
  });

  it("T3 claims that the key itself signed in another form, or that are no claims, are nothing", () => {
    const key = createPrivateKey(pem);
    const signed = (text: string): string =>
      `${base64url(text)}.${sign(null, Buffer.from(`esper-capability-v1\n${text}`), key).toString("base64url")}`;
    expect(authority.read(signed(encodeJson(claims, "claims")))).toEqual(claims);
    for (const text of [JSON.stringify(claims, null, 1), encodeJson({ ...claims, more: 1 }, "claims"), "{}", "null", "no JSON"])
      expect(authority.read(signed(text)), text).toBeUndefined();
  });

  it("a file that holds no such key is said to be damaged", () => {
    expect(() => capabilityAuthority("nothing", "key.pem")).toThrow(DataError);
    expect(() => capabilityAuthority(generateSigningKey())).not.toThrow();
  });
});
