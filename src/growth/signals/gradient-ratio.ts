/**
 * How fast a layer's weights would move against their own size, as a multiple of the host's median layer. A layer far below the others
 * hardly learns.
 */
import type { LayerReading } from "./measure.ts";

const ratioOf = ({ gradientSquares, weightSquares }: LayerReading): number =>
  weightSquares > 0 ? Math.sqrt(gradientSquares / weightSquares) : Number.NaN;

const median = (sorted: readonly number[]): number => {
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
};

/** One for each layer; undefined where there are fewer than two layers, a ratio is no number, or half of the layers get no gradient at all. */
export const gradientRatios = (readings: readonly LayerReading[]): (number | undefined)[] => {
  const ratios = readings.map(ratioOf);
  const known = ratios.filter(Number.isFinite).toSorted((a, b) => a - b);
  const centre = known.length < 2 ? 0 : median(known);
  return ratios.map((ratio) => (Number.isFinite(ratio) && centre > 0 ? ratio / centre : undefined));
};
