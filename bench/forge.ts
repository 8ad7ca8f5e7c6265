/**
 * Training beside the forge: time of a host step while Tezzeret's lane compiles kernel after kernel, while a thread only counts (what any busy
 * neighbour on this machine costs), and with neither, in turn; and what a boundary pays to take a kernel in. `node --import tsx bench/forge.ts [--json]`
 */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { KernelKey } from "../src/contracts/assets.ts";
import { DatasetConfig, EsperConfig } from "../src/contracts/config.ts";
import type { BoundaryAction, EpochPlan, EpochResult, Work } from "../src/contracts/plan.ts";
import { SeedStateTable } from "../src/contracts/seed-state.ts";
import { loadDataset } from "../src/data/datasets.ts";
import { createEngine } from "../src/engine/engine.ts";
import { contentHash } from "../src/graph/hash.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import type { KernelArtifacts, LaneOutcome } from "../src/workers/lane.ts";
import { createForgeLane, createTrainingLane } from "../src/workers/piscina-lanes.ts";
import { hostSpec, isMain, median, print, table } from "./support.ts";

export interface ForgeBench {
  readonly stepMsAlone: number;
  readonly stepMsBeside: number;
  /** Beside a thread that does nothing but count in registers. */
  readonly stepMsBesideCounting: number;
  /** Median over rounds of (beside / alone in the same round) − 1. */
  readonly slowdown: number;
  readonly slowdownCounting: number;
  readonly compileMs: number;
  /** At the boundary: reading, loading and dry-running a kernel; and the same from the lane's cache. */
  readonly loadMs: number;
  readonly cachedLoadMs: number;
  readonly kernels: number;
}

const done = <T>(outcome: LaneOutcome<T>): T => {
  if (outcome.kind === "lost") throw new Error(outcome.reason);
  return outcome.value;
};

export const benchForge = async ({ rounds = 20, epochSteps = 98 } = {}): Promise<ForgeBench> => {
  const config = EsperConfig.parse({});
  const runId = "bench-forge";
  const { buffers: dataset } = await loadDataset(DatasetConfig.parse({}), { files: nodeFileSystem, folder: "datasets" });
  const probe = await createEngine("native", { threads: 1 });
  const engineVersion = probe.version;
  await probe.dispose();
  const lane = createTrainingLane();
  const forge = createForgeLane();
  try {
    const spec = hostSpec(config, runId, epochSteps);
    const seedIds = ["seed:h1", "seed:h2", "seed:h3"];
    const status = done(await lane.open({ spec, dataset, table: new SeedStateTable(3), seedIds }));
    const host = done(await lane.host(runId));
    let epoch = 0;
    const window = async (work: Work, before: BoundaryAction[] = [], kernels: KernelArtifacts = {}): Promise<EpochResult> => {
      epoch += 1;
      const plan: EpochPlan = { runId, epoch, before, work, measureSignal: false };
      return done(await lane.run(plan, kernels));
    };
    const hostWork: Work = { kind: "host", steps: epochSteps };

    let widths = 16;
    const compileMs: number[] = [];
    const key = (): KernelKey => {
      widths += 1;
      return {
        hostHash: status.host.hash,
        request: { kind: "dense", initialization: "zero", hiddenWidth: widths },
        seedId: "seed:h1",
        fromSite: "h1",
        toSite: "h2",
        engine: "native",
        engineVersion,
        optimizer: spec.optimizer,
        batchSize: 128,
        signalSamples: config.morphogenetic.signal.samples,
        signalFeatures: config.morphogenetic.signal.features,
      };
    };
    const compile = async () => {
      const compiled = done(await forge.compile(key(), host));
      compileMs.push(compiled.compileMs);
      return compiled;
    };
    await compile();
    await window(hostWork);

    const alone: number[] = [];
    const beside: number[] = [];
    const counting: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      alone.push((await window(hostWork)).durationMs / epochSteps);
      let busy = true;
      const compiling = (async () => {
        while (busy) await compile();
      })();
      beside.push((await window(hostWork)).durationMs / epochSteps);
      busy = false;
      await compiling;
      const counter = new Worker("for (let i = 0; ; i = (i + 1) | 0);", { eval: true });
      await once(counter, "online");
      counting.push((await window(hostWork)).durationMs / epochSteps);
      await counter.terminate();
    }

    const loadMs: number[] = [];
    const cachedLoadMs: number[] = [];
    for (let round = 0; round < Math.max(3, rounds / 4); round += 1) {
      const { artifact } = await compile();
      const kernelHash = contentHash(artifact);
      const load: BoundaryAction = { kind: "load_kernel", seedId: "seed:h1", kernelHash, fromSite: "h1", toSite: "h2" };
      const discard: BoundaryAction = { kind: "discard", seedId: "seed:h1", continueFrom: "host" };
      for (const times of [loadMs, cachedLoadMs]) {
        const { kernel } = await window({ kind: "load", seedId: "seed:h1" }, [load], { [kernelHash]: artifact });
        if (kernel?.kind !== "loaded" || kernel.staticProblems.length > 0)
          throw new Error(`expected a loaded kernel, got ${JSON.stringify(kernel)}`);
        times.push(kernel.loadMs);
        await window({ kind: "host", steps: 1 }, [discard]);
      }
    }
    return {
      stepMsAlone: median(alone),
      stepMsBeside: median(beside),
      stepMsBesideCounting: median(counting),
      slowdown: median(beside.map((ms, round) => ms / alone[round]!)) - 1,
      slowdownCounting: median(counting.map((ms, round) => ms / alone[round]!)) - 1,
      compileMs: median(compileMs),
      loadMs: median(loadMs),
      cachedLoadMs: median(cachedLoadMs),
      kernels: compileMs.length,
    };
  } finally {
    await lane.destroy();
    await forge.destroy();
  }
};

export const forgeTable = (bench: ForgeBench): string =>
  table(
    ["training beside the forge", "measured"],
    [
      ["host step, forge idle", `${bench.stepMsAlone.toFixed(3)} ms`],
      ["host step, forge compiling", `${bench.stepMsBeside.toFixed(3)} ms`],
      ["host step, a thread counting beside", `${bench.stepMsBesideCounting.toFixed(3)} ms`],
      [
        "slowdown by the forge / by the counting thread",
        `${(100 * bench.slowdown).toFixed(1)} % / ${(100 * bench.slowdownCounting).toFixed(1)} %`,
      ],
      [`one kernel compiled (median of ${bench.kernels})`, `${bench.compileMs.toFixed(0)} ms`],
      ["boundary: load a kernel", `${bench.loadMs.toFixed(1)} ms`],
      ["boundary: load it from the lane's cache", `${bench.cachedLoadMs.toFixed(3)} ms`],
    ],
  );

if (isMain(import.meta.url)) {
  const bench = await benchForge();
  print(bench, forgeTable(bench));
}
