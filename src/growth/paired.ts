/** What a change is worth, paired over the same validation samples: the variance between samples cancels. */
import { ContractError } from "../contracts/errors.ts";
import type { PairedGain } from "../contracts/measure.ts";
import { mean, normalQuantile, standardDeviation } from "./statistics.ts";

/**
 * Mean fall of the loss with one-sided bounds: mean ± z·sd/√n.
 * @param without Loss of each sample in nats, without the change. @param withChange The same samples with it.
 * @param confidence One-sided, 0 to 1.
 * @returns undefined where a loss is not finite or there are fewer than two samples.
 */
export const pairedGain = (
  without: ArrayLike<number>,
  withChange: ArrayLike<number>,
  confidence: number,
): PairedGain | undefined => {
  if (without.length !== withChange.length) {
    throw new ContractError(
      `expected losses of the same samples, found ${without.length} without and ${withChange.length} with the change`,
    );
  }
  const samples = without.length;
  if (samples < 2) return undefined;
  const differences = new Float64Array(samples);
  for (let index = 0; index < samples; index++) differences[index] = without[index]! - withChange[index]!;
  const gain = mean(differences);
  if (!Number.isFinite(gain)) return undefined;
  const margin = (normalQuantile(confidence) * standardDeviation(differences)) / Math.sqrt(samples);
  return {
    mean: gain,
    lower: gain - margin,
    upper: gain + margin,
    confidence,
    samples,
    lossWithout: mean(without),
    lossWith: mean(withChange),
  };
};
