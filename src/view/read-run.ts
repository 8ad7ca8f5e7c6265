/** The events of a run's training as changes of the view: its life, its windows, its progress. */
import type { EpochResult, HostSummary } from "../contracts/plan.ts";
import { gapLower, type LayerSignal, severityOf } from "../contracts/signal.ts";
import type { PayloadOf } from "../contracts/subjects.ts";
import { healthOfLayer } from "../contracts/trial.ts";
import type { RunPatch, ViewAlert, ViewChange, ViewHost, ViewInterval, ViewJudgement, ViewSignal } from "../contracts/view.ts";
import { seedPlaces } from "../machines/kasmina-state.ts";
import { cutText, viewBounds } from "./bounds.ts";
import { measuredReadings } from "./gate-readings.ts";
import type { RunMemory } from "./run-memory.ts";

/** When and under which id an event came. */
export interface EventPlace {
  readonly id: string;
  readonly atMs: number;
  readonly traceId: string;
}

/** Six digits: more is not shown, and the wire is shorter. */
export const short = (value: number): number => {
  if (Number.isInteger(value)) return value;
  const size = Math.abs(value);
  // Many numbers come at once; writing and reading each is ten times as slow.
  if (size >= 1e-3 && size < 1e6) {
    const scale = size < 0.1 ? 1e8 : 1e6;
    return Math.round(value * scale) / scale;
  }
  return Number.isFinite(value) ? Number(value.toPrecision(6)) : value;
};
const cell = (value: number | undefined): number | null => (value === undefined || !Number.isFinite(value) ? null : short(value));

export const alertOf = (
  { id, atMs }: EventPlace,
  severity: ViewAlert["severity"],
  source: string,
  text: string,
  about: Partial<Pick<ViewAlert, "runId" | "epoch" | "seedId">> = {},
): ViewChange => ({
  k: "alert",
  alert: { id: `${id} ${source}`, atMs, severity, source, text: cutText(text), runId: null, epoch: null, seedId: null, ...about },
});

const hostOf = (host: HostSummary): ViewHost => ({
  name: host.name,
  hash: host.hash,
  parameters: host.parameters,
  stepFlops: host.stepFlops,
  batchSize: host.batchSize,
  layers: host.sites.map(({ site, kind, inputWidth, width, shape, legalTargets }) => ({
    site,
    kind,
    inputWidth,
    width,
    shape,
    targets: legalTargets,
  })),
});

/** A host as it is drawn, with the seeds that stand in it. Without a configuration a site is known to hold at least one. */
const hostChange = (runId: string, host: HostSummary, memory: RunMemory): ViewChange => {
  const sites = host.sites.filter(({ kind }) => kind !== "output").map(({ site }) => site);
  const { config } = memory;
  const wanted =
    config?.enabled === true ? sites.length * (config.seedsPerSite + (config.pruning.enabled ? 1 : 0)) : sites.length;
  const places =
    memory.growth === false
      ? []
      : config === undefined || wanted > viewBounds.seedsMax
        ? sites.map((site) => ({ seedId: `seed:${site}`, site }))
        : seedPlaces(sites, config);
  for (const { seedId, site } of places) memory.plant(seedId, site);
  return { k: "host", r: runId, host: hostOf(host), seeds: places.map(({ seedId, site }) => [seedId, site] as const) };
};

export const readRunEvent = (event: PayloadOf<"system.events.run">, place: EventPlace, memory: RunMemory): ViewChange[] => {
  const { runId } = event;
  const header = (set: RunPatch): ViewChange => ({ k: "header", r: runId, atMs: place.atMs, set });
  switch (event.kind) {
    case "started": {
      memory.config = event.morphogenetic ?? memory.config;
      const { arm, dataset, engine, epochSteps, hostSteps, flopsMax, host } = event;
      memory.growth = event.growth;
      return [
        { k: "run", r: runId, arm, atMs: place.atMs },
        header({
          dataset,
          engine,
          epochSteps,
          hostSteps,
          flopsMax,
          growth: event.growth ?? null,
          startedAtMs: place.atMs,
          parameters: host.parameters,
          outcome: "running",
          outcomeReason: "",
          paused: false,
          waiting: null,
        }),
        hostChange(runId, host, memory),
      ];
    }
    case "checkpoint":
      return [{ k: "checkpoint", r: runId, checkpoint: { epoch: event.epoch, file: event.file } }];
    case "checkpoint_failed":
      return [
        alertOf(place, "critical", "checkpoint", `no checkpoint after window ${event.epoch}: ${event.reason}`, {
          runId,
          epoch: event.epoch,
        }),
      ];
    case "rolled_back":
      return [
        header({ rollbacks: event.rollbacks }),
        alertOf(place, "warning", "governor", `rolled back at window ${event.epoch}: ${event.reason}`, {
          runId,
          epoch: event.epoch,
        }),
      ];
    case "paused":
      return [header({ paused: true })];
    case "resumed":
      return [header({ paused: false })];
    case "waiting": {
      const { seedId, outstanding, waitedMs } = event;
      return [header({ waiting: { seedId, outstanding, waitedMs } })];
    }
    case "finished": {
      const { outcome, reason, testAccuracy } = event;
      const ended = header({
        outcome,
        outcomeReason: cutText(reason),
        testAccuracy: cell(testAccuracy),
        waiting: null,
        activeSeedId: null,
      });
      return outcome === "failed" ? [ended, alertOf(place, "critical", "run", `the run failed: ${reason}`, { runId })] : [ended];
    }
  }
};

