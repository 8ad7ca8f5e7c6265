/** Units that say the same of every sample: dead ones, and those that stand where their activation has no slope. */
import type { LayerMeasure } from "./measure.ts";

/** A unit is constant when its standard deviation is below this part of the layer's largest. */
const deviationMin = 0.02;
/** Below this variance of its liveliest unit a whole layer is constant. */
const varianceMin = 1e-12;

/** Units that are not constant; undefined where a variance is no number. */
export const aliveUnits = (variances: ArrayLike<number>): number | undefined => {
  let largest = 0;
  for (let unit = 0; unit < variances.length; unit++) {
    if (!Number.isFinite(variances[unit])) return undefined;
    largest = Math.max(largest, variances[unit]!);
  }
  if (largest < varianceMin) return 0;
  let alive = 0;
  for (let unit = 0; unit < variances.length; unit++) if (variances[unit]! > deviationMin ** 2 * largest) alive++;
  return alive;
};

export const constantUnits: LayerMeasure<"constantUnits"> = ({ unitVariances }) => {
  const alive = aliveUnits(unitVariances);
  return alive === undefined ? undefined : { constantUnits: 1 - alive / Math.max(1, unitVariances.length) };
};
