/** The one place that solves and decomposes matrices: float64, row-major, small (a few hundred rows). */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";

/** Row-major, `rows × columns`. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: ArrayLike<number>;
}

export const isFiniteMatrix = ({ data }: DenseMatrix): boolean => {
  for (let index = 0; index < data.length; index++) if (!Number.isFinite(data[index])) return false;
  return true;
};

/** Mean of the diagonal. */
export const meanDiagonal = ({ rows, data }: DenseMatrix): number => {
  let sum = 0;
  for (let row = 0; row < rows; row++) sum += data[row * rows + row]!;
  return sum / rows;
};

/** aᵀb. */
export const multiplyTransposed = (a: DenseMatrix, b: DenseMatrix): DenseMatrix => {
  const data = new Float64Array(a.columns * b.columns);
  for (let k = 0; k < a.rows; k++) {
    for (let row = 0; row < a.columns; row++) {
      const factor = a.data[k * a.columns + row]!;
      if (factor === 0) continue;
      for (let column = 0; column < b.columns; column++)
        data[row * b.columns + column]! += factor * b.data[k * b.columns + column]!;
    }
  }
  return { rows: a.columns, columns: b.columns, data };
};

/** Σ aᵢ·bᵢ, which is tr(aᵀb). */
export const dot = (a: DenseMatrix, b: DenseMatrix): number => {
  let sum = 0;
  for (let index = 0; index < a.data.length; index++) sum += a.data[index]! * b.data[index]!;
  return sum;
};

export const subtract = (a: DenseMatrix, b: DenseMatrix): DenseMatrix => ({
  rows: a.rows,
  columns: a.columns,
  data: Float64Array.from(a.data, (value, index) => value - b.data[index]!),
});

/** Lower factor L with LLᵀ = gram + penalty·I, in the lower half of the result; undefined where there is none. */
const cholesky = ({ rows: n, data }: DenseMatrix, penalty: number): Float64Array | undefined => {
  const lower = Float64Array.from(data);
  for (let column = 0; column < n; column++) {
    const own = column * n;
    let pivot = lower[own + column]! + penalty;
    for (let k = 0; k < column; k++) pivot -= lower[own + k]! ** 2;
    if (!(pivot > 0)) return undefined;
    const root = Math.sqrt(pivot);
    lower[own + column] = root;
    for (let row = column + 1; row < n; row++) {
      const other = row * n;
      let value = lower[other + column]!;
      for (let k = 0; k < column; k++) value -= lower[other + k]! * lower[own + k]!;
      lower[other + column] = value / root;
    }
  }
  return lower;
};

/**
 * (gram + penalty·I)⁻¹ · right by Cholesky; `gram` symmetric. Undefined where the sum is not positive definite or not finite.
 */
export const solveRidge = (gram: DenseMatrix, right: DenseMatrix, penalty: number): DenseMatrix | undefined => {
  if (!isFiniteMatrix(gram) || !isFiniteMatrix(right)) return undefined;
  const lower = cholesky(gram, penalty);
  if (lower === undefined) return undefined;
  const [n, m] = [gram.rows, right.columns];
  const data = Float64Array.from(right.data);
  const eliminate = (row: number, from: number, to: number, factorAt: (k: number) => number): void => {
    for (let k = from; k < to; k++) {
      const factor = factorAt(k);
      for (let column = 0; column < m; column++) data[row * m + column]! -= factor * data[k * m + column]!;
    }
    const pivot = lower[row * n + row]!;
    for (let column = 0; column < m; column++) data[row * m + column]! /= pivot;
  };
  for (let row = 0; row < n; row++) eliminate(row, 0, row, (k) => lower[row * n + k]!);
  for (let row = n - 1; row >= 0; row--) eliminate(row, row + 1, n, (k) => lower[k * n + row]!);
  return { rows: n, columns: m, data };
};

/** Eigenvalues of a symmetric matrix, largest first; undefined where it is not finite. */
export const symmetricEigenvalues = (matrix: DenseMatrix): number[] | undefined => {
  if (!isFiniteMatrix(matrix)) return undefined;
  const { rows, columns, data } = matrix;
  const values = Matrix.from1DArray(rows, columns, Array.from(data));
  return new EigenvalueDecomposition(values, { assumeSymmetric: true }).realEigenvalues.toSorted((a, b) => b - a);
};

/** Eigenvalues of a symmetric matrix, largest first, and its eigenvectors as columns in that order; undefined where it is not finite. */
export const symmetricEigen = (
  source: DenseMatrix,
): { readonly values: readonly number[]; readonly vectors: DenseMatrix } | undefined => {
  if (!isFiniteMatrix(source)) return undefined;
  const { rows } = source;
  const matrix = Matrix.from1DArray(rows, rows, Array.from(source.data));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, i) => i).toSorted((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const data = Float64Array.from({ length: rows * rows }, (_, i) =>
    eigenvectorMatrix.get(Math.floor(i / rows), order[i % rows]!),
  );
  return { values: order.map((i) => realEigenvalues[i]!), vectors: { rows, columns: rows, data } };
};
