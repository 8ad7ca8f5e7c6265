/**
 * How often the damaged layer is found, and how much of the accuracy its repair brings back: the whole decision loop on a session, without
 * bus and threads. `node --import tsx bench/growth-rescue.ts [--dataset mnist] [--seeds 10] [--first 1] [--epochs 8] [--json]`
 *
 * Per random seed four arms with the same FLOPs: `noGrowth` and `grown` start from the same damaged host; `healthy` was never damaged and is
 * left alone; `watched` is the same healthy host with the trigger on, so that false alarms and the price of watching are counted.
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
import { kernelKeyHash } from "../src/store/library.ts";
import { compileKernel } from "../src/workers/session/forge.ts";
import { Session } from "../src/workers/session/session.ts";
import { deviation, isMain, mean, print, table } from "./support.ts";

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
    return {
      kind: "ready",
      runId,
      seedId,
      keyHash: kernelKeyHash(key),
      kernelHash,
      blueprintHash,
      parameters,
      flops: {},
      compileMs: 0,
    };
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
  readonly watched: RescueOutcome;
}

/** The four arms of one random seed. */
export const rescueArms = async (options: Omit<RescueOptions, "growth" | "damage">): Promise<RescueRow> => {
  const damage: DamageConfig = { site: "random", kind: "dead", live: 2 };
  const noGrowth = await rescueTrial({ ...options, damage, growth: false });
  const grown = await rescueTrial({ ...options, damage, growth: true });
  const healthy = await rescueTrial({ ...options, growth: false });
  return { randomSeed: options.randomSeed, noGrowth, grown, healthy, watched: await rescueTrial({ ...options, growth: true }) };
};

export const loadBenchDataset = async (name: "mnist" | "fashion-mnist"): Promise<DatasetBuffers> => {
  const config = DatasetConfig.parse({ name });
  return (await loadDataset(config, { files: nodeFileSystem, folder: ".esper/datasets" })).buffers;
};

export interface RescueSummary {
  readonly dataset: string;
  readonly randomSeeds: number;
  /** Hosts whose first trial began at the damaged layer. */
  readonly found: number;
  readonly kept: number;
  /** (grown − no growth) / (healthy − no growth) of the test accuracy: per random seed, and of the sums. */
  readonly recoveredMean: number;
  readonly recoveredSd: number;
  readonly recoveredPooled: number;
  readonly accuracy: Readonly<
    Record<"noGrowth" | "grown" | "healthy" | "watched", { readonly mean: number; readonly sd: number }>
  >;
  readonly falseTriggers: number;
  readonly falseKept: number;
  /** healthy − watched, in points of test accuracy. */
  readonly watchingCostMean: number;
  readonly watchingCostSd: number;
}

export const summarizeRescue = (dataset: string, rows: readonly RescueRow[]): RescueSummary => {
  const accuracies = (arm: "noGrowth" | "grown" | "healthy" | "watched"): number[] => rows.map((row) => row[arm].testAccuracy);
  const spread = (values: readonly number[]) => ({ mean: mean(values), sd: deviation(values) });
  const recovered = rows.map(
    ({ noGrowth, grown, healthy }) =>
      (grown.testAccuracy - noGrowth.testAccuracy) / (healthy.testAccuracy - noGrowth.testAccuracy),
  );
  const costs = rows.map(({ healthy, watched }) => 100 * (healthy.testAccuracy - watched.testAccuracy));
  return {
    dataset,
    randomSeeds: rows.length,
    found: rows.filter(({ grown }) => grown.triggers[0]?.site === grown.damagedSite).length,
    kept: rows.filter(({ grown }) => grown.kept > 0).length,
    recoveredMean: mean(recovered),
    recoveredSd: deviation(recovered),
    recoveredPooled:
      (mean(accuracies("grown")) - mean(accuracies("noGrowth"))) / (mean(accuracies("healthy")) - mean(accuracies("noGrowth"))),
    accuracy: {
      noGrowth: spread(accuracies("noGrowth")),
      grown: spread(accuracies("grown")),
      healthy: spread(accuracies("healthy")),
      watched: spread(accuracies("watched")),
    },
    falseTriggers: rows.reduce((sum, { watched }) => sum + watched.triggers.length, 0),
    falseKept: rows.reduce((sum, { watched }) => sum + watched.kept, 0),
    watchingCostMean: mean(costs),
    watchingCostSd: deviation(costs),
  };
};

