/** Downloads are bounded in size and time. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createDownload } from "../../src/data/download.ts";
import { createSimulatedClock } from "../support/clock.ts";

describe("createDownload", () => {
  let server: Server;
  let base = "";

  beforeEach(async () => {
    server = createServer((request, response) => {
      if (request.url === "/missing") response.writeHead(404).end();
      else if (request.url === "/hangs") response.write("a");
      else response.end("0123456789");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test("gives the bytes up to the bound, and cancels its deadline", async () => {
    const clock = createSimulatedClock();
    const download = createDownload({ fetch, clock, timeoutMs: 1000 });
    expect(Buffer.from(await download(`${base}/file`, 10)).toString()).toBe("0123456789");
    expect(clock.pending()).toBe(0);
    await expect(download(`${base}/file`, 9)).rejects.toThrow(/expected at most 9 bytes, found more/);
    await expect(download(`${base}/missing`, 9)).rejects.toThrow(/expected status 200, found 404/);
  });

  test("gives up at the deadline", async () => {
    const clock = createSimulatedClock();
    const responses: Response[] = [];
    const watched = async (url: string, options: { signal: AbortSignal }): Promise<Response> => {
      const response = await fetch(url, options);
      responses.push(response);
      return response;
    };
    const result = createDownload({ fetch: watched, clock, timeoutMs: 1000 })(`${base}/hangs`, 100);
    const told = expect(result).rejects.toThrow(/expected it within 1000 ms, found it unfinished/);
    while (responses.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(1000);
    await told;
  });
});
