/**
 * What every request must pass, and what every answer carries, whatever the route.
 *
 * H1 A request is addressed to a name of this node: another name that points here (DNS rebinding) is refused.
 * H2 A request that a page of another origin made is refused, unless it only opens a page of ours.
 * H3 An answer may be shown by a browser only as what it says it is, runs no script or style but those of files of this server, and is
 *    framed by nobody.
 * H4 An answer that does not say how long it holds is kept by no cache.
 */
import { isIP } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { HttpConfig } from "../contracts/config-http.ts";
import { sendProblem } from "./problem.ts";

/** Nothing inline, nothing from elsewhere. */
export const contentPolicy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export const safeHeaders = {
  "content-security-policy": contentPolicy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
} as const;

const loopbackNames = ["localhost", "[::1]"];

/** `[::1]:8770` → `[::1]`; undefined for what is no host. */
const nameOf = (host: string): string | undefined =>
  /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::\d{1,5})?$/.exec(host)?.[1]?.toLowerCase();

const isLoopback = (name: string): boolean => loopbackNames.includes(name) || (isIP(name) === 4 && name.startsWith("127."));

/** Whether a Host header names this node. Pure. H1 */
export const isOwnHost = (host: string | undefined, { host: address, names }: Pick<HttpConfig, "host" | "names">): boolean => {
  const name = nameOf(host ?? "");
  if (name === undefined) return false;
  const own = [isIP(address) === 6 ? `[${address}]` : address, ...names].map((each) => each.toLowerCase());
  return isLoopback(name) || own.includes(name);
};

/** Whether a page of another origin made the request. Pure. H2 */
export const isForeign = ({
  host,
  origin,
  "sec-fetch-site": site,
  "sec-fetch-mode": mode,
}: {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly "sec-fetch-site"?: string | string[] | undefined;
  readonly "sec-fetch-mode"?: string | string[] | undefined;
}): boolean => {
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) return true;
  return (site === "cross-site" || site === "same-site") && mode !== "navigate";
};

export const addGuard = (app: FastifyInstance, config: HttpConfig): void => {
  app.addHook("onRequest", async (request: FastifyRequest, reply) => {
    reply.headers(safeHeaders); // H3
    if (request.headers.host === undefined && request.raw.httpVersion === "1.1")
      return sendProblem(reply, 400, "expected a Host header, got none; name the node, for example `Host: localhost`");
    if (!isOwnHost(request.headers.host, config))
      return sendProblem(
        reply,
        421,
        "expected a request to localhost, 127.0.0.1 or a name in services.http.names, the Host header names another; call the node by one of these",
      );
    if (isForeign(request.headers))
      return sendProblem(
        reply,
        403,
        "expected a request of a program or of this node's own page, a page of another origin made it",
      );
  });
  app.addHook("onSend", async (_request, reply) => {
    if (!reply.hasHeader("cache-control")) reply.header("cache-control", "no-store"); // H4
  });
};
