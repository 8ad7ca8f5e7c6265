/**
 * Where a bypass should end: the energy of TINY (Verbockhaven et al., 2024) for new units that read a_p and add to z_q.
 *
 * With B₁ = a_{q−1} (what layer q reads already), B₂ = random features of a_p and D = dL/dz_q, the best linear update of layer q
 * itself is δW = S₁⁻¹B₁ᵀD. What it cannot reach is N = B₂ᵀ(D − B₁δW), and the energy is ‖S₂^(−½)N‖² = tr(NᵀS₂⁻¹N): the mean
 * squared gradient that the features reach beyond it. It is absolute, so that spans of one host compare.
 */
import type { DenseMatrix } from "./linear-algebra.ts";
import { dot, meanDiagonal, multiplyTransposed, solveRidge, subtract } from "./linear-algebra.ts";

/** Second moments over N samples, all centred. */
export interface SpanMoments {
  /** B₁ᵀB₁ / N, [d, d]. */
  readonly present: DenseMatrix;
  /** B₂ᵀB₂ / N, [k, k]. */
  readonly candidate: DenseMatrix;
  /** B₁ᵀB₂ / N, [d, k]. */
  readonly overlap: DenseMatrix;
  /** B₁ᵀD / N, [d, m]. */
  readonly presentGradient: DenseMatrix;
  /** B₂ᵀD / N, [k, m]. */
  readonly candidateGradient: DenseMatrix;
}

/** @returns undefined where the moments are not finite. */
export const spanEnergy = (moments: SpanMoments, ridge: number): number | undefined => {
  const { present, candidate, overlap, presentGradient, candidateGradient } = moments;
  const candidatePenalty = ridge * meanDiagonal(candidate);
  if (candidatePenalty === 0) return 0;
  const presentPenalty = ridge * meanDiagonal(present);
  let unreached = candidateGradient;
  if (presentPenalty !== 0) {
    const update = solveRidge(present, presentGradient, presentPenalty);
    if (update === undefined) return undefined;
    unreached = subtract(candidateGradient, multiplyTransposed(overlap, update));
  }
  const solved = solveRidge(candidate, unreached, candidatePenalty);
  return solved === undefined ? undefined : dot(solved, unreached);
};
