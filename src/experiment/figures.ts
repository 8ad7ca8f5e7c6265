/**
 * What a set of cells shows: means, shares and their intervals. Pure.
 *
 * F1 A measurement that is missing leaves its cell out of that figure, and the figure's n says so; it never counts as a success.
 * F2 A damaged host that no seed germinated in, or whose run failed, counts as not found.
 * F3 A trigger that was refused is a trigger. A trial that could not be judged is no proof that the verdict holds against useless seeds.
 * F4 Intervals that resample draw runs, not the trials within them.
 */
import type { ExperimentArm, JobResult, TrialRecord } from "../contracts/experiment.ts";
import { experimentArms } from "../contracts/experiment.ts";
import { createRandom } from "../graph/random.ts";
import { accuracyOf, byKey, type Cell, coversDamage, healthyOf, isKept, isTriggered, watchedOf } from "./cells.ts";
import {
  bootstrap,
  clopperPearson,
  type Estimate,
  type MeanInterval,
  meanInterval,
  median,
  type Proportion,
  spearman,
} from "./intervals.ts";

export interface AnalysisOptions {
  /** The damage must cost this part of the test accuracy for a recovered share to be taken. */
  readonly hurtsMin: number;
  /** Two-sided. */
  readonly confidence: number;
  readonly bootstrapDraws: number;
}

export interface ArmFigures {
  readonly arm: ExperimentArm;
  readonly accuracy: MeanInterval;
  readonly parameters: number;
  /** Part of the charged FLOPs that went into signals, kernels, trials and gates. */
  readonly growthShare: number;
  /** Charged FLOPs over those of the budget. */
  readonly budgetShare: number;
  readonly hostSteps: number;
  readonly seconds: number;
}

export interface RecoveredFigures {
  /** (grown − no growth) / (healthy − no growth) of each host. */
  readonly each: MeanInterval | undefined;
  /** The same of the sums. */
  readonly pooled: Estimate | undefined;
  readonly hosts: number;
  /** Hosts that their damage cost less than `hurtsMin`. */
  readonly leftOut: number;
}

export interface ForecastPair {
  readonly label: string;
  readonly forecast: number;
  readonly lower: number;
  readonly upper: number;
  readonly measured: number;
}

export interface SizeFigures {
  readonly arm: "grown" | "no-growth";
  /** Accuracy of the arm − accuracy of its final size from scratch, on test samples. */
  readonly difference: MeanInterval | undefined;
  /** Hosts that reached the validation accuracy that the final size ended with. */
  readonly reached: Proportion;
  /** FLOPs it took them, over the budget: the median of those that reached it. */
  readonly flopsShare: number | undefined;
  /** The same of the final size itself: a curve that wavers passes its last value before its end. */
  readonly flopsShareOfFinalSize: number | undefined;
}

export interface Figures {
  readonly cells: number;
  readonly arms: readonly ArmFigures[];
  readonly recovered: RecoveredFigures;
  /** First trial at the damage, over all damaged hosts; and only those that the damage hurts. */
  readonly found: Proportion;
  readonly foundWhereItHurts: Proportion;
  /** First trial began exactly at a damaged layer. */
  readonly foundExactly: Proportion;
  /** First trial of a random place at the damage, by the same rule as `found`: what chance finds, since a long bypass passes much. */
  readonly foundAtRandom: Proportion;
  readonly falseTriggers: Proportion;
  readonly falseKept: Proportion;
  /** Trials at the damage; one that ended without a verdict was not kept. */
  readonly keptAtDamage: Proportion;
  /** Trials at random places that do not pass the damage. */
  readonly keptAtRandomPlace: Proportion;
  readonly keptOnHealthy: Proportion;
  /** healthy − watched, as a part of 1. */
  readonly price: MeanInterval | undefined;
  readonly forecast: {
    readonly rank: Estimate | undefined;
    readonly coverage: Proportion;
    readonly pairs: readonly ForecastPair[];
  };
  /** Best of the places tried − grown. */
  readonly regret: MeanInterval | undefined;
  /** The same for the random place. */
  readonly regretAtRandom: MeanInterval | undefined;
  readonly size: readonly SizeFigures[];
}

const defined = <T>(values: readonly (T | undefined)[]): T[] => values.filter((value) => value !== undefined);
const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const armFigures = (arm: ExperimentArm, cells: readonly Cell[], { confidence }: AnalysisOptions): ArmFigures | undefined => {
  const results = byKey(defined(cells.map(({ arms }) => arms[arm])), ({ key, test }) => (test === undefined ? undefined : key));
  const accuracy = meanInterval(defined(results.map(accuracyOf)), confidence);
  if (accuracy === undefined) return undefined;
  const growth = ({ flops }: JobResult): number => (flops.total - flops.host) / Math.max(1, flops.total);
  return {
    arm,
    accuracy,
    parameters: average(results.map(({ parameters }) => parameters[1])),
    growthShare: average(results.map(growth)),
    budgetShare: average(results.map(({ flops, flopsMax }) => flops.total / flopsMax)),
    hostSteps: average(results.map(({ hostSteps }) => hostSteps)),
    seconds: average(results.map(({ seconds }) => seconds)),
  };
};

