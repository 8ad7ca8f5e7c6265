/** An experiment from its cells to its report: engine, data, lanes, folder and page put together. */
import type { EsperConfig } from "../contracts/config.ts";
import { BreakerConfig, RetryConfig } from "../contracts/config-calls.ts";
import { ServiceError } from "../contracts/errors.ts";
import type { ExperimentConfig } from "../contracts/experiment.ts";
import type { Clock } from "../contracts/ports.ts";
import { loadDataset } from "../data/datasets.ts";
import { createDownload, DownloadError } from "../data/download.ts";
import { selectEngine } from "../engine/select.ts";
import { createRandom } from "../graph/random.ts";
import { guardDownload } from "../resilience/guard-download.ts";
import { guardExperimentLanes } from "../resilience/guard-lanes.ts";
import { createResilience } from "../resilience/resilience.ts";
import { nodeFileSystem, saveDurably } from "../store/file-system.ts";
import { createExperimentLanes } from "../workers/experiment-lanes.ts";
import { type Analysis, analyze } from "./analysis.ts";
import type { AnalysisOptions } from "./figures.ts";
import { tellPerformance } from "./performance.ts";
import { type CellSpec, type ExperimentPlan, planCells } from "./plan.ts";
import { reportPage } from "./report/page.ts";
import { openResultFolder } from "./results.ts";
import type { JobOutcome, JobTask } from "./run-job.ts";
import { type RunProgress, runJobs } from "./runner.ts";

export interface ExperimentOptions {
  readonly experiment: Pick<ExperimentConfig, "name"> & AnalysisOptions;
  readonly cells: readonly CellSpec[];
  readonly device: EsperConfig["device"];
  readonly folder: string;
  /** Threads, each with an engine of its own. */
  readonly lanes: number;
  /** Goes on from the results in the folder. */
  readonly resume: boolean;
  /** Where data sets that are fetched are kept. */
  readonly datasetsFolder: string;
  readonly clock: Clock;
  /** Told in the report. */
  readonly machine: string;
  readonly signal?: AbortSignal;
  readonly onPlan?: (plan: ExperimentPlan, finished: number) => void;
  readonly onProgress?: (progress: RunProgress) => void;
}

export interface ExperimentOutcome {
  readonly outcome: "done" | "stopped";
  readonly analysis: Analysis;
  readonly failed: readonly { readonly label: string; readonly reason: string }[];
  readonly reportFile: string;
  readonly jsonFile: string;
}

const downloadTimeoutMs = 120_000;

const chooseEngine = async (device: EsperConfig["device"]) => {
  const selection = await selectEngine(device, { threads: 1 });
  if (selection.kind === "none") {
    const reasons = selection.trials
      .map((trial) => `${trial.name}: ${trial.kind === "works" ? "works" : trial.reason}`)
      .join("; ");
    throw new ServiceError(`expected an engine for device ${device}, none works (${reasons}); run esper doctor`, {
      path: "device",
    });
  }
  const { name, version } = selection.engine;
  await selection.engine.dispose();
  return { name, version };
};

/** The report is written also when the run was stopped: with what is finished. */
export const runExperiment = async (options: ExperimentOptions): Promise<ExperimentOutcome> => {
  const { experiment, cells, clock, signal, onProgress } = options;
  const engine = await chooseEngine(options.device);
  const plan = planCells(cells, engine);
  const folder = await openResultFolder(nodeFileSystem, options.folder, options.resume);
  options.onPlan?.(plan, plan.jobs.filter(({ key }) => folder.results.has(key)).length);
  const { breakers, retry } = createResilience({
    breaker: BreakerConfig.parse({}),
    retry: RetryConfig.parse({}),
    clock,
    uniform: createRandom(Math.floor(clock.nowMs())).fork("retries").uniform,
  });
  const lanes = guardExperimentLanes(
    createExperimentLanes<JobTask, JobOutcome>(options.lanes),
    breakers.get("lane.experiment"),
    clock,
  );
  const performance = tellPerformance({ folder, breakers, clock });
  const ports = {
    files: nodeFileSystem,
    folder: options.datasetsFolder,
    download: guardDownload(createDownload({ fetch, clock, timeoutMs: downloadTimeoutMs }), {
      breaker: breakers.get("download"),
      retry,
      isPassing: (error) => error instanceof DownloadError && error.passing,
      ...(signal === undefined ? {} : { signal }),
    }),
    save: (path: string, bytes: Uint8Array) => saveDurably(nodeFileSystem, path, bytes),
  };
  let outcome: "done" | "stopped";
  try {
    outcome = await runJobs({
      jobs: plan.jobs,
      folder,
      lanes,
      engine: engine.name,
      loadDataset: async (config) => (await loadDataset(config, ports)).buffers,
      monotonicMs: () => clock.monotonicMs(),
      onProgress: (progress) => {
        performance.tell();
        onProgress?.(progress);
      },
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    await lanes.destroy();
    await performance.end();
  }
  const analysis = analyze(experiment, plan, folder.results);
  const page = reportPage(analysis, {
    machine: `${options.machine}; ${engine.name} ${engine.version}`,
    createdAtMs: clock.nowMs(),
  });
  const failed = plan.jobs.flatMap(({ key }) => {
    const result = folder.results.get(key);
    return result?.outcome === "failed" ? [{ label: result.label, reason: result.reason }] : [];
  });
  return {
    outcome,
    analysis,
    failed,
    reportFile: await folder.write("report.html", page),
    jsonFile: await folder.write("report.json", `${JSON.stringify(analysis)}\n`),
  };
};
