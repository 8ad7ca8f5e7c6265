/**
 * Second moments by blocks of samples, and what they tell without the samples: a cross-validated regression with its standard error.
 *
 * In the sample a regression on k features explains k / N of pure noise, and less where activations have lost rank: the in-sample fraction
 * reads lost rank as lost knowledge. Cross-validated over blocks it does not depend on k in that way, and the spread between blocks tells how
 * sure it is. Tokens of one sequence stand in one block.
 */
import type { DenseMatrix } from "../linear-algebra.ts";
import { meanDiagonal, solveRidge } from "../linear-algebra.ts";

/** Blocks that a batch is cut into. */
export const blocksPerBatch = 8;

/** Uncentred sums of [features | 1 | targets] in each block: FᵀF, [p, p] with p = features + 1 + targets. */
export interface BlockMoments {
  readonly features: number;
  readonly targets: number;
  readonly blocks: readonly ArrayLike<number>[];
}

export interface ExplainedPower {
  /** Mean power of the targets that each block's residual has less, when the other blocks fit the regression; per row. */
  readonly explained: readonly number[];
  /** Mean power of the targets around their mean, over all blocks. */
  readonly power: number;
}

const total = ({ blocks }: BlockMoments): Float64Array => {
  const sum = new Float64Array(blocks[0]?.length ?? 0);
  for (const block of blocks) for (let index = 0; index < sum.length; index++) sum[index]! += block[index]!;
  return sum;
};

/** Rows × columns of Σ (a − ā)(b − b̄)ᵀ for entries from `row` and `column` on, around means that may come from other samples. */
const centred = (
  sums: ArrayLike<number>,
  means: ArrayLike<number>,
  size: number,
  one: number,
  [row, rows]: readonly [number, number],
  [column, columns]: readonly [number, number],
): DenseMatrix => {
  const count = sums[one * size + one]!;
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const [meanA, sumA] = [means[row + i]!, sums[one * size + row + i]!];
    for (let j = 0; j < columns; j++) {
      const [meanB, sumB] = [means[column + j]!, sums[one * size + column + j]!];
      data[i * columns + j] = sums[(row + i) * size + column + j]! - meanA * sumB - meanB * sumA + count * meanA * meanB;
    }
  }
  return { rows, columns, data };
};

const meansOf = (sums: ArrayLike<number>, size: number, one: number): Float64Array =>
  Float64Array.from({ length: size }, (_, index) => sums[one * size + index]! / sums[one * size + one]!);

const scaled = ({ rows, columns, data }: DenseMatrix, factor: number): DenseMatrix => ({
  rows,
  columns,
  data: Float64Array.from(data, (value) => value * factor),
});

/** tr(BᵀGB) and 2·tr(BᵀC): their difference is what a regression B explains of held-out moments G and C. */
const heldOut = (weights: DenseMatrix, gram: DenseMatrix, cross: DenseMatrix): number => {
  const { rows: k, columns: m, data: b } = weights;
  let explained = 0;
  const product = new Float64Array(m);
  for (let i = 0; i < k; i++) {
    product.fill(0);
    for (let j = 0; j < k; j++) {
      const value = gram.data[i * k + j]!;
      for (let t = 0; t < m; t++) product[t]! += value * b[j * m + t]!;
    }
    for (let t = 0; t < m; t++) explained += b[i * m + t]! * (2 * cross.data[i * m + t]! - product[t]!);
  }
  return explained;
};

/**
 * Ridge regression of the targets on the features, fitted without a block and scored on it, for each block.
 * @param ridge Penalty as a fraction of the mean diagonal of the Gram matrix.
 * @returns undefined where the moments are not finite, there are fewer than two blocks, or the targets have no power.
 */
export const crossValidate = (moments: BlockMoments, ridge: number): ExplainedPower | undefined => {
  const { features: k, targets: m, blocks } = moments;
  if (blocks.length < 2) return undefined;
  const [one, size] = [k, k + 1 + m];
  const whole = total(moments);
  const [f, y] = [[0, k] as const, [k + 1, m] as const];
  const rows = whole[one * size + one]!;
  const errors = centred(whole, meansOf(whole, size, one), size, one, y, y);
  const power = (meanDiagonal(errors) * m) / rows;
  if (!Number.isFinite(power) || power <= 0) return undefined;
  const explained: number[] = [];
  for (const block of blocks) {
    const rest = whole.map((value, index) => value - block[index]!);
    const means = meansOf(rest, size, one);
    const [count, held] = [rest[one * size + one]!, block[one * size + one]!];
    const gram = scaled(centred(rest, means, size, one, f, f), 1 / count);
    const penalty = ridge * meanDiagonal(gram);
    // Features that are all constant explain nothing.
    if (!(penalty > 0) && Number.isFinite(penalty)) {
      explained.push(0);
      continue;
    }
    const weights = solveRidge(gram, scaled(centred(rest, means, size, one, f, y), 1 / count), penalty);
    if (weights === undefined) return undefined;
    explained.push(heldOut(weights, centred(block, means, size, one, f, f), centred(block, means, size, one, f, y)) / held);
  }
  return { explained, power };
};
