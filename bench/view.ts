/**
 * The page's wire: how fast the reducer is, what 50,000 updates a second over 10,000 seeds cost the node, and how long a recorded run takes
 * to open. `node --import tsx bench/view.ts [--json]`
 */
import { fork } from "node:child_process";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import fastify from "fastify";
import { MorphogeneticConfig } from "../src/contracts/config-morphogenetic.ts";
import { ViewConfig } from "../src/contracts/config-view.ts";
import { lifecycleStates } from "../src/contracts/lifecycle.ts";
import type { RecordedChunk, SeedStep, ViewChange, ViewDelta, ViewSnapshot, ViewState } from "../src/contracts/view.ts";
import type { ViewPorts } from "../src/http/view-ports.ts";
import { viewRoutes } from "../src/http/view-routes.ts";
import { recordedIn } from "../src/node/recorded-runs.ts";
import { createSystemClock } from "../src/ports/system.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import { coalesce } from "../src/view/coalesce.ts";
import { ViewHub } from "../src/view/hub.ts";
import { unpackView } from "../src/view/pack.ts";
import { applyChanges, emptyView, findRun } from "../src/view/reduce.ts";
import { isMain, print, quantile, table } from "./support.ts";

export interface ViewResult {
  /** For a second of the processor. */
  readonly reducerPerSecond: number;
  readonly wire: {
    readonly seeds: number;
    readonly updatesPerSecond: number;
    readonly cpuShare: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
    readonly bytesPerSecond: number;
    readonly deltasPerSecond: number;
  };
  readonly recorded: readonly {
    readonly name: string;
    readonly logBytes: number;
    readonly events: number;
    readonly serverMs: number;
    /** Of the processor: what it takes on a machine that has nothing else to do. */
    readonly serverCpuMs: number;
    readonly wireBytes: number;
    readonly pageMs: number;
    readonly longestTurnMs: number;
  }[];
}

const clock = createSystemClock();
const runId = "bench";
const trialStates = lifecycleStates.slice(1, lifecycleStates.indexOf("FOSSILIZED") + 1);

const stepTo = (sequence: number, epoch: number): SeedStep => ({
  sequence,
  from: sequence === 1 ? "DORMANT" : trialStates[sequence - 2]!,
  to: trialStates[sequence - 1]!,
  epoch,
  atMs: epoch,
  reason: "for the bench",
  gates: [],
});

/** Seeds in the middle of grafting, so that each takes updates of its alpha. */
const graftingSeeds = (seeds: number): ViewChange[] =>
  Array.from({ length: seeds }, (_, index) => `seed:h${index + 1}`).flatMap((seedId) =>
    [1, 2, 3, 4].map((sequence): ViewChange => ({ k: "step", r: runId, seedId, step: stepTo(sequence, 1), trial: null })),
  );

const updateOf = (seeds: number, count: number): ViewChange => {
  const seedId = `seed:h${(count % seeds) + 1}`;
  return { k: "alpha", r: runId, seedId, epoch: 2 + Math.floor(count / seeds), alpha: (count % 1000) / 1000, drift: 0.01 };
};

/** Milliseconds of the processor since then: other work on the machine does not count. */
const cpuMsSince = (start: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
};

/** Merged and applied, as the node and the page do. */
const benchReducer = (seeds: number, updates: number): number => {
  const state = emptyView("live");
  applyChanges(state, graftingSeeds(seeds));
  const start = process.cpuUsage();
  for (let count = 0; count < updates; count += 2_500)
    applyChanges(state, coalesce(Array.from({ length: 2_500 }, (_, index) => updateOf(seeds, count + index))));
  const tookMs = cpuMsSince(start);
  if (findRun(state, runId)?.seeds.length !== seeds) throw new Error("expected all seeds in the state");
  return (1000 * updates) / tookMs;
};

const serve = async (view: ViewPorts) => {
  const app = fastify({ forceCloseConnections: true });
  await app.register(viewRoutes, { view });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const address = app.server.address();
  if (address === null || typeof address === "string") throw new Error("expected a port");
  return { port: address.port, close: () => app.close() };
};

const nothingRecorded = { list: async () => [], events: async () => undefined, checkpoints: async () => undefined };

