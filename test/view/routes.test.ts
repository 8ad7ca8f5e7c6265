import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fastify, { type FastifyInstance } from "fastify";
import { afterEach, describe, expect, test } from "vitest";
import { ViewConfig } from "../../src/contracts/config-view.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import type { RecordedChunk, RecordedList, ViewChange, ViewDelta, ViewSnapshot, ViewState } from "../../src/contracts/view.ts";
import type { LiveView } from "../../src/http/view-ports.ts";
import { viewRoutes } from "../../src/http/view-routes.ts";
import { liveState } from "../../src/node/live-view.ts";
import { recordedFile, recordedIn } from "../../src/node/recorded-runs.ts";
import { createSystemClock } from "../../src/ports/system.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { ViewHub } from "../../src/view/hub.ts";
import { unpackView } from "../../src/view/pack.ts";
import { ViewReader } from "../../src/view/read-event.ts";
import { applyChanges, emptyView } from "../../src/view/reduce.ts";
import { goldenEvents, layerSignal, started, windowOf } from "./support.ts";

const systemClock = createSystemClock();
const ends: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const folder = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), "esper-view-"));
  ends.push(() => rm(path, { recursive: true, force: true }));
  return path;
};

const writeLog = async (dataDir: string, runId: string, lines: readonly (Envelope | string)[]): Promise<string> => {
  const file = join(dataDir, "runs", runId, "events.jsonl");
  await mkdir(join(dataDir, "runs", runId), { recursive: true });
  await writeFile(file, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  return file;
};

const golden = (): Envelope[] => [
  started("r-1", 3, { growth: true }),
  windowOf("r-1", 1),
  ...goldenEvents("fossilized"),
  windowOf("r-1", 14),
];

const stateOf = (events: readonly Envelope[]): ViewState => {
  const reader = new ViewReader();
  const state = emptyView("recorded");
  for (const event of events) applyChanges(state, reader.read(event));
  return state;
};

const serve = async (dataDir: string, more: Partial<ViewConfig> = {}, streamsMax = 2) => {
  const config = ViewConfig.parse(more);
  const hub = new ViewHub({ clock: systemClock, config, instance: "one", state: liveState() });
  const abort = new AbortController();
  const live: LiveView = { hub };
  const recorded = recordedIn(dataDir, { fileSystem: nodeFileSystem, clock: systemClock, config }, () => ["r-1"]);
  const app: FastifyInstance = fastify({ forceCloseConnections: true });
  await app.register(viewRoutes, {
    view: { config, streamsMax, clock: systemClock, signal: abort.signal, live, recorded, machines: { seed: { states: 11 } } },
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  ends.push(async () => {
    hub.close();
    await app.close();
  });
  const address = app.server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { app, hub, live, abort, port: address.port, recorded };
};

interface Event {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** A page over a real socket. */
const listen = async (port: number, lastId?: string) => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = lastId === undefined ? {} : { "last-event-id": lastId };
    get({ host: "127.0.0.1", port, path: "/view/stream", headers, agent: false }, resolve).on("error", reject);
  });
  const events: Event[] = [];
  let text = "";
  let wake = (): void => undefined;
  response.setEncoding("utf8");
  response.on("data", (part: string) => {
    text += part;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = new Map(
        text
          .slice(0, end)
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      text = text.slice(end + 2);
      const event = fields.get("event");
      if (event !== undefined) events.push({ event, id: fields.get("id") ?? "", data: fields.get("data") ?? "" });
      wake();
    }
  });
  response.on("close", () => wake());
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) {
      if (response.closed) throw new Error("the stream ended");
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { response, events, until, close: () => response.destroy() };
};

const stateFrom = (events: readonly Event[], before?: ViewState): ViewState => {
  let state = before;
  for (const { event, data } of events) {
    if (event === "snapshot") state = unpackView((JSON.parse(data) as ViewSnapshot).state);
    if (event === "delta" && state !== undefined) applyChanges(state, (JSON.parse(data) as ViewDelta).changes);
  }
  if (state === undefined) throw new Error("no state came");
  return state;
};

const row = (epoch: number): ViewChange => {
  const nothing = { trainLoss: null, validationLoss: null, validationAccuracy: null, gradNorm: null, stepsPerSecond: null };
  return { k: "row", r: "r", row: { epoch, ...nothing, flops: epoch } };
};

describe("the stream", () => {
  test("a snapshot, then changes; after a gap it goes on from the last id, and stands where one that stayed does", async () => {
    const { port, hub } = await serve(await folder(), { deltasHz: 20 });
    hub.take([row(1)]);
    const stays = await listen(port);
    expect(stays.response.headers["content-type"]).toContain("text/event-stream");
    const leaves = await listen(port);
    await leaves.until(() => leaves.events.length > 0);
    leaves.close();
    for (let epoch = 2; epoch <= 30; epoch += 1) hub.take([row(epoch)]);
    const back = await listen(port, leaves.events.at(-1)?.id);
    await back.until(() => back.events.length > 0);
    expect(back.events[0]?.event).toBe("delta");
    await stays.until(() => stays.events.some(({ event }) => event === "delta"));
    expect(stateFrom(back.events, stateFrom(leaves.events))).toEqual(stateFrom(stays.events));
    expect(stateFrom(stays.events)).toEqual(JSON.parse(JSON.stringify(hub.state)));
    back.close();
    stays.close();
  });

  test("W1: one stream more than streamsMax is refused; a page that goes makes room", async () => {
    const { port, hub } = await serve(await folder());
    const pages = [await listen(port), await listen(port)];
    const third = await listen(port);
    expect(third.response.statusCode).toBe(503);
    pages[0]?.close();
    while (hub.pages > 1) await new Promise((resolve) => setImmediate(resolve));
    const fourth = await listen(port);
    expect(fourth.response.statusCode).toBe(200);
    for (const page of [...pages, fourth]) page.close();
  });

  test("W1: who asks for the head alone is answered at once and holds no place", async () => {
    const { port } = await serve(await folder(), {}, 1);
    for (let n = 0; n < 3; n += 1) {
      const head = await fetch(`http://127.0.0.1:${port}/view/stream`, { method: "HEAD" });
      expect([head.status, head.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
    }
    const stream = await fetch(`http://127.0.0.1:${port}/view/stream`);
    expect(stream.status).toBe(200);
    await stream.body?.cancel();
  });

  test("W1: every stream ends with the server, and says so", async () => {
    const { port, abort } = await serve(await folder());
    const page = await listen(port);
    await page.until(() => page.events.length > 0);
    const closed = new Promise((resolve) => page.response.on("close", resolve));
    abort.abort();
    await closed;
    expect(page.events.at(-1)?.event).toBe("end");
    expect((await listen(port)).response.statusCode).toBe(503);
  });

  test("W3: a page that reads nothing holds no more than the bound, and gets all in the end", async () => {
    const { port, hub } = await serve(await folder(), { clientBytesMax: 65_536, ringItemsMax: 1_000 });
    const page = await listen(port);
    await page.until(() => page.events.length > 0);
    page.response.pause();
    const text = "x".repeat(1_900);
    const alert = { atMs: 0, severity: "info", source: "x", runId: null, epoch: null, seedId: null } as const;
    let taken = 0;
    // Nearly 60 MB that nobody takes: far beyond what a connection holds in the kernel.
    for (let batch = 0; batch < 30; batch += 1) {
      for (let each = 0; each < 1_000; each += 1) {
        taken += 1;
        hub.take([{ k: "alert", alert: { ...alert, id: `a${taken}`, text: `${taken} ${text}` } }]);
      }
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    page.response.resume();
    await page.until(() => page.events.at(-1)?.event === "snapshot" && page.events.length > 2);
    expect((JSON.parse(page.events.at(-1)?.data ?? "{}") as ViewSnapshot).cause).toBe("slow");
    expect(page.events.reduce((bytes, { data }) => bytes + data.length, 0)).toBeLessThan(25_000_000);
    expect(stateFrom(page.events).alerts.at(-1)?.id).toBe(`a${taken}`);
    page.close();
  }, 30_000);
});

describe("recorded runs", () => {
  const chunksOf = async (app: FastifyInstance, runId: string): Promise<RecordedChunk[]> => {
    const chunks: RecordedChunk[] = [];
    for (let from: number | null = 0; from !== null; ) {
      const response = await app.inject({ url: `/view/runs/${encodeURIComponent(runId)}/events?from=${from}` });
      expect(response.statusCode).toBe(200);
      const chunk: RecordedChunk = response.json();
      chunks.push(chunk);
      from = chunk.next;
    }
    return chunks;
  };
  const replayed = (chunks: readonly RecordedChunk[]): ViewState => {
    const state = emptyView("recorded");
    for (const { changes } of chunks) for (const each of changes) applyChanges(state, each);
    return state;
  };

  test("R1: the chunks together are the log, whatever their size; each event with its window and time", async () => {
    const dataDir = await folder();
    const signal = { samples: 100, errorPower: 1, trainLoss: 1, layers: [layerSignal("h1", 0.3)], spans: [] };
    const events = [...golden(), ...Array.from({ length: 40 }, (_, index) => windowOf("r-1", 15 + index, { signal }))];
    await writeLog(dataDir, "r-1", events);
    for (const chunkEventsMax of [10, 17, 4_000]) {
      const { app } = await serve(dataDir, { chunkEventsMax });
      const chunks = await chunksOf(app, "r-1");
      expect(chunks.length).toBe(chunkEventsMax > events.length ? 1 : Math.floor(events.length / chunkEventsMax) + 1);
      expect(replayed(chunks)).toEqual(stateOf(events));
      expect(chunks.flatMap(({ epochs }) => epochs).at(-1)).toBe(54);
      expect(chunks.flatMap(({ at }) => at)).toEqual(events.map(({ sentAtMs }) => sentAtMs));
      expect(chunks.at(-1)?.total).toBe(chunks.length === 1 ? events.length : null);
    }
  });

  test("R2: a chunk that is asked for out of turn, by two at once, is the same", async () => {
    const dataDir = await folder();
    await writeLog(dataDir, "r-1", golden());
    const { app } = await serve(dataDir, { chunkEventsMax: 10, recordedReadersMax: 1 });
    const [first, second] = await chunksOf(app, "r-1");
    const again = await Promise.all([1, 2].map(() => app.inject({ url: `/view/runs/r-1/events?from=${first?.next}` })));
    for (const each of again) expect(each.json()).toEqual(second);
    expect(second?.changes.flat().some(({ k }) => k === "row")).toBe(true);
  });

  test("R4: torn and foreign lines give nothing and hide nothing", async () => {
    const dataDir = await folder();
    const events = golden();
    const lines = [...events.slice(0, 5), "{not json", JSON.stringify({ hello: 1 }), ...events.slice(5)];
    await writeLog(dataDir, "r-1", [...lines, JSON.stringify(events[0]).slice(0, 40)]);
    const { app } = await serve(dataDir);
    expect(replayed(await chunksOf(app, "r-1"))).toEqual(stateOf(events));
  });

  test("gzip where it is wanted; runs, machines and checkpoints are told; names that are none are refused", async () => {
    const dataDir = await folder();
    await writeLog(dataDir, "r-1", golden());
    await writeLog(dataDir, "r-2", golden());
    await mkdir(join(dataDir, "checkpoints", "r-1", "10"), { recursive: true });
    await mkdir(join(dataDir, "checkpoints", "r-1", "9.tmp"), { recursive: true });
    await writeFile(join(dataDir, "checkpoints", "r-1", "10", "tensors.safetensors"), "12345");
    const { app } = await serve(dataDir);
    const zipped = await app.inject({ url: "/view/runs/r-1/events", headers: { "accept-encoding": "br, gzip" } });
    expect(zipped.headers["content-encoding"]).toBe("gzip");
    expect(JSON.parse(gunzipSync(zipped.rawPayload).toString())).toMatchObject({ runId: "r-1", from: 0, next: null });
    const { runs, node } = (await app.inject({ url: "/view/runs" })).json<RecordedList>();
    expect(node).toBe(true);
    expect(runs.map(({ runId, live }) => [runId, live])).toEqual([
      ["r-2", false],
      ["r-1", true],
    ]);
    expect((await app.inject({ url: "/view/machines" })).json()).toEqual({ seed: { states: 11 } });
    const checkpoints = (await app.inject({ url: "/view/runs/r-1/checkpoints" })).json();
    expect(checkpoints).toEqual({
      runId: "r-1",
      checkpoints: [{ epoch: 10, file: join(dataDir, "checkpoints", "r-1", "10"), bytes: 5 }],
    });
    for (const name of ["r-3", "..", "%2e%2e", "..%2f..%2fetc", "r-1%2f..%2fr-2", "%00", "a..b"]) {
      const refused = await app.inject({ url: `/view/runs/${name}/events` });
      expect([name, refused.statusCode]).toEqual([name, 404]);
    }
    expect((await app.inject({ url: "/view/runs/r-1/events?from=-1" })).statusCode).toBe(400);
    expect((await app.inject({ url: "/view/runs/r-1/events?from=1&from=2" })).statusCode).toBe(400);
  });

  test("one log that somebody names", async () => {
    const events = golden();
    const file = await writeLog(await folder(), "r-1", events);
    const config = ViewConfig.parse({});
    const recorded = await recordedFile(file, { fileSystem: nodeFileSystem, clock: systemClock, config });
    expect((await recorded.list()).map(({ runId }) => runId)).toEqual(["r-1"]);
    let text = "";
    for await (const piece of (await recorded.events("r-1", 0)) ?? []) text += piece;
    expect(replayed([JSON.parse(text) as RecordedChunk])).toEqual(stateOf(events));
    expect(await recorded.events("r-2", 0)).toBeUndefined();
  });
});
