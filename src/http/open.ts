/**
 * Opens the server on the address that the configuration names.
 *
 * L1 A port that somebody named is used, or the node says that it cannot be; `auto` gives way to a free one.
 * L2 A server that is opened again takes the port that it had, so that who knows its address keeps it.
 */
import { stat } from "node:fs/promises";
import { isIP } from "node:net";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";
import { type HttpConfig, usualHttpPort } from "../contracts/config-http.ts";
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { HttpPorts } from "./ports.ts";
import { createHttpServer } from "./server.ts";
import { openTokenKey, tokenKeyFile } from "./token-key.ts";

export interface HttpEndpoint {
  /** For example `http://127.0.0.1:8770`. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

const errorCode = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);

const wildcards: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "[::1]" };

const urlOf = (host: string, port: number): string =>
  `http://${wildcards[host] ?? (isIP(host) === 6 ? `[${host}]` : host)}:${port}`;

const portOf = (app: FastifyInstance): number => {
  const address = app.server.address();
  if (address === null || typeof address === "string") throw new ServiceError("expected the HTTP server to listen on a TCP port");
  return address.port;
};

const refused = ({ host, port }: HttpConfig, error: unknown): ServiceError => {
  const code = errorCode(error);
  const address = code === "EADDRNOTAVAIL" || code === "ENOTFOUND";
  const why = code === "EADDRINUSE" ? "the port is taken" : describeError(error);
  return new ServiceError(
    `expected to serve HTTP on ${host} port ${port}: ${why}. Name ${address ? "an address of this machine" : "another port, `auto` for a free one"}, or switch it off with services.http.enabled: false.`,
    { path: address ? "services.http.host" : "services.http.port" },
    { cause: error },
  );
};

/** Where the page's build puts it; undefined where it was not built. */
export const builtPage = async (): Promise<string | undefined> => {
  const folder = fileURLToPath(new URL("../../dist/page", import.meta.url));
  return stat(`${folder}/index.html`).then(
    () => folder,
    () => undefined,
  );
};

export interface OpenOptions extends Omit<HttpPorts, "tokenKey" | "pageFolder"> {
  readonly dataDir: string;
  /** The port that it had before; undefined on its first start. */
  readonly portBefore: number | undefined;
}

/** @throws ServiceError when it cannot listen */
export const openHttp = async ({ dataDir, portBefore, ...given }: OpenOptions): Promise<HttpEndpoint> => {
  const { config } = given;
  const tokenKey = await openTokenKey(tokenKeyFile(dataDir));
  const ports: HttpPorts = { ...given, tokenKey, pageFolder: await builtPage() };
  const listen = async (port: number): Promise<HttpEndpoint> => {
    const app = createHttpServer(ports);
    try {
      await app.listen({ host: config.host, port });
    } catch (error) {
      await app.close();
      throw error;
    }
    const taken = portOf(app);
    return { url: urlOf(config.host, taken), port: taken, close: () => app.close() };
  };
  const wanted = portBefore ?? (config.port === "auto" ? usualHttpPort : config.port); // L2
  try {
    return await listen(wanted);
  } catch (error) {
    const free = config.port === "auto" || config.port === 0;
    if (!free || errorCode(error) !== "EADDRINUSE") throw refused(config, error); // L1
    return listen(0);
  }
};
