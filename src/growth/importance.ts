/**
 * Which units of a layer matter, from one sampled batch: the first-order Taylor criterion of Molchanov et al. (2017, 2019).
 *
 * Taking a unit out for good leaves its mean behind (its readers' bias takes it up), so that what counts is the step from the unit's output a to
 * its mean m: to first order the loss of sample s moves by |Σ_places (a − m)·∂L_s/∂a|. The importance is the mean of that over the samples.
 * Where the readers can keep nothing of it, as behind a padded border, m is 0.
 */
import { ContractError } from "../contracts/errors.ts";
import type { UnitMeasurement } from "../contracts/pruning.ts";

export interface ActivationBatch {
  /** [N, units], [N, tokens, units] or [N, channels, height, width]. */
  readonly shape: readonly number[];
  readonly activation: ArrayLike<number>;
  /** Gradient of the mean loss over the N samples, in the same shape. */
  readonly gradient: ArrayLike<number>;
}

interface Layout {
  readonly samples: number;
  readonly units: number;
  readonly places: number;
  indexOf(sample: number, place: number, unit: number): number;
}

const layoutOf = ({ shape, activation, gradient }: ActivationBatch): Layout => {
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (shape.length < 2 || shape.length > 4 || activation.length !== size || gradient.length !== size) {
    throw new ContractError(
      `expected activations and gradients of a shape [N, units], [N, tokens, units] or [N, channels, height, width], found [${shape.join(", ")}] with ${activation.length} and ${gradient.length} values; read both from one probe`,
    );
  }
  const samples = shape[0]!;
  if (shape.length === 4) {
    const [units, places] = [shape[1]!, shape[2]! * shape[3]!];
    return { samples, units, places, indexOf: (sample, place, unit) => (sample * units + unit) * places + place };
  }
  const units = shape.at(-1)!;
  const places = size / (samples * units);
  return { samples, units, places, indexOf: (sample, place, unit) => (sample * places + place) * units + unit };
};

/** What the readers of a unit can keep of it. */
export type Keepable = "mean" | "zero";

const measureUnit = (batch: ActivationBatch, layout: Layout, unit: number, keepable: Keepable): UnitMeasurement => {
  const { samples, places, indexOf } = layout;
  let [sum, low, high] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let sample = 0; sample < samples; sample++) {
    for (let place = 0; place < places; place++) {
      const value = batch.activation[indexOf(sample, place, unit)]!;
      sum += value;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  // A constant is itself: the mean of many copies would be rounded.
  const mean = keepable === "zero" ? 0 : high === low ? low : sum / (samples * places);
  let importance = 0;
  for (let sample = 0; sample < samples; sample++) {
    let change = 0;
    for (let place = 0; place < places; place++) {
      const at = indexOf(sample, place, unit);
      change += (batch.activation[at]! - mean) * batch.gradient[at]!;
    }
    // The gradient is that of a mean: times N it is the sample's own, and the mean over N samples takes the N away again.
    importance += Math.abs(change);
  }
  const isMeasured = Number.isFinite(importance) && Number.isFinite(sum);
  return isMeasured ? { unit, importance, mean, spread: high - low } : { unit };
};

/** Every unit of a layer. A unit with a value or gradient that is not finite has no measurement. */
export const measureUnits = (batch: ActivationBatch, keepable: Keepable = "mean"): UnitMeasurement[] => {
  const layout = layoutOf(batch);
  return Array.from({ length: layout.units }, (_, unit) => measureUnit(batch, layout, unit, keepable));
};
