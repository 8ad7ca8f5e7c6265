/**
 * Serves the built page with a state and changes of a test's own choice, under the node's own content policy. Everything else about the page is as a
 * node serves it, so that a test can show it what no real run would.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import type { RecordedCheckpoints, RecordedChunk, RecordedRun, ViewChange, ViewState } from "../../src/contracts/view.ts";
import { safeHeaders } from "../../src/http/guard.ts";
import { packView } from "../../src/view/pack.ts";

export interface PageServerOptions {
  /** Folder of the built page. */
  readonly folder: string;
  /** Left out: no node answers the stream. */
  readonly state?: ViewState;
  readonly runs?: readonly (RecordedRun & {
    readonly chunk: RecordedChunk;
    readonly checkpoints?: RecordedCheckpoints["checkpoints"];
  })[];
  /** What is answered to GET at other paths, by path. */
  readonly offers?: Readonly<Record<string, unknown>>;
  /** The answer to a command. */
  readonly receipt?: (command: unknown) => { readonly status: number; readonly body: unknown };
  readonly port?: number;
}

export interface PageServer {
  readonly url: string;
  readonly port: number;
  /** Commands that were posted, with the token that came with them. */
  readonly posted: { readonly command: unknown; readonly authorization: string | undefined }[];
  push(changes: readonly ViewChange[]): void;
  /** Browsers that listen now. */
  readonly listening: number;
  close(): Promise<void>;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".md": "text/markdown; charset=utf-8",
};

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
};

export const startPageServer = async (options: PageServerOptions): Promise<PageServer> => {
  const streams = new Set<ServerResponse>();
  const posted: PageServer["posted"] = [];
  const { folder, state, runs = [] } = options;

  const json = (response: ServerResponse, body: unknown, status = 200): void => {
    response.writeHead(status, { ...safeHeaders, "content-type": "application/json; charset=utf-8" });
    response.end(JSON.stringify(body));
  };
  const stream = (response: ServerResponse): void => {
    response.writeHead(200, { ...safeHeaders, "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(`id: test:0\nevent: snapshot\ndata: ${JSON.stringify({ state: state && packView(state), cause: "new" })}\n\n`);
    streams.add(response);
    response.on("close", () => streams.delete(response));
  };
  const file = (response: ServerResponse, path: string): void => {
    const name = path === "/" ? "/index.html" : path;
    try {
      if (name.includes("..")) throw new Error("expected a file of the page");
      const bytes = readFileSync(join(folder, name));
      response.writeHead(200, { ...safeHeaders, "content-type": types[extname(name)] ?? "application/octet-stream" });
      response.end(bytes);
    } catch {
      json(response, { title: "no such file" }, 404);
    }
  };
  const recorded = (response: ServerResponse, path: string): boolean => {
    const [, id, what] = /^\/view\/runs\/([^/]+)\/(events|checkpoints)$/.exec(path) ?? [];
    if (id === undefined) return false;
    const run = runs.find(({ runId }) => runId === decodeURIComponent(id));
    if (run === undefined) json(response, { title: "no such run" }, 404);
    else json(response, what === "events" ? run.chunk : { runId: run.runId, checkpoints: run.checkpoints ?? [] });
    return true;
  };

  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://127.0.0.1").pathname;
    if (request.method === "POST" && path === "/commands") {
      void bodyOf(request).then((text) => {
        const command: unknown = JSON.parse(text);
        posted.push({ command, authorization: request.headers.authorization });
        const { status, body } = options.receipt?.(command) ?? { status: 503, body: { title: "nobody answers" } };
        json(response, body, status);
      });
      return;
    }
    if (path === "/view/stream" && state !== undefined) stream(response);
    else if (path === "/view/stream" || path === "/view/snapshot") json(response, { title: "no node" }, 404);
    else if (options.offers?.[path] !== undefined) json(response, options.offers[path]);
    else if (path === "/view/runs") json(response, { runs: runs.map(({ runId, bytes, live }) => ({ runId, bytes, live })) });
    else if (!recorded(response, path)) file(response, path);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    posted,
    push: (changes) => {
      for (const each of streams) each.write(`event: delta\ndata: ${JSON.stringify({ changes })}\n\n`);
    },
    get listening() {
      return streams.size;
    },
    close: () =>
      new Promise((resolve) => {
        for (const each of streams) each.destroy();
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
};
