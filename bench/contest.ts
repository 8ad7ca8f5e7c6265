/**
 * A contest in one lane and in two: FINE_TUNING windows of the same host, grown copy and twin in turn against each in a thread of its own, in turns;
 * with the forge idle and while it compiles kernel after kernel. `node --import tsx bench/contest.ts [--json]`
 */
import type { KernelKey } from "../src/contracts/assets.ts";
import { DatasetConfig, EsperConfig } from "../src/contracts/config.ts";
import type { DatasetBuffers } from "../src/contracts/dataset.ts";
import type { Host } from "../src/contracts/graph.ts";
import type { BoundaryAction, EpochResult, SessionSpec, Work } from "../src/contracts/plan.ts";
import { SeedStateTable } from "../src/contracts/seed-state.ts";
import { loadDataset } from "../src/data/datasets.ts";
import { createEngine } from "../src/engine/engine.ts";
import { contentHash, hostHash } from "../src/graph/hash.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import type { ForgeLane, KernelArtifacts, LaneOutcome, TrainingLane } from "../src/workers/lane.ts";
import { createForgeLane, createTrainingLane } from "../src/workers/piscina-lanes.ts";
import { createTwinThread } from "../src/workers/twin-thread.ts";
import { hostSpec, isMain, median, print, table } from "./support.ts";

export interface ContestRow {
  readonly host: string;
  readonly forge: "idle" | "compiling";
  /** Medians of a window: `steps` joint steps, the twin's at equal FLOPs, the verdict's measurement. */
  readonly oneLaneMs: number;
  readonly twoLanesMs: number;
  /** Median over rounds of one lane's time ÷ two lanes' in the same round. */
  readonly speedup: number;
  readonly twinSteps: number;
}

interface Contender {
  readonly host: Host;
  contest(): Promise<EpochResult>;
  close(): Promise<void>;
}

interface Problem {
  readonly name: string;
  readonly config: EsperConfig;
  readonly request: KernelKey["request"];
  readonly fromSite: string;
  readonly toSite: string;
}

const problems: readonly Problem[] = [
  {
    name: "MLP 784-128-128-10",
    config: EsperConfig.parse({ model: { name: "mlp", widths: [128, 128] } }),
    request: { kind: "dense", hiddenWidth: 128, initialization: "zero" },
    fromSite: "h1",
    toSite: "h2",
  },
  {
    name: "CNN 8-16-16",
    config: EsperConfig.parse({ model: { name: "cnn", channels: [8, 16, 16] } }),
    request: { kind: "convolution", hiddenWidth: 16, initialization: "zero" },
    fromSite: "c2",
    toSite: "c3",
  },
];

const done = <T>(outcome: LaneOutcome<T>): T => {
  if (outcome.kind === "lost") throw new Error(outcome.reason);
  return outcome.value;
};

const keyFor = ({ request, fromSite, toSite }: Problem, spec: SessionSpec, hash: string, engineVersion: string): KernelKey => ({
  hostHash: hash,
  request,
  seedId: "seed",
  fromSite,
  toSite,
  engine: "native",
  engineVersion,
  optimizer: spec.optimizer,
  batchSize: spec.batchSize,
  signalSamples: spec.morphogenetic.signal.samples,
  signalFeatures: spec.morphogenetic.signal.features,
});

const enter = async (
  problem: Problem,
  lane: TrainingLane,
  forge: ForgeLane,
  dataset: DatasetBuffers,
  engineVersion: string,
  steps: number,
): Promise<Contender> => {
  const { fromSite, toSite, config } = problem;
  const seedId = "seed";
  const spec = hostSpec(config, "bench-contest", steps);
  const runId = spec.runId;
  done(await lane.open({ spec, dataset, table: new SeedStateTable(1), seedIds: [seedId] }));
  const host = done(await lane.host(runId));
  const { artifact } = done(await forge.compile(keyFor(problem, spec, hostHash(host), engineVersion), host));
  const kernelHash = contentHash(artifact);
  let epoch = 0;
  const window = async (work: Work, before: BoundaryAction[] = [], kernels: KernelArtifacts = {}): Promise<EpochResult> => {
    epoch += 1;
    return done(await lane.run({ runId, epoch, before, work, measureSignal: false }, kernels));
  };
  await window({ kind: "host", steps });
  await window({ kind: "load", seedId }, [{ kind: "load_kernel", seedId, kernelHash, fromSite, toSite }], {
    [kernelHash]: artifact,
  });
  return { host, contest: () => window({ kind: "fine_tune", seedId, steps }), close: () => lane.destroy() };
};

export const benchContest = async ({ rounds = 10, steps = 50 } = {}): Promise<ContestRow[]> => {
  const { buffers: dataset } = await loadDataset(DatasetConfig.parse({}), { files: nodeFileSystem, folder: "datasets" });
  const probe = await createEngine("native", { threads: 1 });
  const engineVersion = probe.version;
  await probe.dispose();
  const forge = createForgeLane();
  const rows: ContestRow[] = [];
  try {
    for (const problem of problems) {
      const failed: string[] = [];
      const twins = createTwinThread({ onLost: (reason) => failed.push(reason) });
      const contenders = [
        await enter(problem, createTrainingLane(), forge, dataset, engineVersion, steps),
        await enter(problem, createTrainingLane(twins), forge, dataset, engineVersion, steps),
      ];
      let width = 8;
      const compile = async (): Promise<unknown> => {
        width += 1;
        const { host } = contenders[0]!;
        const other = { ...problem, request: { ...problem.request, hiddenWidth: width } };
        const spec = hostSpec(problem.config, "bench-contest", steps);
        return done(await forge.compile(keyFor(other, spec, hostHash(host), engineVersion), host));
      };
      for (const state of ["idle", "compiling"] as const) {
        let busy = state === "compiling";
        const compiling = (async () => {
          while (busy) await compile();
        })();
        const times: [number, number][] = [];
        let twinSteps = 0;
        // The first round warms up and is not counted.
        for (let round = 0; round <= rounds; round += 1) {
          const taken: number[] = [];
          for (const [lanes, { contest }] of contenders.entries()) {
            const { durationMs, secondLaneSteps } = await contest();
            if (secondLaneSteps !== undefined) twinSteps = secondLaneSteps;
            if ((secondLaneSteps !== undefined) !== (lanes === 1) || failed.length > 0) {
              throw new Error(`expected twins in a second lane for one of two, found ${failed.join() || secondLaneSteps}`);
            }
            taken.push(durationMs);
          }
          if (round > 0) times.push([taken[0]!, taken[1]!]);
        }
        busy = false;
        await compiling;
        rows.push({
          host: problem.name,
          forge: state,
          oneLaneMs: median(times.map(([one]) => one)),
          twoLanesMs: median(times.map(([, two]) => two)),
          speedup: median(times.map(([one, two]) => one / two)),
          twinSteps,
        });
      }
      for (const { close } of contenders) await close();
    }
    return rows;
  } finally {
    await forge.destroy();
  }
};

export const contestTable = (rows: readonly ContestRow[]): string =>
  table(
    ["a contest of 50 joint steps", "forge", "twin's steps", "one lane", "two lanes", "faster by"],
    rows.map(({ host, forge, twinSteps, oneLaneMs, twoLanesMs, speedup }) => [
      host,
      forge,
      String(twinSteps),
      `${oneLaneMs.toFixed(0)} ms`,
      `${twoLanesMs.toFixed(0)} ms`,
      `${speedup.toFixed(2)} ×`,
    ]),
  );

if (isMain(import.meta.url)) {
  const rows = await benchContest();
  print(rows, contestTable(rows));
}
