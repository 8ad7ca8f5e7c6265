/** The one place that solves and decomposes matrices: float64, row-major, small (a few hundred rows). */
import { CholeskyDecomposition, Matrix, SingularValueDecomposition } from "ml-matrix";

/** Row-major, `rows × columns`. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: ArrayLike<number>;
}

const toMatrix = ({ rows, columns, data }: DenseMatrix): Matrix => {
  const matrix = Matrix.zeros(rows, columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) matrix.set(row, column, data[row * columns + column]!);
  }
  return matrix;
};

const fromMatrix = (matrix: Matrix): DenseMatrix => ({
  rows: matrix.rows,
  columns: matrix.columns,
  data: Float64Array.from(matrix.to1DArray()),
});

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
export const multiplyTransposed = (a: DenseMatrix, b: DenseMatrix): DenseMatrix =>
  fromMatrix(toMatrix(a).transpose().mmul(toMatrix(b)));

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

/**
 * (gram + penalty·I)⁻¹ · right by Cholesky; `gram` symmetric. Undefined where the sum is not positive definite or not finite.
 */
export const solveRidge = (gram: DenseMatrix, right: DenseMatrix, penalty: number): DenseMatrix | undefined => {
  if (!isFiniteMatrix(gram) || !isFiniteMatrix(right)) return undefined;
  const matrix = toMatrix(gram);
  for (let row = 0; row < gram.rows; row++) matrix.set(row, row, matrix.get(row, row) + penalty);
  const decomposition = new CholeskyDecomposition(matrix);
  return decomposition.isPositiveDefinite() ? fromMatrix(decomposition.solve(toMatrix(right))) : undefined;
};

/** The nearest matrix of rank `rank` in the Frobenius norm (Eckart & Young, 1936). */
export const projectToRank = (source: DenseMatrix, rank: number): DenseMatrix => {
  const {
    leftSingularVectors: left,
    diagonal,
    rightSingularVectors: right,
  } = new SingularValueDecomposition(toMatrix(source), {
    autoTranspose: true,
  });
  const data = new Float64Array(source.rows * source.columns);
  for (let row = 0; row < source.rows; row++) {
    for (let column = 0; column < source.columns; column++) {
      let sum = 0;
      for (let k = 0; k < Math.min(rank, diagonal.length); k++) sum += left.get(row, k) * diagonal[k]! * right.get(column, k);
      data[row * source.columns + column] = sum;
    }
  }
  return { rows: source.rows, columns: source.columns, data };
};
