import { describe, expect, it } from "vitest";
import { Host } from "../../src/contracts/graph.ts";
import { buildBlueprint, bypassFor } from "../../src/graph/blueprints/index.ts";
import { contentHash } from "../../src/graph/hash.ts";
import { cnn, mlp } from "../../src/graph/hosts/index.ts";
import type { NumericArray } from "../../src/graph/operators/operator.ts";
import { inference } from "../../src/graph/programs.ts";
import { runNumeric } from "../../src/graph/reference.ts";
import { type BypassOptions, foldBypass, insertBypass, removeBypass } from "../../src/graph/rewrite.ts";
import { array, drawn } from "./numeric.ts";

const BATCH = 2;
const host = mlp({ name: "m", inputShape: [1, 2, 3], widths: [4, 5, 4], classes: 3 });
const images = cnn({ name: "c", inputShape: [2, 7, 7], channels: [3, 2, 4], classes: 3, batchNorm: true });

const bypass = (from: string, to: string, alpha: "input" | "one" = "input", of: Host = host): BypassOptions => ({
  seedId: `seed:${to}`,
  blueprint: bypassFor(of, from, to, {
    kind: to.startsWith("c") ? "convolution" : "dense",
    hiddenWidth: 3,
    initialization: "zero",
  }),
  from,
  to,
  alpha,
});