const benchWire = async (seeds: number, updatesPerSecond: number, seconds: number): Promise<ViewResult["wire"]> => {
  const config = ViewConfig.parse({});
  const hub = new ViewHub({ clock, config, instance: "bench", state: emptyView("live") });
  hub.take(graftingSeeds(seeds));
  const ending = new AbortController();
  const live = { hub };
  const ports = { config, streamsMax: 4, clock, signal: ending.signal, live, recorded: nothingRecorded, machines: {} };
  const server = await serve(ports);
  const page = fork(fileURLToPath(import.meta.url), ["--page", String(server.port)], { execArgv: process.execArgv });
  const told = new Promise<{ latencies: number[]; bytes: number; deltas: number }>((resolve, reject) => {
    page.on("message", (message) => (message === "open" ? undefined : resolve(message as never)));
    page.on("exit", (code) => reject(new Error(`the page ended with ${code}`)));
  });
  await new Promise<void>((resolve) => page.once("message", () => resolve()));

  const tickMs = 10;
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  let count = 0;
  while (performance.now() - startMs < 1000 * seconds) {
    const due = Math.floor(((performance.now() - startMs) / 1000) * updatesPerSecond);
    const changes: ViewChange[] = [];
    for (; count < due; count += 1) changes.push(updateOf(seeds, count));
    // One change of each tick carries its time, and is told like all others.
    const progress = { epoch: 1, work: "bench", step: count, steps: 0, loss: Date.now() };
    hub.take([
      ...changes,
      { k: "supervision", note: { id: `n${count}`, atMs: Date.now(), kind: "started", child: "x", detail: "" } },
    ]);
    hub.take([{ k: "progress", r: runId, progress }]);
    await new Promise((resolve) => setTimeout(resolve, tickMs));
  }
  const tookMs = performance.now() - startMs;
  const cpuMs = cpuMsSince(startCpu);
  ending.abort();
  const { latencies, bytes, deltas } = await told;
  page.removeAllListeners("exit");
  hub.close();
  await server.close();
  return {
    seeds,
    updatesPerSecond: (1000 * count) / tookMs,
    cpuShare: cpuMs / tookMs,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    bytesPerSecond: (1000 * bytes) / tookMs,
    deltasPerSecond: (1000 * deltas) / tookMs,
  };
};

/** The page of the bench above, in a process of its own. It keeps the state as a page does. */
const runPage = (port: number): void => {
  let state: ViewState | undefined;
  let text = "";
  let bytes = 0;
  let deltas = 0;
  const latencies: number[] = [];
  get({ host: "127.0.0.1", port, path: "/view/stream" }, (response) => {
    response.setEncoding("utf8");
    response.on("data", (part: string) => {
      const nowMs = Date.now();
      bytes += part.length;
      text += part;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const [event = "", , data = ""] = text.slice(0, end).split("\n");
        text = text.slice(end + 2);
        if (event === "event: snapshot") {
          state = unpackView((JSON.parse(data.slice(6)) as ViewSnapshot).state);
          bytes = 0;
          process.send?.("open");
        }
        if (event !== "event: delta" || state === undefined) continue;
        deltas += 1;
        const { changes } = JSON.parse(data.slice(6)) as ViewDelta;
        for (const change of changes) if (change.k === "supervision") latencies.push(nowMs - change.note.atMs);
        applyChanges(state, changes);
      }
    });
    response.on("close", () => process.send?.({ latencies, bytes, deltas }, () => process.exit(0)));
  });
};

const layer = (site: string, epoch: number) => ({
  site,
  explainedIn: 0.4321 + epoch / 1e5,
  explainedOut: 0.4123 + epoch / 1e6,
  gap: 0.0198 + epoch / 1e5,
  gapError: 0.00123,
  dimensionsIn: 16,
  dimensionsOut: 15,
  effectiveRank: 12.345,
  constantUnits: 0.0625,
  gradientRatio: 1.23,
  weightGain: 1.01,
});

