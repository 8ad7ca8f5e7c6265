/**
 * What seeds cost while they sleep: windows of host steps with the boundary between them, with N dormant seeds and with none, in turn.
 * `node --import tsx bench/dormant.ts [--json]`
 */

import { LiveSeeds } from "../src/actors/live-seeds.ts";
import { DatasetConfig, EsperConfig } from "../src/contracts/config.ts";
import type { EpochPlan, EpochResult } from "../src/contracts/plan.ts";
import { SeedStateTable } from "../src/contracts/seed-state.ts";
import { loadDataset } from "../src/data/datasets.ts";
import { createEngine } from "../src/engine/engine.ts";
import { decideBoundary } from "../src/machines/boundary.ts";
import { createRunState, type KasminaRunState, seedCount } from "../src/machines/kasmina-state.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import { Session } from "../src/workers/session/session.ts";
import { hostSpec, isMain, median, print, table } from "./support.ts";

export interface DormantRow {
  readonly seeds: number;
  readonly stepMs: number;
  /** Medians of the boundary before a window. */
  readonly boundaryMsAlone: number;
  readonly boundaryMsAsleep: number;
  /** What the boundary takes longer, per window. The steps themselves are the same program on the same memory. */
  readonly overhead: number;
  /** Whole windows compared: the same thing with the noise of the machine in it. */
  readonly windowRatio: number;
}

const epochSteps = 98;

interface Timing {
  readonly boundaryMs: number;
  readonly windowMs: number;
}

interface Bench {
  readonly seeds: number;
  /** One window with the boundary before it, decided for a host with seeds or for the host alone. */
  window(mode: "seeds" | "alone"): Promise<Timing>;
  close(): Promise<void>;
}

/** One session of a host of `sites` layers: both modes run the same programs on the same memory, only the boundary differs. */
const open = async (sites: number, seedsPerSite: number): Promise<Bench> => {
  const seeds = sites * seedsPerSite;
  const runId = `bench-${seeds}`;
  const config = EsperConfig.parse({
    model: { name: "mlp", widths: Array.from({ length: sites }, () => 128) },
    // The signal is a cost of its own, reported apart.
    morphogenetic: { seedsPerSite, signal: { warmupSteps: 1e9 } },
  });
  const spec = hostSpec(config, runId, epochSteps);
  const { buffers: dataset } = await loadDataset(DatasetConfig.parse({}), { files: nodeFileSystem, folder: "datasets" });
  const engine = await createEngine("native", { threads: 1 });
  const seedTable = new SeedStateTable(seeds);
  const seedIds = Array.from({ length: seeds }, (_, index) => `seed:${index}`);
  const session = await Session.open(
    { spec, dataset, table: seedTable, seedIds },
    { engine, nowMs: () => performance.now(), tell: () => undefined },
  );
  const { host, flopsMax } = session.status;
  const kernel = { engine: "native", engineVersion: engine.version, optimizer: spec.optimizer, batchSize: 128 } as const;
  const setup = {
    runId,
    arm: "grown",
    config: config.morphogenetic,
    epochSteps,
    flopsMax,
    validationBatches: 79,
    kernel,
    askAgainMs: 100,
  };
  const states = {
    seeds: createRunState({ ...setup, growth: true }, host),
    alone: createRunState({ ...setup, growth: false }, host),
  };
  if (seedCount(states.seeds) !== seeds) throw new Error(`expected ${seeds} seeds, found ${seedCount(states.seeds)}`);
  const live = new LiveSeeds(states.seeds, seedTable, (error) => {
    throw error;
  });
  let plan: EpochPlan | null = null;
  let result: EpochResult | undefined;
  return {
    seeds,
    window: async (mode) => {
      const startMs = performance.now();
      const { epoch } = session.status;
      const state: KasminaRunState = { ...states[mode], epoch: plan === null ? 0 : epoch - 1, plan };
      const decided = decideBoundary(state, { nowEpoch: epoch, host, result, compilations: [], characterizations: [] });
      if (decided.kind !== "decided" || decided.reply.kind !== "run") throw new Error(`expected a plan, found ${decided.kind}`);
      if (mode === "seeds") live.follow(decided.state, decided.steps);
      plan = decided.reply.plan;
      const boundaryMs = performance.now() - startMs;
      result = await session.run(plan, {});
      return { boundaryMs, windowMs: performance.now() - startMs };
    },
    close: async () => {
      live.stop();
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

export const benchDormant = async ({ rounds = 40 } = {}): Promise<DormantRow[]> => {
  const rows: DormantRow[] = [];
  for (const { sites, seedsPerSite } of cases) {
    const bench = await open(sites, seedsPerSite);
    await bench.window("seeds");
    const alone: Timing[] = [];
    const asleep: Timing[] = [];
    for (let round = 0; round < rounds; round += 1) {
      // Who goes first turns from round to round, so that a drift of the machine falls on both.
      const order = round % 2 === 0 ? (["alone", "seeds"] as const) : (["seeds", "alone"] as const);
      for (const mode of order) (mode === "seeds" ? asleep : alone).push(await bench.window(mode));
    }
    await bench.close();
    const of = (timings: readonly Timing[], part: keyof Timing): number => median(timings.map((each) => each[part]));
    const [boundaryMsAlone, boundaryMsAsleep] = [of(alone, "boundaryMs"), of(asleep, "boundaryMs")];
    rows.push({
      seeds: bench.seeds,
      stepMs: of(asleep, "windowMs") / epochSteps,
      boundaryMsAlone,
      boundaryMsAsleep,
      overhead: (boundaryMsAsleep - boundaryMsAlone) / of(alone, "windowMs"),
      windowRatio: of(asleep, "windowMs") / of(alone, "windowMs") - 1,
    });
  }
  return rows;
};

export const dormantTable = (rows: readonly DormantRow[]): string =>
  table(
    [
      "dormant seeds",
      "ms a step",
      "boundary alone",
      "boundary with seeds",
      "overhead a window",
      "whole windows compared (noise included)",
    ],
    rows.map(({ seeds, stepMs, boundaryMsAlone, boundaryMsAsleep, overhead, windowRatio }) => [
      String(seeds),
      stepMs.toFixed(3),
      `${boundaryMsAlone.toFixed(3)} ms`,
      `${boundaryMsAsleep.toFixed(3)} ms`,
      `${(100 * overhead).toFixed(3)} %`,
      `${(100 * windowRatio).toFixed(2)} %`,
    ]),
  );

if (isMain(import.meta.url)) {
  const rows = await benchDormant();
  print(rows, dormantTable(rows));
}
