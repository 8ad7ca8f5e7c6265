/**
 * Sets the constants of src/policy/calibration.ts on hosts of its own, with random seeds far from those that score them:
 * `node --import tsx bench/calibrate.ts [--hosts 40] [--quick] [--json]`. With `--results FILE …` the forecast is fitted on finished jobs of bench:growth instead, from
 * suites that score no forecast: `--results .esper/bench-growth/full/spans/results.jsonl --results .esper/bench-growth/full/rank/results.jsonl`.
 *
 * Confidence: of the worst layer of every damaged and whole host, how its severity in two successive checks goes with being damaged.
 * Forecast: of every trial at a damaged layer, how gap and validation loss when it germinated go with the gain of the verdict.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { sessionSpecOf } from "../src/config/session-spec.ts";
import { MorphogeneticConfig } from "../src/contracts/config.ts";
import type { DatasetBuffers } from "../src/contracts/dataset.ts";
import { EsperError } from "../src/contracts/errors.ts";
import { JobResult } from "../src/contracts/experiment.ts";
import { severityOf } from "../src/contracts/signal.ts";
import { loadDataset } from "../src/data/datasets.ts";
import type { Engine } from "../src/engine/engine.ts";
import { createEngine } from "../src/engine/engine.ts";
import type { CellSpec } from "../src/experiment/plan.ts";
import { calibration } from "../src/policy/calibration.ts";
import { runSolo, type SoloOutcome } from "../src/solo/run-solo.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import { damagedHosts, type Effort, fullEffort, quickEffort, wholeHosts } from "./growth-hosts.ts";
import { deviation, isMain, mean, print, table } from "./support.ts";

/** Far from the random seeds of the growth bench. */
const firstSeed = 1001;
/** A layer with less evidence against it is none to learn the odds from. */
const severityMin = 0.05;

/** The worst layer of a host. */
export interface LayerPoint {
  readonly severity: number;
  readonly damaged: boolean;
}

export interface GainPoint {
  readonly gap: number;
  readonly validationLoss: number;
  readonly gain: number;
  /** It came to a verdict; the gain of a trial that was culled before is of one of its stages. */
  readonly judged: boolean;
  readonly kept: boolean;
}

export interface CalibrationFit {
  readonly hosts: number;
  readonly layers: readonly LayerPoint[];
  readonly trials: readonly GainPoint[];
  readonly confidence: { readonly logOddsAtOne: number; readonly logOddsPerLogSeverity: number };
  readonly forecast: {
    readonly logGainAtOne: number;
    readonly logGainPerLogGap: number;
    readonly logGainPerLogLoss: number;
    readonly logGainSd: number;
    readonly lossTypical: number;
    readonly keepRate: number;
  };
}

/** Solves A x = b by Gaussian elimination with pivots; for the three unknowns of the plane. */
const solve = (a: readonly (readonly number[])[], b: readonly number[]): number[] => {
  const rows = a.map((row, i) => [...row, b[i]!]);
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    const pivot = rows
      .slice(column)
      .reduce((best, row, i) => (Math.abs(row[column]!) > Math.abs(rows[best]![column]!) ? column + i : best), column);
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let row = 0; row < size; row++) {
      if (row === column) continue;
      const factor = rows[row]![column]! / rows[column]![column]!;
      rows[row] = rows[row]!.map((value, i) => value - factor * rows[column]![i]!);
    }
  }
  return rows.map((row, i) => row[size]! / row[i]!);
};

/** Ridge-penalised least squares: few points must not give wild slopes. */
const leastSquares = (x: readonly (readonly number[])[], y: readonly number[], penalties: readonly number[]): number[] => {
  const gram = penalties.map((penalty, i) =>
    penalties.map((_, j) => x.reduce((sum, row) => sum + row[i]! * row[j]!, 0) + (i === j ? penalty : 0)),
  );
  return solve(
    gram,
    penalties.map((_, i) => x.reduce((sum, row, n) => sum + row[i]! * y[n]!, 0)),
  );
};