/** A log as a run of so many windows writes it: every seed goes through a whole trial, `measured` of the windows measure all layers. */
const writeRun = async (
  dataDir: string,
  windows: number,
  layers: number,
  seedsPerSite: number,
  every: number,
): Promise<number> => {
  const sites = [...Array.from({ length: layers }, (_, index) => `h${index + 1}`), "output"];
  const folder = join(dataDir, "runs", runId);
  await mkdir(folder, { recursive: true });
  const file = await open(join(folder, "events.jsonl"), "w");
  let events = 0;
  const line = (subject: string, payload: unknown): string => {
    events += 1;
    const head = {
      id: `e${events}`,
      subject,
      sender: "bench",
      sentAtMs: 1e12 + events,
      traceId: "0".repeat(32),
      schemaVersion: 1,
    };
    return `${JSON.stringify({ ...head, payload })}\n`;
  };
  const site = { inputWidth: 64, width: 64, inputShape: [64], shape: [64], slopeFlops: 1e6 };
  const host = {
    name: "mlp",
    hash: "0".repeat(64),
    parameters: 1e6,
    batchSize: 128,
    stepFlops: 3e7,
    forwardFlops: 1e7,
    sites: sites.map((name, index) => ({
      site: name,
      kind: name === "output" ? "output" : "dense",
      ...site,
      legalTargets: sites.slice(index + 1, index + 4),
    })),
  };
  const morphogenetic = MorphogeneticConfig.parse({ seedsPerSite });
  const run = { runId, arm: "grown", dataset: "mnist", engine: "native", flopsMax: 1e12, epochSteps: 98, hostSteps: 98_000 };
  await file.write(line("system.events.run", { kind: "started", ...run, host, growth: true, morphogenetic }));
  const seeds = sites
    .slice(0, -1)
    .flatMap((name) =>
      Array.from({ length: seedsPerSite }, (_, n) => (seedsPerSite === 1 ? `seed:${name}` : `seed:${name}.${n + 1}`)),
    );
  const perWindow = Math.ceil((seeds.length * trialStates.length) / windows);
  let told = 0;
  for (let epoch = 1; epoch <= windows; epoch += 1) {
    const signal = {
      samples: 2048,
      errorPower: 0.4,
      trainLoss: 0.5,
      layers: sites.slice(0, -1).map((name) => layer(name, epoch)),
      spans: [],
    };
    const flops = { host: epoch * 1e6, kernel: 0, trial: 0, signal: 0, gate: 0, total: epoch * 1e6, monitoring: 0 };
    const result = {
      runId,
      epoch,
      work: "host",
      interrupted: false,
      budgetUsed: false,
      steps: 98,
      hostStep: 98 * epoch,
      durationMs: 100,
    };
    const validation = { loss: 1 / epoch, accuracy: 1 - 1 / (epoch + 1), samples: 10_000 };
    const measured = {
      trainLoss: 1 / epoch,
      gradNorm: 1,
      validation,
      flops,
      parameters: 1_000_000,
      anomalies: [],
      tensorBytes: 1,
    };
    const packet = { ...result, ...measured, ...(epoch % every === 0 ? { signal } : {}) };
    let text = line("system.events.epoch", { runId, arm: "grown", flopsMax: 1e12, elapsedMs: 100 * epoch, result: packet });
    for (let each = 0; each < perWindow && told < seeds.length * trialStates.length; each += 1, told += 1) {
      const seedId = seeds[Math.floor(told / trialStates.length)]!;
      const { sequence, from, to } = stepTo((told % trialStates.length) + 1, epoch);
      const evidence = {
        gain: 0.1,
        gainLower: 0.09,
        gainUpper: 0.11,
        lossWithout: 0.5,
        lossWith: 0.4,
        samples: 2048,
        confidence: 0.99,
        boundMin: 0,
      };
      const reason = "training (98 steps): gain 0.6389, lower 99 % bound 0.5995 > 0";
      text += line("system.events.seed", { runId, seedId, sequence, from, to, epoch, reason, evidence });
    }
    await file.write(text);
  }
  await file.close();
  return events;
};

const fetchZipped = (port: number, from: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const path = `/view/runs/${runId}/events?from=${from}`;
    get({ host: "127.0.0.1", port, path, headers: { "accept-encoding": "gzip" } }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve(Buffer.concat(parts)));
    }).on("error", reject);
  });

