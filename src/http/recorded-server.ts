/**
 * The page over recorded runs, without a node: the same page and the same routes, on loopback, and nobody to command.
 *
 * S1 It listens on loopback alone, and passes every request through the same guard as a node's server.
 * S2 It only reads: no route takes anything but GET.
 */
import Fastify from "fastify";
import { HttpConfig } from "../contracts/config-http.ts";
import { describeError, ServiceError } from "../contracts/errors.ts";
import { addGuard } from "./guard.ts";
import { pageRoutes } from "./page-routes.ts";
import { sendProblem } from "./problem.ts";
import type { ViewPorts } from "./view-ports.ts";
import { viewRoutes } from "./view-routes.ts";

export interface RecordedServer {
  /** For example `http://127.0.0.1:8771`. */
  readonly url: string;
  close(): Promise<void>;
}

export interface RecordedServerOptions {
  /** 0: a free one. */
  readonly port: number;
  readonly view: Omit<ViewPorts, "live">;
  readonly pageFolder: string | undefined;
}

const host = "127.0.0.1"; // S1

/** @throws ServiceError when it cannot listen */
export const openRecordedServer = async ({ port, view, pageFolder }: RecordedServerOptions): Promise<RecordedServer> => {
  const config = HttpConfig.parse({ host, port });
  const app = Fastify({ logger: false, bodyLimit: 1, forceCloseConnections: true, requestTimeout: config.requestTimeoutMs });
  app.server.maxConnections = config.connectionsMax;
  addGuard(app, config);
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      404,
      `expected the page or its data, got ${request.method} ${request.url.slice(0, 200)}; there is no node here`,
    ),
  );
  app.setErrorHandler((error, _request, reply) =>
    sendProblem(reply, 500, `the recording could not be read: ${describeError(error)}`),
  );
  void app.register(viewRoutes, { view: { ...view, live: undefined } });
  void app.register(pageRoutes, { pageFolder });
  try {
    return { url: await app.listen({ host, port }), close: () => app.close() };
  } catch (error) {
    await app.close();
    throw new ServiceError(
      `expected to serve the page on ${host} port ${port}: ${describeError(error)}. Name another port with --port, or 0 for a free one.`,
      { path: "--port" },
      { cause: error },
    );
  }
};
