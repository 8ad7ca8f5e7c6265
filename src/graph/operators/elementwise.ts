/** Operators that work element by element. Two operands broadcast as in NumPy. */
import type { OpAttributes } from "../../contracts/graph.ts";
import { broadcastShapes, broadcastStrides, type Dims, padRank, reducedCount, sameShape, sizeOf, walk } from "../shapes.ts";
import {
  type Backward,
  type Check,
  type Cotangent,
  describeTypes,
  type Emit,
  expectFloats,
  type NumericArray,
  noFlops,
  type Operator,
  type UnaryOp,
  type ValueType,
} from "./operator.ts";

type NoAttributes = OpAttributes<"add">;
type BinaryOp = "add" | "sub" | "mul" | "div" | "greater" | "equal";

const broadcastOf = (inputs: readonly ValueType[], check: Check): readonly number[] => {
  const shape = broadcastShapes(inputs[0]!.shape, inputs[1]!.shape);
  check(shape !== null, "shapes that broadcast together", describeTypes(inputs));
  return shape ?? [];
};

const perElement = (_inputs: readonly ValueType[], _attributes: NoAttributes, output: ValueType): number => sizeOf(output.shape);

const mapPairs = (inputs: readonly NumericArray[], output: ValueType, f: (a: number, b: number) => number): Float64Array => {
  const [a, b] = [inputs[0]!, inputs[1]!];
  const result = new Float64Array(sizeOf(output.shape));
  walk(output.shape, [broadcastStrides(a.shape, output.shape), broadcastStrides(b.shape, output.shape)], (i, offsets) => {
    result[i] = f(a.data[offsets[0]!]!, b.data[offsets[1]!]!);
  });
  return result;
};

/**
 * Brings a cotangent of a broadcast result back to the shape of one operand: sums the axes along which the operand was repeated.
 * Along such an axis a narrow cotangent stands for `n` equal ones, so it is multiplied instead.
 */
export const unbroadcast = (b: Emit, cotangent: string, outputShape: Dims, inputShape: Dims): string => {
  if (sameShape(outputShape, inputShape)) return cotangent;
  const rank = outputShape.length;
  const wide = padRank(b.type(cotangent).shape, rank);
  const target = padRank(inputShape, rank);
  const repeated = outputShape.flatMap((dim, axis) => (target[axis] === 1 && dim > 1 ? [axis] : []));
  const toSum = repeated.filter((axis) => wide[axis] !== 1);
  const toScale = repeated.filter((axis) => wide[axis] === 1);
  let result = cotangent;
  if (toSum.length > 0) {
    const shift = rank - b.type(cotangent).shape.length;
    const axes = toSum.map((axis) => axis - shift);
    // When the summed axes are just those that the input lacks, they go at once.
    const lacking = rank - inputShape.length;
    const dropped = shift === 0 && toSum.length === lacking && toSum.every((axis) => axis < lacking);
    result = b.sum(result, axes, !dropped);
  }
  const count = reducedCount(outputShape, toScale);
  if (count !== 1) result = b.mul(result, b.scalar(count));
  const shape = b.type(result).shape;
  if (shape.length <= inputShape.length) return result;
  return b.reshape(result, padRank(shape, rank).slice(rank - inputShape.length));
};

const binary = <O extends BinaryOp>(
  f: (a: number, b: number) => number,
  cotangents: ((call: Backward<O>, a: string, c: string) => readonly [Cotangent, Cotangent]) | null,
): Operator<O> => ({
  arity: 2,
  infer: (inputs, _attributes, check) => {
    expectFloats(inputs, check);
    return { dtype: "float32", shape: broadcastOf(inputs, check) };
  },
  forward: (inputs, _attributes, output) => mapPairs(inputs, output, f),
  backward:
    cotangents === null
      ? null
      : (call) => {
          const { b, inputs, y } = call;
          return cotangents(call, inputs[0]!, inputs[1]!).map((cotangent, i) =>
            cotangent === null ? null : () => unbroadcast(b, cotangent(), b.type(y).shape, b.type(inputs[i]!).shape),
          );
        },
  flops: perElement,
});

