import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Host, type Tensor } from "../../src/contracts/graph.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { countParameters } from "../../src/graph/flops.ts";
import { resnet, transformer } from "../../src/graph/hosts/index.ts";
import { optimizerScalars } from "../../src/graph/optimizers.ts";
import { cutTensors, type PruneUnits, pruneUnits, removeCommitted, unitsOf } from "../../src/graph/prune.ts";
import { fromNumeric, runNumeric, toNumeric } from "../../src/graph/reference.ts";
import { insertBypass } from "../../src/graph/rewrite.ts";
import { trainStep } from "../../src/graph/step.ts";
import { distance, drawn } from "./numeric.ts";
import {
  BATCH,
  curved,
  denseBlueprint,
  expectPruned,
  forwardFlops,
  grown,
  images,
  killUnits,
  logitsOf,
  normalized,
  plain,
  pooled,
  randomTensors,
  smooth,
  type Tensors,
  withSlots,
} from "./sculpt.ts";

const bypassed = grown(plain, "h1", "h3", denseBlueprint({ sizes: [6, 3, 4], activation: "relu" }));
const later = grown(plain, "h2", "output", denseBlueprint({ sizes: [5, 3, 3], activation: "relu" }));
const residual = resnet({ name: "r", inputShape: [1, 6, 6], width: 4, blocks: [1, 1], classes: 3 });
const tokens = transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 1, width: 4, heads: 2 });

