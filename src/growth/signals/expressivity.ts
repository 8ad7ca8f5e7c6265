/**
 * TINY's expressivity bottleneck of one layer (Verbockhaven et al., 2024): of the gradient at its pre-activation, the share that new ReLU
 * units on the layer's own input would reach and no linear update of its weights does.
 */
import type { DenseMatrix } from "../linear-algebra.ts";
import { explainedFraction } from "../ridge.ts";
import type { LayerMeasure } from "./measure.ts";

const part = ({ rows, data }: DenseMatrix, height: number, from: number, width: number): DenseMatrix => ({
  rows: height,
  columns: width,
  data: Float64Array.from({ length: height * width }, (_, index) => {
    const [row, column] = [Math.floor(index / width), index % width];
    return data[row * rows + from + column]!;
  }),
});

export const expressivity: LayerMeasure<"expressivity"> = ({ expressivity: { moments, linear, features } }, { ridge }) => {
  const all = linear + features;
  const targets = moments.rows - all;
  let power = 0;
  for (let index = all; index < moments.rows; index++) power += moments.data[index * moments.rows + index]!;
  const reached = (count: number): number | undefined =>
    explainedFraction({ gram: part(moments, count, 0, count), cross: part(moments, count, all, targets), power }, ridge);
  const [byWeights, byUnits] = [reached(linear), reached(all)];
  if (byWeights === undefined || byUnits === undefined) return undefined;
  return { expressivity: Math.min(1, Math.max(0, byUnits - byWeights)) };
};
