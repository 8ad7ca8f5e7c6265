/**
 * The optimal start of a bypass's units: TINY (Verbockhaven et al., 2024), in moments over a sample.
 *
 * With B₁ what the last layer reads already, B₂ what the bypass reads and dA = −dL/dz, the best linear update of the layer itself is
 * δW = S₁⁻¹B₁ᵀdA. What it cannot reach is N = B₂ᵀ(dA − B₁δW). With the singular values of S₂^(−½)N = U·Σ·Vᵀ, unit k reads by
 * √σₖ·S₂^(−½)uₖ and writes by √σₖ·vₖ: together the units move z by the steepest change that B₂ can add, and each k is the best of its rank.
 *
 * No inverse root is computed: S₂^(−½)uₖ = S₂⁻¹N·vₖ / σₖ, and σₖ², vₖ belong to the symmetric NᵀS₂⁻¹N.
 */
import type { DenseMatrix } from "./linear-algebra.ts";
import { meanDiagonal, multiplyTransposed, solveRidge, subtract, symmetricEigen } from "./linear-algebra.ts";

/** Second moments, each a mean over the rows. The last column of B₁ and of B₂ is 1, so that their last rows hold the means. */
export interface TinyMoments {
  /** B₂ᵀB₂, [d + 1, d + 1]. */
  readonly read: DenseMatrix;
  /** B₁ᵀB₁, [p + 1, p + 1]. */
  readonly present: DenseMatrix;
  /** B₁ᵀB₂, [p + 1, d + 1]. */
  readonly overlap: DenseMatrix;
  /** B₁ᵀD with D = dL/dz of the summed loss, [p + 1, m]. */
  readonly presentGradient: DenseMatrix;
  /** B₂ᵀD, [d + 1, m]. */
  readonly readGradient: DenseMatrix;
}

export interface TinyUnit {
  /** √σ·S₂^(−½)u, d weights of what the unit reads. */
  readonly fanIn: Float64Array;
  /** What it takes so that the unit is zero on average; 0 for units without a bias. */
  readonly bias: number;
  /** √σ·v, m weights of what it writes. */
  readonly fanOut: Float64Array;
  readonly sigma: number;
}

export interface TinyOptions {
  /** Units at most. */
  readonly count: number;
  /** The units have a bias: what they read is centred. */
  readonly centred: boolean;
  /** Penalty as a fraction of the mean diagonal. */
  readonly ridge: number;
}

/** Directions weaker than this part of the strongest are noise of the arithmetic. */
const relativeSigmaMin = 1e-4;

/** aᵀb / N of the centred values: the corner of the moments less the product of the means. */
const covariance = (moments: DenseMatrix, left: (row: number) => number, right: (column: number) => number): DenseMatrix => {
  const { rows, columns, data } = moments;
  const made = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      made[row * columns + column] = data[row * columns + column]! - left(row) * right(column);
  }
  return { rows, columns, data: made };
};

/** The first rows and columns. */
const corner = ({ columns, data }: DenseMatrix, rows: number, width: number): DenseMatrix => ({
  rows,
  columns: width,
  data: Float64Array.from({ length: rows * width }, (_, i) => data[Math.floor(i / width) * columns + (i % width)]!),
});

const negated = ({ rows, columns, data }: DenseMatrix): DenseMatrix => ({
  rows,
  columns,
  data: Float64Array.from(data, (value) => -value),
});

/** The best units, strongest first; empty where nothing is left to reach. Undefined where the moments are not finite. */
export const tinyUnits = (moments: TinyMoments, { count, centred, ridge }: TinyOptions): readonly TinyUnit[] | undefined => {
  const { read, present, overlap, presentGradient, readGradient } = moments;
  const [d, p, m] = [read.rows - 1, present.rows - 1, readGradient.columns];
  const meanRead = (i: number): number => read.data[d * (d + 1) + i]!;
  const meanPresent = (i: number): number => present.data[p * (p + 1) + i]!;
  const meanGradient = (j: number): number => readGradient.data[d * m + j]!;
  const s1 = covariance(corner(present, p, p), meanPresent, meanPresent);
  const s12 = covariance(corner(overlap, p, d), meanPresent, meanRead);
  const toPresent = negated(covariance(corner(presentGradient, p, m), meanPresent, meanGradient));
  const toRead = negated(covariance(corner(readGradient, d, m), meanRead, meanGradient));
  const penalty = ridge * meanDiagonal(s1);
  const update = penalty > 0 ? solveRidge(s1, toPresent, penalty) : undefined;
  if (penalty > 0 && update === undefined) return undefined;
  const unreached = update === undefined ? toRead : subtract(toRead, multiplyTransposed(s12, update));
  const centredRead = covariance(corner(read, d, d), meanRead, meanRead);
  const s2 = centred ? centredRead : corner(read, d, d);
  const readPenalty = ridge * meanDiagonal(s2);
  if (readPenalty === 0) return [];
  const steepest = solveRidge(s2, unreached, readPenalty);
  if (steepest === undefined) return undefined;
  const eigen = symmetricEigen(multiplyTransposed(unreached, steepest));
  if (eigen === undefined) return undefined;
  const { values, vectors } = eigen;
  const strongest = Math.sqrt(Math.max(0, values[0] ?? 0));
  if (!(strongest > 0)) return [];
  return values.slice(0, count).flatMap((value, k) => {
    const sigma = Math.sqrt(Math.max(0, value));
    if (sigma < relativeSigmaMin * strongest) return [];
    const fanOut = Float64Array.from({ length: m }, (_, j) => Math.sqrt(sigma) * vectors.data[j * m + k]!);
    const fanIn = new Float64Array(d);
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < m; j++) fanIn[i] = fanIn[i]! + (steepest.data[i * m + j]! * fanOut[j]!) / sigma;
    }
    const bias = centred ? -fanIn.reduce((sum, weight, i) => sum + weight * meanRead(i), 0) : 0;
    return [{ fanIn, bias, fanOut, sigma }];
  });
};
