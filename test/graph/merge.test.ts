import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Host } from "../../src/contracts/graph.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { countParameters } from "../../src/graph/flops.ts";
import { resnet } from "../../src/graph/hosts/index.ts";
import { mergeAll, mergeBypass } from "../../src/graph/merge.ts";
import { insertBypass } from "../../src/graph/rewrite.ts";
import { distance } from "./numeric.ts";
import {
  convBlueprint,
  denseBlueprint,
  forwardFlops,
  grown,
  images,
  logitsOf,
  normalized,
  plain,
  randomTensors,
  smooth,
  type Tensors,
  withSlots,
} from "./sculpt.ts";

const relu = (sizes: number[]) => denseBlueprint({ sizes, activation: "relu" });
const linear = (sizes: number[]) => denseBlueprint({ sizes });

/** Merges, checks that the logits stay, and gives what came of it. */
const merge = (host: Host, tensors: Tensors = randomTensors(host), options = {}) => {
  const result = mergeAll(host, tensors, options);
  expect(Host.parse(result.host)).toEqual(result.host);
  expect(distance(logitsOf(result.host, result.parameters), logitsOf(host, tensors))).toBeLessThan(1e-5);
  expect([...result.parameters.keys()].filter((name) => !name.includes("#"))).toEqual(
    result.host.graph.parameters.map(({ name }) => name),
  );
  for (const { name, shape } of result.host.graph.parameters) expect(result.parameters.get(name)!.shape).toEqual(shape);
  return result;
};

