import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Emitter } from "../../src/graph/emitter.ts";
import { primitiveOps } from "../../src/graph/operators/index.ts";
import type { PrimitiveOp, UnaryOp } from "../../src/graph/operators/operator.ts";
import { array, drawn, evaluateWith, gradientError } from "./numeric.ts";

const TOLERANCE = 1e-8;
const runs = { numRuns: 15, seed: 1 };
const dims = (minLength: number, maxLength: number) => fc.array(fc.integer({ min: 1, max: 3 }), { minLength, maxLength });
const anySeed = fc.integer({ min: 0, max: 1e6 });

/** Two shapes that broadcast together: any axis of either may be 1, and leading axes may be missing. */
const broadcastPair = dims(0, 3).chain((shape) =>
  fc
    .tuple(
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
      fc.integer({ min: 0, max: shape.length }),
      fc.boolean(),
    )
    .map(([first, second, dropped, swap]) => {
      const a = shape.map((dim, i) => (first[i] ? 1 : dim));
      const c = shape.map((dim, i) => (second[i] ? 1 : dim)).slice(dropped);
      return swap ? [c, a] : [a, c];
    }),
);

/** Which operators the gradient checks below have covered; the last test compares it with the table. */
const covered = new Set<PrimitiveOp>();
const notDifferentiable: readonly PrimitiveOp[] = ["greater", "equal", "fill", "oneHot", "argMax", "reduceMax", "stopGradient"];

