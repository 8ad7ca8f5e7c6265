/**
 * How many independent directions reach a layer and how many it passes on. A layer of low rank shows it in its pre-activation, one of dead
 * units in its activation: the lesser of the two counts. Directions that a folded bypass carries past the layer are added.
 */
import { dimensionsCap } from "../../contracts/signal.ts";
import type { DenseMatrix } from "../linear-algebra.ts";
import { symmetricEigenvalues } from "../linear-algebra.ts";
import { aliveUnits } from "./constant-units.ts";
import type { LayerMeasure } from "./measure.ts";

/** Eigenvalues below this part of the largest are rounding and what units at the edge of constancy leave over. */
const eigenvalueMin = 1e-4;
/** Sketches of constants: a variance that is only rounding. */
const varianceMin = 1e-9;

/** Rank of a covariance up to its size. A random projection of r directions to s ≥ r of them has rank r. */
export const sketchRank = (covariance: DenseMatrix): number | undefined => {
  const values = symmetricEigenvalues(covariance);
  const largest = values?.[0];
  if (values === undefined || largest === undefined) return undefined;
  return largest < varianceMin ? 0 : values.filter((value) => value > eigenvalueMin * largest).length;
};

export const dimensions: LayerMeasure<"dimensionsIn" | "dimensionsOut"> = (reading) => {
  const [before, within] = [sketchRank(reading.inputSketch), sketchRank(reading.preActivationSketch)];
  const past = reading.bypassSketches.map(sketchRank);
  const alive = aliveUnits(reading.unitVariances);
  if (before === undefined || within === undefined || alive === undefined || past.includes(undefined)) return undefined;
  const carried = past.reduce<number>((sum, rank) => sum + (rank ?? 0), 0);
  return {
    dimensionsIn: Math.min(dimensionsCap, before * reading.taps),
    dimensionsOut: Math.min(dimensionsCap, Math.min(within, alive) + carried),
  };
};
