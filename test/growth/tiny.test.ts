import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/graph/random.ts";
import type { DenseMatrix } from "../../src/growth/linear-algebra.ts";
import { multiplyTransposed, solveRidge } from "../../src/growth/linear-algebra.ts";
import { type TinyMoments, type TinyUnit, tinyUnits } from "../../src/growth/tiny.ts";

const [rows, d, p, m] = [300, 6, 3, 4];

const drawn = (columns: number, seed: number, shift = 0): DenseMatrix => {
  const random = createRandom(seed);
  return { rows, columns, data: Float64Array.from({ length: rows * columns }, () => random.normal() + shift) };
};

/** What the bypass reads has means far from zero; the gradient depends on it and on what the last layer reads. */
const read = drawn(d, 1, 0.7);
const present = drawn(p, 2, -0.4);
const gradient: DenseMatrix = (() => {
  const noise = drawn(m, 3);
  const data = Float64Array.from({ length: rows * m }, (_, i) => {
    const [row, column] = [Math.floor(i / m), i % m];
    const known = present.data[row * p + (column % p)]!;
    return 0.5 * read.data[row * d + column]! + 0.3 * read.data[row * d + 5]! * (column - 1) + 2 * known + 0.5 * noise.data[i]!;
  });
  return { rows, columns: m, data };
})();

const withOnes = ({ columns, data }: DenseMatrix): DenseMatrix => ({
  rows,
  columns: columns + 1,
  data: Float64Array.from({ length: rows * (columns + 1) }, (_, i) => {
    const [row, column] = [Math.floor(i / (columns + 1)), i % (columns + 1)];
    return column === columns ? 1 : data[row * columns + column]!;
  }),
});

const moment = (a: DenseMatrix, b: DenseMatrix): DenseMatrix => {
  const product = multiplyTransposed(a, b);
  return { ...product, data: Float64Array.from(product.data, (value) => value / rows) };
};

const [b1, b2] = [withOnes(present), withOnes(read)];
const moments: TinyMoments = {
  read: moment(b2, b2),
  present: moment(b1, b1),
  overlap: moment(b1, b2),
  presentGradient: moment(b1, gradient),
  readGradient: moment(b2, gradient),
};

/** −D less its least-squares fit by what the last layer reads: the change of z that is wanted and cannot be had there. */
const wanted: Float64Array = (() => {
  const fit = solveRidge(moments.present, moments.presentGradient, 1e-9)!;
  return Float64Array.from({ length: rows * m }, (_, i) => {
    const [row, column] = [Math.floor(i / m), i % m];
    let fitted = 0;
    for (let k = 0; k <= p; k++) fitted += b1.data[row * (p + 1) + k]! * fit.data[k * m + column]!;
    return fitted - gradient.data[i]!;
  });
})();

/** z's change by the units, row by row. */
const outputOf = (units: readonly Pick<TinyUnit, "fanIn" | "bias" | "fanOut">[]): Float64Array => {
  const out = new Float64Array(rows * m);
  for (const { fanIn, bias, fanOut } of units) {
    for (let row = 0; row < rows; row++) {
      let value = bias;
      for (let i = 0; i < d; i++) value += fanIn[i]! * read.data[row * d + i]!;
      for (let j = 0; j < m; j++) out[row * m + j]! += value * fanOut[j]!;
    }
  }
  return out;
};

/** First-order fall of the loss for a change of z of mean square 1, beyond what the last layer can do itself. */
const decrease = (units: readonly Pick<TinyUnit, "fanIn" | "bias" | "fanOut">[]): number => {
  const out = outputOf(units);
  const along = out.reduce((sum, value, i) => sum + value * wanted[i]!, 0) / rows;
  return along / Math.sqrt(out.reduce((sum, value) => sum + value * value, 0) / rows);
};

const options = { count: 2, centred: true, ridge: 1e-9 };

describe("TINY's units", () => {
  const units = tinyUnits(moments, options)!;

  it("lower the loss at least as fast as 200 random starts of as many units, by far", () => {
    const best = decrease(units);
    const random = createRandom(5);
    const unit = (length: number): Float64Array => {
      const data = Float64Array.from({ length }, () => random.normal());
      const norm = Math.hypot(...data);
      return data.map((value) => value / norm);
    };
    const means = Array.from({ length: d }, (_, i) => moments.read.data[d * (d + 1) + i]!);
    const others = Array.from({ length: 200 }, () =>
      decrease(
        units.map(() => {
          const fanIn = unit(d);
          return { fanIn, bias: -fanIn.reduce((sum, weight, i) => sum + weight * means[i]!, 0), fanOut: unit(m) };
        }),
      ),
    );
    expect(others.filter((each) => each > best)).toEqual([]);
    expect(Math.max(...others)).toBeGreaterThan(0);
    // The best of rank 2 moves z by σ₁ and σ₂: no start of two units can do better.
    expect(best).toBeCloseTo(Math.hypot(...units.map(({ sigma }) => sigma)), 6);
  });

  it("are strongest first, balanced between what they read and write, and zero on average", () => {
    const [first, second] = [units[0]!, units[1]!];
    expect(first.sigma).toBeGreaterThan(second.sigma);
    for (const each of units) {
      expect(Math.hypot(...each.fanOut) ** 2).toBeCloseTo(each.sigma, 9);
      const own = outputOf([each]);
      const means = Array.from(
        { length: m },
        (_, j) => own.reduce((sum, value, i) => (i % m === j ? sum + value : sum), 0) / rows,
      );
      for (const mean of means) expect(mean).toBeCloseTo(0, 9);
    }
    expect(outputOf([first]).reduce((sum, value, i) => sum + value * outputOf([second])[i]!, 0) / rows).toBeCloseTo(0, 9);
  });

  it("together are the whole best linear map, S₂⁻¹N", () => {
    const all = tinyUnits(moments, { ...options, count: 10 })!;
    expect(all).toHaveLength(m);
    const out = outputOf(all);
    const residual = Float64Array.from(out, (value, i) => wanted[i]! - value);
    // What is left of the wanted change does not depend on what the bypass reads.
    for (const value of Array.from(moment(withOnes(read), { rows, columns: m, data: residual }).data))
      expect(value).toBeCloseTo(0, 6);
  });

  it("without a bias have none, and nothing to reach gives no units", () => {
    expect(tinyUnits(moments, { ...options, centred: false })!.map(({ bias }) => bias)).toEqual([0, 0]);
    const still = { ...moments.readGradient, data: new Float64Array(moments.readGradient.data.length) };
    const none = { ...moments.presentGradient, data: new Float64Array(moments.presentGradient.data.length) };
    expect(tinyUnits({ ...moments, readGradient: still, presentGradient: none }, options)).toEqual([]);
  });

  it("are not there when a moment is not finite", () => {
    const broken = { ...moments.readGradient, data: Float64Array.from(moments.readGradient.data, () => Number.NaN) };
    expect(tinyUnits({ ...moments, readGradient: broken }, options)).toBeUndefined();
  });
});