describe("gradients against central differences in float64", () => {
  for (const op of ["add", "sub", "mul", "div"] as const) {
    covered.add(op);
    it(`${op} over broadcast shapes`, () => {
      fc.assert(
        fc.property(broadcastPair, anySeed, ([a, c], seed) => {
          const feeds = { a: drawn(a!, seed), c: drawn(c!, seed + 1) };
          expect(gradientError(feeds, ["a", "c"], (b) => b.emit(op, ["a", "c"], {}))).toBeLessThan(TOLERANCE);
        }),
        runs,
      );
    });
  }

  it("a square, whose operands are one value", () => {
    expect(gradientError({ a: drawn([2, 3], 1) }, ["a"], (b) => b.mul("a", "a"))).toBeLessThan(TOLERANCE);
  });

  for (const op of ["neg", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "erf"] as const satisfies readonly UnaryOp[]) {
    covered.add(op);
    it(op, () => {
      fc.assert(
        fc.property(dims(0, 3), anySeed, (shape, seed) => {
          const feeds = { x: drawn(shape, seed, op === "log" || op === "sqrt" ? "positive" : "both") };
          expect(gradientError(feeds, ["x"], (b) => b.unary(op, "x"))).toBeLessThan(TOLERANCE);
        }),
        runs,
      );
    });
  }

  covered.add("matMul");
  it("matMul with every combination of flags, batched and with a shared second operand", () => {
    const shape = fc.tuple(dims(0, 2), dims(3, 3), fc.boolean(), fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(shape, anySeed, ([leading, [m, k, n], transposeA, transposeB, shared], seed) => {
        const a = [...leading, ...(transposeA ? [k!, m!] : [m!, k!])];
        const c = [...(shared ? [] : leading), ...(transposeB ? [n!, k!] : [k!, n!])];
        const feeds = { a: drawn(a, seed), c: drawn(c, seed + 1) };
        expect(gradientError(feeds, ["a", "c"], (b) => b.matMul("a", "c", transposeA, transposeB))).toBeLessThan(TOLERANCE);
      }),
      { ...runs, numRuns: 40 },
    );
  });

  const window = fc.record({
    strides: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    pads: fc.tuple(
      ...([0, 1, 2, 3].map(() => fc.integer({ min: 0, max: 1 })) as [
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
      ]),
    ),
    kernel: fc.tuple(fc.integer({ min: 2, max: 3 }), fc.integer({ min: 2, max: 3 })),
    image: fc.tuple(fc.integer({ min: 3, max: 5 }), fc.integer({ min: 3, max: 5 })),
    groups: fc.integer({ min: 1, max: 2 }),
  });

  covered.add("conv2d").add("conv2dInputGrad").add("conv2dFilterGrad");
  it("conv2d and its two adjoints over strides, pads and groups", () => {
    fc.assert(
      fc.property(window, anySeed, ({ strides, pads, kernel, image, groups }, seed) => {
        const x = drawn([2, 2 * groups, ...image], seed);
        const w = drawn([groups, 2, ...kernel], seed + 1);
        const attributes = { strides, pads, groups };
        const convolve = (b: Emitter): string => b.emit("conv2d", ["x", "w"], attributes);
        expect(gradientError({ x, w }, ["x", "w"], convolve)).toBeLessThan(TOLERANCE);
        const dy = drawn(evaluateWith({ x, w }, convolve).shape, seed + 2);
        const toInput = (b: Emitter): string => b.emit("conv2dInputGrad", ["dy", "w"], { ...attributes, inputSize: image });
        expect(gradientError({ dy, w }, ["dy", "w"], toInput)).toBeLessThan(TOLERANCE);
        const toFilter = (b: Emitter): string => b.emit("conv2dFilterGrad", ["x", "dy"], { ...attributes, kernelSize: kernel });
        expect(gradientError({ x, dy }, ["x", "dy"], toFilter)).toBeLessThan(TOLERANCE);
      }),
      { ...runs, numRuns: 8 },
    );
  });

  it("⟨conv(x, w), dy⟩ = ⟨x, inputGrad(dy, w)⟩ = ⟨w, filterGrad(x, dy)⟩", () => {
    const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    fc.assert(
      fc.property(window, anySeed, ({ strides, pads, kernel, image, groups }, seed) => {
        const [x, w] = [drawn([2, 2 * groups, ...image], seed), drawn([2 * groups, 2, ...kernel], seed + 1)];
        const attributes = { strides, pads, groups };
        const y = evaluateWith({ x, w }, (b) => b.emit("conv2d", ["x", "w"], attributes));
        const dy = drawn(y.shape, seed + 2);
        const dx = evaluateWith({ dy, w }, (b) => b.emit("conv2dInputGrad", ["dy", "w"], { ...attributes, inputSize: image }));
        const dw = evaluateWith({ x, dy }, (b) => b.emit("conv2dFilterGrad", ["x", "dy"], { ...attributes, kernelSize: kernel }));
        expect(dot(x.data, dx.data)).toBeCloseTo(dot(y.data, dy.data), 9);
        expect(dot(w.data, dw.data)).toBeCloseTo(dot(y.data, dy.data), 9);
      }),
      runs,
    );
  });

  covered.add("avgPool2d").add("avgPool2dGrad");
  it("avgPool2d and its adjoint", () => {
    fc.assert(
      fc.property(window, anySeed, ({ strides, pads, kernel, image }, seed) => {
        const x = drawn([2, 2, ...image], seed);
        const pool = (b: Emitter): string => b.emit("avgPool2d", ["x"], { kernelSize: kernel, strides, pads });
        expect(gradientError({ x }, ["x"], pool)).toBeLessThan(TOLERANCE);
        const dy = drawn(evaluateWith({ x }, pool).shape, seed);
        const adjoint = (b: Emitter): string =>
          b.emit("avgPool2dGrad", ["dy"], { kernelSize: kernel, strides, pads, inputSize: image });
        expect(gradientError({ dy }, ["dy"], adjoint)).toBeLessThan(TOLERANCE);
      }),
      runs,
    );
  });

  for (const op of ["reduceSum", "reduceMean"] as const) {
    covered.add(op);
    it(`${op} over any axes`, () => {
      fc.assert(
        fc.property(
          dims(1, 4),
          fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
          fc.boolean(),
          anySeed,
          (shape, chosen, keepDims, seed) => {
            const axes = shape.flatMap((_, axis) => (chosen[axis] ? [axis] : []));
            const error = gradientError({ x: drawn(shape, seed) }, ["x"], (b) =>
              b.unary("tanh", b.emit(op, [b.mul("x", "x")], { axes, keepDims })),
            );
            expect(error).toBeLessThan(TOLERANCE);
          },
        ),
        { ...runs, numRuns: 30 },
      );
    });
  }

  for (const op of ["softmax", "logSoftmax"] as const) {
    covered.add(op);
    it(`${op} along any axis`, () => {
      fc.assert(
        fc.property(dims(1, 3), fc.nat(2), anySeed, (shape, pick, seed) => {
          const build = (b: Emitter): string => b.emit(op, ["x"], { axis: pick % shape.length });
          expect(gradientError({ x: drawn(shape, seed) }, ["x"], build)).toBeLessThan(TOLERANCE);
        }),
        runs,
      );
    });
  }

  const moves: readonly [PrimitiveOp, (b: Emitter) => string][] = [
    ["reshape", (b) => b.reshape("x", [3, -1])],
    ["transpose", (b) => b.emit("transpose", ["x"], { perm: [2, 0, 1] })],
    ["broadcastTo", (b) => b.broadcastTo(b.sum("x", [1], true), [5, 2, 3, 2])],
    ["concat", (b) => b.emit("concat", ["x", b.unary("exp", "x"), "x"], { axis: 1 })],
    ["slice", (b) => b.emit("slice", ["x"], { starts: [0, 1, 0], ends: [1, -1, 2] })],
    ["pad", (b) => b.emit("pad", ["x"], { before: [1, 0, 2], after: [0, 3, 1] })],
  ];
  for (const [op, build] of moves) {
    covered.add(op);
    it(op, () => {
      expect(gradientError({ x: drawn([2, 3, 2], 5) }, ["x"], build)).toBeLessThan(TOLERANCE);
    });
  }

  it("movement under a cotangent that is the same everywhere", () => {
    for (const [, build] of moves) {
      const total = (b: Emitter): string => {
        const y = build(b);
        return b.sum(
          b.mul(y, b.scalar(3)),
          b.type(y).shape.map((_, axis) => axis),
          false,
        );
      };
      expect(gradientError({ x: drawn([2, 3, 2], 6) }, ["x"], total)).toBeLessThan(TOLERANCE);
    }
  });

  covered.add("gather");
  it("gather with repeated ids", () => {
    const feeds = { table: drawn([4, 3], 1), ids: array([2, 3], [0, 2, 2, 3, 0, 2], "int32") };
    expect(gradientError(feeds, ["table"], (b) => b.emit("gather", ["table", "ids"], {}))).toBeLessThan(TOLERANCE);
  });

  it("stopGradient passes its value and no gradient", () => {
    const x = array([2], [1, -2]);
    expect([...evaluateWith({ x }, (b) => b.unary("stopGradient", "x")).data]).toEqual([1, -2]);
    // d(x · stop(x)) = stop(x), half of the true derivative of x².
    const error = gradientError({ x }, ["x"], (b) => b.mul("x", b.unary("stopGradient", "x")));
    expect(error).toBeGreaterThan(0.1);
  });

  it("covers every primitive", () => {
    expect([...covered, ...notDifferentiable].toSorted()).toEqual(primitiveOps.toSorted());
  });
});

