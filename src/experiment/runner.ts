/**
 * Runs the jobs of a plan in parallel lanes, those that are not finished yet.
 *
 * U1 Jobs start in the plan's order; what a job leaves does not depend on which lane ran it, or when.
 * U2 A finished job is written down before the next one of its lane starts; a stopped one leaves nothing.
 * U3 A lane whose thread died is tried once more with the same job; the second time ends the experiment.
 */
import { sessionSpecOf } from "../config/session-spec.ts";
import type { EsperConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { ServiceError } from "../contracts/errors.ts";
import type { JobResult } from "../contracts/experiment.ts";
import type { Host } from "../contracts/graph.ts";
import type { SessionSpec } from "../contracts/plan.ts";
import type { ExperimentLanes } from "../workers/experiment-lanes.ts";
import type { Job } from "./plan.ts";
import type { ResultFolder } from "./results.ts";
import { failedResult, type JobOutcome, type JobTask } from "./run-job.ts";

export interface RunProgress {
  readonly finished: number;
  readonly failed: number;
  readonly total: number;
  /** Of the jobs that this run has to do itself. */
  readonly elapsedMs: number;
  /** Absent before the first job is finished. */
  readonly leftMs: number | undefined;
  readonly last: JobResult;
}

export interface RunnerOptions {
  readonly jobs: readonly Job[];
  readonly folder: ResultFolder;
  readonly lanes: ExperimentLanes<JobTask, JobOutcome>;
  readonly engine: SessionSpec["engine"];
  readonly loadDataset: (config: EsperConfig["dataset"]) => Promise<DatasetBuffers>;
  readonly monotonicMs: () => number;
  readonly onProgress?: (progress: RunProgress) => void;
  readonly signal?: AbortSignal;
}

interface Latch {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

const latch = (): Latch => {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
};

/** Loads each data set once, however many jobs ask for it. */
const loadOnce = (load: RunnerOptions["loadDataset"]): RunnerOptions["loadDataset"] => {
  const loaded = new Map<string, Promise<DatasetBuffers>>();
  return (config) => {
    // What a batch holds is no property of the loaded samples.
    const key = JSON.stringify({ ...config, batchSize: 0 });
    const known = loaded.get(key) ?? load(config);
    loaded.set(key, known);
    return known;
  };
};

/** The budget of `grown`, spent on its last host: the schedule is as long as the steps that fit. */
const finalSizeSpec = (spec: SessionSpec, grown: JobResult): SessionSpec => ({
  ...spec,
  model: { name: "file", file: `the last host of ${grown.label}` },
  flopsMax: grown.flopsMax,
  hostSteps: Math.max(1, Math.floor(grown.flopsMax / Math.max(1, grown.stepFlops[1]))),
});

const unfinished = async ({ jobs, folder }: RunnerOptions): Promise<readonly Job[]> => {
  const open: Job[] = [];
  for (const job of jobs) {
    const done = folder.results.has(job.key) && (!job.keepHost || (await folder.loadHost(job.key)) !== undefined);
    if (!done) open.push(job);
  }
  return open;
};

type Prepared = { readonly kind: "task"; readonly task: JobTask } | { readonly kind: "failed"; readonly reason: string };

/** @returns `stopped` when the signal ended it before all jobs were done. */
export const runJobs = async (options: RunnerOptions): Promise<"done" | "stopped"> => {
  const { folder, lanes, engine, monotonicMs, onProgress, signal } = options;
  const load = loadOnce(options.loadDataset);
  const open = await unfinished(options);
  const startMs = monotonicMs();
  const settled = new Map(open.map(({ key }) => [key, latch()]));
  const counts = { next: 0, finished: 0, failed: 0 };
  let broken: unknown;
  const ended = (): boolean => signal?.aborted === true || broken !== undefined;
  const stop = (): void => {
    lanes.stop();
    for (const { resolve } of settled.values()) resolve();
  };
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted === true) stop();

  const specOf = (job: Job, dataset: DatasetBuffers): SessionSpec =>
    sessionSpecOf({
      runId: `x-${job.key.slice(0, 16)}`,
      config: job.config,
      dataset,
      engine,
      damaged: job.config.damage !== undefined,
    });

  const prepare = async (job: Job): Promise<Prepared> => {
    const dataset = await load(job.config.dataset);
    const { key, label, growth, keepHost, germinateAfterSteps, finalSizeOf } = job;
    const common = {
      key,
      label,
      dataset,
      growth,
      keepHost,
      ...(germinateAfterSteps === undefined ? {} : { germinateAfterSteps }),
    };
    const spec = specOf(job, dataset);
    if (finalSizeOf === undefined) return { kind: "task", task: { ...common, spec } };
    await settled.get(finalSizeOf)?.promise;
    const grown = folder.results.get(finalSizeOf);
    const scratch: Host | undefined = grown?.outcome === "done" ? await folder.loadHost(finalSizeOf) : undefined;
    if (grown === undefined || scratch === undefined)
      return { kind: "failed", reason: "the grown host that it starts from is missing" };
    return { kind: "task", task: { ...common, spec: finalSizeSpec(spec, grown), scratch } };
  };

  const runOnLane = async (task: JobTask, attempts = 2): Promise<{ readonly outcome: JobOutcome; readonly seconds: number }> => {
    const reply = await lanes.run(task);
    if (reply.kind === "done") return reply.value;
    if (ended()) return { outcome: { kind: "stopped" }, seconds: 0 };
    if (attempts > 1) return runOnLane(task, attempts - 1); // U3
    throw new ServiceError(
      `job ${task.label}: expected its lane to live, found it lost twice: ${reply.reason}; run again with --resume`,
    );
  };

  const finish = async (job: Job, result: JobResult): Promise<void> => {
    await folder.append(result); // U2
    counts.finished += 1;
    if (result.outcome === "failed") counts.failed += 1;
    settled.get(job.key)?.resolve();
    const elapsedMs = monotonicMs() - startMs;
    const leftMs = (elapsedMs / counts.finished) * (open.length - counts.finished);
    onProgress?.({ finished: counts.finished, failed: counts.failed, total: open.length, elapsedMs, leftMs, last: result });
  };

  const work = async (job: Job): Promise<void> => {
    const prepared = await prepare(job);
    if (ended()) return;
    if (prepared.kind === "failed") {
      await finish(job, { ...failedResult(job, job.config.randomSeed, prepared.reason), seconds: 0 });
      return;
    }
    const { outcome, seconds } = await runOnLane(prepared.task);
    if (outcome.kind === "stopped") return;
    if (outcome.host !== undefined) await folder.saveHost(job.key, outcome.host);
    await finish(job, { ...outcome.result, seconds });
  };

  const lane = async (): Promise<void> => {
    for (let job = open[counts.next++]; job !== undefined && !ended(); job = open[counts.next++]) {
      try {
        await work(job);
      } catch (error) {
        broken ??= error;
        stop();
      }
    }
  };

  try {
    await Promise.all(Array.from({ length: Math.min(lanes.count, Math.max(1, open.length)) }, lane));
  } finally {
    signal?.removeEventListener("abort", stop);
  }
  if (broken !== undefined) throw broken;
  return counts.finished === open.length ? "done" : "stopped";
};
