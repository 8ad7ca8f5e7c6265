/**
 * The other side of the page's bench, in a process of its own: a hub with the node's own routes, and with `node` a node that trains a host
 * behind it. `node --expose-gc --import tsx bench/page-server.ts hub|node PAGE_FOLDER`; it does what its parent asks over the process channel.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Fastify from "fastify";
import { EsperConfig } from "../src/contracts/config.ts";
import { HttpConfig } from "../src/contracts/config-http.ts";
import { ViewConfig } from "../src/contracts/config-view.ts";
import { silentLog } from "../src/contracts/ports.ts";
import { subjects } from "../src/contracts/subjects.ts";
import { addGuard } from "../src/http/guard.ts";
import { pageRoutes } from "../src/http/page-routes.ts";
import { viewRoutes } from "../src/http/view-routes.ts";
import { liveState } from "../src/node/live-view.ts";
import { runNode } from "../src/node/node.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import { ViewHub } from "../src/view/hub.ts";
import { ViewReader } from "../src/view/read-event.ts";
import { busyRun } from "./page-busy-run.ts";
import { LoadSource, plant } from "./page-load.ts";

export type PageOrder =
  | { readonly k: "plant"; readonly layers: number; readonly perLayer: number }
  /** Every seed goes through a part of its life. */
  | { readonly k: "live"; readonly updates: number }
  | { readonly k: "load"; readonly perSecond: number }
  /** A busy run of so many windows, one every so often. */
  | { readonly k: "busy"; readonly windowsPerSecond: number }
  | { readonly k: "mark" }
  | { readonly k: "clock" }
  | { readonly k: "heap" }
  | { readonly k: "windows" }
  | { readonly k: "end" };

/** Milliseconds are this process's `performance.now()`. */
export interface PageAnswer {
  readonly nowMs: number;
  readonly url: string;
  /** Updates and windows of the load since it began. */
  readonly told: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly pages: number;
  /** Host windows since the last time: milliseconds a step. */
  readonly stepMs: readonly number[];
  /** Of the processor, since the process began. */
  readonly cpuMs: number;
}

const [mode = "hub", folder = ""] = process.argv.slice(2);
const clock = createSystemClock();
const ending = new AbortController();
const tickMs = 10;
const owedMsMax = 200;

const stepMs: number[] = [];
let hub: ViewHub;
let finished: Promise<unknown> = Promise.resolve();
let dataDir: string | undefined;

if (mode === "node") {
  dataDir = await mkdtemp(join(tmpdir(), "esper-bench-page-"));
  const config = EsperConfig.parse({
    arms: ["no-growth"],
    model: { name: "mlp", widths: [128, 128] },
    dataset: { name: "mnist", batchSize: 128, validationSamples: 500 },
    optimization: { epochs: 10_000, epochSteps: 50 },
    services: { dataDir, http: { port: 0 } },
  });
  const Packet = subjects["system.events.epoch"].payload;
  // A run that begins later would take the place of the load's on the page.
  let trains = (): void => undefined;
  const training = new Promise<void>((resolve) => {
    trains = resolve;
  });
  const up = new Promise<ViewHub>((resolve, reject) => {
    finished = runNode({
      config,
      ports: { clock, entropy: createSystemEntropy(), log: silentLog },
      view: {
        onMessage: ({ subject, payload }) => {
          if (subject !== "system.events.epoch") return;
          const { result } = Packet.parse(payload);
          if (result.work === "host" && result.steps > 0) stepMs.push(result.durationMs / result.steps);
          trains();
        },
        note: () => undefined,
      },
      signal: ending.signal,
      onUp: (node) => resolve(node.hub),
    });
    finished.catch(reject);
  });
  hub = await up;
  await Promise.race([training, finished]);
} else hub = new ViewHub({ clock, config: ViewConfig.parse({}), instance: "bench", state: liveState() });

const app = Fastify({ logger: false, forceCloseConnections: true });
addGuard(app, HttpConfig.parse({}));
await app.register(viewRoutes, {
  view: {
    config: ViewConfig.parse({}),
    streamsMax: 4,
    clock,
    signal: ending.signal,
    live: { hub },
    recorded: { list: async () => [], events: async () => undefined, checkpoints: async () => undefined },
    machines: {},
  },
});
await app.register(pageRoutes, { pageFolder: folder });
const url = await app.listen({ host: "127.0.0.1", port: 0 });

let source: LoadSource | undefined;
let load: NodeJS.Timeout | undefined;
let told = 0;

/** Does a piece of work so many times a second. What a machine that is too slow owes beyond `owedMsMax` is not made up. */
const often = (perSecond: number, work: (count: number) => void): void => {
  clearInterval(load);
  load = undefined;
  told = 0;
  if (perSecond <= 0) return;
  let [lastMs, owed] = [performance.now(), 0];
  load = setInterval(() => {
    const nowMs = performance.now();
    owed += (Math.min(owedMsMax, nowMs - lastMs) / 1000) * perSecond;
    lastMs = nowMs;
    const due = Math.floor(owed);
    owed -= due;
    work(due);
    told += due;
  }, tickMs);
};

const gc = (): void => {
  if (globalThis.gc === undefined) throw new Error("expected node --expose-gc");
  globalThis.gc();
};

const planted = (): LoadSource => {
  if (source === undefined) throw new Error("expected seeds to be planted first");
  return source;
};

const obey = async (order: PageOrder): Promise<void> => {
  switch (order.k) {
    case "plant":
      hub.take(plant(order));
      source = new LoadSource(order);
      return;
    case "live":
      for (let left = order.updates; left > 0; left -= 10_000) hub.take(planted().take(Math.min(left, 10_000)));
      return;
    case "load":
      often(order.perSecond, (count) => hub.take(planted().take(count)));
      return;
    case "busy": {
      const events = busyRun();
      const reader = new ViewReader();
      often(order.windowsPerSecond, (count) => {
        for (let window = 0; window < count; window += 1)
          for (const event of events.next().value ?? []) hub.take(reader.read(event));
        if (hub.state.unreadable > 0) throw new Error("expected every event of the busy run to be read");
      });
      return;
    }
    case "mark":
      hub.take([planted().mark()]);
      return;
    case "heap":
      gc();
      return;
    case "end":
      clearInterval(load);
      ending.abort(new Error("the bench is done"));
      hub.close();
      await app.close();
      await finished;
      if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
      return;
    default:
  }
};

process.on("message", async ({ id, order }: { readonly id: number; readonly order: PageOrder }) => {
  // A mark is timed before the hub takes it.
  const nowMs = performance.now();
  await obey(order);
  const { heapUsed, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const windows = order.k === "windows" ? stepMs.splice(0) : [];
  const answer: PageAnswer = {
    nowMs,
    url,
    told,
    heapBytes: heapUsed,
    rssBytes: rss,
    pages: hub.pages,
    stepMs: windows,
    cpuMs: (user + system) / 1000,
  };
  process.send?.({ id, answer }, () => {
    if (order.k === "end") process.exit(0);
  });
});
process.on("disconnect", () => process.exit(1));
process.send?.({ id: 0, answer: undefined });
