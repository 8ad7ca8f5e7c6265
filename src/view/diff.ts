/** What is different between two moments of a run. Pure; of a value that was not measured it says so. */
import type { LifecycleState } from "../contracts/lifecycle-table.ts";
import type { Cell, ViewEdge, ViewRun, ViewState } from "../contracts/view.ts";
import { findRun, findSeed } from "./reduce.ts";

export interface NumberDifference {
  readonly name: string;
  readonly before: Cell;
  readonly after: Cell;
}

export interface SeedDifference {
  readonly seedId: string;
  readonly site: string;
  readonly before: LifecycleState;
  readonly after: LifecycleState;
  /** Transitions between the two moments. */
  readonly steps: number;
  readonly alphaBefore: number;
  readonly alphaAfter: number;
}

export interface LayerDifference {
  readonly site: string;
  readonly severityBefore: Cell;
  readonly severityAfter: Cell;
  readonly healthBefore: Cell;
  readonly healthAfter: Cell;
}

export interface RunDifference {
  readonly runId: string;
  readonly epochBefore: number;
  readonly epochAfter: number;
  /** Figures of the header and of the last row; only those that differ. */
  readonly figures: readonly NumberDifference[];
  readonly seeds: readonly SeedDifference[];
  readonly layers: readonly LayerDifference[];
  readonly edgesAdded: readonly ViewEdge[];
  readonly edgesRemoved: readonly ViewEdge[];
  readonly decisions: number;
}

const figures: readonly (readonly [string, (run: ViewRun) => Cell])[] = [
  ["epoch", ({ epoch }) => epoch],
  ["hostStep", ({ hostStep }) => hostStep],
  ["flops", ({ flops }) => flops],
  ["parameters", ({ parameters }) => parameters],
  ["rollbacks", ({ rollbacks }) => rollbacks],
  ["trainLoss", ({ series }) => lastOf(series.trainLoss)],
  ["validationLoss", ({ series }) => lastOf(series.validationLoss)],
  ["validationAccuracy", ({ series }) => lastOf(series.validationAccuracy)],
  ["stepsPerSecond", ({ series }) => lastOf(series.stepsPerSecond)],
  ["testAccuracy", ({ testAccuracy }) => testAccuracy],
];

/** The newest that was measured. */
const lastOf = (column: readonly Cell[]): Cell => column.findLast((cell) => cell !== null) ?? null;

const edgeKey = ({ kind, from, to, seedId }: ViewEdge): string => JSON.stringify([kind, from, to, seedId]);
const missingFrom = (edges: readonly ViewEdge[], others: readonly ViewEdge[]): readonly ViewEdge[] => {
  const known = new Set(others.map(edgeKey));
  return edges.filter((edge) => !known.has(edgeKey(edge)));
};

const seedDifferences = (before: ViewRun, after: ViewRun): readonly SeedDifference[] =>
  after.seeds.flatMap(({ seedId, site, state, sequence, alpha }) => {
    const then = findSeed(before, seedId) ?? { state: "DORMANT" as const, sequence: 0, alpha: 0 };
    if (then.sequence === sequence && then.alpha === alpha) return [];
    return [
      {
        seedId,
        site,
        before: then.state,
        after: state,
        steps: sequence - then.sequence,
        alphaBefore: then.alpha,
        alphaAfter: alpha,
      },
    ];
  });

const layerDifferences = (before: ViewRun, after: ViewRun): readonly LayerDifference[] => {
  const sites = new Set([...Object.keys(before.signals), ...Object.keys(after.signals)]);
  return [...sites].flatMap((site) => {
    const [then, now] = [before.signals[site], after.signals[site]];
    const difference = {
      site,
      severityBefore: then?.severity ?? null,
      severityAfter: now?.severity ?? null,
      healthBefore: then?.health ?? null,
      healthAfter: now?.health ?? null,
    };
    const same = then?.gap === now?.gap && difference.severityBefore === difference.severityAfter;
    return same && difference.healthBefore === difference.healthAfter ? [] : [difference];
  });
};

/** Undefined when one of the moments does not know the run. */
export const diffStates = (before: ViewState, after: ViewState, runId: string | null): RunDifference | undefined => {
  const [then, now] = [findRun(before, runId), findRun(after, runId)];
  if (then === undefined || now === undefined) return undefined;
  return {
    runId: now.runId,
    epochBefore: then.epoch,
    epochAfter: now.epoch,
    figures: figures.flatMap(([name, of]) => {
      const [a, b] = [of(then), of(now)];
      return a === b ? [] : [{ name, before: a, after: b }];
    }),
    seeds: seedDifferences(then, now),
    layers: layerDifferences(then, now),
    edgesAdded: missingFrom(now.edges, then.edges),
    edgesRemoved: missingFrom(then.edges, now.edges),
    decisions: now.decisions.length - then.decisions.length,
  };
};
