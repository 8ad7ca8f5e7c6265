/** How much of a target a linear model of some features explains: ridge regression from second moments alone. */
import type { DenseMatrix } from "./linear-algebra.ts";
import { dot, meanDiagonal, solveRidge } from "./linear-algebra.ts";

/** Second moments over N samples of features φ and targets y, both centred (which is what an intercept does). */
export interface Moments {
  /** φᵀφ / N, [k, k]. */
  readonly gram: DenseMatrix;
  /** φᵀy / N, [k, m]. */
  readonly cross: DenseMatrix;
  /** Σ‖y‖² / N. */
  readonly power: number;
}

/**
 * The fraction of the targets' power that ridge regression on the features explains, in the sample.
 *
 * With B = (G + λI)⁻¹C the residual is y − φB, and since GB = C − λB the explained power is tr(BᵀC) + λ‖B‖².
 * λ is `ridge` times the mean diagonal of G. Features that are all zero explain nothing.
 * @returns undefined where the moments are not finite or the targets have no power.
 */
export const explainedFraction = ({ gram, cross, power }: Moments, ridge: number): number | undefined => {
  if (!Number.isFinite(power) || power <= 0) return undefined;
  const penalty = ridge * meanDiagonal(gram);
  if (penalty === 0) return 0;
  const weights = solveRidge(gram, cross, penalty);
  return weights === undefined ? undefined : (dot(weights, cross) + penalty * dot(weights, weights)) / power;
};
