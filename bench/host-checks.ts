/**
 * The first two checks of hosts that train alone and are never grown: what the trigger would have seen of them. The comparison of the signals and the
 * calibration of the trigger both start here, on hosts of different random seeds.
 */
import { z } from "zod";
import { sessionSpecOf } from "../src/config/session-spec.ts";
import type { TriggerConfig } from "../src/contracts/config-signal.ts";
import type { DatasetBuffers } from "../src/contracts/dataset.ts";
import { EsperError } from "../src/contracts/errors.ts";
import { SeedStateTable } from "../src/contracts/seed-state.ts";
import { LayerSignal, worstLayer } from "../src/contracts/signal.ts";
import { loadDataset } from "../src/data/datasets.ts";
import type { Engine } from "../src/engine/engine.ts";
import { createEngine } from "../src/engine/engine.ts";
import type { CellSpec } from "../src/experiment/plan.ts";
import { contentHash } from "../src/graph/hash.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import { Session } from "../src/workers/session/session.ts";
import type { Kept } from "./kept.ts";

export const checksWanted = 2;

/** A host as its checks show it; fewer than two checks, or a reason, where it could not be measured. */
export interface HostChecks {
  readonly label: string;
  /** Empty for a whole host. */
  readonly damagedSites: readonly string[];
  readonly checks: readonly (readonly LayerSignal[])[];
  readonly trigger: TriggerConfig;
  readonly problem?: string | undefined;
}

/** What is kept of a host: the trigger it is judged by may change. */
export const MeasuredHost = z.strictObject({
  damagedSites: z.array(z.string()),
  checks: z.array(z.array(LayerSignal)),
  problem: z.string().optional(),
});
type MeasuredHost = z.infer<typeof MeasuredHost>;

export const isWhole = ({ damagedSites }: HostChecks): boolean => damagedSites.length === 0;

/** The site that both checks name beyond the trigger's threshold. */
export const triggeredAt = ({ checks, trigger }: HostChecks): string | undefined => {
  const named = checks.map((layers) => worstLayer(layers, trigger)?.site);
  return checks.length >= checksWanted && named.every((site) => site === named[0]) ? named[0] : undefined;
};

/** Data sets of many hosts, each loaded once. */
export const createDatasets = (): ((cell: CellSpec) => Promise<DatasetBuffers>) => {
  const sets = new Map<string, DatasetBuffers>();
  return async ({ config: { dataset } }) => {
    const key = JSON.stringify(dataset);
    const known = sets.get(key) ?? (await loadDataset(dataset, { files: nodeFileSystem, folder: ".esper/datasets" })).buffers;
    sets.set(key, known);
    return known;
  };
};

/** Trains a host as far as its second check, or as its budget goes. */
const checksOf = async ({ config }: CellSpec, dataset: DatasetBuffers, engine: Engine): Promise<MeasuredHost> => {
  const runId = `checks-${config.randomSeed}`;
  const spec = sessionSpecOf({ runId, config, dataset, engine: engine.name, damaged: config.damage !== undefined });
  const session = await Session.open(
    { spec, dataset, table: new SeedStateTable(0), seedIds: [] },
    { engine, nowMs: () => 0, tell: () => undefined },
  );
  try {
    const checks: LayerSignal[][] = [];
    const { warmupSteps } = config.morphogenetic.signal;
    for (let epoch = 1, left = checksWanted; left > 0; epoch++) {
      const measureSignal = session.status.hostStep + spec.epochSteps >= warmupSteps;
      const work = { kind: "host", steps: spec.epochSteps } as const;
      const { signal, budgetUsed } = await session.run({ runId, epoch, before: [], work, measureSignal }, {});
      if (signal !== undefined) checks.push([...signal.layers]);
      if (measureSignal) left--;
      if (budgetUsed) break;
    }
    return { checks, damagedSites: [...session.status.damagedSites] };
  } finally {
    await session.dispose();
  }
};

/** Everything that the checks of a host follow from. */
const keyOf = ({ config }: CellSpec, engine: Engine): string => {
  const { trigger: _, ...morphogenetic } = config.morphogenetic;
  return contentHash({ config: { ...config, morphogenetic }, engine: { name: engine.name, version: engine.version } });
};

export interface CollectOptions {
  readonly onHost?: (line: string) => void;
  /** Hosts that were measured before, by what their checks follow from. */
  readonly kept?: Kept<MeasuredHost>;
}

/** Every host in turn, on the native engine with one thread. A damaged host that failed stays a damaged one. */
export const collectChecks = async (
  cells: readonly CellSpec[],
  { onHost, kept }: CollectOptions = {},
): Promise<readonly HostChecks[]> => {
  const engine = await createEngine("native", { threads: 1 });
  const datasetOf = createDatasets();
  const measure = async (cell: CellSpec): Promise<MeasuredHost> => {
    const key = keyOf(cell, engine);
    const known = kept?.get(key);
    if (known !== undefined) return known;
    try {
      const measured = await checksOf(cell, await datasetOf(cell), engine);
      kept?.put(key, measured);
      return measured;
    } catch (error) {
      if (!(error instanceof EsperError)) throw error;
      return { checks: [], damagedSites: cell.damage === "none" ? [] : ["unknown"], problem: error.message };
    }
  };
  const seen: HostChecks[] = [];
  try {
    for (const cell of cells) {
      const label = `${cell.host} ${cell.damage} ${cell.dataset} ${cell.config.randomSeed}`;
      const measured = await measure(cell);
      seen.push({ label, trigger: cell.config.morphogenetic.trigger, ...measured });
      onHost?.(`${seen.length}/${cells.length} ${label}: ${measured.checks.length} checks`);
    }
  } finally {
    await engine.dispose();
  }
  return seen;
};
