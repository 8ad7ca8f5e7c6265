/**
 * Who asks: read off the bearer token (RFC 6750) of each request.
 *
 * R1 Without a token it is `anonymous`; with a token that is not right it is nobody, whatever the route.
 * R2 One token a request, in the Authorization header: never in the URL, where logs and histories keep it.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { PersonRole } from "../contracts/roles.ts";
import { sendProblem } from "./problem.ts";
import { nobody, type Person, type TokenVerdict } from "./tokens.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks, as the token says. */
    by: Person;
  }
  interface FastifyContextConfig {
    /** Whose requests the route answers; left out, everybody's. */
    readonly roles?: readonly PersonRole[];
  }
}

const tokenParameters = ["access_token", "token", "bearer", "authorization", "jwt"];

const headerCount = (rawHeaders: readonly string[], name: string): number =>
  rawHeaders.filter((each, i) => i % 2 === 0 && each.toLowerCase() === name).length;

/** The challenge of RFC 6750. */
export const challengeOf = (error?: "invalid_request" | "invalid_token"): string =>
  error === undefined ? 'Bearer realm="esper"' : `Bearer realm="esper", error="${error}"`;

const refuseUnknown = (reply: FastifyReply, detail: string, error?: "invalid_request" | "invalid_token"): FastifyReply =>
  sendProblem(reply.header("www-authenticate", challengeOf(error)), 401, detail);

const hasUrlToken = ({ url }: FastifyRequest): boolean => {
  const start = url.indexOf("?");
  if (start < 0) return false;
  return [...new URLSearchParams(url.slice(start)).keys()].some((name) => tokenParameters.includes(name.toLowerCase()));
};

export const addRequester = (app: FastifyInstance, verify: (token: string) => Promise<TokenVerdict>): void => {
  app.decorateRequest("by");
  app.addHook("onRequest", async (request, reply) => {
    request.by = nobody;
    // R2
    if (hasUrlToken(request))
      return refuseUnknown(reply, "expected no token in the URL; send it as `Authorization: Bearer TOKEN`", "invalid_request");
    const count = headerCount(request.raw.rawHeaders, "authorization");
    if (count > 1) return refuseUnknown(reply, `expected one Authorization header, got ${count}`, "invalid_request");
    const { authorization } = request.headers;
    if (authorization !== undefined) {
      const token = /^Bearer +([A-Za-z0-9_.~+/=-]+)$/i.exec(authorization)?.[1];
      if (token === undefined)
        return refuseUnknown(reply, "expected `Authorization: Bearer TOKEN`, got something else", "invalid_request");
      const verdict = await verify(token);
      if (verdict.kind === "refused") return refuseUnknown(reply, verdict.reason, "invalid_token"); // R1
      request.by = verdict.person;
    }
    const { roles } = request.routeOptions.config;
    const { role, principal } = request.by;
    if (roles === undefined || roles.includes(role)) return;
    const expected = `expected one of ${roles.join(", ")}`;
    if (request.by === nobody)
      return refuseUnknown(
        reply,
        `${expected}, got a request without a token; make one with \`esper token --role ${roles.at(-1)}\``,
      );
    return sendProblem(reply, 403, `${expected}; ${principal} is ${role}`);
  });
};
