/**
 * How often the damaged layer is found, and how much of the loss its repair brings back: the whole decision loop on a session, without
 * bus and threads. Run: node --import tsx bench/growth-rescue.ts --dataset mnist --seeds 10 [--first 1] [--epochs 5] [--json]
 *
 * Per random seed three arms with the same FLOPs: `no-growth` and `grown` start from the same damaged host, `healthy` from the host
 * without damage and with the trigger on, so that it counts false alarms.
 */
import { parseArgs } from "node:util";
import type { CompiledKernelArtifact } from "../src/contracts/assets.ts";
import type { CompilationOutcome, CompilationRequest } from "../src/contracts/compilation.ts";
import type { EsperConfig as Config, DamageConfig } from "../src/contracts/config.ts";
import { DatasetConfig, EsperConfig } from "../src/contracts/config.ts";
import type { DatasetBuffers } from "../src/contracts/dataset.ts";
import type { Signal } from "../src/contracts/measure.ts";
import type { EpochPlan, EpochResult, SessionSpec } from "../src/contracts/plan.ts";
import { SeedStateTable } from "../src/contracts/seed-state.ts";
import { loadDataset } from "../src/data/datasets.ts";
import type { Engine } from "../src/engine/engine.ts";
import { createEngine } from "../src/engine/engine.ts";
import { contentHash } from "../src/graph/hash.ts";
import { acceptCommand, createRunState, decideBoundary } from "../src/machines/boundary.ts";
import { decide, emptyPolicy, learn } from "../src/policy/decide.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import { compileKernel } from "../src/workers/session/forge.ts";
import { Session } from "../src/workers/session/session.ts";

export interface Check {
  readonly epoch: number;
  readonly gaps: Readonly<Record<string, number>>;
}

export interface RescueOutcome {
  readonly damagedSite: string | undefined;
  readonly checks: readonly Check[];
  /** Sites where a seed germinated, with the span's end and the least gap of the two checks that led to it. */
  readonly triggers: readonly {
    readonly site: string;
    readonly toSite: string;
    readonly gap: number;
    readonly forecast: number;
  }[];
  /** Why a candidate that convinced did not germinate. */
  readonly refusals: readonly string[];
  /** One per verdict: twin's loss − grown loss, and the forecast's error. */
  readonly verdicts: readonly {
    readonly outcome: string;
    readonly gain: number;
    readonly lower: number;
    readonly reason: string;
  }[];
  readonly kept: number;
  readonly testAccuracy: number;
  readonly testLoss: number;
  readonly flopsShare: number;
  readonly hostSteps: number;
  readonly trialFlopsShare: number;
  readonly seconds: number;
}

export interface RescueOptions {
  readonly dataset: DatasetBuffers;
  readonly engine: Engine;
  readonly randomSeed: number;
  readonly damage?: DamageConfig;
  /** False: the host trains alone. */
  readonly growth: boolean;
  readonly config: Config;
}

const specOf = ({ dataset, engine, randomSeed, damage, config }: RescueOptions): SessionSpec => {
  const { optimization, dataset: data } = config;
  const perEpoch = Math.floor(dataset.train.count / data.batchSize);
  return {
    runId: `rescue-${randomSeed}`,
    model: config.model,
    optimizer: optimization.optimizer,
    schedule: optimization.schedule,
    warmupSteps: optimization.warmupSteps,
    batchSize: data.batchSize,
    randomSeed,
    ...(damage === undefined ? {} : { damage }),
    engine: engine.name,
    threads: 1,
    hostSteps: Math.round(optimization.epochs * perEpoch),
    epochSteps: optimization.epochSteps,
    morphogenetic: config.morphogenetic,
    governor: config.governor,
    progressHz: 1,
  };
};

const gapsOf = ({ layers }: Signal): Record<string, number> => Object.fromEntries(layers.map(({ site, gap }) => [site, gap]));

