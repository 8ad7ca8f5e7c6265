/** Who asks: only tokens of this node's key, for this server, within their time. */
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenVerifier } from "../../src/http/tokens.ts";
import { clock, type Door, done, openDoor } from "./support.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor({ gate: done });
});
afterAll(() => door.close());

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const nowS = (): number => Math.floor(Date.now() / 1000);

interface Parts {
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
}

/** A right token but for what is given. */
const partsOf = ({ header = {}, claims = {} }: Parts): string => {
  const head = { alg: "EdDSA", typ: "JWT", kid: door.tokenKey.id, ...header };
  const times = { iat: nowS() - 10, nbf: nowS() - 10, exp: nowS() + 100 };
  const body = { iss: "esper", aud: "esper-http", sub: "ann", role: "operator", ...times, ...claims };
  return `${encode(head)}.${encode(body)}`;
};
const signed = (parts: Parts, key = door.tokenKey.privateKey): string => {
  const text = partsOf(parts);
  return `${text}.${sign(null, Buffer.from(text), key).toString("base64url")}`;
};

const get = (headers: Record<string, string>, url = "/status") =>
  door.app.inject({ method: "GET", url, headers: { host: "localhost", ...headers } });
const withToken = (token: string) => get({ authorization: `Bearer ${token}` });

const otherKey = generateKeyPairSync("ed25519").privateKey;
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

const publicPem = (): string => door.tokenKey.publicKey.export({ type: "spki", format: "pem" }).toString();
const hmac = (secret: string | Buffer): string => {
  const text = partsOf({ header: { alg: "HS256" } });
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};

it("a right token says who asks; a new one is made for each", async () => {
  const before = door.asked.length;
  expect((await withToken(signed({}))).statusCode).toBe(200);
  expect((await withToken(await door.token("developer", "ci-7"))).statusCode).toBe(200);
  expect((await get({})).statusCode).toBe(200);
  expect(door.asked.slice(before).map(({ by }) => by)).toEqual([
    { principal: "ann", role: "operator" },
    { principal: "ci-7", role: "developer" },
    { principal: "anonymous", role: "anonymous" },
  ]);
});

