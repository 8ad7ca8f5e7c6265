/**
 * One job inside a lane: a run in this thread, and the record that stays of it.
 *
 * R1 The record depends on the job alone. Time is counted in calls, so that no gate on latency sees the machine's load.
 * R2 Training that failed is a result too; a bug is not.
 */
import type { FieldReport } from "../contracts/assets.ts";
import type { KasminaControlCommand } from "../contracts/commands.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { EsperError } from "../contracts/errors.ts";
import type { JobResult, TrialRecord } from "../contracts/experiment.ts";
import type { Host } from "../contracts/graph.ts";
import { zeroFlops } from "../contracts/measure.ts";
import type { EpochResult, HostSummary, SessionSpec } from "../contracts/plan.ts";
import type { Engine } from "../engine/engine.ts";
import { createRandom } from "../graph/random.ts";
import { type OperatorView, runSolo, type SoloOutcome } from "../solo/run-solo.ts";
import { finalSizeHost } from "./final-size.ts";

export interface JobTask {
  readonly key: string;
  readonly label: string;
  readonly spec: SessionSpec;
  readonly dataset: DatasetBuffers;
  readonly growth: boolean;
  readonly germinateAfterSteps?: number;
  /** Trained from fresh parameters in place of `spec.model`. */
  readonly scratch?: Host;
  readonly keepHost: boolean;
}

/** `seconds` is filled in by the lane. */
export type JobOutcome =
  | { readonly kind: "finished"; readonly result: Omit<JobResult, "seconds">; readonly host?: Host }
  | { readonly kind: "stopped" };

export interface JobPorts {
  readonly engine: Engine;
  /** Another engine, whose logits kernels are held against. */
  readonly reference: Engine;
  readonly signal: AbortSignal;
  readonly onWindow?: (result: EpochResult) => void;
}

const hiddenSites = ({ sites }: HostSummary): string[] => sites.filter(({ kind }) => kind !== "output").map(({ site }) => site);

/** Asks once, at a random site that something may grow at, as soon as the host has done `afterSteps`. */
const germinateOnce = (randomSeed: number, afterSteps: number): ((at: OperatorView) => KasminaControlCommand | undefined) => {
  let asked = false;
  return ({ host, hostStep }) => {
    if (asked || hostStep < afterSteps || hostStep === 0) return undefined;
    asked = true;
    const places = host.sites.filter(({ kind, legalTargets }) => kind !== "output" && legalTargets.length > 0);
    const random = createRandom(randomSeed).fork("random place");
    const place = places[random.integer(Math.max(1, places.length))];
    if (place === undefined) return undefined;
    const requestId = `random-place-${place.site}`;
    return { kind: "germinate", requestId, seedId: `seed:${place.site}`, reason: "a random place, once" };
  };
};

const flopsAt = (results: readonly EpochResult[], epoch: number): number =>
  results.findLast((result) => result.epoch <= epoch)?.flops.total ?? 0;

const trialOf = (report: FieldReport, results: readonly EpochResult[]): TrialRecord => {
  const { seedId, fromSite, toSite, blueprint, forecast, outcome, reason, measuredGain, history } = report;
  const germinated = history.find(({ state }) => state === "GERMINATED");
  const epoch = germinated?.epoch ?? 0;
  return {
    seedId,
    site: fromSite,
    toSite,
    ...(blueprint === undefined ? {} : { blueprint: blueprint.kind }),
    epoch,
    flops: flopsAt(results, epoch),
    reason: germinated?.reason ?? "",
    ...(forecast === undefined ? {} : { forecast }),
    outcome,
    endReason: reason,
    judged: history.some(({ state }) => state === "FINE_TUNING"),
    ...(measuredGain === undefined ? {} : { gain: measuredGain }),
  };
};

const refusalsMax = 100;

const refusalsOf = ({ decisions }: SoloOutcome): string[] =>
  [...new Set(decisions.flatMap(({ outcome, reason }) => (outcome === "refused" ? [reason] : [])))].slice(0, refusalsMax);

const recordOf = ({ key, label, spec }: JobTask, outcome: SoloOutcome): Omit<JobResult, "seconds"> => {
  const { results, transitions, fieldReports, hostAtStart, hostAtEnd, damagedSites, test, flops, flopsMax, hostSteps } = outcome;
  return {
    version: 1,
    key,
    label,
    randomSeed: spec.randomSeed,
    outcome: "done",
    reason: outcome.reason,
    sites: hiddenSites(hostAtStart),
    damagedSites: [...damagedSites],
    ...(test === undefined ? {} : { test }),
    curve: results.flatMap(({ epoch, flops: { total }, validation }) =>
      validation === undefined ? [] : [{ epoch, flops: total, loss: validation.loss, accuracy: validation.accuracy }],
    ),
    checks: results.flatMap(({ epoch, signal }) =>
      signal === undefined ? [] : [{ epoch, gaps: Object.fromEntries(signal.layers.map(({ site, gap }) => [site, gap])) }],
    ),
    // What was pruned shows in the timeline and in the parameters.
    trials: fieldReports.filter(({ prune }) => prune === undefined).map((report) => trialOf(report, results)),
    refusals: refusalsOf(outcome),
    timeline: transitions.map(({ seedId, to, epoch }) => ({ seedId, state: to, epoch })),
    flops,
    flopsMax,
    stepFlops: [hostAtStart.stepFlops, hostAtEnd.stepFlops],
    parameters: [hostAtStart.parameters, hostAtEnd.parameters],
    hostSteps,
    windows: results.length,
  };
};

/** A job that could not be done; nothing of it is measured. */
export const failedResult = (
  task: Pick<JobTask, "key" | "label">,
  randomSeed: number,
  reason: string,
): Omit<JobResult, "seconds"> => ({
  version: 1,
  key: task.key,
  label: task.label,
  randomSeed,
  outcome: "failed",
  reason,
  sites: [],
  damagedSites: [],
  curve: [],
  checks: [],
  trials: [],
  refusals: [],
  timeline: [],
  flops: zeroFlops,
  flopsMax: 0,
  stepFlops: [0, 0],
  parameters: [0, 0],
  hostSteps: 0,
  windows: 0,
});

export const runJob = async (task: JobTask, { engine, reference, signal, onWindow }: JobPorts): Promise<JobOutcome> => {
  const { spec, dataset, growth, germinateAfterSteps, scratch, keepHost } = task;
  let ticks = 0;
  try {
    const outcome = await runSolo({
      spec,
      dataset,
      engine,
      reference,
      growth,
      signal,
      nowMs: () => ticks++, // R1
      ...(onWindow === undefined ? {} : { onWindow }),
      ...(scratch === undefined ? {} : { imported: finalSizeHost(scratch, spec.randomSeed) }),
      ...(germinateAfterSteps === undefined ? {} : { operator: germinateOnce(spec.randomSeed, germinateAfterSteps) }),
    });
    if (outcome.outcome === "stopped") return { kind: "stopped" };
    return { kind: "finished", result: recordOf(task, outcome), ...(keepHost ? { host: outcome.host } : {}) };
  } catch (error) {
    if (!(error instanceof EsperError)) throw error;
    return { kind: "finished", result: failedResult(task, spec.randomSeed, `${error.code}: ${error.message}`) }; // R2
  }
};
