/**
 * Tokens: JSON Web Tokens (RFC 7519) that say who asks and in which role.
 *
 * T1 Only a signature by this node's own key counts: Ed25519, under the key's own id. No other algorithm is tried.
 * T2 Issuer, audience, subject, role, and the times from which and until which it holds must all be there and right.
 * T3 A token lives no longer than the configuration lets it, whatever it says.
 * T4 What was once found right is remembered within a bound; its times are looked at each time.
 */
import { errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { describeError } from "../contracts/errors.ts";
import type { Clock } from "../contracts/ports.ts";
import { type PersonRole, personRoles } from "../contracts/roles.ts";
import type { TokenKey } from "./token-key.ts";

const issuer = "esper";
const audience = "esper-http";
const algorithm = "EdDSA";
const tokenType = "JWT";
/** Characters; ours have about 400. */
const tokenLengthMax = 2_048;
const rememberedMax = 1_000;

/** Names that can stand in a log line or a table. */
export const PrincipalName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/, "expected up to 64 letters, digits and . _ @ -");

const Claims = z.object({
  sub: PrincipalName,
  role: z.enum(personRoles),
  iat: z.number(),
  nbf: z.number(),
  exp: z.number(),
});

/** Who asks, before it is said over which transport. */
export interface Person {
  readonly principal: string;
  readonly role: PersonRole;
}

export const nobody: Person = { principal: "anonymous", role: "anonymous" };

export interface TokenOrder extends Person {
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

/** Seconds since the Unix epoch, as the standard has them. */
const seconds = (ms: number): number => Math.floor(ms / 1000);

export const mintToken = ({ privateKey, id }: TokenKey, { principal, role, lifetimeMs, nowMs }: TokenOrder): Promise<string> =>
  new SignJWT({ role })
    .setProtectedHeader({ alg: algorithm, typ: tokenType, kid: id })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(principal)
    .setIssuedAt(seconds(nowMs))
    .setNotBefore(seconds(nowMs))
    .setExpirationTime(Math.max(seconds(nowMs) + 1, seconds(nowMs + lifetimeMs)))
    .sign(privateKey);

export type TokenVerdict =
  | { readonly kind: "known"; readonly person: Person }
  /** The reason says nothing that the token's owner does not know. */
  | { readonly kind: "refused"; readonly reason: string };

export interface TokenOptions {
  readonly key: TokenKey;
  readonly clock: Clock;
  readonly tokenLifetimeMsMax: number;
}

interface Remembered {
  readonly person: Person;
  readonly fromMs: number;
  readonly untilMs: number;
}

const reasonOf = (error: unknown): string => {
  if (error instanceof errors.JWTExpired) return "the token has expired; make another with `esper token`";
  if (error instanceof errors.JWTClaimValidationFailed)
    return `the token's claim ${error.claim} is missing or not what is expected`;
  if (error instanceof errors.JOSEAlgNotAllowed) return `the token is not signed with ${algorithm}`;
  if (error instanceof errors.JWSSignatureVerificationFailed) return "the token's signature is not this node's";
  if (error instanceof errors.JOSEError) return `this is no token of this node (${error.code})`;
  return `this is no token of this node (${describeError(error)})`;
};

export const createTokenVerifier = ({
  key,
  clock,
  tokenLifetimeMsMax,
}: TokenOptions): ((token: string) => Promise<TokenVerdict>) => {
  const remembered = new Map<string, Remembered>();

  const claimsOf = async (token: string): Promise<JWTPayload> => {
    const { payload, protectedHeader } = await jwtVerify(token, key.publicKey, {
      algorithms: [algorithm], // T1
      typ: tokenType,
      issuer,
      audience,
      requiredClaims: ["sub", "role", "iat", "nbf", "exp"], // T2
      currentDate: new Date(clock.nowMs()),
      clockTolerance: 0,
    });
    if (protectedHeader.kid !== key.id) throw new errors.JWSInvalid("unknown key");
    return payload;
  };

  return async (token) => {
    if (token.length > tokenLengthMax) return { kind: "refused", reason: `a token has at most ${tokenLengthMax} characters` };
    const nowMs = clock.nowMs();
    const before = remembered.get(token);
    if (before !== undefined && nowMs >= before.fromMs && nowMs < before.untilMs) return { kind: "known", person: before.person };
    remembered.delete(token); // T4
    let payload: JWTPayload;
    try {
      payload = await claimsOf(token);
    } catch (error) {
      return { kind: "refused", reason: reasonOf(error) };
    }
    const claims = Claims.safeParse(payload);
    if (!claims.success)
      return {
        kind: "refused",
        reason: `the token's claim ${claims.error.issues[0]?.path.join(".") ?? ""} is not what is expected`,
      };
    const { sub, role, nbf, exp, iat } = claims.data;
    if (iat * 1000 > nowMs) return { kind: "refused", reason: "the token was made in the future" };
    if ((exp - Math.min(iat, nbf)) * 1000 > tokenLifetimeMsMax)
      return {
        kind: "refused",
        reason: `the token is to live longer than services.http.tokenLifetimeMsMax, ${tokenLifetimeMsMax} ms`,
      }; // T3
    const person: Person = { principal: sub, role };
    remembered.set(token, { person, fromMs: nbf * 1000, untilMs: exp * 1000 });
    const oldest = remembered.keys().next().value;
    if (remembered.size > rememberedMax && oldest !== undefined) remembered.delete(oldest);
    return { kind: "known", person };
  };
};
