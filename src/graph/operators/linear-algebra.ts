/** The matrix product. */
import { type Dims, sizeOf } from "../shapes.ts";
import { type Backward, type Check, describeTypes, type Emit, expectFloats, type Operator, type ValueType } from "./operator.ts";

interface Flags {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

interface Extents {
  /** Leading dimensions of the first operand, which the result shares. */
  readonly leading: Dims;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

const extents = (a: Dims, b: Dims, { transposeA, transposeB }: Flags): Extents => ({
  leading: a.slice(0, -2),
  m: a.at(transposeA ? -1 : -2)!,
  k: a.at(transposeA ? -2 : -1)!,
  n: b.at(transposeB ? -2 : -1)!,
});

const infer = (inputs: readonly ValueType[], flags: Flags, check: Check): ValueType => {
  expectFloats(inputs, check);
  const [a, b] = [inputs[0]!.shape, inputs[1]!.shape];
  const found = `${describeTypes(inputs)}, transposeA ${flags.transposeA}, transposeB ${flags.transposeB}`;
  check(a.length >= 2 && b.length >= 2, "operands of rank 2 or more", found);
  check(
    b.length === 2 || (a.length === b.length && b.slice(0, -2).every((dim, i) => dim === a[i])),
    "equal leading dimensions, or a second operand of rank 2",
    found,
  );
  const { leading, m, k, n } = extents(a, b, flags);
  check(k === b.at(flags.transposeB ? -1 : -2), "equal inner dimensions", found);
  return { dtype: "float32", shape: [...leading, m, n] };
};

/** Sums a product over the leading dimensions of `a`, for an operand of rank 2 that all of them share. */
const sharedOperandCotangent = (b: Emit, a: string, dy: string, { transposeA, transposeB }: Flags): string => {
  const shape = b.type(a).shape;
  if (shape.length > 2 && transposeA) {
    // [..., k, m] cannot be flattened to rows; multiply in batches, then add them up.
    const batched = transposeB ? b.matMul(dy, a, true, true) : b.matMul(a, dy);
    return b.sum(
      batched,
      shape.slice(0, -2).map((_, axis) => axis),
      false,
    );
  }
  const rows = (x: string): string => {
    const full = b.type(x).shape;
    return full.length === 2 ? x : b.reshape(x, [sizeOf(full.slice(0, -1)), full.at(-1)!]);
  };
  return productCotangentB(b, rows(a), rows(dy), { transposeA, transposeB });
};

const productCotangentB = (b: Emit, a: string, dy: string, { transposeA, transposeB }: Flags): string =>
  transposeB ? b.matMul(dy, a, true, transposeA) : b.matMul(a, dy, !transposeA, false);

const productCotangentA = (b: Emit, c: string, dy: string, { transposeA, transposeB }: Flags): string => {
  if (!transposeA) return b.matMul(dy, c, false, !transposeB);
  if (b.type(c).shape.length === b.type(dy).shape.length) return b.matMul(c, dy, transposeB, true);
  // The second operand is shared: it must stay second, so the result is transposed.
  const product = b.matMul(dy, c, false, !transposeB);
  const rank = b.type(product).shape.length;
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  return b.emit("transpose", [product], { perm: [...perm.slice(0, -2), rank - 1, rank - 2] });
};

const backward = ({ b, inputs, attributes, y, dy }: Backward<"matMul">): readonly (() => string)[] => {
  const [a, c] = [inputs[0]!, inputs[1]!];
  const full = (): string => b.broadcastTo(dy, b.type(y).shape);
  const shared = b.type(c).shape.length === 2 && b.type(a).shape.length > 2;
  return [
    () => productCotangentA(b, c, full(), attributes),
    () => (shared ? sharedOperandCotangent(b, a, full(), attributes) : productCotangentB(b, a, full(), attributes)),
  ];
};

/** [..., m, k] × [..., k, n] → [..., m, n]. */
export const matMul: Operator<"matMul"> = {
  arity: 2,
  infer,
  forward: (inputs, flags, output) => {
    const [a, b] = [inputs[0]!, inputs[1]!];
    const { leading, m, k, n } = extents(a.shape, b.shape, flags);
    const result = new Float64Array(sizeOf(output.shape));
    const [rowA, columnA] = flags.transposeA ? [1, m] : [k, 1];
    const [rowB, columnB] = flags.transposeB ? [1, k] : [n, 1];
    for (let batch = 0; batch < sizeOf(leading); batch++) {
      const startA = batch * m * k;
      const startB = b.shape.length === 2 ? 0 : batch * k * n;
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) sum += a.data[startA + i * rowA + l * columnA]! * b.data[startB + l * rowB + j * columnB]!;
          result[(batch * m + i) * n + j] = sum;
        }
      }
    }
    return result;
  },
  backward,
  flops: (inputs, flags, output) => 2 * sizeOf(output.shape) * extents(inputs[0]!.shape, inputs[1]!.shape, flags).k,
};