const erf = (x: number): number => {
  let [term, sum] = [x, x];
  for (let n = 1; n < 60; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};
const activations = {
  relu: (x: number) => Math.max(0, x),
  tanh: Math.tanh,
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};
/** `canBeConstant`: false where a unit's constant cannot be folded unless it is zero. */
type Case = readonly [host: Host, layer: string, activation: keyof typeof activations, canBeConstant: boolean];
// Behind padding a constant other than zero is no constant: 3×3 convolutions are padded.
const cases: readonly Case[] = [
  [plain, "h1", "relu", true],
  [plain, "h2", "relu", true],
  [plain, "h3", "relu", true],
  [smooth, "h1", "tanh", true],
  [curved, "h2", "gelu", true],
  [images, "c1", "relu", false],
  [images, "c3", "relu", true],
  [normalized, "c2", "relu", false],
  [normalized, "c3", "relu", true],
  [pooled, "c1", "relu", false],
  [pooled, "c2", "relu", true],
  [bypassed, "h1", "relu", true],
  [bypassed, "h2", "relu", true],
  [later, "h1", "relu", true],
  [later, "h3", "relu", true],
  [residual, "s1.b1.c1", "relu", false],
  [residual, "s2.b1.c1", "relu", false],
  [tokens, "b1.mlp.in", "gelu", true],
];

const someUnits = (width: number): fc.Arbitrary<number[]> =>
  fc.subarray(
    Array.from({ length: width }, (_, unit) => unit),
    { minLength: 1, maxLength: width - 1 },
  );

describe("pruneUnits", () => {
  it.each(cases.map((each) => [`${each[0].name} ${each[1]}`, ...each] as const))(
    "P1: constant units leave without a trace: %s",
    (_, host, layer, activation, canBeConstant) => {
      fc.assert(
        fc.property(
          someUnits(unitsOf(host, layer)),
          fc.double({ min: -2, max: 2, noNaN: true }),
          fc.nat(1000),
          (units, wanted, seed) => {
            const shift = Math.fround(canBeConstant ? wanted : -Math.abs(wanted));
            const tensors = killUnits(host, randomTensors(host, seed), layer, units, shift);
            const constant = activations[activation](shift);
            const result = expectPruned(pruneUnits(host, tensors, { layer, units, constants: units.map(() => constant) }));
            expect(Host.parse(result.host)).toEqual(result.host);
            expect(distance(logitsOf(result.host, result.parameters), logitsOf(host, tensors))).toBeLessThan(1e-5);
            expect(unitsOf(result.host, layer)).toBe(unitsOf(host, layer) - units.length);
            for (const { name, shape } of result.host.graph.parameters) expect(result.parameters.get(name)!.shape).toEqual(shape);
          },
        ),
        { numRuns: 6 },
      );
    },
  );

  it("P1: a unit that is not constant leaves as if it had been its replacement", () => {
    const tensors = randomTensors(plain);
    const replaced = killUnits(plain, tensors, "h2", [1, 4], 0.75);
    const request: PruneUnits = { layer: "h2", units: [4, 1], constants: [0.75, 0.75] };
    const { host, parameters } = expectPruned(pruneUnits(plain, tensors, request));
    expect(distance(logitsOf(host, parameters), logitsOf(plain, replaced))).toBeLessThan(1e-6);
    expect(distance(logitsOf(host, parameters), logitsOf(plain, tensors))).toBeGreaterThan(1e-3);
  });

  it("constants belong to their units, whatever the order", () => {
    const tensors = killUnits(plain, killUnits(plain, randomTensors(plain), "h1", [3], 0.5), "h1", [0], 0.25);
    const { host, parameters } = expectPruned(pruneUnits(plain, tensors, { layer: "h1", units: [3, 0], constants: [0.5, 0.25] }));
    expect(distance(logitsOf(host, parameters), logitsOf(plain, tensors))).toBeLessThan(1e-6);
  });

  it.each([1, 2, 3])("parameters and FLOPs fall as the closed form says: %i dense units", (count) => {
    const units = Array.from({ length: count }, (_, unit) => unit);
    const { host } = expectPruned(pruneUnits(plain, randomTensors(plain), { layer: "h2", units }));
    const [inputs, outputs] = [5, 4];
    expect(countParameters(plain) - countParameters(host)).toBe(count * (inputs + 1 + outputs));
    // Multiply-adds in and out, the bias and the activation.
    expect(forwardFlops(plain) - forwardFlops(host)).toBe(BATCH * count * (2 * inputs + 2 + 2 * outputs));
  });

  it.each([1, 2, 3])("parameters and FLOPs fall as the closed form says: %i channels", (count) => {
    const units = Array.from({ length: count }, (_, unit) => unit + 1);
    const { host } = expectPruned(pruneUnits(images, randomTensors(images), { layer: "c2", units }));
    const [inputs, outputs, places, placesAfter] = [4, 4, 16, 4];
    expect(countParameters(images) - countParameters(host)).toBe(count * (9 * inputs + 1 + 9 * outputs));
    const saved = places * (2 * 9 * inputs + 2) + placesAfter * 2 * 9 * outputs;
    expect(forwardFlops(images) - forwardFlops(host)).toBe(BATCH * count * saved);
  });

  it("P3: moments are cut like their parameters, and shifts do not touch them", () => {
    const tensors = withSlots(normalized, randomTensors(normalized));
    const request: PruneUnits = { layer: "c3", units: [0, 2], constants: [0.5, -0.5] };
    const { host, parameters, cuts } = expectPruned(pruneUnits(normalized, tensors, request));
    for (const { name, trainable } of host.graph.parameters) {
      if (!trainable) continue;
      const own = parameters.get(name)!;
      for (const suffix of ["#m", "#v"]) {
        const slot = parameters.get(`${name}${suffix}`)!;
        expect(slot.shape).toEqual(own.shape);
        // The slots were copies of the parameters: all but the shifted bias still are.
        if (name !== "output/bias") expect(slot.data).toEqual(own.data);
      }
    }
    expect(parameters.get("output/bias#m")!.data).toEqual(tensors.get("output/bias")!.data);
    expect(parameters.get("output/bias")!.data).not.toEqual(tensors.get("output/bias")!.data);
    expect(cutTensors(tensors, cuts).get("c3/weight#v")).toEqual(parameters.get("c3/weight#v"));
  });

  it("P3: training goes on as before: after a step of Adam with moments the logits are still the same", () => {
    const units = [0, 2, 5];
    const whole = withSlots(plain, killUnits(plain, randomTensors(plain), "h2", units, -1));
    const optimizer = OptimizerConfig.parse({ kind: "adam" });
    const stepped = (host: Host, tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> => {
      const step = trainStep({ host, optimizer, trainableCohorts: ["host"], batch: BATCH });
      const slots = step.slots.map(({ name }) => [name, tensors.get(name)!.data.map(Math.abs)] as const);
      const known = new Map(slots.map(([name, data]) => [name, { ...tensors.get(name)!, data }]));
      const feeds = Object.fromEntries(
        step.program.inputs.map(({ name, shape, dtype }) => {
          const tensor = known.get(name) ?? tensors.get(name) ?? optimizerScalars(optimizer, "host", 4)[name];
          if (tensor !== undefined) return [name, toNumeric(tensor)];
          return [name, name === "x" ? drawn(shape, 5) : { dtype, shape, data: Float64Array.of(0, 2, 1) }];
        }),
      );
      const results = runNumeric(step.program, feeds);
      return new Map([...tensors.keys()].map((name) => [name, fromNumeric(results[step.updates[name]!]!)]));
    };
    const { host, parameters } = expectPruned(pruneUnits(plain, whole, { layer: "h2", units }));
    const [moved, kept] = [stepped(plain, whole), stepped(host, parameters)];
    expect(distance(logitsOf(plain, moved), logitsOf(plain, whole))).toBeGreaterThan(1e-3);
    expect(distance(logitsOf(host, kept), logitsOf(plain, moved))).toBeLessThan(1e-5);
  });

  it("P2: what would change another layer is refused with the reason, and the host is untouched", () => {
    const reasonOf = (host: Host, request: PruneUnits, tensors: Tensors = randomTensors(host)): string => {
      const before = structuredClone({ host, tensors: [...tensors] });
      const result = pruneUnits(host, tensors, request);
      expect({ host, tensors: [...tensors] }).toEqual(before);
      return result.kind === "refused" ? result.reason : "not refused";
    };
    expect(reasonOf(residual, { layer: "s1.b1.c2", units: [0] })).toBe(
      "s1.b1.c2: add s1.b1/sum joins the units with stem/activation, as a residual sum does",
    );
    expect(reasonOf(residual, { layer: "s2.b1.shortcut", units: [0] })).toContain("as a residual sum does");
    expect(reasonOf(residual, { layer: "stem", units: [0] })).toContain("as a residual sum does");
    expect(reasonOf(tokens, { layer: "b1.mlp.out", units: [0] })).toContain("as a residual sum does");
    expect(reasonOf(tokens, { layer: "b1.attention.value", units: [0] })).toContain("mixes the units with others");
    expect(reasonOf(plain, { layer: "output", units: [0] })).toBe("output: its units are the network's predictions");
    expect(reasonOf(plain, { layer: "h3", units: [0, 1, 2, 3] })).toBe("h3: all of its 4 units would go; at least one must stay");
    // Behind padding a constant is another one at the border.
    expect(reasonOf(images, { layer: "c1", units: [2], constants: [0.5] })).toBe(
      "c1: conv2d c2/convolution reads unit 2 where it is not one constant",
    );
    const inside = insertBypass(plain, {
      seedId: "seed:a",
      blueprint: denseBlueprint({ sizes: [5, 2, 4], activation: "relu" }),
      from: "h1/preActivation",
      to: "h3",
      alpha: "one",
    });
    expect(reasonOf(inside, { layer: "h1", units: [0] })).toBe(
      "h1: matMul seed:a/d1/product reads unit 0 where it is not one constant",
    );
  });

  it("throws for what is no request at all", () => {
    const tensors = randomTensors(plain);
    const of = (request: PruneUnits) => () => pruneUnits(plain, tensors, request);
    expect(of({ layer: "h9", units: [0] })).toThrow("prune h9: expected one of the layers h1, h2, h3, output, got h9");
    expect(of({ layer: "h1", units: [] })).toThrow("expected one or more units, got none");
    expect(of({ layer: "h1", units: [5] })).toThrow("expected units below 5, got 5");
    expect(of({ layer: "h1", units: [1, 1] })).toThrow("expected each unit once, got 1, 1");
    expect(of({ layer: "h1", units: [0.5] })).toThrow("expected whole numbers from 0, got 0.5");
    expect(of({ layer: "h1", units: [0], constants: [1, 2] })).toThrow("expected 1 constants, got 2");
    expect(of({ layer: "h1", units: [0], constants: [Number.NaN] })).toThrow("expected finite constants, got NaN");
    tensors.delete("h2/weight");
    expect(of({ layer: "h1", units: [0] })).toThrow("expected a tensor for the parameter h2/weight, got none");
  });

  it("a bypass that is folded in loses the same units as the layer that it adds to", () => {
    const tensors = randomTensors(bypassed);
    const { host, parameters } = expectPruned(pruneUnits(bypassed, tensors, { layer: "h3", units: [1] }));
    expect(parameters.get("seed:h1/d2/weight")!.shape).toEqual([3, 3]);
    expect(parameters.get("h3/weight")!.shape).toEqual([6, 3]);
    expect(parameters.get("output/weight")!.shape).toEqual([3, 3]);
    expect(logitsOf(host, parameters)).toHaveLength(BATCH * 3);
  });
});

describe("removeCommitted", () => {
  it("takes a folded bypass out again, with its tensors and moments", () => {
    const tensors = withSlots(bypassed, randomTensors(bypassed));
    const { host, parameters, removed } = removeCommitted(bypassed, tensors, "seed:h1");
    expect(host).toEqual(plain);
    expect(removed).toEqual(["d1/weight", "d1/bias", "d2/weight", "d2/bias"].map((name) => `seed:h1/${name}`));
    expect([...parameters.keys()].some((name) => name.startsWith("seed:h1"))).toBe(false);
    expect(parameters).toEqual(withSlots(plain, randomTensors(plain)));
    expect(() => removeCommitted(plain, tensors, "seed:h1")).toThrow("expected a seed that the host holds");
  });

  it("still does after the layer that it adds to has lost units", () => {
    const tensors = randomTensors(bypassed);
    const pruned = expectPruned(pruneUnits(bypassed, tensors, { layer: "h3", units: [0, 2] }));
    const { host, parameters } = removeCommitted(pruned.host, pruned.parameters, "seed:h1");
    const alone = expectPruned(pruneUnits(plain, randomTensors(plain), { layer: "h3", units: [0, 2] }));
    expect(host).toEqual(alone.host);
    expect(logitsOf(host, parameters)).toEqual(logitsOf(alone.host, alone.parameters));
  });
});
