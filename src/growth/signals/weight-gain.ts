/**
 * The size of a layer's weights in units of a He initialisation. Weights that start a hundredfold too large keep their first, random
 * directions, since a step is small against them, and drive the layers behind them out of their range.
 */
import type { LayerMeasure } from "./measure.ts";

export const weightGain: LayerMeasure<"weightGain"> = ({ weightGainSquares: squares }) =>
  Number.isFinite(squares) && squares > 0 ? { weightGain: Math.sqrt(squares) } : undefined;