export const rescueTable = (summaries: readonly RescueSummary[]): string => {
  const percent = (value: number): string => (100 * value).toFixed(1);
  const cell = ({ mean: middle, sd }: { readonly mean: number; readonly sd: number }): string =>
    `${percent(middle)} ± ${percent(sd)}`;
  return table(
    ["", ...summaries.map(({ dataset }) => dataset)],
    [
      ["random seeds", ...summaries.map((each) => String(each.randomSeeds))],
      ["damaged layer found", ...summaries.map((each) => `${each.found} of ${each.randomSeeds}`)],
      ["repair kept", ...summaries.map((each) => `${each.kept} of ${each.randomSeeds}`)],
      ["test accuracy, damaged and left alone (%)", ...summaries.map((each) => cell(each.accuracy.noGrowth))],
      ["test accuracy, grown (%)", ...summaries.map((each) => cell(each.accuracy.grown))],
      ["test accuracy, never damaged (%)", ...summaries.map((each) => cell(each.accuracy.healthy))],
      [
        "recovered share, mean ± sd over random seeds (%)",
        ...summaries.map((each) => cell({ mean: each.recoveredMean, sd: each.recoveredSd })),
      ],
      ["recovered share of the summed gaps (%)", ...summaries.map((each) => percent(each.recoveredPooled))],
      [
        "healthy hosts: triggers / kept",
        ...summaries.map((each) => `${each.falseTriggers} / ${each.falseKept} of ${each.randomSeeds}`),
      ],
      [
        "price of watching a healthy host (points)",
        ...summaries.map((each) => `${each.watchingCostMean.toFixed(2)} ± ${each.watchingCostSd.toFixed(2)}`),
      ],
    ],
  );
};

const describeRow = (name: string, { randomSeed, noGrowth, grown, healthy, watched }: RescueRow): string => {
  const accuracies = [noGrowth, grown, healthy].map(({ testAccuracy }) => (100 * testAccuracy).toFixed(2)).join(" → ");
  const where = grown.triggers.map(({ site, toSite }) => `${site}…${toSite}`).join(", ");
  return `${name} seed ${randomSeed}: damaged ${grown.damagedSite}, grown at ${where || "nowhere"}, kept ${grown.kept}, ${accuracies}, false ${watched.triggers.length}`;
};

export interface RescueBenchOptions {
  readonly name: "mnist" | "fashion-mnist";
  readonly seeds: number;
  readonly first?: number;
  readonly epochs?: number;
  readonly onRow?: (row: RescueRow, line: string) => void;
}

export const benchRescue = async ({ name, seeds, first = 1, epochs = 8, onRow }: RescueBenchOptions): Promise<RescueSummary> => {
  const dataset = await loadBenchDataset(name);
  const engine = await createEngine("native", { threads: 1 });
  const config = EsperConfig.parse({ optimization: { epochs } });
  const rows: RescueRow[] = [];
  for (let index = 0; index < seeds; index++) {
    const row = await rescueArms({ dataset, engine, randomSeed: first + index, config });
    rows.push(row);
    onRow?.(row, describeRow(name, row));
  }
  await engine.dispose();
  return summarizeRescue(name, rows);
};

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      dataset: { type: "string", default: "mnist" },
      seeds: { type: "string", default: "10" },
      first: { type: "string", default: "1" },
      epochs: { type: "string", default: "8" },
      json: { type: "boolean", default: false },
    },
  });
  const summary = await benchRescue({
    name: values.dataset === "fashion-mnist" ? "fashion-mnist" : "mnist",
    seeds: Number(values.seeds),
    first: Number(values.first),
    epochs: Number(values.epochs),
    onRow: (row, line) => console.log(values.json ? JSON.stringify(row) : line),
  });
  print(summary, rescueTable([summary]));
}