const signalOf = (layer: LayerSignal, epoch: number, { config }: RunMemory): ViewSignal => ({
  epoch,
  explainedIn: short(layer.explainedIn),
  explainedOut: short(layer.explainedOut),
  gap: short(layer.gap),
  gapError: short(layer.gapError),
  gapLower: config === undefined ? null : cell(gapLower(layer, config.trigger)),
  severity: config === undefined ? null : cell(severityOf(layer, config.trigger)),
  health: config === undefined ? null : cell(healthOfLayer(layer, config.trigger)),
  dimensionsIn: cell(layer.dimensionsIn),
  dimensionsOut: cell(layer.dimensionsOut),
  effectiveRank: cell(layer.effectiveRank),
  constantUnits: cell(layer.constantUnits),
  weightGain: cell(layer.weightGain),
});

export const intervalOf = (gain: ViewInterval): ViewInterval => ({
  mean: short(gain.mean),
  lower: short(gain.lower),
  upper: short(gain.upper),
  confidence: gain.confidence,
});

type Judged = NonNullable<Extract<NonNullable<EpochResult["kernel"]>, { kind: "fine_tuned" }>["judgements"]>;

export const judgementsOf = (judgements: Judged): ViewJudgement[] =>
  judgements.map(({ judge, vote, bound, measured }) => ({
    judge,
    vote,
    bound,
    ...(measured === undefined ? {} : intervalOf(measured)),
  }));

/** What the window told of the seed at work. */
const kernelChanges = ({ runId, epoch, seedId, kernel }: EpochResult, memory: RunMemory): ViewChange[] => {
  if (seedId === undefined || kernel === undefined) return [];
  const gain = "gain" in kernel ? kernel.gain : undefined;
  const judged = kernel.kind === "fine_tuned" ? kernel.judgements : undefined;
  const set = {
    gates: measuredReadings(kernel, epoch, memory.config),
    ...(gain === undefined ? {} : { gain: intervalOf(gain) }),
    ...(judged === undefined ? {} : { judgements: judgementsOf(judged) }),
    ...(kernel.kind === "loaded" ? { parameters: kernel.parameters, kernelHash: kernel.kernelHash } : {}),
  };
  const patch: ViewChange = { k: "trial", r: runId, seedId, set };
  if (kernel.kind !== "grafted") return [patch];
  return [{ k: "alpha", r: runId, seedId, epoch, alpha: short(kernel.alpha), drift: cell(kernel.drift) }, patch];
};

/** A window that is complete. */
export const readWindow = (
  { runId, result, flopsMax, elapsedMs }: PayloadOf<"system.events.epoch">,
  place: EventPlace,
  memory: RunMemory,
): ViewChange[] => {
  const { epoch, work, hostStep, flops, parameters, validation, trainLoss, gradNorm, steps, durationMs, seedId } = result;
  const { host, kernel, trial, signal, gate } = flops;
  const changes: ViewChange[] = [
    {
      k: "header",
      r: runId,
      atMs: place.atMs,
      set: {
        epoch,
        work,
        hostStep,
        elapsedMs: Math.round(elapsedMs),
        flops: flops.total,
        flopsMax,
        flopsByUse: { host, kernel, trial, signal, gate },
        parameters,
        waiting: null,
      },
    },
    {
      k: "row",
      r: runId,
      row: {
        epoch,
        trainLoss: cell(trainLoss),
        validationLoss: cell(validation?.loss),
        validationAccuracy: cell(validation?.accuracy),
        gradNorm: cell(gradNorm),
        stepsPerSecond: steps > 0 && durationMs > 0 ? short((steps * 1000) / durationMs) : null,
        flops: flops.total,
      },
    },
  ];
  if (result.host !== undefined) changes.push(hostChange(runId, result.host, memory));
  if (result.signal !== undefined) {
    const signals = result.signal.layers.map((layer) => [layer.site, signalOf(layer, epoch, memory)] as const);
    changes.push({ k: "signals", r: runId, signals: Object.fromEntries(signals) });
  }
  changes.push(...kernelChanges(result, memory));
  for (const [index, { kind, step, detail }] of result.anomalies.entries()) {
    const severity = kind === "loss_spike" ? "warning" : "critical";
    const about = { runId, epoch, seedId: seedId ?? null };
    changes.push(alertOf(place, severity, `${kind} ${index}`, `${kind.replaceAll("_", " ")} at step ${step}: ${detail}`, about));
  }
  return changes;
};