export const add = binary<"add">(
  (a, c) => a + c,
  ({ dy }) => [() => dy, () => dy],
);

export const sub = binary<"sub">(
  (a, c) => a - c,
  ({ b, dy }) => [() => dy, () => b.unary("neg", dy)],
);

export const mul = binary<"mul">(
  (a, c) => a * c,
  ({ b, dy }, a, c) =>
    // A square: one product with twice the cotangent, which is often narrow, in place of two products and a sum.
    a === c ? [() => b.mul(b.mul(dy, b.scalar(2)), a), null] : [() => b.mul(dy, c), () => b.mul(dy, a)],
);

export const div = binary<"div">(
  (a, c) => a / c,
  ({ b, dy, y }, _a, c) => [() => b.div(dy, c), () => b.unary("neg", b.div(b.mul(dy, y), c))],
);

export const greater = binary<"greater">((a, c) => (a > c ? 1 : 0), null);

export const equal: Operator<"equal"> = {
  ...binary<"equal">((a, c) => (a === c ? 1 : 0), null),
  infer: (inputs, _attributes, check) => {
    check(
      inputs.every((type) => type.dtype === "int32"),
      "int32 inputs",
      describeTypes(inputs),
    );
    return { dtype: "float32", shape: broadcastOf(inputs, check) };
  },
};

const unary = (
  f: (x: number) => number,
  derivative: ((call: Backward<UnaryOp>, x: string) => string) | null,
): Operator<UnaryOp> => ({
  arity: 1,
  infer: (inputs, _attributes, check) => {
    expectFloats(inputs, check);
    return inputs[0]!;
  },
  forward: (inputs) => inputs[0]!.data.map(f),
  backward: derivative === null ? null : (call) => [() => derivative(call, call.inputs[0]!)],
  flops: perElement,
});

export const neg: Operator<"neg"> = unary(
  (x) => -x,
  ({ b, dy }) => b.unary("neg", dy),
);
export const exp: Operator<"exp"> = unary(Math.exp, ({ b, dy, y }) => b.mul(dy, y));
export const log: Operator<"log"> = unary(Math.log, ({ b, dy }, x) => b.div(dy, x));
export const sqrt: Operator<"sqrt"> = unary(Math.sqrt, ({ b, dy, y }) => b.div(b.mul(dy, b.scalar(0.5)), y));
export const tanh: Operator<"tanh"> = unary(Math.tanh, ({ b, dy, y }) => b.mul(dy, b.sub(b.scalar(1), b.mul(y, y))));

export const sigmoid: Operator<"sigmoid"> = unary(
  // Two forms, so that the exponential never overflows.
  (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  ({ b, dy, y }) => b.mul(dy, b.mul(y, b.sub(b.scalar(1), y))),
);

/** The gradient at 0 is 0. It reads y, so that x need not be kept: y > 0 exactly where x > 0. */
export const relu: Operator<"relu"> = unary(
  (x) => Math.max(x, 0),
  ({ b, dy, y }) => b.mul(dy, b.emit("greater", [y, b.scalar(0)], {})),
);

/** Kummer's series (Abramowitz & Stegun 7.1.6): all terms positive, full double precision. Beyond 6 it is 1 to the last bit. */
const erfOf = (x: number): number => {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
};

export const erf: Operator<"erf"> = unary(erfOf, ({ b, dy }, x) =>
  b.mul(dy, b.mul(b.unary("exp", b.unary("neg", b.mul(x, x))), b.scalar(2 / Math.sqrt(Math.PI)))),
);

export const stopGradient: Operator<"stopGradient"> = { ...unary((x) => x, null), flops: noFlops };