const bad: Readonly<Record<string, () => string>> = {
  "no algorithm": () => `${partsOf({ header: { alg: "none" } })}.`,
  "no algorithm, with a signature": () => signed({ header: { alg: "none" } }),
  "NONE in capitals": () => `${partsOf({ header: { alg: "NONE" } })}.`,
  "HS256 with the public key in PEM": () => hmac(publicPem()),
  "HS256 with the public key in DER": () => hmac(door.tokenKey.publicKey.export({ type: "spki", format: "der" })),
  "HS256 with the raw public key": () =>
    hmac(Buffer.from(String(door.tokenKey.publicKey.export({ format: "jwk" }).x), "base64url")),
  "HS256 with nothing": () => hmac(""),
  "RS256 of another key": () => {
    const text = partsOf({ header: { alg: "RS256" } });
    return `${text}.${sign("sha256", Buffer.from(text), rsa).toString("base64url")}`;
  },
  "ES256 of another key": () => {
    const text = partsOf({ header: { alg: "ES256" } });
    return `${text}.${sign("sha256", Buffer.from(text), { key: ec, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  },
  "the key that comes along": () => signed({ header: { jwk: otherKey.export({ format: "jwk" }) } }, otherKey),
  "another node's key": () => signed({}, otherKey),
  "an unknown key id": () => signed({ header: { kid: "other" } }),
  "no key id": () => signed({ header: { kid: undefined } }),
  "a critical header": () => signed({ header: { crit: ["x"], x: 1 } }),
  "unencoded payload": () => signed({ header: { crit: ["b64"], b64: false } }),
  "another type": () => signed({ header: { typ: "secevent+jwt" } }),
  "another issuer": () => signed({ claims: { iss: "elsewhere" } }),
  "no issuer": () => signed({ claims: { iss: undefined } }),
  "another audience": () => signed({ claims: { aud: "esper-nats" } }),
  "no audience": () => signed({ claims: { aud: undefined } }),
  expired: () => signed({ claims: { exp: nowS() - 1 } }),
  "expires now": () => signed({ claims: { exp: nowS() } }),
  "no expiry": () => signed({ claims: { exp: undefined } }),
  "an expiry that is no number": () => signed({ claims: { exp: "never" } }),
  "not yet valid": () => signed({ claims: { nbf: nowS() + 60 } }),
  "no beginning": () => signed({ claims: { nbf: undefined } }),
  "made in the future": () => signed({ claims: { iat: nowS() + 60 } }),
  "no time of making": () => signed({ claims: { iat: undefined } }),
  "a life that is too long": () => signed({ claims: { exp: nowS() + 700_000 } }),
  "no subject": () => signed({ claims: { sub: undefined } }),
  "an empty subject": () => signed({ claims: { sub: "" } }),
  "a subject that is no name": () => signed({ claims: { sub: "a\nb" } }),
  "the node's own role": () => signed({ claims: { role: "controller" } }),
  "an unknown role": () => signed({ claims: { role: "root" } }),
  "no role": () => signed({ claims: { role: undefined } }),
  "two roles": () => signed({ claims: { role: ["admin", "observer"] } }),
  "a payload that is changed": () => {
    const [head, , signature] = signed({}).split(".");
    return `${head}.${partsOf({ claims: { role: "admin" } }).split(".")[1]}.${signature}`;
  },
  "no signature": () => `${partsOf({})}.`,
  "a token of 2049 characters": () => signed({ claims: { x: "y".repeat(2049) } }),
  "a token in a token": () => `${signed({})}.${signed({})}`,
  "no token": () => "",
};

describe("T1 T2 T3 refused, on every route", () => {
  it.each(Object.entries(bad))("%s", async (_, make) => {
    const before = door.asked.length;
    for (const url of ["/status", "/", "/nowhere"]) {
      const answer = await get({ authorization: `Bearer ${make()}` }, url);
      expect([url, answer.statusCode, answer.headers["www-authenticate"]]).toEqual([url, 401, expect.stringContaining("Bearer")]);
    }
    expect(door.asked).toHaveLength(before);
  });

  it.each(["Basic YTpi", "Bearer", "bearer  ", "Bearer a b", "Token x", "Bearer a, Bearer b"])(
    "Authorization: %s",
    async (authorization) => {
      expect((await get({ authorization })).statusCode).toBe(401);
    },
  );

  it("R2 a token in the URL, right or wrong", async () => {
    const before = door.asked.length;
    for (const name of ["token", "access_token", "Authorization", "JWT"])
      expect((await get({}, `/status?${name}=${signed({})}`)).statusCode, name).toBe(401);
    expect(door.asked).toHaveLength(before);
  });

  it("any single bit flipped in the signature or in what is signed", async () => {
    const token = signed({});
    const verify = createTokenVerifier({ key: door.tokenKey, clock, tokenLifetimeMsMax: 604_800_000 });
    expect((await verify(token)).kind).toBe("known");
    const bytes = token.split(".").map((part) => Buffer.from(part, "base64url"));
    await fc.assert(
      fc.asyncProperty(fc.nat(2), fc.nat(100_000), fc.nat(7), async (part, at, bit) => {
        const changed = bytes.map((each) => Buffer.from(each));
        const target = changed[part]!;
        const place = at % target.length;
        target[place] = target[place]! ^ (1 << bit);
        expect((await verify(changed.map((each) => each.toString("base64url")).join("."))).kind).toBe("refused");
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});

it("T4 a token that was remembered ends with its time", async () => {
  let nowMs = Date.now();
  const verify = createTokenVerifier({
    key: door.tokenKey,
    clock: { ...clock, nowMs: () => nowMs },
    tokenLifetimeMsMax: 604_800_000,
  });
  const token = signed({ claims: { exp: nowS() + 100 } });
  expect((await verify(token)).kind).toBe("known");
  expect((await verify(token)).kind).toBe("known");
  nowMs += 101_000;
  expect((await verify(token)).kind).toBe("refused");
  nowMs -= 3_600_000;
  expect((await verify(token)).kind).toBe("refused");
});
