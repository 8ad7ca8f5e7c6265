/**
 * What seeds cost while they sleep: windows of host steps with the boundary between them, with N dormant seeds and with none, in turn.
 * `node --import tsx bench/dormant.ts [--json]`
 */

import { LiveSeeds } from "../src/actors/live-seeds.ts";
import { DatasetConfig, EsperConfig } from "../src/contracts/config.ts";
import type { EpochResult, SessionSpec } from "../src/contracts/plan.ts";
import { SeedStateTable } from "../src/contracts/seed-state.ts";
import { loadDataset } from "../src/data/datasets.ts";
import { createEngine } from "../src/engine/engine.ts";
import { decideBoundary } from "../src/machines/boundary.ts";
import { createRunState, type KasminaRunState, seedCount } from "../src/machines/kasmina-state.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import { Session } from "../src/workers/session/session.ts";
import { isMain, median, print, table } from "./support.ts";

export interface DormantRow {
  readonly seeds: number;
  readonly stepMs: number;
  /** Median over rounds of (time with seeds / time without in the same round) − 1. */
  readonly overhead: number;
}

const epochSteps = 98;

interface Contestant {
  readonly seeds: number;
  window(): Promise<number>;
  close(): Promise<void>;
}

/** A host of `sites` layers with `seedsPerSite` seeds at each, or the same host without growth when it is 0. */
const contestant = async (sites: number, seedsPerSite: number): Promise<Contestant> => {
  const seeds = sites * seedsPerSite;
  const runId = `bench-${sites}-${seedsPerSite}`;
  const config = EsperConfig.parse({
    model: { name: "mlp", widths: Array.from({ length: sites }, () => 128) },
    // The signal is a cost of its own, reported apart.
    morphogenetic: { enabled: seeds > 0, seedsPerSite: Math.max(1, seedsPerSite), signal: { warmupSteps: 1e9 } },
  });
  const spec: SessionSpec = {
    runId,
    model: config.model,
    optimizer: config.optimization.optimizer,
    schedule: "constant",
    warmupSteps: 0,
    batchSize: 128,
    randomSeed: 1,
    engine: "native",
    threads: 1,
    hostSteps: 1_000_000,
    epochSteps,
    morphogenetic: config.morphogenetic,
    governor: config.governor,
    progressHz: 4,
  };
  const { buffers: dataset } = await loadDataset(DatasetConfig.parse({}), { files: nodeFileSystem, folder: "datasets" });
  const engine = await createEngine("native", { threads: 1 });
  const rows = sites * config.morphogenetic.seedsPerSite;
  const seedTable = new SeedStateTable(rows);
  const seedIds = Array.from({ length: rows }, (_, index) => `seed:${index}`);
  const session = await Session.open(
    { spec, dataset, table: seedTable, seedIds },
    { engine, nowMs: () => performance.now(), tell: () => undefined },
  );
  const { status } = session;
  let state: KasminaRunState = createRunState(
    {
      runId,
      arm: "grown",
      growth: seeds > 0,
      config: config.morphogenetic,
      epochSteps,
      flopsMax: status.flopsMax,
      validationBatches: 79,
      kernel: { engine: "native", engineVersion: engine.version, optimizer: spec.optimizer, batchSize: 128 },
      askAgainMs: 100,
    },
    status.host,
  );
  const live =
    seeds > 0
      ? new LiveSeeds(state, seedTable, (error) => {
          throw error;
        })
      : undefined;
  if (seeds > 0 && seedCount(state) !== seeds) throw new Error(`expected ${seeds} seeds, found ${seedCount(state)}`);
  let result: EpochResult | undefined;
  return {
    seeds,
    window: async () => {
      const startMs = performance.now();
      const decided = decideBoundary(state, { nowEpoch: session.status.epoch, host: status.host, result, compilations: [] });
      if (decided.kind !== "decided" || decided.reply.kind !== "run")
        throw new Error(`expected a plan, got ${JSON.stringify(decided).slice(0, 200)}`);
      state = decided.state;
      live?.follow(state, decided.steps);
      result = await session.run(decided.reply.plan, {});
      return performance.now() - startMs;
    },
    close: async () => {
      live?.stop();
      await session.dispose();
      await engine.dispose();
    },
  };
};

/** Hosts of one and of five layers, so that every count is a whole number of seeds at each site. */
const cases = [
  { sites: 1, seedsPerSite: 1 },
  { sites: 5, seedsPerSite: 2 },
  { sites: 5, seedsPerSite: 20 },
];

export const benchDormant = async ({ rounds = 30 } = {}): Promise<DormantRow[]> => {
  const rows: DormantRow[] = [];
  for (const { sites, seedsPerSite } of cases) {
    const alone = await contestant(sites, 0);
    const watched = await contestant(sites, seedsPerSite);
    const times: { alone: number; watched: number }[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      // Who goes first turns from round to round, so that a drift of the machine falls on both.
      const first = round % 2 === 0 ? await alone.window() : undefined;
      const own = await watched.window();
      const other = first ?? (await alone.window());
      if (round > 0) times.push({ alone: other, watched: own });
    }
    await alone.close();
    await watched.close();
    rows.push({
      seeds: watched.seeds,
      stepMs: median(times.map((each) => each.watched)) / epochSteps,
      overhead: median(times.map((each) => each.watched / each.alone)) - 1,
    });
  }
  return rows;
};

export const dormantTable = (rows: readonly DormantRow[]): string =>
  table(
    ["dormant seeds", "ms a step", "overhead"],
    rows.map(({ seeds, stepMs, overhead }) => [String(seeds), stepMs.toFixed(3), `${(100 * overhead).toFixed(2)} %`]),
  );

if (isMain(import.meta.url)) {
  const rows = await benchDormant();
  print(rows, dormantTable(rows));
}
