/** Whether committed structure earns its cost: the loss with it against the loss without it, paired over the same validation samples. */
import type { PairedGain } from "../contracts/measure.ts";
import type { BypassMeasurement } from "../contracts/pruning.ts";
import { pairedGain } from "./paired.ts";

export interface AblationInput {
  readonly seedId: string;
  readonly site: string;
  /** Loss of each sample with the bypass as it stands, and with the bypass taken out of the graph. */
  readonly lossesWith: ArrayLike<number>;
  readonly lossesWithout: ArrayLike<number>;
  /** FLOPs of an optimizer step with and without it. */
  readonly stepFlopsWith: number;
  readonly stepFlopsWithout: number;
  /** One-sided, 0 to 1. */
  readonly confidence: number;
}

/** A gain that could not be measured is absent. */
export const ablate = (input: AblationInput): BypassMeasurement => {
  const gain = pairedGain(input.lossesWithout, input.lossesWith, input.confidence);
  return {
    seedId: input.seedId,
    site: input.site,
    ...(gain === undefined ? {} : { gain }),
    stepFlops: Math.max(0, input.stepFlopsWith - input.stepFlopsWithout),
  };
};

export interface NonInferiority {
  readonly holds: boolean;
  /** Upper bound of (pruned − twin) as a fraction of the twin's loss; absent where nothing was measured. */
  readonly lossUpper?: number;
  readonly reason: string;
}

const percent = (value: number): string => `${Number((100 * value).toPrecision(3))} %`;

/**
 * The verdict on a smaller host: it may lose at most `lossMax` of the twin's loss, by the upper bound, and its step must cost less.
 * @param gain Twin's loss − pruned loss, paired; absent where it was not measured, and then the verdict is no.
 */
export const isNonInferior = (
  gain: PairedGain | undefined,
  lossMax: number,
  stepFlops: { readonly before: number; readonly after: number },
): NonInferiority => {
  if (gain === undefined || !Number.isFinite(gain.lower) || !(gain.lossWithout > 0)) {
    return { holds: false, reason: "the loss of the smaller host was not measured" };
  }
  // The gain's lower bound is the loss's upper one.
  const lossUpper = -gain.lower / gain.lossWithout;
  if (!(lossUpper < lossMax)) {
    return {
      holds: false,
      lossUpper,
      reason: `the smaller host may lose ${percent(lossUpper)} of the loss, at most ${percent(lossMax)}`,
    };
  }
  if (!(stepFlops.after < stepFlops.before)) {
    return {
      holds: false,
      lossUpper,
      reason: `a step costs ${stepFlops.after} FLOPs, ${stepFlops.before} before: nothing is saved`,
    };
  }
  const saved = percent(1 - stepFlops.after / stepFlops.before);
  return { holds: true, lossUpper, reason: `at most ${percent(lossUpper)} of the loss for ${saved} fewer FLOPs a step` };
};
