/**
 * What each judge of a contest measures: grown against twin on the same validation samples, as a paired interval held against a bound.
 * Plain arrays in, judgements out; how they are weighed is the jury's business.
 */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { Judgement, JudgeName, PairedGain } from "../contracts/measure.ts";
import { isNonInferior, type StepFlopsChange } from "../contracts/pruning.ts";
import { pairedGain } from "./paired.ts";

/**
 * Brier score of each sample (Brier, 1950): Σ_k (p_k − y_k)², averaged over its rows; 0 is best and 2 is worst.
 * @param logits [samples · rows, classes]. @param targets The class of each row.
 */
export const brierScores = (
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  { samples, rows, classes }: { readonly samples: number; readonly rows: number; readonly classes: number },
): Float64Array => {
  const scores = new Float64Array(samples);
  const odds = new Float64Array(classes);
  for (let row = 0; row < samples * rows; row++) {
    const start = row * classes;
    let largest = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < classes; k++) largest = Math.max(largest, logits[start + k]!);
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += odds[k] = Math.exp(logits[start + k]! - largest);
    let score = 0;
    for (let k = 0; k < classes; k++) score += (odds[k]! / sum - (k === targets[row] ? 1 : 0)) ** 2;
    scores[Math.floor(row / rows)]! += score / rows;
  }
  return scores;
};

/** One side of the contest, sample by sample. */
export interface ContestSide {
  readonly correct: ArrayLike<number>;
  /** Absent for a regression. */
  readonly brier?: ArrayLike<number>;
}

export interface ContestEvidence {
  /** Twin's loss − grown loss. */
  readonly gain: PairedGain;
  readonly twin: ContestSide;
  readonly grown: ContestSide;
  /** (FLOPs of a grown step − of a host step) / of a host step. */
  readonly extraFlops: number;
}

type Interval = NonNullable<Judgement["measured"]>;

const voteOf = ({ lower, upper }: Interval, bound: number): Judgement["vote"] =>
  lower > bound ? "keep" : upper < bound ? "cull" : "abstain";

const judgement = (judge: JudgeName, bound: number, gain: Interval | undefined): Judgement => {
  if (gain === undefined) return { judge, vote: "abstain", bound };
  const { mean, lower, upper, confidence } = gain;
  const measured = { mean, lower, upper, confidence };
  return { judge, bound, measured, vote: voteOf(measured, bound) };
};

const scaled = ({ mean, lower, upper, confidence }: Interval, factor: number): Interval | undefined =>
  Number.isFinite(factor) ? { mean: mean * factor, lower: lower * factor, upper: upper * factor, confidence } : undefined;

/**
 * Loss: the gain against `gainMin` of the twin's loss; what is not surely above it is a cull. Accuracy and calibration: paired differences
 * against 0. Cost: the gain as a fraction of the twin's loss against `costGainMin` for each doubling of a step's FLOPs.
 */
export const judgeContest = (
  { gain, twin, grown, extraFlops }: ContestEvidence,
  { fineTuning, jury }: Pick<MorphogeneticConfig, "fineTuning" | "jury">,
): Judgement[] => {
  const { confidence } = gain;
  const loss = judgement("loss", fineTuning.gainMin * gain.lossWithout, gain);
  const accuracy = twin.brier === undefined ? undefined : pairedGain(grown.correct, twin.correct, confidence);
  const calibration =
    twin.brier === undefined || grown.brier === undefined ? undefined : pairedGain(twin.brier, grown.brier, confidence);
  return [
    { ...loss, vote: loss.vote === "keep" ? "keep" : "cull" },
    judgement("accuracy", 0, accuracy),
    judgement("calibration", 0, calibration),
    judgement("cost", jury.costGainMin * extraFlops, scaled(gain, 1 / gain.lossWithout)),
  ];
};

/** The evidence of a contest between a pruned copy and its twin. */
export interface PruningEvidence extends Omit<ContestEvidence, "extraFlops"> {
  readonly stepFlops: StepFlopsChange;
}

/**
 * Loss: a keep when the pruned copy is not inferior by more than `lossMax`, else a cull. Cost: the share of a step's FLOPs that is saved,
 * which is exact. Accuracy and calibration as for growth.
 */
export const judgePruning = (
  { gain, twin, grown, stepFlops }: PruningEvidence,
  config: Pick<MorphogeneticConfig, "fineTuning" | "jury" | "pruning">,
): Judgement[] => {
  const { lossMax } = config.pruning;
  const { before, after } = stepFlops;
  const saved = (before - after) / before;
  return judgeContest({ gain, twin, grown, extraFlops: -saved }, config).map((each): Judgement => {
    switch (each.judge) {
      case "loss": {
        const vote = isNonInferior(gain, lossMax, stepFlops).holds ? "keep" : "cull";
        return { ...each, bound: -lossMax * gain.lossWithout, vote };
      }
      case "cost":
        return judgement("cost", 0, { mean: saved, lower: saved, upper: saved, confidence: gain.confidence });
      default:
        return each;
    }
  });
};
