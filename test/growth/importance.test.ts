import { describe, expect, it } from "vitest";
import { MorphogeneticConfig } from "../../src/contracts/config-morphogenetic.ts";
import type { Host, Tensor } from "../../src/contracts/graph.ts";
import { isNonInferior } from "../../src/contracts/pruning.ts";
import { mlp } from "../../src/graph/hosts/index.ts";
import { evaluate, probe } from "../../src/graph/programs.ts";
import { pruneUnits } from "../../src/graph/prune.ts";
import { runNumeric, toNumeric } from "../../src/graph/reference.ts";
import { ablate } from "../../src/growth/ablation.ts";
import { measureUnits } from "../../src/growth/importance.ts";
import { mean } from "../../src/growth/statistics.ts";
import { emptyPruning, proposePruning } from "../../src/policy/prune.ts";
import { array, distance, drawn } from "../graph/numeric.ts";
import { denseBlueprint, forwardFlops, grown, killUnits, randomTensors, type Tensors } from "../graph/sculpt.ts";

const SAMPLES = 64;
const host = mlp({ name: "m", inputShape: [4], widths: [6, 8, 5], classes: 3 });
const labels = array([SAMPLES], [...drawn([SAMPLES], 9).data.map((value) => ((Math.abs(value) * 7.3) % 3) | 0)], "int32");
const x = drawn([SAMPLES, 4], 3);

const feedsOf = (tensors: ReadonlyMap<string, Tensor>) => ({
  ...Object.fromEntries([...tensors].map(([name, tensor]) => [name, toNumeric(tensor)])),
  x,
  y: labels,
});

const lossesOf = (of: Host, tensors: ReadonlyMap<string, Tensor>): Float64Array =>
  runNumeric(evaluate({ host: of, batch: SAMPLES }), feedsOf(tensors))["lossPerSample"]!.data;

const unitsOfLayer = (of: Host, tensors: Tensors, name: string) => {
  const { output } = of.layers.find((layer) => layer.name === name)!;
  const program = probe({ host: of, batch: SAMPLES, values: [output], gradients: [output] });
  const found = runNumeric(program, feedsOf(tensors));
  const [value, gradient] = [found[`value:${output}`]!, found[`gradient:${output}`]!];
  return measureUnits({ shape: value.shape, activation: value.data, gradient: gradient.data });
};

describe("measureUnits", () => {
  it("of a loss that is linear in the unit is its mean absolute change, exactly", () => {
    const activation = [1, 5, 3, -1, 2, -4];
    // Loss of sample s: 2·a₀ − 3·a₁, so that the mean loss has the gradients 2/3 and −1.
    const gradient = [2 / 3, -1, 2 / 3, -1, 2 / 3, -1];
    const [first, second] = measureUnits({ shape: [3, 2], activation, gradient });
    expect(first).toEqual({ unit: 0, importance: expect.closeTo((2 + 2 + 0) / 3, 12), mean: 2, spread: 2 });
    expect(second).toEqual({ unit: 1, importance: expect.closeTo((15 + 3 + 12) / 3, 12), mean: 0, spread: 9 });
  });

  it("sums over the places of a map or the tokens of a row before it takes the sign away", () => {
    const maps = measureUnits({ shape: [1, 2, 1, 2], activation: [1, 3, 5, 5], gradient: [1, 1, 2, 9] });
    expect(maps).toEqual([
      { unit: 0, importance: 0, mean: 2, spread: 2 },
      { unit: 1, importance: 0, mean: 5, spread: 0 },
    ]);
    const tokens = measureUnits({ shape: [1, 2, 2], activation: [1, 5, 3, 5], gradient: [1, 2, -1, 9] });
    expect(tokens).toEqual([
      { unit: 0, importance: 2, mean: 2, spread: 2 },
      { unit: 1, importance: 0, mean: 5, spread: 0 },
    ]);
  });

  it("a constant unit costs nothing; one that is not finite has no measurement", () => {
    const tensors = killUnits(host, randomTensors(host), "h2", [1, 6], -1);
    const units = unitsOfLayer(host, tensors, "h2");
    for (const unit of [1, 6]) expect(units[unit]).toEqual({ unit, importance: 0, mean: 0, spread: 0 });
    const broken = measureUnits({ shape: [2, 1], activation: [1, Number.NaN], gradient: [0, 0] });
    expect(broken).toEqual([{ unit: 0 }]);
    expect(() => measureUnits({ shape: [2, 2], activation: [1], gradient: [1] })).toThrow("found [2, 2] with 1 and 1 values");
  });

  it("predicts what a small step of a unit towards its mean does to the loss", () => {
    const tensors = randomTensors(host, 11);
    const units = unitsOfLayer(host, tensors, "h2");
    // Scaling the outgoing weights by 1 − t and giving t·mean·w to the bias is that step.
    const step = 1e-3;
    for (const { unit, importance, mean: level } of units) {
      const weight = Float32Array.from(tensors.get("h3/weight")!.data);
      const bias = Float64Array.from(tensors.get("h3/bias")!.data);
      const moved = Float64Array.from(weight);
      for (let to = 0; to < 5; to++) {
        moved[unit * 5 + to] = weight[unit * 5 + to]! * (1 - step);
        bias[to] = bias[to]! + step * level! * weight[unit * 5 + to]!;
      }
      const feeds = { ...feedsOf(tensors), "h3/weight": array([8, 5], [...moved]), "h3/bias": array([5], [...bias]) };
      const after = runNumeric(evaluate({ host, batch: SAMPLES }), feeds)["lossPerSample"]!.data;
      const before = lossesOf(host, tensors);
      const change = mean(before.map((loss, sample) => Math.abs(after[sample]! - loss))) / step;
      expect(Math.abs(change - importance!)).toBeLessThan(0.02 * Math.max(1, importance!));
    }
  });

  it("the least important units cost less loss than the most important ones", () => {
    let better = 0;
    for (let seed = 0; seed < 10; seed++) {
      const tensors = randomTensors(host, 100 * seed);
      const ranked = unitsOfLayer(host, tensors, "h2").toSorted((a, b) => a.importance! - b.importance!);
      const before = mean(lossesOf(host, tensors));
      const [least, most] = [ranked.slice(0, 2), ranked.slice(-2)].map((units) => {
        const request = { layer: "h2", units: units.map(({ unit }) => unit), constants: units.map((each) => each.mean!) };
        const result = pruneUnits(host, tensors, request);
        if (result.kind === "refused") throw new Error(result.reason);
        return Math.abs(mean(lossesOf(result.host, result.parameters)) - before);
      });
      if (least! < most!) better++;
    }
    expect(better).toBeGreaterThanOrEqual(9);
  });
});

