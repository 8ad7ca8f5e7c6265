/** The policy's constants from points: confidence from severities, the forecast from gains. Pure. */

import type { TriggerConfig } from "../src/contracts/config-signal.ts";
import type { JobResult } from "../src/contracts/experiment.ts";
import { severityOf } from "../src/contracts/signal.ts";
import type { Calibration } from "../src/policy/calibration.ts";
import type { HostChecks } from "./host-checks.ts";
import { deviation, mean } from "./support.ts";

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
export const fitConfidence = (points: readonly LayerPoint[]): Calibration["confidence"] => {
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
export const fitForecast = (points: readonly GainPoint[], gapFloor: number): Calibration["forecast"] => {
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
    gapFloor,
    keepRate: points.filter(({ kept }) => kept).length / Math.max(1, points.length),
  };
};

/** The layer that the checks put highest, with its least severity; none where nothing speaks against any. */
export const worstOf = ({ checks, damagedSites }: HostChecks, trigger: TriggerConfig): LayerPoint[] => {
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
