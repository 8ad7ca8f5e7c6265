/**
 * The HTTP server of a node: what is common to all routes stands here, each group of routes in a file of its own.
 *
 * S1 Head, body, connections and time of a request are bounded.
 * S2 Every refusal is typed: a receipt, or a problem (RFC 9457). A bug is told without its particulars.
 * S3 On its end it takes no request any more, and closes what is open.
 */
import Fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { describeError } from "../contracts/errors.ts";
import { artifactPlugin } from "./artifact-plugin.ts";
import { commandPlugin } from "./command-plugin.ts";
import { docsPlugin } from "./docs-plugin.ts";
import { addGuard, safeHeaders } from "./guard.ts";
import { tableMethods } from "./methods.ts";
import { offerPlugin } from "./offer-plugin.ts";
import { addOwnMetrics } from "./own-metrics.ts";
import { pageRoutes } from "./page-routes.ts";
import type { HttpPorts } from "./ports.ts";
import { problem, problemType, rawProblem, sendProblem } from "./problem.ts";
import { addRequester } from "./requester.ts";
import { createTokenVerifier } from "./tokens.ts";
import { viewRoutes } from "./view-routes.ts";
import { watchPlugin } from "./watch-plugin.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Size of the body as it came. */
    bodyBytes: number;
  }
}

const pathLengthMax = 512;
/** No command is as deep; what is deeper could not be written again. */
const depthMax = 64;

/** What Node could not read as a request. */
const refuseBroken = (error: NodeJS.ErrnoException): string => {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return rawProblem(431, "the head of the request is larger than services.http.headerBytesMax");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return rawProblem(408, "the request did not come in within services.http.requestTimeoutMs");
    default:
      return rawProblem(400, "expected an HTTP/1.1 request, got something else");
  }
};

/** Brackets open at once outside of strings: how deep the value is. */
const depthOf = (text: string): number => {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    if (quoted) {
      if (character === "\\") i += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "[" || character === "{") deepest = Math.max(deepest, ++depth);
    else if (character === "]" || character === "}") depth -= 1;
  }
  return deepest;
};

class BodyTooDeep extends Error {
  readonly statusCode = 400;
  override readonly message = `expected JSON nested at most ${depthMax} deep`;
}

const readJson = (app: FastifyInstance): void => {
  app.decorateRequest("bodyBytes", 0);
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    const text = body.toString();
    request.bodyBytes = Buffer.byteLength(text);
    // No body at all is none of the fields.
    if (text === "") done(null, undefined);
    else if (depthOf(text) > depthMax) done(new BodyTooDeep(), undefined);
    else parse(request, text, done);
  });
};

/** Builds the server. It listens only when told to. */
export const createHttpServer = (ports: HttpPorts): FastifyInstance => {
  const { config, clock, log, tokenKey } = ports;
  const { bodyBytesMax, headerBytesMax, connectionsMax, requestTimeoutMs, keepAliveMs, tokenLifetimeMsMax } = config;
  const app = Fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    forceCloseConnections: true,
    return503OnClosing: true,
    routerOptions: { maxParamLength: pathLengthMax, caseSensitive: true },
    // A request without a Host is refused by the guard, in our own words.
    http: {
      maxHeaderSize: headerBytesMax,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: 1_000,
      requireHostHeader: false,
    },
    frameworkErrors: (error, _request, reply) => {
      void sendProblem(
        reply.headers(safeHeaders),
        error.statusCode ?? 400,
        "expected a path that can be read, got one with broken escapes or one that is too long",
      );
    },
    clientErrorHandler: (error, socket) => {
      if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) socket.destroy();
      else socket.end(refuseBroken(error));
    },
  }); // S1
  app.server.maxConnections = connectionsMax;
  app.server.on("checkExpectation", (_request, response) => {
    const body = JSON.stringify(problem(417, "expected no `Expect` header but 100-continue; leave it away"));
    response.writeHead(417, {
      ...safeHeaders,
      "content-type": problemType,
      "content-length": Buffer.byteLength(body),
      connection: "close",
    });
    response.end(body);
  });
  const methods = tableMethods(app);
  readJson(app);
  addGuard(app, config);
  addRequester(app, createTokenVerifier({ key: tokenKey, clock, tokenLifetimeMsMax }));

  // S2
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0] ?? "";
    const allowed = methods.of(path);
    const got = `got ${request.method} ${path.slice(0, 200)}; /openapi.json lists them`;
    return allowed.length === 0
      ? sendProblem(reply, 404, `expected a path of this server, ${got}`)
      : sendProblem(reply.header("allow", allowed.join(", ")), 405, `expected ${allowed.join(" or ")} on this path, ${got}`);
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) {
      log.error("a request failed", { method: request.method, route: request.routeOptions.url, reason: describeError(error) });
      return sendProblem(reply, 500, "expected no failure here; the node's log tells more");
    }
    return sendProblem(reply, status, error.message);
  });

  const own = addOwnMetrics(app);
  void app.register(watchPlugin, { ...ports, own });
  void app.register(commandPlugin, ports);
  void app.register(offerPlugin, ports);
  void app.register(viewRoutes, { view: ports.view });
  if (ports.artifacts !== undefined) void app.register(artifactPlugin, { artifacts: ports.artifacts, config });
  void app.register(docsPlugin);
  void app.register(pageRoutes, ports);
  return app;
};
