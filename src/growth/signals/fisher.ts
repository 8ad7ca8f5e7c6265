/** How much a sample's loss depends on a layer: the trace of the empirical Fisher information of its pre-activation, per unit. */
import type { LayerMeasure } from "./measure.ts";

export const fisher: LayerMeasure<"fisher"> = ({ preActivationGradientSquares: squares }) =>
  Number.isFinite(squares) && squares >= 0 ? { fisher: squares } : undefined;