/** Logistic regression on ln severity by Newton's steps, with a weak penalty: layers that separate perfectly have no finite optimum. */
export const fitConfidence = (points: readonly LayerPoint[]): CalibrationFit["confidence"] => {
  const penalty = 0.5;
  const rows = points.map(({ severity, damaged }) => ({ x: [1, Math.log(severity)], y: damaged ? 1 : 0 }));
  let weights = [0, 1];
  for (let round = 0; round < 50; round++) {
    const odds = rows.map(({ x }) => 1 / (1 + Math.exp(-(weights[0]! + weights[1]! * x[1]!))));
    const slope = [0, 1].map((i) => rows.reduce((sum, { x, y }, n) => sum + (y - odds[n]!) * x[i]!, 0) - penalty * weights[i]!);
    const curvature = [0, 1].map((i) =>
      [0, 1].map(
        (j) => rows.reduce((sum, { x }, n) => sum + odds[n]! * (1 - odds[n]!) * x[i]! * x[j]!, 0) + (i === j ? penalty : 0),
      ),
    );
    const step = solve(curvature, slope);
    weights = weights.map((weight, i) => weight + step[i]!);
  }
  return { logOddsAtOne: weights[0]!, logOddsPerLogSeverity: weights[1]! };
};

/** Least squares of ln gain on ln gap and ln validation loss, over the verdicts whose gain is positive. */
export const fitForecast = (points: readonly GainPoint[], gapFloor: number): CalibrationFit["forecast"] => {
  const positive = points.filter(({ judged, gain, validationLoss }) => judged && gain > 0 && validationLoss > 0);
  const x = positive.map(({ gap, validationLoss }) => [1, Math.log(Math.max(gapFloor, gap)), Math.log(validationLoss)]);
  const y = positive.map(({ gain }) => Math.log(gain));
  const plane = leastSquares(x, y, [1e-6, 0.1, 0.1]);
  return {
    logGainAtOne: plane[0]!,
    logGainPerLogGap: plane[1]!,
    logGainPerLogLoss: plane[2]!,
    logGainSd: deviation(y.map((value, n) => value - x[n]!.reduce((sum, each, i) => sum + each * plane[i]!, 0))),
    lossTypical: Math.exp(mean(positive.map(({ validationLoss }) => Math.log(validationLoss)))),
    keepRate: points.filter(({ kept }) => kept).length / Math.max(1, points.length),
  };
};

/** The layer that the first checks put highest, with its least severity; none where nothing speaks against any. */
const namedOf = ({ config }: CellSpec, { results, damagedSites }: SoloOutcome): LayerPoint[] => {
  const { trigger } = config.morphogenetic;
  const checks = results.flatMap(({ signal }) => (signal === undefined ? [] : [signal.layers])).slice(0, trigger.checks);
  const points = (checks[0] ?? []).map(({ site }): LayerPoint => {
    const severities = checks.map((layers) => {
      const layer = layers.find((each) => each.site === site);
      return layer === undefined ? 0 : (severityOf(layer, trigger) ?? 0);
    });
    return { severity: Math.min(...severities), damaged: damagedSites.includes(site) };
  });
  const worst = points.reduce<LayerPoint | undefined>(
    (best, each) => (best === undefined || each.severity > best.severity ? each : best),
    undefined,
  );
  return worst === undefined || worst.severity <= severityMin ? [] : [worst];
};

const trialsOf = ({ config }: CellSpec, { results, decisions, damagedSites, fieldReports }: SoloOutcome): GainPoint[] =>
  fieldReports.flatMap((report): GainPoint[] => {
    const asked = decisions.find(({ outcome, seedId }) => outcome === "germinate" && seedId === report.seedId);
    const judged = report.history.some(({ state }) => state === "FINE_TUNING");
    if (asked === undefined || !damagedSites.includes(report.fromSite) || report.measuredGain === undefined) return [];
    const before = results.filter(({ epoch, signal }) => epoch <= asked.epoch && signal !== undefined);
    const gaps = before
      .slice(-config.morphogenetic.trigger.checks)
      .flatMap(({ signal }) => signal!.layers.flatMap(({ site, gap }) => (site === report.fromSite ? [gap] : [])));
    const validationLoss = before.at(-1)?.validation?.loss;
    if (gaps.length === 0 || validationLoss === undefined) return [];
    return [
      { gap: Math.min(...gaps), validationLoss, gain: report.measuredGain.mean, judged, kept: report.outcome === "FOSSILIZED" },
    ];
  });

const runCell = async (
  cell: CellSpec,
  dataset: DatasetBuffers,
  engine: Engine,
  reference: Engine,
): Promise<SoloOutcome | string> => {
  const runId = `calibration-${cell.config.randomSeed}`;
  const spec = sessionSpecOf({ runId, config: cell.config, dataset, engine: engine.name, damaged: cell.damage !== "none" });
  let ticks = 0;
  try {
    return await runSolo({ spec, dataset, engine, reference, growth: true, nowMs: () => ticks++ });
  } catch (error) {
    if (!(error instanceof EsperError)) throw error;
    return error.message;
  }
};

