import { describe, expect, it } from "vitest";
import type { RandomSource } from "../../src/contracts/ports.ts";
import { createRandom } from "../../src/graph/random.ts";
import type { DenseMatrix } from "../../src/growth/linear-algebra.ts";
import type { BlockMoments } from "../../src/growth/signals/blocks.ts";
import { crossValidate } from "../../src/growth/signals/blocks.ts";
import { aliveUnits } from "../../src/growth/signals/constant-units.ts";
import { sketchRank } from "../../src/growth/signals/dimensions.ts";
import { explainedErrorGap, rememberRegressions } from "../../src/growth/signals/explained-error.ts";
import { generalizationGap } from "../../src/growth/signals/generalization.ts";
import { gradientRatios } from "../../src/growth/signals/gradient-ratio.ts";
import { layerSignals } from "../../src/growth/signals/index.ts";
import type { LayerReading } from "../../src/growth/signals/measure.ts";
import { mean, standardDeviation } from "../../src/growth/statistics.ts";
import { centred, eliminate, normals, product, type Rows, transpose } from "./brute-force.ts";

const dense = (rows: Rows): DenseMatrix => ({ rows: rows.length, columns: rows[0]!.length, data: rows.flat() });
const covariance = (rows: Rows): DenseMatrix =>
  dense(product(transpose(centred(rows)), centred(rows)).map((row) => row.map((value) => value / rows.length)));

/** [features | 1 | targets] summed up in blocks. */
const blockMoments = (features: Rows, targets: Rows, blocks: number): BlockMoments => {
  const joint = features.map((row, n) => [...row, 1, ...targets[n]!]);
  const size = joint.length / blocks;
  const cut = Array.from({ length: blocks }, (_, block) => joint.slice(block * size, (block + 1) * size));
  return {
    features: features[0]!.length,
    targets: targets[0]!.length,
    blocks: cut.map((rows) => product(transpose(rows), rows).flat()),
  };
};

describe("cross-validated regression", () => {
  it("explains in each block what a regression fitted on the other blocks explains there, from moments alone", () => {
    const random = createRandom(1);
    const features = normals(random, 60, 4).map((row) => row.map((value) => value + 3));
    const targets = product(features, normals(random, 4, 2)).map((row) => row.map((value) => value + random.normal()));
    const [blocks, ridge] = [5, 0.05];
    const found = crossValidate(blockMoments(features, targets, blocks), ridge)!;
    for (let block = 0; block < blocks; block++) {
      const held = (_: unknown, n: number): boolean => Math.floor(n / 12) === block;
      const rest = (_: unknown, n: number): boolean => !held(_, n);
      const meansOf = (rows: Rows): number[] => transpose(rows.filter(rest)).map((column) => mean(column));
      const around = (rows: Rows): Rows => rows.map((row) => row.map((value, j) => value - meansOf(rows)[j]!));
      const [f, y] = [around(features), around(targets)];
      const [trained, aims] = [f.filter(rest), y.filter(rest)];
      const gram = product(transpose(trained), trained).map((row) => row.map((value) => value / trained.length));
      const penalty = (ridge * gram.reduce((sum, row, i) => sum + row[i]!, 0)) / gram.length;
      const cross = product(transpose(trained), aims).map((row) => row.map((value) => value / trained.length));
      const weights = eliminate(
        gram.map((row, i) => row.map((value, j) => value + (i === j ? penalty : 0))),
        cross,
      );
      const fitted = product(f.filter(held), weights).flat();
      const aimed = y.filter(held).flat();
      const left = aimed.reduce((sum, value, i) => sum + (value - fitted[i]!) ** 2, 0);
      const whole = aimed.reduce((sum, value) => sum + value ** 2, 0);
      expect(found.explained[block]).toBeCloseTo((whole - left) / 12, 9);
    }
    const power =
      centred(targets)
        .flat()
        .reduce((sum, value) => sum + value ** 2, 0) / 60;
    expect(found.power).toBeCloseTo(power, 9);
  });

  it("says that noise explains nothing, where the same regression in the sample explains a part", () => {
    const random = createRandom(2);
    const fractions = Array.from({ length: 20 }, () => {
      const { explained, power } = crossValidate(blockMoments(normals(random, 160, 16), normals(random, 160, 2), 8), 1e-3)!;
      return mean(explained) / power;
    });
    expect(mean(fractions)).toBeLessThan(0.02);
  });

  it("is 0 for constant features, and absent without targets, with one block or where something is not finite", () => {
    const [features, targets] = [normals(createRandom(3), 40, 2), normals(createRandom(4), 40, 1)];
    const constant = features.map(() => [0, 0]);
    expect(crossValidate(blockMoments(constant, targets, 4), 1e-3)?.explained).toEqual([0, 0, 0, 0]);
    expect(
      crossValidate(
        blockMoments(
          features,
          targets.map(() => [0]),
          4,
        ),
        1e-3,
      ),
    ).toBeUndefined();
    expect(crossValidate(blockMoments(features, targets, 1), 1e-3)).toBeUndefined();
    const broken = features.map((row, n) => (n === 7 ? [Number.NaN, 0] : row));
    expect(crossValidate(blockMoments(broken, targets, 4), 1e-3)).toBeUndefined();
  });
});

