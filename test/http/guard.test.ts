/** What every request must pass and every answer carries; and the address that the server takes. */
import { readFile, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { readOperatorFile, tellHttpAddress, writeLoginFiles } from "../../src/bus/operator-file.ts";
import { HttpConfig } from "../../src/contracts/config-http.ts";
import { ServiceError } from "../../src/contracts/errors.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { isForeign, isOwnHost } from "../../src/http/guard.ts";
import { type HttpEndpoint, openHttp } from "../../src/http/open.ts";
import { readTokenKey, tokenKeyFile } from "../../src/http/token-key.ts";
import { temporaryFolder } from "../bus/support.ts";
import { createMemoryBroker } from "../support/memory-bus.ts";
import { clock, done, entropy, openDoor } from "./support.ts";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const door = async (...given: Parameters<typeof openDoor>) => {
  const opened = await openDoor(...given);
  ends.push(() => opened.close());
  return opened;
};

const usual = { host: "127.0.0.1", names: ["esper.example"] };

describe("H1 a request is addressed to this node", () => {
  it.each([
    "localhost",
    "localhost:8770",
    "LOCALHOST:1",
    "127.0.0.1:8770",
    "127.3.2.1",
    "[::1]:8770",
    "esper.example",
    "Esper.Example:443",
  ])("%s", (host) => {
    expect(isOwnHost(host, usual)).toBe(true);
  });

  it.each([
    undefined,
    "",
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "esper.example.evil",
    "0.0.0.0",
    "10.0.0.1",
    "localhost:",
    "localhost:123456",
    "[::2]",
    "::1",
    "a@localhost",
    "localhost:80:80",
    "localhost ",
  ])("not %s", (host) => {
    expect(isOwnHost(host, usual)).toBe(false);
  });

  it("any other name is 421, whatever it looks like, and nothing is asked", async () => {
    const { app, asked } = await door({ gate: done });
    await fc.assert(
      fc.asyncProperty(fc.domain(), fc.option(fc.integer({ min: 1, max: 65535 })), async (name, port) => {
        const answer = await app.inject({
          method: "GET",
          url: "/status",
          headers: { host: port === null ? name : `${name}:${port}` },
        });
        expect(answer.statusCode).toBe(421);
      }),
      { numRuns: 100, seed: 1 },
    );
    expect(asked).toEqual([]);
  });
});

describe("H2 who made the request", () => {
  it.each([
    [{ host: "localhost:1" }, false],
    [{ host: "localhost:1", origin: "http://localhost:1", "sec-fetch-site": "same-origin" }, false],
    [{ host: "localhost:1", origin: "http://evil.example" }, true],
    [{ host: "localhost:1", origin: "http://localhost:2" }, true],
    [{ host: "localhost:1", origin: "null" }, true],
    [{ host: "localhost:1", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }, true],
    [{ host: "localhost:1", "sec-fetch-site": "same-site", "sec-fetch-mode": "cors" }, true],
    [{ host: "localhost:1", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }, false],
    [{ host: "localhost:1", "sec-fetch-site": "none", "sec-fetch-mode": "navigate" }, false],
  ])("%o: foreign %s", (headers, foreign) => {
    expect(isForeign(headers)).toBe(foreign);
  });

  it("a page of another origin gets 403 and no permission to read", async () => {
    const { app, asked } = await door({ gate: done });
    for (const method of ["GET", "POST", "OPTIONS"] as const) {
      const answer = await app.inject({ method, url: "/status", headers: { host: "localhost", origin: "http://evil.example" } });
      expect(answer.statusCode, method).toBe(403);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
    expect(asked).toEqual([]);
  });
});

it("H3 every answer says what a browser may do with it, refusals included", async () => {
  const { app } = await door({ gate: done });
  const requests = [
    { url: "/" },
    { url: "/status" },
    { url: "/nowhere" },
    { url: "/health" },
    { url: "/openapi.json" },
    { url: "/docs/" },
    { url: "/metrics" },
    { url: "/%zz" },
    { url: "/status", headers: { host: "evil.example" } },
    { url: "/status", headers: { host: "localhost", authorization: "Bearer x" } },
  ];
  for (const { url, headers = { host: "localhost" } } of requests) {
    const answer = await app.inject({ method: "GET", url, headers });
    expect(answer.headers["content-security-policy"], url).toMatch(/^default-src 'self'; script-src 'self'; style-src 'self'; /);
    expect(answer.headers["content-security-policy"], url).not.toMatch(/unsafe|http|\*/);
    expect(
      [answer.headers["x-content-type-options"], answer.headers["referrer-policy"], answer.headers["x-frame-options"]],
      url,
    ).toEqual(["nosniff", "no-referrer", "DENY"]);
    expect(answer.headers["content-type"], url).toBeDefined();
  }
});

const open = async (
  config: Parameters<typeof HttpConfig.parse>[0],
  dataDir?: string,
  portBefore?: number,
): Promise<HttpEndpoint & { dataDir: string }> => {
  const folder = dataDir === undefined ? await temporaryFolder() : undefined;
  if (folder !== undefined) ends.push(() => folder.remove());
  const place = dataDir ?? folder?.path ?? "";
  const bus = await createMemoryBroker({ clock }).connect("http");
  const signal = new AbortController().signal;
  const endpoint = await openHttp({
    bus,
    clock,
    entropy,
    log: silentLog,
    signal,
    config: HttpConfig.parse(config),
    dataDir: place,
    portBefore,
  });
  ends.push(() => endpoint.close());
  return { ...endpoint, dataDir: place };
};

/** Somebody else's server. */
const taken = async (): Promise<number> => {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
};

describe("the address", () => {
  it("L1 two nodes side by side: the second takes a free port", async () => {
    const first = await open({ port: "auto" });
    const second = await open({ port: "auto" });
    expect(second.port).not.toBe(first.port);
    for (const { url } of [first, second]) expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });

  it("L1 a port that somebody named and that is taken ends the start, with the place in the configuration", async () => {
    const port = await taken();
    const refused = open({ port });
    await expect(refused).rejects.toThrow(ServiceError);
    await expect(refused).rejects.toMatchObject({
      place: { path: "services.http.port" },
      message: expect.stringContaining("the port is taken"),
    });
  });

  it("an address that is not of this machine names services.http.host", async () => {
    await expect(open({ host: "203.0.113.1", port: 0 })).rejects.toMatchObject({ place: { path: "services.http.host" } });
  });

  it("L2 opened again it has its port and its key", async () => {
    const first = await open({ port: 0 });
    const key = await readFile(tokenKeyFile(first.dataDir), "utf8");
    await first.close();
    const again = await open({ port: 0 }, first.dataDir, first.port);
    expect(again.port).toBe(first.port);
    expect(await readFile(tokenKeyFile(first.dataDir), "utf8")).toBe(key);
  });

  it("is told in every login file", async () => {
    const folder = await temporaryFolder();
    ends.push(() => folder.remove());
    const connection = { url: "nats://127.0.0.1:1", user: "u", password: "p", dataDir: folder.path, pid: 1, startedAtMs: 1 };
    for (const role of ["operator", "observer"] as const) await writeLoginFiles(connection, role);
    await tellHttpAddress(folder.path, "http://127.0.0.1:8770");
    for (const role of ["operator", "observer"] as const)
      expect(await readOperatorFile(folder.path, role)).toEqual({ ...connection, http: "http://127.0.0.1:8770" });
  });
});

describe("the key", () => {
  it("is made once, for its owner alone", async () => {
    const { dataDir } = await open({ port: 0 });
    expect((await stat(tokenKeyFile(dataDir))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, "http"))).mode & 0o777).toBe(0o700);
  });

  it("none there is told with what to do", async () => {
    await expect(readTokenKey("/nowhere/key.pem")).rejects.toThrow(/first start/);
  });
});

