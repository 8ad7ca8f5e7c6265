import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/graph/random.ts";
import type { DenseMatrix } from "../../src/growth/linear-algebra.ts";
import { multiplyTransposed, solveRidge, symmetricEigenvalues } from "../../src/growth/linear-algebra.ts";
import { explainedFraction } from "../../src/growth/ridge.ts";
import { spanEnergy } from "../../src/growth/span-energy.ts";
import { centred, eliminate, momentsOf, normals, product, transpose } from "./brute-force.ts";

const dense = (rows: readonly (readonly number[])[]): DenseMatrix => ({
  rows: rows.length,
  columns: rows[0]!.length,
  data: Float64Array.from(rows.flat()),
});
const samples = 40;

describe("explained fraction", () => {
  it("is what the residuals of the regression say", () => {
    const random = createRandom(3);
    const [features, targets] = [centred(normals(random, samples, 5)), centred(normals(random, samples, 3))];
    for (const ridge of [1e-6, 1e-3, 0.5]) {
      const { gram, cross, power } = momentsOf(features, targets);
      const penalty = (ridge * gram.reduce((sum, row, i) => sum + row[i]!, 0)) / gram.length;
      const penalised = gram.map((row, i) => row.map((value, j) => value + (i === j ? penalty : 0)));
      const fitted = product(features, eliminate(penalised, cross));
      const left = targets.flat().reduce((sum, value, i) => sum + (value - fitted.flat()[i]!) ** 2, 0);
      const whole = targets.flat().reduce((sum, value) => sum + value ** 2, 0);
      expect(explainedFraction({ gram: dense(gram), cross: dense(cross), power }, ridge)).toBeCloseTo(1 - left / whole, 10);
    }
  });

  it("is 1 for targets in the span of the features, and 0 for features that are dead", () => {
    const features = centred(normals(createRandom(4), samples, 4));
    const targets = product(features, normals(createRandom(5), 4, 2));
    const { gram, cross, power } = momentsOf(features, targets);
    expect(explainedFraction({ gram: dense(gram), cross: dense(cross), power }, 1e-9)).toBeCloseTo(1, 6);
    const nothing = { gram: dense([[0]]), cross: dense([[0, 0]]), power };
    expect(explainedFraction(nothing, 1e-3)).toBe(0);
  });

  it("is absent where something was not finite or there is no error to explain", () => {
    const one = dense([[1]]);
    expect(explainedFraction({ gram: dense([[Number.NaN]]), cross: one, power: 1 }, 1e-3)).toBeUndefined();
    expect(explainedFraction({ gram: one, cross: dense([[Number.POSITIVE_INFINITY]]), power: 1 }, 1e-3)).toBeUndefined();
    expect(explainedFraction({ gram: one, cross: one, power: 0 }, 1e-3)).toBeUndefined();
    expect(solveRidge(dense([[-1]]), one, 0)).toBeUndefined();
  });
});

describe("span energy", () => {
  it("is the power of the gradient that features reach beyond what the layer reads", () => {
    const random = createRandom(6);
    const [present, extra, slope] = [
      centred(normals(random, samples, 3)),
      centred(normals(random, samples, 4)),
      normals(random, samples, 2),
    ];
    const own = momentsOf(present, slope);
    const update = product(present, eliminate(own.gram, own.cross));
    const unreached = slope.map((row, n) => row.map((value, m) => value - update[n]![m]!));
    const beyond = momentsOf(extra, unreached);
    const reached = product(extra, eliminate(beyond.gram, beyond.cross));
    const brute = reached.flat().reduce((sum, value) => sum + value ** 2, 0) / samples;
    const both = momentsOf(extra, slope);
    const moments = {
      present: dense(own.gram),
      presentGradient: dense(own.cross),
      candidate: dense(both.gram),
      candidateGradient: dense(both.cross),
      overlap: dense(product(transpose(present), extra).map((row) => row.map((value) => value / samples))),
    };
    expect(spanEnergy(moments, 1e-12)).toBeCloseTo(brute, 8);
  });

  it("is 0 where the features are dead or the layer reads them already, and absent where something was not finite", () => {
    const present = centred(normals(createRandom(7), samples, 3));
    const slope = product(present, normals(createRandom(8), 3, 2));
    const { gram, cross } = momentsOf(present, slope);
    const same = {
      present: dense(gram),
      candidate: dense(gram),
      overlap: dense(gram),
      presentGradient: dense(cross),
      candidateGradient: dense(cross),
    };
    expect(spanEnergy(same, 1e-9)).toBeCloseTo(0, 6);
    const zeros = gram.map((row) => row.map(() => 0));
    expect(spanEnergy({ ...same, candidate: dense(zeros) }, 1e-3)).toBe(0);
    expect(spanEnergy({ ...same, present: dense(zeros.map((row) => row.map(() => Number.NaN))) }, 1e-3)).toBeUndefined();
  });
});

describe("linear algebra", () => {
  it("solves what elimination solves, and multiplies what loops multiply", () => {
    const random = createRandom(9);
    const factor = normals(random, 12, 8);
    const gram = product(transpose(factor), factor);
    const right = normals(random, 8, 3);
    const penalised = gram.map((row, i) => row.map((value, j) => value + (i === j ? 0.3 : 0)));
    const solved = solveRidge(dense(gram), dense(right), 0.3)!;
    for (const [i, value] of eliminate(penalised, right).flat().entries()) expect(solved.data[i]).toBeCloseTo(value, 9);
    const both = multiplyTransposed(dense(factor), dense(normals(createRandom(10), 12, 2)));
    const loops = product(transpose(factor), normals(createRandom(10), 12, 2)).flat();
    for (const [i, value] of loops.entries()) expect(both.data[i]).toBeCloseTo(value, 12);
  });

  it("finds the eigenvalues of a symmetric matrix, largest first", () => {
    const angle = 0.7;
    const turn = [
      [Math.cos(angle), -Math.sin(angle)],
      [Math.sin(angle), Math.cos(angle)],
    ];
    const spread = product(
      product(turn, [
        [1, 0],
        [0, 5],
      ]),
      transpose(turn),
    );
    expect(symmetricEigenvalues(dense(spread))).toEqual([expect.closeTo(5, 12), expect.closeTo(1, 12)]);
    expect(symmetricEigenvalues(dense([[Number.NaN]]))).toBeUndefined();
  });
});