/** A layer whose output has lost one of the two things that its input tells of the error. */
const lossyLayer = (random: RandomSource, samples: number) => {
  const known = normals(random, samples, 2);
  const error = known.map(([a, b]) => [0.5 * a! + 0.5 * b! + random.normal()]);
  const input = known.map((row) => [...row, random.normal()]);
  const output = known.map(([a]) => [a!, random.normal(), random.normal()]);
  return { input: blockMoments(input, error, 8), output: blockMoments(output, error, 8) };
};

const reading = (change: Partial<LayerReading> = {}): LayerReading => ({
  ...lossyLayer(createRandom(5), 400),
  inputSketch: covariance(normals(createRandom(6), 50, 4)),
  preActivationSketch: covariance(normals(createRandom(7), 50, 4)),
  bypassSketches: [],
  taps: 1,
  unitVariances: [1, 2, 0.5, 0],
  covarianceTrace: 4,
  covarianceSquares: 8,
  gradientSquares: 1,
  weightSquares: 4,
  weightGainSquares: 9,
  preActivationGradientSquares: 0.25,
  expressivity: { moments: covariance(normals(createRandom(8), 50, 7)), linear: 2, features: 3 },
  ...change,
});

describe("explained-error gap", () => {
  const gapOf = (layer: Pick<LayerReading, "input" | "output">) =>
    explainedErrorGap(rememberRegressions(1e-3))({ ...reading(), ...layer }, { ridge: 1e-3 })!;

  it("is the share of the error that the output has lost: here a sixth", () => {
    const { gap, explainedIn, explainedOut } = gapOf(lossyLayer(createRandom(9), 8000));
    expect(gap).toBeCloseTo(1 / 6, 1);
    expect(explainedIn).toBeCloseTo(1 / 3, 1);
    expect(gap).toBeCloseTo(explainedIn - explainedOut, 9);
  });

  it("its one-sided 95 % bound lies above the truth about as rarely as it says, over 250 draws", () => {
    const random = createRandom(10);
    const gaps = Array.from({ length: 250 }, () => gapOf(lossyLayer(random, 240)));
    const truth = mean(gaps.map(({ gap }) => gap));
    expect(truth).toBeCloseTo(1 / 6, 1);
    const above = gaps.filter(({ gap, gapError }) => gap - 1.645 * gapError > truth).length / gaps.length;
    // The spread comes from eight blocks: Student's t with 7 degrees of freedom puts 7.2 % beyond 1.645.
    expect(above).toBeGreaterThan(0.02);
    expect(above).toBeLessThan(0.12);
    const ratio = mean(gaps.map(({ gapError }) => gapError)) / standardDeviation(gaps.map(({ gap }) => gap));
    expect(ratio).toBeGreaterThan(0.8);
    expect(ratio).toBeLessThan(1.25);
  });

  it("runs one regression for each place, however many layers meet there", () => {
    const regress = rememberRegressions(1e-3);
    const { input } = lossyLayer(createRandom(11), 80);
    expect(regress(input)).toBe(regress(input));
  });
});