describe("forwards in closed form", () => {
  const run = (values: readonly number[], shape: readonly number[], build: (b: Emitter) => string) => {
    const { data, shape: found } = evaluateWith({ x: array(shape, values) }, build);
    return { values: [...data], shape: [...found] };
  };

  it("matMul", () => {
    const feeds = { a: array([2, 2], [1, 2, 3, 4]), c: array([2, 2], [5, 6, 7, 8]) };
    expect([...evaluateWith(feeds, (b) => b.matMul("a", "c")).data]).toEqual([19, 22, 43, 50]);
    expect([...evaluateWith(feeds, (b) => b.matMul("a", "c", true, false)).data]).toEqual([26, 30, 38, 44]);
    expect([...evaluateWith(feeds, (b) => b.matMul("a", "c", false, true)).data]).toEqual([17, 23, 39, 53]);
  });

  it("conv2d counts the neighbours of each pixel under a kernel of ones", () => {
    const feeds = { x: array([1, 1, 3, 3], new Array(9).fill(1)), w: array([1, 1, 3, 3], new Array(9).fill(1)) };
    const y = evaluateWith(feeds, (b) => b.emit("conv2d", ["x", "w"], { strides: [1, 1], pads: [1, 1, 1, 1], groups: 1 }));
    expect([...y.data]).toEqual([4, 6, 4, 6, 9, 6, 4, 6, 4]);
  });

  it("conv2d correlates: the kernel is not flipped, and strides skip", () => {
    const feeds = { x: array([1, 1, 1, 4], [1, 2, 3, 4]), w: array([1, 1, 1, 2], [10, 1]) };
    const y = evaluateWith(feeds, (b) => b.emit("conv2d", ["x", "w"], { strides: [1, 2], pads: [0, 0, 0, 0], groups: 1 }));
    expect([...y.data]).toEqual([12, 34]);
  });

  it("conv2d keeps groups apart: the first half of the filters reads the first half of the channels", () => {
    const feeds = { x: array([1, 2, 1, 1], [3, 5]), w: array([4, 1, 1, 1], [1, 10, 100, 1000]) };
    const y = evaluateWith(feeds, (b) => b.emit("conv2d", ["x", "w"], { strides: [1, 1], pads: [0, 0, 0, 0], groups: 2 }));
    expect([...y.data]).toEqual([3, 30, 500, 5000]);
  });

  it("avgPool2d counts padded zeros", () => {
    const pool = (b: Emitter): string => b.emit("avgPool2d", ["x"], { kernelSize: [2, 2], strides: [2, 2], pads: [1, 1, 0, 0] });
    expect(run([4, 8, 12, 16, 20, 24, 28, 32, 36], [1, 1, 3, 3], pool).values).toEqual([1, 5, 11, 28]);
  });

  it("softmax of large numbers does not overflow", () => {
    const y = run([1000, 1000, -1000, 1001], [2, 2], (b) => b.emit("softmax", ["x"], { axis: 1 })).values;
    expect(y[0]).toBe(0.5);
    expect(y[3]).toBe(1);
    const logs = run([-1000, 1000], [1, 2], (b) => b.emit("logSoftmax", ["x"], { axis: 1 })).values;
    expect(logs).toEqual([-2000, 0]);
  });

  it("erf at known points (Abramowitz & Stegun, table 7.1)", () => {
    const y = run([0, 0.5, 1, 2, -3, 7], [6], (b) => b.unary("erf", "x")).values;
    const expected = [0, 0.5204998778130465, 0.8427007929497149, 0.9953222650189527, -0.9999779095030014, 1];
    y.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 14);
    });
  });

  it("sigmoid and relu at the ends of the range", () => {
    expect(run([-800, 0, 800], [3], (b) => b.unary("sigmoid", "x")).values).toEqual([0, 0.5, 1]);
    expect(run([-1, 2, Number.NaN], [3], (b) => b.unary("relu", "x")).values).toEqual([0, 2, Number.NaN]);
  });

  it("argMax takes the first of equals, reduceMax the largest", () => {
    expect(run([1, 3, 3, 2, 2, 1], [2, 3], (b) => b.emit("argMax", ["x"], { axis: 1 }))).toEqual({ values: [1, 0], shape: [2] });
    expect(run([1, 3, -3, -2], [2, 2], (b) => b.emit("reduceMax", ["x"], { axes: [1], keepDims: true })).shape).toEqual([2, 1]);
    expect(run([1, 3, -3, -2], [2, 2], (b) => b.emit("reduceMax", ["x"], { axes: [1], keepDims: false })).values).toEqual([
      3, -2,
    ]);
  });

  it("greater, equal, oneHot, gather, fill", () => {
    expect(run([1, 2, 3], [3], (b) => b.emit("greater", ["x", b.scalar(2)], {})).values).toEqual([0, 0, 1]);
    const ids = {
      i: array([3], [2, 0, 5], "int32"),
      j: array([3], [2, 1, 5], "int32"),
      t: array([6, 1], [0, 10, 20, 30, 40, 50]),
    };
    expect([...evaluateWith(ids, (b) => b.emit("equal", ["i", "j"], {})).data]).toEqual([1, 0, 1]);
    expect([...evaluateWith(ids, (b) => b.emit("oneHot", ["i"], { depth: 3 })).data]).toEqual([0, 0, 1, 1, 0, 0, 0, 0, 0]);
    expect([...evaluateWith(ids, (b) => b.emit("gather", ["t", "i"], {})).data]).toEqual([20, 0, 50]);
    expect(run([0], [1], (b) => b.emit("fill", [], { value: 7, shape: [2] })).values).toEqual([7, 7]);
  });

  it("movement keeps row-major order", () => {
    const six = [1, 2, 3, 4, 5, 6];
    expect(run(six, [2, 3], (b) => b.emit("transpose", ["x"], { perm: [1, 0] })).values).toEqual([1, 4, 2, 5, 3, 6]);
    expect(run(six, [2, 3], (b) => b.reshape("x", [-1, 2])).shape).toEqual([3, 2]);
    expect(run(six, [2, 3], (b) => b.emit("slice", ["x"], { starts: [0, 1], ends: [-1, 2] })).values).toEqual([2, 5]);
    expect(run([1, 2], [2, 1], (b) => b.emit("pad", ["x"], { before: [0, 1], after: [1, 0] })).values).toEqual([
      0, 1, 0, 2, 0, 0,
    ]);
    expect(run([1, 2], [1, 2], (b) => b.emit("concat", ["x", "x"], { axis: 0 })).values).toEqual([1, 2, 1, 2]);
    expect(run([1, 2], [2, 1], (b) => b.broadcastTo("x", [2, 2])).values).toEqual([1, 1, 2, 2]);
  });
});
