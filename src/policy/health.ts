/** Health of a site over time: its last value and where it is going. */

export interface HealthPoint {
  readonly epoch: number;
  readonly health: number | undefined;
}

export interface HealthTrend {
  readonly samples: number;
  readonly last: number;
  /** Least-squares slope: health per window. */
  readonly slope: number;
}

/** Trend over the points that were measured; undefined with fewer than two of them, or when all are of one window. */
export const healthTrend = (points: readonly HealthPoint[]): HealthTrend | undefined => {
  const measured = points.flatMap((point) => (point.health === undefined ? [] : [{ x: point.epoch, y: point.health }]));
  const last = measured.at(-1);
  if (last === undefined || measured.length < 2) return undefined;
  const meanX = measured.reduce((sum, { x }) => sum + x, 0) / measured.length;
  const meanY = measured.reduce((sum, { y }) => sum + y, 0) / measured.length;
  const variance = measured.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  if (variance === 0) return undefined;
  const covariance = measured.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0);
  return { samples: measured.length, last: last.y, slope: covariance / variance };
};
