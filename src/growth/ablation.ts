/** Whether committed structure earns its cost: the loss with it against the loss without it, paired over the same validation samples. */
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
