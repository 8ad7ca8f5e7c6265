/**
 * The series of a run: one row a window, at most `seriesRowsMax`.
 *
 * S1 The rows stand in the order of their windows; a row for an earlier window than the last takes the place of all from there on, because the
 *    run went back to a checkpoint.
 * S2 At the bound the stride doubles and only windows that it divides stay; the newest row is always there.
 */
import type { SeriesRow, ViewSeries } from "../contracts/view.ts";

export const seriesColumns = [
  "trainLoss",
  "validationLoss",
  "validationAccuracy",
  "gradNorm",
  "stepsPerSecond",
  "flops",
] as const satisfies readonly (keyof ViewSeries & keyof SeriesRow)[];

export const emptySeries = (): ViewSeries => ({
  epochs: [],
  trainLoss: [],
  validationLoss: [],
  validationAccuracy: [],
  gradNorm: [],
  stepsPerSecond: [],
  flops: [],
  stride: 1,
});

const truncate = (series: ViewSeries, length: number): void => {
  series.epochs.length = length;
  for (const column of seriesColumns) series[column].length = length;
};

/** Keeps the rows whose index passes. */
const keepRows = (series: ViewSeries, keep: (index: number) => boolean): void => {
  let kept = 0;
  for (let row = 0; row < series.epochs.length; row += 1) {
    if (!keep(row)) continue;
    series.epochs[kept] = series.epochs[row]!;
    for (const column of seriesColumns) series[column][kept] = series[column][row] ?? null;
    kept += 1;
  }
  truncate(series, kept);
};

/** Index of the first row whose window is not before the given one. */
const firstRowFrom = (epochs: readonly number[], epoch: number): number => {
  let [low, high] = [0, epochs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (epochs[middle]! < epoch) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** S1, S2 */
export const addRow = (series: ViewSeries, row: SeriesRow, rowsMax: number): void => {
  const { epochs } = series;
  if (epochs.length > 0 && epochs.at(-1)! >= row.epoch) truncate(series, firstRowFrom(epochs, row.epoch));
  // The newest row may be one that the stride does not keep.
  if (epochs.length > 0 && epochs.at(-1)! % series.stride !== 0) truncate(series, epochs.length - 1);
  epochs.push(row.epoch);
  for (const column of seriesColumns) series[column].push(row[column]);
  while (epochs.length > rowsMax) {
    series.stride *= 2;
    const last = epochs.length - 1;
    keepRows(series, (index) => index === last || epochs[index]! % series.stride === 0);
  }
};