describe("S1 what is no request", () => {
  const raw = (port: number, text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let got = "";
      const socket = connect(port, "127.0.0.1", () => socket.write(text));
      socket.setEncoding("utf8");
      socket.on("data", (chunk) => {
        got += chunk;
      });
      socket.on("close", () => resolve(got));
      socket.on("error", reject);
    });

  it.each([
    ["garbage", "GARBAGE\r\n\r\n", 400],
    ["a head that is too large", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"y".repeat(5_000)}\r\n\r\n`, 431],
    ["two lengths", "POST /commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400],
    [
      "length and chunks",
      "POST /commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["no host", "GET /status HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
    ["no host in HTTP/1.0", "GET /status HTTP/1.0\r\n\r\n", 421],
    [
      "two authorizations",
      "GET /status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n",
      401,
    ],
  ])("%s", async (_, text, status) => {
    const { port } = await open({ port: 0, headerBytesMax: 4_096 });
    expect(await raw(port, text)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it("a connection over the bound is closed; when one ends there is room again", async () => {
    const { port, url } = await open({ port: 0, connectionsMax: 2, keepAliveMs: 600_000 });
    const held = await Promise.all(
      [0, 1].map(
        () =>
          new Promise<ReturnType<typeof connect>>((resolve) => {
            const socket = connect(port, "127.0.0.1", () => socket.write("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            socket.once("data", () => resolve(socket));
          }),
      ),
    );
    await expect(
      raw(port, "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").catch(() => ""),
    ).resolves.toBe("");
    const gone = new Promise((resolve) => held[0]?.once("close", resolve));
    held[0]?.end();
    await gone;
    expect((await fetch(`${url}/health/live`, { headers: { connection: "close" } })).status).toBe(200);
    held[1]?.destroy();
  });
});