const benchRecorded = async (
  name: string,
  shape: { readonly windows: number; readonly layers: number; readonly seedsPerSite: number; readonly every: number },
): Promise<ViewResult["recorded"][number]> => {
  const dataDir = await mkdtemp(join(tmpdir(), "esper-bench-view-"));
  try {
    const events = await writeRun(dataDir, shape.windows, shape.layers, shape.seedsPerSite, shape.every);
    const config = ViewConfig.parse({});
    const recorded = recordedIn(dataDir, { fileSystem: nodeFileSystem, clock, config }, () => []);
    const logBytes = (await recorded.list())[0]?.bytes ?? 0;
    const ports = { config, streamsMax: 1, clock, signal: new AbortController().signal, live: undefined, recorded, machines: {} };
    const server = await serve(ports);
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    let serverMs = 0;
    let serverCpuMs = 0;
    let pageMs = 0;
    let wireBytes = 0;
    let state = emptyView("recorded");
    for (let from: number | null = 0; from !== null; ) {
      const askedMs = performance.now();
      const startCpu = process.cpuUsage();
      const zipped = await fetchZipped(server.port, from);
      serverMs += performance.now() - askedMs;
      serverCpuMs += cpuMsSince(startCpu);
      wireBytes += zipped.length;
      delays.disable();
      const text = gunzipSync(zipped).toString();
      const gotMs = performance.now();
      const chunk = JSON.parse(text) as RecordedChunk;
      for (const changes of chunk.changes) applyChanges(state, changes);
      pageMs += performance.now() - gotMs;
      from = chunk.next;
      delays.enable();
    }
    delays.disable();
    await server.close();
    const run = findRun(state, runId);
    if (run?.epoch !== shape.windows || run.seeds.some(({ state: at }) => at !== "FOSSILIZED"))
      throw new Error("expected the whole run in the page, every seed at its end");
    state = emptyView("recorded");
    return { name, logBytes, events, serverMs, serverCpuMs, wireBytes, pageMs, longestTurnMs: delays.max / 1e6 };
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
};

export const benchView = async ({ seconds = 10, windows = 1_000 } = {}): Promise<ViewResult> => {
  benchReducer(10_000, 50_000);
  return {
    reducerPerSecond: benchReducer(10_000, 500_000),
    wire: await benchWire(10_000, 50_000, seconds),
    recorded: [
      await benchRecorded(`${windows} windows, 100 layers × 10 seeds, measured every 4`, {
        windows,
        layers: 100,
        seedsPerSite: 10,
        every: 4,
      }),
      await benchRecorded(`${windows} windows, 1000 layers × 1 seed, measured every 4`, {
        windows,
        layers: 1_000,
        seedsPerSite: 1,
        every: 4,
      }),
    ],
  };
};

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const viewTable = ({ reducerPerSecond, wire, recorded }: ViewResult): string =>
  [
    `Reducer, merged and applied: ${Math.round(reducerPerSecond / 1000)} thousand updates a second on one core.`,
    "",
    table(
      ["seeds", "updates/s", "share of a core", "event → page p50", "p99", "to the page", "batches/s"],
      [
        [
          String(wire.seeds),
          String(Math.round(wire.updatesPerSecond)),
          `${(100 * wire.cpuShare).toFixed(0)} %`,
          `${wire.p50Ms.toFixed(0)} ms`,
          `${wire.p99Ms.toFixed(0)} ms`,
          `${megabytes(wire.bytesPerSecond)}/s`,
          wire.deltasPerSecond.toFixed(1),
        ],
      ],
    ),
    "",
    table(
      ["recorded run", "log", "events", "server", "on the wire", "page", "longest turn"],
      recorded.map(({ name, logBytes, events, serverMs, serverCpuMs, wireBytes, pageMs, longestTurnMs }) => [
        name,
        megabytes(logBytes),
        String(events),
        `${serverMs.toFixed(0)} ms (${serverCpuMs.toFixed(0)} of the processor)`,
        megabytes(wireBytes),
        `${pageMs.toFixed(0)} ms`,
        `${longestTurnMs.toFixed(0)} ms`,
      ]),
    ),
  ].join("\n");

if (process.argv[2] === "--page") runPage(Number(process.argv[3]));
else if (isMain(import.meta.url)) {
  const result = await benchView();
  print(result, viewTable(result));
}