describe("what can be kept of a unit", () => {
  it("nothing but zero: the importance is that of the step to zero, also for a unit that never changes", () => {
    const [activation, gradient] = [
      [2, 5, -1, 5],
      [0.5, 0.25, 0.5, -1],
    ];
    const [first, second] = measureUnits({ shape: [2, 2], activation: activation!, gradient: gradient! }, "zero");
    expect(first).toEqual({ unit: 0, importance: 1.5, mean: 0, spread: 3 });
    expect(second).toEqual({ unit: 1, importance: 6.25, mean: 0, spread: 0 });
    const [kept] = measureUnits({ shape: [2, 2], activation: activation!, gradient: gradient! }).slice(1);
    expect(kept).toEqual({ unit: 1, importance: 0, mean: 5, spread: 0 });
  });
});

describe("from a batch to a smaller host", () => {
  it("half the units of a layer are dead: they are found, proposed and taken out, and the losses stay", () => {
    const dead = [0, 3, 4, 7];
    const tensors = killUnits(host, randomTensors(host, 4), "h2", dead, -1);
    const config = MorphogeneticConfig.parse({ pruning: { enabled: true } });
    const [losses, flops] = [lossesOf(host, tensors), forwardFlops(host)];
    const layers = ["h1", "h2", "h3"].map((site) => ({ site, units: unitsOfLayer(host, tensors, site), stepFlopsPerUnit: 10 }));
    const survey = { runId: "r", epoch: 1, hostHash: "a", layers, bypasses: [], validationLoss: mean(losses), embargoEpochs: {} };
    const { proposal } = proposePruning(emptyPruning, survey, config);
    const target = proposal!.target;
    if (target.kind !== "units") throw new Error("expected units");
    expect(target).toMatchObject({ site: "h2", units: dead, constants: [0, 0, 0, 0] });
    const result = pruneUnits(host, tensors, { layer: target.site, units: target.units, constants: target.constants });
    if (result.kind === "refused") throw new Error(result.reason);
    expect(distance(lossesOf(result.host, result.parameters), losses)).toBeLessThan(1e-9);
    expect(forwardFlops(result.host)).toBeLessThan(0.75 * flops);
  });
});

describe("ablate", () => {
  const bypassed = grown(host, "h1", "h3", denseBlueprint({ sizes: [4, 3, 5], activation: "relu" }));
  const input = { seedId: "seed:h1", site: "h3", stepFlopsWith: 100, stepFlopsWithout: 80, confidence: 0.99 };

  it("is the paired gain of having the bypass, and what it costs", () => {
    const tensors = randomTensors(bypassed);
    const lossesWith = lossesOf(bypassed, tensors);
    const lossesWithout = lossesOf(host, randomTensors(host));
    const { gain, stepFlops } = ablate({ ...input, lossesWith, lossesWithout });
    expect(gain!.mean).toBeCloseTo(mean(lossesWithout) - mean(lossesWith), 10);
    expect(gain!.lower).toBeLessThan(gain!.mean);
    expect(stepFlops).toBe(20);
  });

  it("has no gain where a loss is not finite", () => {
    const measured = ablate({ ...input, lossesWith: [1, 2], lossesWithout: [1, Number.NaN] });
    expect(measured).toEqual({ seedId: "seed:h1", site: "h3", stepFlops: 20 });
  });
});

describe("isNonInferior", () => {
  const gain = (lower: number) => ({
    mean: lower + 0.001,
    lower,
    upper: 0.1,
    confidence: 0.99,
    samples: 100,
    lossWithout: 0.5,
    lossWith: 0.5,
  });
  const flops = { before: 100, after: 60 };

  it("holds while the upper bound of the loss stays within the limit and a step costs less", () => {
    expect(isNonInferior(gain(-0.004), 0.01, flops)).toEqual({
      holds: true,
      lossUpper: expect.closeTo(0.008, 12),
      reason: "at most 0.8 % of the loss for 40 % fewer FLOPs a step",
    });
    expect(isNonInferior(gain(-0.005), 0.01, flops).holds).toBe(false);
    expect(isNonInferior(gain(-0.004), 0.01, { before: 100, after: 100 }).reason).toContain("nothing is saved");
  });

  it("never holds for what was not measured", () => {
    expect(isNonInferior(undefined, 0.01, flops)).toEqual({
      holds: false,
      reason: "the loss of the smaller host was not measured",
    });
    expect(isNonInferior({ ...gain(0), lower: Number.NaN }, 0.01, flops).holds).toBe(false);
    expect(isNonInferior({ ...gain(0), lossWithout: 0 }, 0.01, flops).holds).toBe(false);
  });
});
