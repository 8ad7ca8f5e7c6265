/**
 * What the page reads: the live view as a stream, and recorded runs. Nothing here changes anything; commands go to the Gate.
 *
 * W1 At most `streamsMax` streams at once; each ends with the server, and who asks for the head alone holds none.
 * W2 A page that comes back with the id of its last event goes on from there.
 * W3 A stream is a sink of the hub: how much waits for a slow page is bounded there, and nobody waits for it here.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { RunId } from "../contracts/ids.ts";
import type { RecordedList } from "../contracts/view.ts";
import type { ViewSink } from "../view/hub.ts";
import { sendProblem } from "./problem.ts";
import type { ViewPorts } from "./view-ports.ts";

const streamHead = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" };
/** How long a browser waits before it comes back. */
const retryMs = 1_000;

/** A line break would end a field of the stream; JSON has none, an id must not. */
const eventOf = (event: string, id: string, data: string): string => `event: ${event}\nid: ${id}\ndata: ${data}\n\n`;

const idOf = (request: FastifyRequest): string | undefined => {
  const id = request.headers["last-event-id"];
  return typeof id === "string" && /^[\w:-]{1,64}$/.test(id) ? id : undefined;
};

const openStream = (reply: FastifyReply): ViewSink & { readonly end: (event: string) => void } => {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...streamHead });
  // Small batches must not wait for each other.
  raw.socket?.setNoDelay(true);
  raw.socket?.setTimeout(0);
  raw.write(`retry: ${retryMs}\n\n`);
  return {
    waitingBytes: () => raw.writableLength + (raw.socket?.writableLength ?? 0),
    send: (event, id, data) => void raw.write(eventOf(event, id, data)),
    beat: () => void raw.write(": alive\n\n"),
    end: (event) => void raw.end(`event: ${event}\ndata: {}\n\n`),
  };
};

/** A page that takes nothing for so long gives up its place among those that read recorded runs. */
const stalledMs = 120_000;
const noNode = "expected a node behind this page, there are recorded runs only";
const runParams = (request: FastifyRequest): string | undefined => {
  const { params } = request;
  const id = typeof params === "object" && params !== null && "id" in params ? params.id : undefined;
  const parsed = RunId.safeParse(id);
  // A name that walks up the folders is no run, whatever else it matches.
  return parsed.success && !parsed.data.includes("..") ? parsed.data : undefined;
};

const fromOf = (request: FastifyRequest): number | undefined => {
  const { query } = request;
  const from = typeof query === "object" && query !== null && "from" in query ? query.from : "0";
  return typeof from === "string" && /^\d{1,15}$/.test(from) ? Number(from) : undefined;
};

const sendZipped = (request: FastifyRequest, reply: FastifyReply, pieces: AsyncIterable<string>): FastifyReply => {
  const text = Readable.from(pieces, { objectMode: true, highWaterMark: 4 });
  void reply.type("application/json; charset=utf-8");
  if (!/\bgzip\b/.test(request.headers["accept-encoding"] ?? "")) return reply.send(text);
  const zip = createGzip({ level: 1 });
  // A page that goes away in the middle ends the reading too.
  void pipeline(text, zip).catch(() => zip.destroy());
  return reply.header("content-encoding", "gzip").header("vary", "accept-encoding").send(zip);
};

export const viewRoutes: FastifyPluginAsync<{ readonly view: ViewPorts | undefined }> = async (app, { view }) => {
  if (view === undefined) return;
  const { live, recorded, streamsMax, signal, machines } = view;
  const open = new Set<() => void>();
  const closeAll = (): void => {
    for (const close of [...open]) close();
  };
  signal.addEventListener("abort", closeAll, { once: true });
  app.addHook("preClose", async () => closeAll());

  app.get("/view/stream", (request, reply) => {
    if (live === undefined) return sendProblem(reply, 404, noNode);
    if (signal.aborted) return sendProblem(reply, 503, "the node ends");
    // Only asks whether there is a stream: it would be held open for nobody.
    if (request.method === "HEAD") return reply.headers(streamHead).send();
    if (open.size >= streamsMax)
      return sendProblem(reply, 503, `expected at most ${streamsMax} streams at once (services.http.streamsMax); close a page`); // W1
    const sink = openStream(reply);
    const detach = live.hub.attach(sink, idOf(request)); // W2, W3
    const close = (): void => {
      detach();
      open.delete(end);
    };
    const end = (): void => {
      live.hub.deliver();
      close();
      sink.end("end");
    };
    open.add(end);
    reply.raw.on("close", close);
    reply.raw.on("error", close);
    return reply;
  });

  app.get("/view/snapshot", (request, reply) => {
    if (live === undefined) return sendProblem(reply, 404, noNode);
    void reply.type("application/json; charset=utf-8");
    // Whether there is a node is asked without its state.
    return request.method === "HEAD" ? reply.send() : reply.send(live.hub.snapshot().data);
  });

  const drawn = JSON.stringify(machines);
  app.get("/view/machines", (_request, reply) => reply.type("application/json; charset=utf-8").send(drawn));

  app.get("/view/runs", async (): Promise<RecordedList> => ({ node: live !== undefined, runs: await recorded.list() }));

  app.get("/view/runs/:id/events", async (request, reply) => {
    const [runId, from] = [runParams(request), fromOf(request)];
    if (from === undefined) return sendProblem(reply, 400, "expected `from` as the answer before named it in `next`, or none");
    const pieces = runId === undefined ? undefined : await recorded.events(runId, from);
    if (pieces === undefined) return sendProblem(reply, 404, "expected a recorded run; /view/runs lists them");
    reply.raw.setTimeout(stalledMs, () => void reply.raw.destroy());
    return sendZipped(request, reply, pieces);
  });

  app.get("/view/runs/:id/checkpoints", async (request, reply) => {
    const runId = runParams(request);
    const found = runId === undefined ? undefined : await recorded.checkpoints(runId);
    return found ?? sendProblem(reply, 404, "expected a recorded run; /view/runs lists them");
  });
};