/** Logits, with every parameter random so that the bypass is not zero. */
const logitsOf = (of: Host, alphas: Record<string, number> = {}): NumericArray => {
  const program = inference({ host: of, batch: BATCH });
  const feeds = program.inputs.map((input): [string, NumericArray] => {
    const alpha = alphas[input.name];
    if (alpha !== undefined) return [input.name, array([], [alpha])];
    const seed = [...input.name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 1e6;
    return [input.name, drawn(input.shape, seed, input.name.endsWith("variance") ? "positive" : "both")];
  });
  return runNumeric(program, Object.fromEntries(feeds))["logits"]!;
};

describe("hosts and blueprints", () => {
  it("are valid under their contracts", () => {
    for (const each of [host, images, insertBypass(host, bypass("h1/activation", "h3"))]) expect(Host.parse(each)).toEqual(each);
    expect(host.layers.map((layer) => [layer.name, layer.input])).toEqual([
      ["h1", "flatten"],
      ["h2", "h1/activation"],
      ["h3", "h2/activation"],
      ["output", "h3/activation"],
    ]);
  });

  it("refuse sizes that make no network", () => {
    expect(() => mlp({ name: "m", inputShape: [4], widths: [0], classes: 2 })).toThrow(
      "m widths: expected one or more positive integers, got [0]",
    );
    expect(() => cnn({ name: "c", inputShape: [1, 4, 4], channels: [2], classes: 2, strides: [1, 2] })).toThrow(
      "expected one per layer, got 2 for 1 layers",
    );
  });
});

describe("insertBypass", () => {
  it.each<[Host, string, string]>([
    [host, "flatten", "h1"],
    [host, "h1/activation", "h3"],
    [host, "x", "output"],
    [images, "c1/activation", "c2"],
    [images, "x", "c3"],
  ])("K1: with alpha 0 the logits are the host's own, bit for bit; with alpha 1 they are not", (of, from, to) => {
    const options = bypass(from, to, "input", of);
    const grown = insertBypass(of, options);
    const alpha = `alpha:${options.seedId}`;
    expect(logitsOf(grown, { [alpha]: 0 }).data).toEqual(logitsOf(of).data);
    expect(logitsOf(grown, { [alpha]: 1 }).data).not.toEqual(logitsOf(of).data);
  });

  it("K1: every reader of the old pre-activation reads the sum: nodes, outputs, layers", () => {
    const grown = insertBypass(host, bypass("h1/activation", "output"));
    expect(grown.graph.outputs).toEqual([{ name: "logits", value: "seed:output:sum" }]);
    const layer = grown.layers.at(-1)!;
    expect([layer.preActivation, layer.output]).toEqual(["seed:output:sum", "seed:output:sum"]);
    const readers = grown.graph.nodes.filter((node) => node.inputs.includes("output/preActivation")).map((node) => node.id);
    expect(readers).toEqual(["seed:output:sum"]);
  });

  it("K2: what it brings has the seed's name and cohort", () => {
    const grown = insertBypass(host, bypass("h1/activation", "h3"));
    const added = grown.graph.parameters.slice(host.graph.parameters.length);
    expect(added.map((parameter) => parameter.name)).toEqual(
      ["first/weight", "first/bias", "last/weight", "last/bias"].map((name) => `seed:h3/${name}`),
    );
    expect(added.every((parameter) => parameter.cohort === "seed:h3")).toBe(true);
    expect(grown.graph.inputs.at(-1)).toEqual({ name: "alpha:seed:h3", dtype: "float32", shape: [] });
  });

  it("K3: removeBypass gives back the host, in any order and between other seeds", () => {
    for (const alpha of ["input", "one"] as const) {
      const [first, second] = [bypass("h1/activation", "h3", alpha), { ...bypass("x", "h3", alpha), seedId: "seed:h3.1" }];
      const one = insertBypass(host, first);
      expect(removeBypass(one, first.seedId)).toEqual(host);
      const both = insertBypass(one, second);
      expect(removeBypass(both, second.seedId)).toEqual(one);
      expect(removeBypass(removeBypass(both, first.seedId), second.seedId)).toEqual(host);
      expect(contentHash(removeBypass(one, first.seedId))).toBe(contentHash(host));
    }
    expect(removeBypass(insertBypass(images, bypass("x", "c3", "input", images)), "seed:c3")).toEqual(images);
  });

  it("K4: folded, it gives what alpha 1 gave, bit for bit, with neither input nor product", () => {
    const [open, folded] = [insertBypass(host, bypass("flatten", "h2")), insertBypass(host, bypass("flatten", "h2", "one"))];
    expect(foldBypass(open, "seed:h2")).toEqual(folded);
    expect(foldBypass(folded, "seed:h2")).toEqual(folded);
    expect(logitsOf(folded).data).toEqual(logitsOf(open, { "alpha:seed:h2": 1 }).data);
    expect(folded.graph.inputs).toEqual(host.graph.inputs);
    expect(folded.graph.nodes).toHaveLength(open.graph.nodes.length - 1);
  });

  it("a later seed may start inside the reach of an earlier one, but then holds it there", () => {
    const one = insertBypass(host, bypass("flatten", "h1"));
    const sum = one.layers[0]!.preActivation;
    const blueprint = buildBlueprint({ kind: "dense", hiddenWidth: 2, initialization: "zero" }, [4], [4]);
    const both = insertBypass(one, { seedId: "seed:b", blueprint, from: sum, to: "h3", alpha: "input" });
    expect(removeBypass(both, "seed:b")).toEqual(one);
    const inner = insertBypass(one, { seedId: "seed:b", blueprint, from: "seed:h1/last", to: "h3", alpha: "input" });
    expect(() => removeBypass(inner, "seed:h1")).toThrow(
      "bypass seed:h1: expected no reader outside the seed, got seed:b/first/product",
    );
  });

  it("refuses illegal spans and blueprints that do not fit, and says why", () => {
    const wrong = (change: Partial<BypassOptions>) => () => insertBypass(host, { ...bypass("h1/activation", "h2"), ...change });
    expect(wrong({ to: "h9" })).toThrow("bypass seed:h2: expected one of the layers h1, h2, h3, output, got h9");
    expect(wrong({ from: "nowhere" })).toThrow("expected an activation of the host to start from, got nowhere");
    expect(wrong({ from: "h1/weight" })).toThrow("expected an activation of the host to start from, got h1/weight");
    expect(wrong({ from: "h3/activation" })).toThrow("expected a value that stands before h2 and feeds it, got h3/activation");
    expect(wrong({ from: "h2/preActivation" })).toThrow("expected a value that stands before h2 and feeds it");
    expect(wrong({ blueprint: buildBlueprint({ kind: "dense", hiddenWidth: 2, initialization: "zero" }, [9], [5]) })).toThrow(
      "expected a blueprint for h1/activation of shape [1, 4], got [1, 9]",
    );
    expect(wrong({ blueprint: buildBlueprint({ kind: "dense", hiddenWidth: 2, initialization: "zero" }, [4], [9]) })).toThrow(
      "makes h2's shape [1, 5], got [1, 9]",
    );
    const blueprint = buildBlueprint({ kind: "convolution", hiddenWidth: 1, initialization: "zero" }, [1, 2, 2], [1, 2, 2]);
    expect(wrong({ blueprint: { ...blueprint, outputs: [{ name: "z", value: "last" }] } })).toThrow(
      "the input in and the output out alone, got in, z",
    );
    const grown = insertBypass(host, bypass("h1/activation", "h2"));
    expect(() => insertBypass(grown, bypass("h1/activation", "h2"))).toThrow(
      "expected a seed that the host does not hold, got one that it holds already",
    );
    expect(() => removeBypass(host, "seed:h2")).toThrow(
      "bypass seed:h2: expected a seed that the host holds, got one that it does not; insert it first",
    );
  });
});

describe("content hash", () => {
  it("is SHA-256 of canonical JSON: the order of keys does not count, content does", () => {
    expect(contentHash({ b: 1, a: [2] })).toBe(contentHash({ a: [2], b: 1 }));
    // printf '{"a":1}' | sha256sum
    expect(contentHash({ a: 1 })).toBe("015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862");
    expect(contentHash(host)).toMatch(/^[0-9a-f]{64}$/);
    expect(contentHash(host)).not.toBe(contentHash({ ...host, name: "other" }));
  });
});
