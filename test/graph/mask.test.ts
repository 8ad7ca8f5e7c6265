import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Host, type Tensor } from "../../src/contracts/graph.ts";
import type { PruneTarget } from "../../src/contracts/pruning.ts";
import { countParameters } from "../../src/graph/flops.ts";
import { resnet, transformer } from "../../src/graph/hosts/index.ts";
import { maskTarget } from "../../src/graph/mask.ts";
import { inference } from "../../src/graph/programs.ts";
import { pruneTarget, unitsOf } from "../../src/graph/prune.ts";
import { runNumeric, toNumeric } from "../../src/graph/reference.ts";
import { alphaInput, removeBypass } from "../../src/graph/rewrite.ts";
import { distance, drawn } from "./numeric.ts";
import {
  BATCH,
  convBlueprint,
  curved,
  denseBlueprint,
  grown,
  images,
  normalized,
  plain,
  pooled,
  randomTensors,
  smooth,
} from "./sculpt.ts";

const seedId = "seed:site.prune";
const bypassed = grown(plain, "h1", "h3", denseBlueprint({ sizes: [6, 3, 4], activation: "relu" }));
const beyond = grown(bypassed, "h2", "output", denseBlueprint({ sizes: [5, 3, 3], activation: "tanh" }));
const convolved = grown(images, "c2", "c3", convBlueprint({ channels: [4, 3, 4], size: [7, 7], strides: [2, 2] }));
const residual = resnet({ name: "r", inputShape: [1, 6, 6], width: 4, blocks: [1, 1], classes: 3 });
const tokens = transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 1, width: 4, heads: 2 });

const logitsAt = (host: Host, tensors: ReadonlyMap<string, Tensor>, alpha: number): Float64Array => {
  const program = inference({ host, batch: BATCH });
  const feeds = program.inputs.map(({ name, shape, dtype }) => {
    const tensor = tensors.get(name);
    if (tensor !== undefined) return [name, toNumeric(tensor)] as const;
    if (name === alphaInput(seedId)) return [name, { dtype, shape, data: Float64Array.of(alpha) }] as const;
    const { data } = drawn(shape, 5);
    return [name, { dtype, shape, data: dtype === "int32" ? data.map((value) => (value > 0 ? 1 : 0)) : data }] as const;
  });
  return runNumeric(program, Object.fromEntries(feeds))["logits"]!.data;
};

/** `constant`: whether readers can keep any constant of a unit, or nothing but 0. */
const layers: readonly (readonly [host: Host, site: string, constant: boolean])[] = [
  [plain, "h1", true],
  [plain, "h3", true],
  [smooth, "h2", true],
  [curved, "h1", true],
  [images, "c1", false],
  [images, "c3", true],
  [normalized, "c2", false],
  [pooled, "c2", true],
  [bypassed, "h1", true],
  [beyond, "h3", true],
  [residual, "s1.b1.c1", false],
  [tokens, "b1.mlp.in", true],
];

const subsets = (host: Host, site: string): fc.Arbitrary<number[]> => {
  const width = unitsOf(host, site);
  return fc.subarray(
    Array.from({ length: width }, (_, unit) => unit),
    { minLength: 1, maxLength: width - 1 },
  );
};

const expectEqualEnds = (host: Host, target: PruneTarget, tensors: ReadonlyMap<string, Tensor>): void => {
  const mask = maskTarget(host, seedId, target);
  expect(Host.parse(mask.host)).toEqual(mask.host);
  const all = new Map([...tensors, ...mask.tensors]);
  const pruning = pruneTarget(host, tensors, target);
  if (pruning.kind === "refused") throw new Error(pruning.reason);
  const [plainLogits, prunedLogits] = [logitsAt(host, tensors, 0), logitsAt(pruning.host, pruning.parameters, 0)];
  expect(distance(logitsAt(mask.host, all, 0), plainLogits)).toBe(0);
  expect(distance(logitsAt(mask.host, all, 1), prunedLogits)).toBeLessThan(1e-5);
  for (const parameter of mask.host.graph.parameters) {
    const tensor = all.get(parameter.name)!;
    expect(tensor.shape).toEqual(parameter.shape);
  }
};

describe("maskTarget", () => {
  it.each(layers.map((each) => [`${each[0].name} ${each[1]}`, ...each] as const))(
    "M1: the host at alpha 0, the pruned host at alpha 1: units of %s",
    (_, host, site, canBeConstant) => {
      fc.assert(
        fc.property(subsets(host, site), fc.float({ min: -2, max: 2, noNaN: true }), fc.nat(1000), (units, wanted, seed) => {
          const constants = units.map((unit) => (canBeConstant ? Math.fround(wanted + unit) : 0));
          expectEqualEnds(host, { kind: "units", site, units, constants }, randomTensors(host, seed));
        }),
        { numRuns: 5 },
      );
    },
  );

  it.each([
    ["over dense layers", bypassed, "seed:h1"],
    ["with another one beside it", beyond, "seed:h1"],
    ["to the logits", beyond, "seed:h2"],
    ["over convolutions", convolved, "seed:c2"],
  ] as const)("M1: the host at alpha 0, the pruned host at alpha 1: a bypass %s", (_, host, bypass) => {
    for (const seed of [1, 2, 3])
      expectEqualEnds(host, { kind: "bypass", site: "h1", seedId: bypass }, randomTensors(host, seed));
  });

  it("no constants are zeros, and what is between the ends is between them", () => {
    const tensors = randomTensors(plain);
    const maskFor = (constants: number[]) => maskTarget(plain, seedId, { kind: "units", site: "h2", units: [1, 3], constants });
    const [none, zeros] = [maskFor([]), maskFor([0, 0])];
    expect(none.tensors).toEqual(zeros.tensors);
    const all = new Map([...tensors, ...none.tensors]);
    const [start, half, end] = [0, 0.5, 1].map((alpha) => logitsAt(none.host, all, alpha));
    expect(distance(start!, end!)).toBeGreaterThan(1e-3);
    expect(distance(half!, start!)).toBeGreaterThan(0);
    expect(distance(half!, end!)).toBeLessThan(distance(start!, end!));
  });

  it("M2, M3: what is added counts nothing and leaves without a trace", () => {
    for (const [host, target] of [
      [plain, { kind: "units", site: "h2", units: [0], constants: [1] }],
      [bypassed, { kind: "bypass", site: "h1", seedId: "seed:h1" }],
    ] as const) {
      const mask = maskTarget(host, seedId, target as PruneTarget);
      expect(countParameters(mask.host)).toBe(countParameters(host));
      const added = mask.host.graph.parameters.filter(({ cohort }) => cohort === seedId);
      expect(added.map(({ trainable }) => trainable)).not.toContain(true);
      expect([...mask.tensors.keys()].sort()).toEqual(added.map(({ name }) => name).sort());
      expect(removeBypass(mask.host, seedId)).toEqual(host);
    }
  });

  it("names what the host does not have", () => {
    const units = (site: string, unit: number): PruneTarget => ({ kind: "units", site, units: [unit], constants: [0] });
    expect(() => maskTarget(plain, seedId, units("h9", 0))).toThrow(/one of the layers h1, h2, h3/);
    expect(() => maskTarget(plain, seedId, units("h2", 6))).toThrow(/units below 6, got 6/);
    expect(() => maskTarget(plain, seedId, { kind: "bypass", site: "h1", seedId: "seed:h1" })).toThrow(
      /a seed that the host holds/,
    );
  });
});