/** The same of a finished job. */
export const trialsOfJob = ({ checks, curve, damagedSites, trials }: JobResult, checked: number): GainPoint[] =>
  trials.flatMap(({ site, epoch, gain, judged, outcome }): GainPoint[] => {
    const gaps = checks
      .filter((check) => check.epoch < epoch)
      .slice(-checked)
      .flatMap(({ gaps: known }) => known[site] ?? []);
    const validationLoss = curve.findLast((point) => point.epoch < epoch)?.loss;
    if (!damagedSites.includes(site) || gain === undefined || gaps.length === 0 || validationLoss === undefined) return [];
    return [{ gap: Math.min(...gaps), validationLoss, gain: gain.mean, judged, kept: outcome === "FOSSILIZED" }];
  });

export interface CalibrationOptions {
  readonly hosts: number;
  readonly effort: Effort;
  /** A gap below this counts as this. */
  readonly gapFloor: number;
  readonly onHost: (line: string) => void;
}

export const calibrate = async ({ hosts, effort, gapFloor, onHost }: CalibrationOptions): Promise<CalibrationFit> => {
  const engine = await createEngine("native", { threads: 1 });
  const reference = await createEngine("wasm", { threads: 1 });
  const sets = new Map<string, DatasetBuffers>();
  const layers: LayerPoint[] = [];
  const trials: GainPoint[] = [];
  const cells = [...damagedHosts(hosts, effort, firstSeed), ...wholeHosts(Math.ceil(hosts / 2), effort, firstSeed)];
  for (const [index, cell] of cells.entries()) {
    const key = JSON.stringify(cell.config.dataset);
    const dataset =
      sets.get(key) ?? (await loadDataset(cell.config.dataset, { files: nodeFileSystem, folder: ".esper/datasets" })).buffers;
    sets.set(key, dataset);
    const outcome = await runCell(cell, dataset, engine, reference);
    if (typeof outcome === "string") {
      onHost(`${index + 1}/${cells.length} ${cell.host} ${cell.damage}: ${outcome}`);
      continue;
    }
    const [seen, tried] = [namedOf(cell, outcome), trialsOf(cell, outcome)];
    layers.push(...seen);
    trials.push(...tried);
    const told = [...seen.map(({ severity, damaged }) => `${damaged ? "damaged" : "sound"} ${severity.toFixed(2)}`)].join(", ");
    onHost(
      `${index + 1}/${cells.length} ${cell.host} ${cell.damage} ${cell.dataset}: ${told || "no severity"}; gains ${tried.map(({ gap, gain, kept }) => `${gain.toFixed(3)} of gap ${gap.toFixed(3)} ${kept ? "kept" : "culled"}`).join(", ") || "none"}`,
    );
  }
  await Promise.all([engine.dispose(), reference.dispose()]);
  return { hosts: cells.length, layers, trials, confidence: fitConfidence(layers), forecast: fitForecast(trials, gapFloor) };
};

export const calibrationTable = ({ hosts, layers, trials, confidence, forecast }: CalibrationFit): string =>
  table(
    ["constant", "value"],
    [
      ["hosts / layers / trials", `${hosts} / ${layers.length} / ${trials.length}`],
      ...Object.entries({ ...confidence, ...forecast }).map(([name, value]) => [name, value.toFixed(3)]),
    ],
  );

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string", default: "40" },
      results: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  if (values.results.length > 0) {
    const { trigger } = MorphogeneticConfig.parse({});
    const jobs = values.results.flatMap((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JobResult.parse(JSON.parse(line))),
    );
    // Controls and whole hosts have no trial at a damaged layer.
    const trials = jobs.flatMap((job) => trialsOfJob(job, trigger.checks));
    const forecast = fitForecast(trials, calibration.forecast.gapFloor);
    print(
      { trials, forecast },
      table(
        ["constant", "value"],
        [["trials", `${trials.length}`], ...Object.entries(forecast).map(([name, value]) => [name, value.toFixed(3)])],
      ),
    );
    process.exit(0);
  }
  const fit = await calibrate({
    hosts: Number(values.hosts),
    effort: values.quick ? quickEffort : fullEffort,
    gapFloor: calibration.forecast.gapFloor,
    onHost: (line) => console.error(line),
  });
  print(fit, calibrationTable(fit));
}