/** One arm from its first step to the last that the budget allows. */
export const rescueTrial = async (options: RescueOptions): Promise<RescueOutcome> => {
  const { dataset, engine, growth } = options;
  const startMs = performance.now();
  const spec = specOf(options);
  const ports = { engine, nowMs: () => performance.now(), tell: () => undefined };
  const session = await Session.open({ spec, dataset, table: new SeedStateTable(0), seedIds: [] }, ports);
  const { status } = session;
  const validationBatches = Math.ceil(dataset.validation.count / spec.batchSize);
  const { batchSize, optimizer, epochSteps, runId, morphogenetic } = spec;
  const kernel = { engine: engine.name, engineVersion: engine.version, optimizer, batchSize };
  const setup = {
    runId,
    arm: "bench",
    growth,
    config: morphogenetic,
    epochSteps,
    flopsMax: status.flopsMax,
    validationBatches,
    kernel,
  };
  let state = createRunState({ ...setup, askAgainMs: 1 }, status.host);
  let policy = emptyPolicy;
  let result: EpochResult | undefined;
  let compilations: CompilationOutcome[] = [];
  const kernels: Record<string, CompiledKernelArtifact> = {};
  const checks: Check[] = [];
  const refusals = new Set<string>();
  const triggers: RescueOutcome["triggers"][number][] = [];
  const verdicts: RescueOutcome["verdicts"][number][] = [];

  const compile = async ({ key, seedId }: Omit<CompilationRequest, "deadlineAtMs">): Promise<CompilationOutcome> => {
    const { artifact } = await compileKernel(engine, key, session.host);
    const kernelHash = contentHash(artifact);
    kernels[kernelHash] = artifact;
    const { blueprintHash, parameters } = artifact;
    return { kind: "ready", runId, seedId, kernelHash, blueprintHash, parameters, flops: {}, compileMs: 0 };
  };

  const nextPlan = async (): Promise<EpochPlan | undefined> => {
    const { epoch, host } = session.status;
    const decided = decideBoundary(state, { nowEpoch: epoch, host, result, compilations });
    if (decided.kind !== "decided") throw new Error(`boundary ${epoch}: expected a decision, found ${decided.kind}`);
    state = decided.state;
    // A kernel waits for its boundary: it is handed in again until another is asked for.
    if (decided.submissions.length > 0) compilations = await Promise.all(decided.submissions.map(compile));
    for (const report of decided.fieldReports) {
      policy = learn(policy, report, morphogenetic);
      const gain = report.measuredGain;
      verdicts.push({ outcome: report.outcome, gain: gain?.mean ?? 0, lower: gain?.lower ?? 0, reason: report.reason });
    }
    if (decided.health !== undefined) {
      const made = decide(policy, decided.health, { config: morphogenetic, validationBatches });
      policy = made.state;
      if (made.decision.outcome === "refused") refusals.add(made.decision.reason.split("; but ").at(-1) ?? "");
      if (made.command !== undefined) {
        const accepted = acceptCommand(state, made.command);
        state = accepted.state;
        const { site = "", toSite = "", forecast } = made.decision;
        const gap = Math.min(...checks.slice(-morphogenetic.trigger.checks).map(({ gaps }) => gaps[site] ?? 0));
        if (accepted.receipt.kind === "accepted") triggers.push({ site, toSite, gap, forecast: forecast?.lossGain ?? 0 });
      }
    }
    return decided.reply.kind === "run" ? decided.reply.plan : undefined;
  };

  for (let plan = await nextPlan(); plan !== undefined; plan = await nextPlan()) {
    result = await session.run(plan, kernels);
    if (result.signal !== undefined) checks.push({ epoch: result.epoch, gaps: gapsOf(result.signal) });
  }
  const { flops, flopsMax, hostStep, damagedSite } = session.status;
  const test = await session.test();
  await session.dispose();
  return {
    damagedSite,
    checks,
    triggers,
    refusals: [...refusals],
    verdicts,
    kept: verdicts.filter(({ outcome }) => outcome === "FOSSILIZED").length,
    testAccuracy: test.accuracy,
    testLoss: test.loss,
    flopsShare: flops.total / flopsMax,
    hostSteps: hostStep,
    trialFlopsShare: (flops.kernel + flops.trial + flops.signal + flops.gate) / flopsMax,
    seconds: (performance.now() - startMs) / 1000,
  };
};

export interface RescueRow {
  readonly randomSeed: number;
  readonly noGrowth: RescueOutcome;
  readonly grown: RescueOutcome;
  readonly healthy: RescueOutcome;
}

/** The three arms of one random seed. */
export const rescueArms = async (options: Omit<RescueOptions, "growth" | "damage">): Promise<RescueRow> => {
  const damage: DamageConfig = { site: "random", kind: "dead", live: 2 };
  const noGrowth = await rescueTrial({ ...options, damage, growth: false });
  const grown = await rescueTrial({ ...options, damage, growth: true });
  return { randomSeed: options.randomSeed, noGrowth, grown, healthy: await rescueTrial({ ...options, growth: true }) };
};

export const loadBenchDataset = async (name: "mnist" | "fashion-mnist"): Promise<DatasetBuffers> => {
  const config = DatasetConfig.parse({ name });
  return (await loadDataset(config, { files: nodeFileSystem, folder: ".esper/datasets" })).buffers;
};

const isMain = process.argv[1] !== undefined && import.meta.url.endsWith(process.argv[1].split("/").at(-1) ?? "");
if (isMain) {
  const { values } = parseArgs({
    options: {
      dataset: { type: "string", default: "mnist" },
      seeds: { type: "string", default: "10" },
      first: { type: "string", default: "1" },
      epochs: { type: "string", default: "5" },
      json: { type: "boolean", default: false },
    },
  });
  const name = values.dataset === "fashion-mnist" ? "fashion-mnist" : "mnist";
  const dataset = await loadBenchDataset(name);
  const engine = await createEngine("native", { threads: 1 });
  const config = EsperConfig.parse({ optimization: { epochs: Number(values.epochs) } });
  const rows: RescueRow[] = [];
  for (let index = 0; index < Number(values.seeds); index++) {
    const row = await rescueArms({ dataset, engine, randomSeed: Number(values.first) + index, config });
    rows.push(row);
    const { grown, noGrowth, healthy } = row;
    if (values.json) console.log(JSON.stringify(row));
    else {
      const accuracies = [noGrowth, grown, healthy].map(({ testAccuracy }) => (100 * testAccuracy).toFixed(2)).join(" → ");
      const where = grown.triggers.map(({ site, toSite }) => `${site}…${toSite}`).join(", ");
      console.log(
        `${name} seed ${row.randomSeed}: damaged ${grown.damagedSite}, grown at ${where || "nowhere"}, kept ${grown.kept}, ${accuracies}, false ${healthy.triggers.length}, ${grown.seconds.toFixed(1)} s`,
      );
    }
  }
  const total = (pick: (row: RescueRow) => number): number => rows.reduce((sum, row) => sum + pick(row), 0);
  const lost = total(({ healthy, noGrowth }) => healthy.testAccuracy - noGrowth.testAccuracy);
  const regained = total(({ grown, noGrowth }) => grown.testAccuracy - noGrowth.testAccuracy);
  const found = rows.filter(({ grown }) => grown.triggers[0]?.site === grown.damagedSite).length;
  const alarms = total(({ healthy }) => healthy.triggers.length);
  const summary = {
    dataset: name,
    rows: rows.length,
    found,
    recovered: regained / lost,
    alarms,
    keptHealthy: total(({ healthy }) => healthy.kept),
  };
  console.log(JSON.stringify(summary));
}