interface Triple {
  readonly noGrowth: number;
  readonly grown: number;
  readonly healthy: number;
}

const tripleOf = ({ arms, damaged }: Cell): Triple | undefined => {
  const [noGrowth, grown, healthy] = [arms["no-growth"], arms.grown, arms.healthy].map(accuracyOf);
  if (!damaged || noGrowth === undefined || grown === undefined || healthy === undefined) return undefined;
  return { noGrowth, grown, healthy };
};

const hurts = ({ noGrowth, healthy }: Pick<Triple, "noGrowth" | "healthy">, { hurtsMin }: AnalysisOptions): boolean =>
  healthy - noGrowth >= hurtsMin && healthy > noGrowth;

const isHurt = ({ arms }: Cell, options: AnalysisOptions): boolean => {
  const [noGrowth, healthy] = [arms["no-growth"], arms.healthy].map(accuracyOf);
  return noGrowth !== undefined && healthy !== undefined && hurts({ noGrowth, healthy }, options);
};

const recoveredFigures = (cells: readonly Cell[], options: AnalysisOptions): RecoveredFigures => {
  const measured = defined(cells.map(tripleOf));
  const hurt = measured.filter((triple) => hurts(triple, options));
  const pooled = (triples: readonly Triple[]): number | undefined => {
    const lost = triples.reduce((sum, { healthy, noGrowth }) => sum + healthy - noGrowth, 0);
    return lost > 0 ? triples.reduce((sum, { grown, noGrowth }) => sum + grown - noGrowth, 0) / lost : undefined;
  };
  const { confidence, bootstrapDraws: draws } = options;
  return {
    each: meanInterval(
      hurt.map(({ noGrowth, grown, healthy }) => (grown - noGrowth) / (healthy - noGrowth)),
      confidence,
    ),
    pooled: bootstrap(hurt, pooled, { draws, confidence, random: createRandom(1).fork("recovered") }),
    hosts: hurt.length,
    leftOut: measured.length - hurt.length,
  };
};

/** Trials that came to an end; one that the end of the run cut off says nothing of its place. */
const ended = ({ trials }: JobResult): readonly TrialRecord[] =>
  trials.filter(({ outcome, endReason }) => outcome !== undefined && !endReason?.includes("FLOPs are used up"));

/** Trials that a gate decided on a measurement; a kernel that never came into trial is no verdict on its place. */
const judged = (result: JobResult): readonly TrialRecord[] =>
  ended(result).filter(({ outcome, endReason }) => outcome !== "DORMANT" && !endReason?.includes("was not measured")); // F3

const keptShare = (trials: readonly TrialRecord[], confidence: number): Proportion =>
  clopperPearson(trials.filter(isKept).length, trials.length, confidence);

const shareOf = <T>(items: readonly T[], holds: (item: T) => boolean, confidence: number): Proportion =>
  clopperPearson(items.filter(holds).length, items.length, confidence);

const forecastPairs = (cells: readonly Cell[]): readonly ForecastPair[] =>
  byKey(defined(cells.flatMap((cell) => [cell.arms.grown, watchedOf(cell)])), ({ key }) => key).flatMap(({ label, trials }) =>
    trials.flatMap(({ forecast, judged, gain }) =>
      forecast === undefined || !judged || gain === undefined
        ? []
        : [
            {
              label,
              forecast: forecast.lossGain,
              lower: forecast.lossGainLower,
              upper: forecast.lossGainUpper,
              measured: gain.mean,
            },
          ],
    ),
  );

/** Best accuracy of the places that were tried − accuracy of one of them. */
export const regretOf = ({ arms }: Cell, arm: "grown" | "random-place"): number | undefined => {
  const own = accuracyOf(arms[arm]);
  const tried = defined([arms.grown, arms["random-place"], arms["always-grow"]].map(accuracyOf));
  return own === undefined || tried.length < 2 ? undefined : Math.max(...tried) - own;
};

/** FLOPs at the first validation that reached `accuracy`. */
export const flopsToReach = ({ curve }: JobResult, accuracy: number): number | undefined =>
  curve.find((point) => point.accuracy >= accuracy)?.flops;

