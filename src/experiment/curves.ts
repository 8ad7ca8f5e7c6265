/** Accuracy on the way, by FLOPs and by size. Pure. The validation curve is monitoring: no decision was made on it, and it is not charged. */
import type { ExperimentArm, JobResult } from "../contracts/experiment.ts";
import { experimentArms } from "../contracts/experiment.ts";
import { byKey, type Cell } from "./cells.ts";
import { type MeanInterval, meanInterval } from "./intervals.ts";

export interface CurvePoint extends MeanInterval {
  /** FLOPs over the budget, 0 to 1. */
  readonly share: number;
}

export interface ArmCurve {
  readonly arm: ExperimentArm;
  readonly points: readonly CurvePoint[];
}

const gridPoints = 40;

/** The last accuracy measured within a share of the budget; undefined before the first. */
const accuracyAt = ({ curve, flopsMax }: JobResult, share: number): number | undefined =>
  curve.findLast(({ flops }) => flops <= share * flopsMax * (1 + 1e-9))?.accuracy;

const runsOf = (cells: readonly Cell[], arm: ExperimentArm): readonly JobResult[] =>
  byKey(
    cells.flatMap(({ arms }) => arms[arm] ?? []),
    ({ key }) => key,
  );

/** Mean validation accuracy of each arm over the shares of the budget at which every one of its runs was measured. */
export const curvesOf = (cells: readonly Cell[], confidence: number): readonly ArmCurve[] =>
  experimentArms.flatMap((arm) => {
    const runs = runsOf(cells, arm);
    const points = Array.from({ length: gridPoints }, (_, index) => (index + 1) / gridPoints).flatMap((share) => {
      const values = runs.flatMap((run) => accuracyAt(run, share) ?? []);
      const interval = values.length < runs.length ? undefined : meanInterval(values, confidence);
      return interval === undefined ? [] : [{ share, ...interval }];
    });
    return points.length === 0 ? [] : [{ arm, points }];
  });

export interface ParetoPoint {
  readonly arm: ExperimentArm;
  readonly accuracy: number;
  /** What it costs: parameters at the end, or a share of the budget. */
  readonly cost: number;
  /** No other point is at least as accurate and cheaper. */
  readonly best: boolean;
}

type Candidate = Omit<ParetoPoint, "best">;

/** Marks the points that no other one beats on both sides. */
export const paretoFront = (points: readonly Candidate[]): readonly ParetoPoint[] =>
  points.map((point) => ({
    ...point,
    best: !points.some(
      ({ cost, accuracy }) =>
        cost <= point.cost && accuracy >= point.accuracy && (cost < point.cost || accuracy > point.accuracy),
    ),
  }));

export const paretoBySize = (cells: readonly Cell[]): readonly ParetoPoint[] =>
  paretoFront(
    experimentArms.flatMap((arm) =>
      runsOf(cells, arm).flatMap(({ parameters, test }) =>
        test === undefined ? [] : [{ arm, accuracy: test.accuracy, cost: parameters[1] }],
      ),
    ),
  );

/** The arms at hard budgets: mean accuracy once so much of the FLOPs is spent. */
export const paretoByFlops = (curves: readonly ArmCurve[]): readonly ParetoPoint[] =>
  paretoFront(curves.flatMap(({ arm, points }) => points.map(({ share, mean }) => ({ arm, accuracy: mean, cost: share }))));