describe("dimensions", () => {
  const ofRank = (rank: number): DenseMatrix =>
    covariance(product(normals(createRandom(12), 200, rank), normals(createRandom(13), rank, 6)));

  it("a sketch has the rank of what it sketches, a constant none, and what is not finite has no rank", () => {
    expect([1, 2, 5].map((rank) => sketchRank(ofRank(rank)))).toEqual([1, 2, 5]);
    expect(sketchRank(dense([[1e-14]]))).toBe(0);
    expect(sketchRank(dense([[Number.NaN]]))).toBeUndefined();
  });

  const both = (change: Partial<LayerReading>) => {
    const [layer] = layerSignals([{ site: "h1", reading: reading(change) }], { ridge: 1e-3 })!;
    return [layer!.dimensionsIn, layer!.dimensionsOut];
  };

  it("low rank shows in the pre-activation, dead units in the output, and a bypass carries directions past", () => {
    const full = { unitVariances: [1, 1, 1, 1, 1, 1], inputSketch: ofRank(5) };
    expect(both({ ...full, preActivationSketch: ofRank(2) })).toEqual([5, 2]);
    expect(both({ ...full, preActivationSketch: ofRank(6), unitVariances: [1, 0, 0, 0.9, 0, 0] })).toEqual([5, 2]);
    expect(both({ ...full, preActivationSketch: ofRank(1), bypassSketches: [ofRank(3)] })).toEqual([5, 4]);
    expect(both({ ...full, preActivationSketch: ofRank(6), taps: 9 })).toEqual([16, 6]);
  });

  it("a unit far quieter than the liveliest is constant, in a layer that is all quiet none is alive", () => {
    expect(aliveUnits([1, 0.1, 1e-5, 0])).toBe(2);
    expect(aliveUnits([1e-15, 0])).toBe(0);
    expect(aliveUnits([1, Number.NaN])).toBeUndefined();
  });
});

describe("the other measures", () => {
  const signals = (readings: readonly LayerReading[]) =>
    layerSignals(
      readings.map((each, index) => ({ site: `h${index + 1}`, reading: each })),
      { ridge: 1e-3 },
    );

  it("effective rank counts equal directions, constant units count shares, Fisher is the mean squared slope", () => {
    const [layer] = signals([reading()])!;
    expect(layer).toMatchObject({ effectiveRank: 2, constantUnits: 0.25, fisher: 0.25, weightGain: 3 });
    expect(signals([reading({ covarianceTrace: 0, covarianceSquares: 0 })])![0]!.effectiveRank).toBe(0);
  });

  it("the gradient ratio is relative to the median layer and absent where most get no gradient", () => {
    const at = (gradientSquares: number): LayerReading => reading({ gradientSquares });
    expect(gradientRatios([at(1), at(100), at(1e-4)])).toEqual([1, 10, expect.closeTo(0.01, 12)]);
    expect(gradientRatios([at(0), at(0), at(1)])).toEqual([undefined, undefined, undefined]);
    expect(gradientRatios([at(1)])).toEqual([undefined]);
    expect(gradientRatios([at(Number.NaN), at(1), at(1)])[0]).toBeUndefined();
    expect(gradientRatios([reading({ weightSquares: 0 }), at(1), at(1)])[0]).toBeUndefined();
  });

  it("expressivity is what units reach beyond weights, by brute force", () => {
    const random = createRandom(14);
    const linear = centred(normals(random, 300, 2));
    const units = centred(linear.map(([a, b]) => [Math.max(0, a!), Math.max(0, b!), Math.max(0, a! + b!)]));
    const slope = centred(units.map((row) => [row[0]! - 2 * row[2]! + 0.1 * random.normal()]));
    const moments = covariance(linear.map((row, n) => [...row, ...units[n]!, ...slope[n]!]));
    const reached = (rows: Rows): number => {
      const fitted = product(rows, eliminate(product(transpose(rows), rows), product(transpose(rows), slope))).flat();
      return fitted.reduce((sum, value) => sum + value ** 2, 0) / slope.flat().reduce((sum, value) => sum + value ** 2, 0);
    };
    const beyond = reached(linear.map((row, n) => [...row, ...units[n]!])) - reached(linear);
    const tiny = reading({ expressivity: { moments, linear: 2, features: 3 } });
    const [layer] = layerSignals([{ site: "h1", reading: tiny }], { ridge: 1e-9 })!;
    expect(layer!.expressivity).toBeCloseTo(beyond, 5);
    expect(beyond).toBeGreaterThan(0.1);
  });

  it("a gap that could not be measured takes the whole signal away; another measure only its own field", () => {
    const broken = reading({ input: { ...reading().input, blocks: [] } });
    expect(signals([reading(), broken])).toBeUndefined();
    const [partly] = signals([reading({ preActivationGradientSquares: Number.NaN, unitVariances: [Number.NaN] })])!;
    expect(partly).not.toHaveProperty("fisher");
    expect(partly).not.toHaveProperty("constantUnits");
    expect(partly).not.toHaveProperty("dimensionsOut");
    expect(partly!.gap).toBeGreaterThan(0);
  });

  it("the generalization gap needs both losses", () => {
    expect(generalizationGap(0.5, 0.75)).toBe(0.25);
    expect(generalizationGap(undefined, 1)).toBeUndefined();
    expect(generalizationGap(Number.NaN, 1)).toBeUndefined();
  });
});