const sizeFigures = (arm: "grown" | "no-growth", cells: readonly Cell[], confidence: number): SizeFigures | undefined => {
  const pairs = cells.flatMap(({ arms }) => {
    const [own, scratch] = [arms[arm], arms["final-size"]];
    const target = scratch?.curve.at(-1)?.accuracy;
    return own === undefined || scratch === undefined || target === undefined ? [] : [{ own, scratch, target }];
  });
  if (pairs.length === 0) return undefined;
  const shareOfBudget = (run: JobResult, accuracy: number): number | undefined => {
    const reached = flopsToReach(run, accuracy);
    return reached === undefined ? undefined : reached / run.flopsMax;
  };
  const flops = pairs.map(({ own, target }) => shareOfBudget(own, target));
  const differences = pairs.map(({ own, scratch }) => {
    const [a, b] = [accuracyOf(own), accuracyOf(scratch)];
    return a === undefined || b === undefined ? undefined : a - b;
  });
  return {
    arm,
    difference: meanInterval(defined(differences), confidence),
    reached: clopperPearson(defined(flops).length, pairs.length, confidence),
    flopsShare: median(defined(flops)),
    flopsShareOfFinalSize: median(defined(pairs.map(({ scratch, target }) => shareOfBudget(scratch, target)))),
  };
};

export const figuresOf = (cells: readonly Cell[], options: AnalysisOptions): Figures => {
  const { confidence, bootstrapDraws: draws } = options;
  const damaged = cells.flatMap((cell) => {
    const { grown } = cell.arms;
    const tried = grown !== undefined || cell.failed.includes("grown");
    return cell.damaged && tried ? [{ grown, hurt: isHurt(cell, options) }] : [];
  });
  const grownRuns = defined(damaged.map(({ grown }) => grown));
  const atDamage = ({ grown }: (typeof damaged)[number]): boolean => {
    const first = grown?.trials[0]; // F2
    return grown !== undefined && first !== undefined && coversDamage(grown, first);
  };
  const exactly = ({ grown }: (typeof damaged)[number]): boolean =>
    grown?.damagedSites.includes(grown.trials[0]?.site ?? "") === true; // F2
  const watched = byKey(cells, (cell) => watchedOf(cell)?.key).flatMap((cell) => watchedOf(cell) ?? []);
  const prices = byKey(cells, (cell) => watchedOf(cell)?.key).map((cell) => {
    const [alone, seen] = [accuracyOf(healthyOf(cell)), accuracyOf(watchedOf(cell))];
    return alone === undefined || seen === undefined ? undefined : alone - seen;
  });
  const random = byKey(cells, ({ arms }) => arms["random-place"]?.key).flatMap(({ arms, damaged: isDamaged }) =>
    arms["random-place"] === undefined ? [] : [{ result: arms["random-place"], isDamaged }],
  );
  const pairs = forecastPairs(cells);
  const runs = [...new Set(pairs.map(({ label }) => label))].map((label) => pairs.filter((pair) => pair.label === label));
  const rank = (drawn: readonly (readonly ForecastPair[])[]): number | undefined =>
    spearman(drawn.flat().map(({ forecast, measured }) => ({ x: forecast, y: measured })));
  return {
    cells: cells.length,
    arms: defined(experimentArms.map((arm) => armFigures(arm, cells, options))),
    recovered: recoveredFigures(cells, options),
    found: shareOf(damaged, atDamage, confidence),
    foundWhereItHurts: shareOf(
      damaged.filter(({ hurt }) => hurt),
      atDamage,
      confidence,
    ),
    foundExactly: shareOf(damaged, exactly, confidence),
    foundAtRandom: shareOf(
      random.filter(({ isDamaged }) => isDamaged),
      ({ result }) => {
        const [first] = result.trials;
        return first !== undefined && coversDamage(result, first);
      },
      confidence,
    ),
    falseTriggers: shareOf(watched, isTriggered, confidence), // F3
    falseKept: shareOf(watched, ({ trials }) => trials.some(isKept), confidence),
    keptAtDamage: keptShare(
      grownRuns.flatMap((grown) => ended(grown).filter((trial) => coversDamage(grown, trial))),
      confidence,
    ),
    keptAtRandomPlace: keptShare(
      random.flatMap(({ result, isDamaged }) =>
        isDamaged ? judged(result).filter((trial) => !coversDamage(result, trial)) : [],
      ),
      confidence,
    ),
    keptOnHealthy: keptShare(
      random.flatMap(({ result, isDamaged }) => (isDamaged ? [] : judged(result))),
      confidence,
    ),
    price: meanInterval(defined(prices), confidence),
    forecast: {
      rank: bootstrap(runs, rank, { draws, confidence, random: createRandom(1).fork("forecast") }), // F4
      coverage: shareOf(pairs, ({ measured, lower, upper }) => measured >= lower && measured <= upper, confidence),
      pairs,
    },
    regret: meanInterval(defined(cells.map((cell) => regretOf(cell, "grown"))), confidence),
    regretAtRandom: meanInterval(defined(cells.map((cell) => regretOf(cell, "random-place"))), confidence),
    size: defined((["grown", "no-growth"] as const).map((arm) => sizeFigures(arm, cells, confidence))),
  };
};
