/** Over how many directions a layer's output spreads: the participation ratio (Σλ)² / Σλ² of its covariance. 0 for a constant layer. */
import type { LayerMeasure } from "./measure.ts";

export const effectiveRank: LayerMeasure<"effectiveRank"> = ({ covarianceTrace, covarianceSquares }) => {
  if (!Number.isFinite(covarianceTrace) || !Number.isFinite(covarianceSquares)) return undefined;
  return { effectiveRank: covarianceSquares > 0 ? covarianceTrace ** 2 / covarianceSquares : 0 };
};
