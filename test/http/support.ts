/** The server over the bus in memory with the real clock, and callers of every role. */
import type { FastifyInstance, LightMyRequestResponse } from "fastify";
import type { Bus } from "../../src/bus/bus.ts";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { HttpConfig } from "../../src/contracts/config-http.ts";
import { type Log, silentLog } from "../../src/contracts/ports.ts";
import type { PersonRole } from "../../src/contracts/roles.ts";
import type { PayloadOf, Principal } from "../../src/contracts/subjects.ts";
import type { HttpPorts } from "../../src/http/ports.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { openTokenKey, type TokenKey, tokenKeyFile } from "../../src/http/token-key.ts";
import { mintToken } from "../../src/http/tokens.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { temporaryFolder } from "../bus/support.ts";
import { createMemoryBroker } from "../support/memory-bus.ts";

export const clock = createSystemClock();
export const entropy = createSystemEntropy();

export type Asked = PayloadOf<"control.gate.requests">;

export interface DoorOptions {
  readonly config?: Parameters<typeof HttpConfig.parse>[0];
  /** What the Gate answers; left out, nobody is there. */
  readonly gate?: (asked: Asked) => CommandReceipt | Promise<CommandReceipt>;
  readonly log?: Log;
  readonly ports?: Partial<HttpPorts>;
  /** Told of each route that is served. */
  readonly onRoute?: (method: string, url: string) => void;
}

export interface Door {
  readonly app: FastifyInstance;
  readonly tokenKey: TokenKey;
  readonly asked: Asked[];
  /** Others on the same bus. */
  as(principal: Principal): Promise<Bus>;
  token(role: PersonRole, principal?: string): Promise<string>;
  ask(
    role: PersonRole | undefined,
    method: "GET" | "POST" | "HEAD" | "PUT",
    url: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<LightMyRequestResponse>;
  close(): Promise<void>;
}

export const done = ({ command }: Asked): CommandReceipt => {
  const { requestId } = command as { requestId: string };
  return { kind: "done", requestId, detail: "done" };
};

/** Not listening: requests are put into it. */
export const openDoor = async ({ config, gate, log = silentLog, ports: own, onRoute }: DoorOptions = {}): Promise<Door> => {
  const folder = await temporaryFolder();
  const broker = createMemoryBroker({ clock, mailboxMessagesMax: 10_000 });
  const asked: Asked[] = [];
  const gateBus = await broker.connect("gate");
  if (gate !== undefined)
    await gateBus.respond("control.gate.requests", async (request) => {
      asked.push(request);
      return gate(request);
    });
  const tokenKey = await openTokenKey(tokenKeyFile(folder.path));
  const signal = new AbortController();
  const app = createHttpServer({
    config: HttpConfig.parse(config ?? {}),
    bus: await broker.connect("http"),
    clock,
    entropy,
    log,
    signal: signal.signal,
    tokenKey,
    pageFolder: undefined,
    ...own,
  });
  app.addHook("onRoute", ({ method, url }) => {
    for (const each of [method].flat()) onRoute?.(each, url);
  });
  await app.ready();
  const token = (role: PersonRole, principal: string = role): Promise<string> =>
    mintToken(tokenKey, { principal, role, lifetimeMs: 3_600_000, nowMs: clock.nowMs() });
  return {
    app,
    tokenKey,
    asked,
    as: (principal) => broker.connect(principal),
    token,
    ask: async (role, method, url, body, headers = {}) => {
      const authorization = role === undefined ? {} : { authorization: `Bearer ${await token(role)}` };
      const payload = body === undefined ? {} : { payload: JSON.stringify(body) };
      const type = body === undefined ? {} : { "content-type": "application/json" };
      return app.inject({ method, url, ...payload, headers: { host: "localhost", ...type, ...authorization, ...headers } });
    },
    close: async () => {
      signal.abort();
      await app.close();
      await folder.remove();
    },
  };
};