describe("mergeAll", () => {
  it("F1: a linear bypass over one dense layer becomes part of its matrix: the host's own graph again", () => {
    const lowRank = grown(plain, "h2", "h2", linear([5, 2, 6]), "seed:h2");
    const deep = grown(lowRank, "h2", "h2", linear([5, 3, 2, 6]), "seed:h2.1");
    const { host, merged, kept } = merge(deep);
    expect(merged).toEqual(["seed:h2 into h2/preActivation", "seed:h2.1 into h2/preActivation"]);
    expect(kept).toEqual([]);
    expect(host).toEqual(plain);
  });

  it("F1: over more than one layer it stays, with the reason", () => {
    const { host, merged, kept } = merge(grown(plain, "h1", "h2", linear([6, 2, 6]), "seed:h1"));
    expect(merged).toEqual([]);
    expect(kept).toEqual([{ seedId: "seed:h1", reason: "no dense layer stands between the same values" }]);
    expect(host.graph.nodes.some(({ id }) => id === "seed:h1:sum")).toBe(true);
  });

  it.each([
    [1, 3],
    [2, 1],
    [3, 7],
  ])("F2: new units beside layer h%i become its own: %i of them", (at, width) => {
    const [from, to] = [`h${at}`, at === 3 ? "output" : `h${at + 1}`];
    const widths = [6, 5, 6, 4, 3];
    const wide = grown(plain, from, to, relu([widths[at - 1]!, width, widths[at + 1]!]), "seed:w");
    const tensors = withSlots(wide, randomTensors(wide));
    const { host, parameters, merged } = merge(wide, tensors);
    expect(merged).toEqual([`seed:w into ${from}/preActivation`]);
    expect(host.graph.nodes).toEqual(plain.graph.nodes);
    expect(parameters.get(`${from}/weight`)!.shape).toEqual([widths[at - 1]!, widths[at]! + width]);
    // F5: the slots were copies of the parameters, and joined tensors still are.
    expect(parameters.get(`${from}/weight#m`)!.data).toEqual(parameters.get(`${from}/weight`)!.data);
    expect(parameters.get(`${to}/weight#v`)!.data).toEqual(parameters.get(`${to}/weight`)!.data);
    expect(parameters.get(`${to}/bias#v`)!.data).toEqual(tensors.get(`${to}/bias`)!.data);
    expect(countParameters(wide) - countParameters(host)).toBe(widths[at + 1]!);
    expect(forwardFlops(host)).toBeLessThan(forwardFlops(wide));
  });

  it("F2: the same for convolutions", () => {
    const wide = grown(images, "c2", "c3", convBlueprint({ channels: [4, 3, 4], size: [7, 7], strides: [2, 2] }), "seed:c2");
    const { host, merged, parameters } = merge(wide);
    expect(merged).toEqual(["seed:c2 into c2/preActivation"]);
    expect(parameters.get("c2/weight")!.shape).toEqual([8, 4, 3, 3]);
    expect(host.graph.nodes.map(({ id }) => id)).toEqual(images.graph.nodes.map(({ id }) => id));
    const otherStrides = grown(
      images,
      "c2",
      "c3",
      convBlueprint({ channels: [4, 3, 4], size: [7, 7], strides: [1, 4] }),
      "seed:c2",
    );
    expect(merge(otherStrides).kept).toEqual([{ seedId: "seed:c2", reason: "c2/preActivation has other kernels" }]);
  });

  it("F2: two bypasses between the same values become one", () => {
    const first = grown(plain, "h1", "h3", relu([6, 2, 4]), "seed:h1");
    const both = grown(first, "h1", "h3", relu([6, 5, 4]), "seed:h1.1");
    const { host, merged, kept, parameters } = merge(both);
    expect(merged).toEqual(["seed:h1.1 into seed:h1/d1"]);
    expect(kept.map(({ seedId }) => seedId)).toEqual(["seed:h1"]);
    expect(parameters.get("seed:h1/d1/weight")!.shape).toEqual([6, 7]);
    expect(host.graph.nodes).toHaveLength(first.graph.nodes.length);
  });

  it("F2: another activation, another start or another reader of the layer stand against it", () => {
    const reasonOf = (host: Host, seedId = "seed:w"): string | undefined =>
      merge(host).kept.find((each) => each.seedId === seedId)?.reason;
    expect(reasonOf(grown(smooth, "h1", "h2", relu([4, 2, 4]), "seed:w"))).toBe("h1/activation is tanh");
    expect(reasonOf(grown(plain, "h1", "h3", relu([6, 2, 4]), "seed:w"))).toBe("h2/preActivation reads h1/activation");
    const read = grown(plain, "h2", "output", relu([5, 2, 3]), "seed:r");
    // h1's output is read by seed:r as well: its new units would need rows there.
    expect(reasonOf(grown(read, "h1", "h2", relu([6, 2, 6]), "seed:w"))).toBe(
      "no plain pair of layers stands between the same values",
    );
    const open = insertBypass(plain, { seedId: "seed:w", blueprint: relu([6, 2, 6]), from: "flatten", to: "h2", alpha: "input" });
    const outcome = mergeBypass(open, randomTensors(open), "seed:w");
    expect(outcome).toEqual({ kind: "refused", reason: "it is still in trial" });
    expect(() => mergeBypass(plain, randomTensors(plain), "seed:w")).toThrow("merge seed:w: expected a seed that the host holds");
  });

  it("F3: normalisation disappears into the convolutions before it", () => {
    for (const host of [normalized, resnet({ name: "r", inputShape: [1, 6, 6], width: 2, blocks: [1, 1], classes: 3 })]) {
      const norms = host.graph.nodes.filter(({ op }) => op === "batchNorm");
      const folded = merge(host, withSlots(host, randomTensors(host)));
      expect(folded.host.graph.nodes.some(({ op }) => op === "batchNorm")).toBe(false);
      expect(folded.merged).toHaveLength(norms.length);
      expect(countParameters(folded.host)).toBeLessThan(countParameters(host));
      expect(forwardFlops(folded.host)).toBeLessThan(forwardFlops(host));
      const known = new Set(folded.host.graph.parameters.map(({ name }) => name));
      for (const layer of folded.host.layers) expect(layer.parameters.every((name) => known.has(name))).toBe(true);
      expect(merge(host, randomTensors(host), { batchNorm: "keep" }).host).toEqual(host);
    }
  });

  it("F3: a bias before the normalisation goes into the new one, for dense layers too", () => {
    const b = new GraphBuilder();
    const x = b.input("x", [-1, 3]);
    const weight = b.parameter("d/weight", [3, 4], { kind: "heNormal", fanIn: 3 });
    const bias = b.parameter("d/bias", [4], { kind: "constant", value: 0 });
    const sum = b.op("add", [b.op("matMul", [x, weight], { transposeA: false, transposeB: false }), bias], {}, "d");
    const vectors = ["gamma", "beta", "mean", "variance"].map((name, at) =>
      b.parameter(`d/${name}`, [4], { kind: "constant", value: 0 }, { trainable: at < 2 }),
    );
    const logits = b.op("batchNorm", [sum, ...vectors], { epsilon: 1e-5, momentum: 0.9 }, "n");
    b.output("logits", logits);
    const parameters = [weight, bias, ...vectors];
    const layer = { name: "output", kind: "output" as const, input: x, preActivation: logits, output: logits, parameters };
    const host: Host = { name: "n", graph: b.build(), layers: [layer], task: "classification", rows: 1, classes: 4 };
    const folded = merge(host);
    expect(folded.merged).toEqual(["n into matMul"]);
    expect(folded.host.layers[0]!.parameters).toEqual([weight, "d/beta"]);
    expect(folded.host.graph.nodes.map(({ op }) => op)).toEqual(["matMul", "add"]);
  });

  it("any mixture of bypasses on an MLP keeps its logits, with fewer nodes for each that is merged", () => {
    const widths = [6, 5, 6, 4, 3];
    const names = ["h1", "h2", "h3", "output"];
    const one = fc.record({ from: fc.nat(3), reach: fc.nat(3), width: fc.integer({ min: 1, max: 4 }), linear: fc.boolean() });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 4 }), fc.nat(1000), (list, seed) => {
        const host = list.reduce((known, { from, reach, width, linear: isLinear }, index) => {
          const to = Math.min(3, from + reach);
          const sizes = [widths[from]!, width, widths[to + 1]!];
          const blueprint = isLinear ? linear(sizes) : relu(sizes);
          return grown(known, names[from]!, names[to]!, blueprint, `seed:${index}`);
        }, plain as Host);
        const tensors = randomTensors(host, seed);
        const { host: small, merged, kept } = merge(host, tensors);
        expect(merged.length + kept.length).toBe(list.length);
        if (merged.length > 0) expect(small.graph.nodes.length).toBeLessThan(host.graph.nodes.length);
        else expect(small).toEqual(host);
      }),
      { numRuns: 60 },
    );
  });
});
