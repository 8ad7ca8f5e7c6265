import { describe, expect, it } from "vitest";
import { bypassKinds } from "../../src/contracts/blueprint-kinds.ts";
import { fits } from "../../src/contracts/blueprint-shapes.ts";
import type { Host, Tensor } from "../../src/contracts/graph.ts";
import { bypassFor } from "../../src/graph/blueprints/index.ts";
import { cnn, mlp, resnet, transformer } from "../../src/graph/hosts/index.ts";
import { inference } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runReference } from "../../src/graph/reference.ts";
import { foldBypass, insertBypass, removeBypass } from "../../src/graph/rewrite.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { legalSpans, legalTargets, sampleShapes } from "../../src/graph/spans.ts";

const dense = mlp({ name: "m", inputShape: [1, 2, 3], widths: [4, 5, 4], classes: 3 });
const images = cnn({ name: "c", inputShape: [2, 7, 7], channels: [3, 2, 4], classes: 3, batchNorm: true });
const blocks = resnet({ name: "r", inputShape: [2, 6, 6], width: 2, blocks: [1, 2], classes: 3 });
const tokens = transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 2, width: 4, heads: 2 });
const hosts: readonly Host[] = [dense, images, blocks, tokens];

const targets = (host: Host): Record<string, string[]> =>
  Object.fromEntries(host.layers.flatMap(({ name, kind }) => (kind === "output" ? [] : [[name, legalTargets(host, name)]])));

describe("legal spans", () => {
  it("S1, S2: of a chain are those to every later layer whose shape a blueprint makes", () => {
    expect(targets(dense)).toEqual({ h1: ["h2", "h3", "output"], h2: ["h3", "output"], h3: ["output"] });
    expect(targets(images)).toEqual({ c1: ["c2", "c3", "output"], c2: ["c3", "output"], c3: ["output"] });
  });

  it("S1, S3: of a residual network start at a block's input and end in any branch; inside a branch they end with it", () => {
    const found = targets(blocks);
    expect(found["s1.b1.c1"]).toEqual(["s1.b1.c2", "s2.b1.c1", "s2.b1.c2", "s2.b1.shortcut", "s2.b2.c1", "s2.b2.c2", "output"]);
    expect(found["s1.b1.c2"]).toEqual(["s1.b1.c2"]);
    // A starved skip is bridged beside itself, or to the next block.
    expect(found["s2.b1.shortcut"]).toEqual(["s2.b1.shortcut", "s2.b2.c1", "s2.b2.c2", "output"]);
    // A dead block, a dead skip, two blocks, a stage.
    expect(found["s2.b1.c1"]).toEqual(["s2.b1.c2", "s2.b1.shortcut", "s2.b2.c1", "s2.b2.c2", "output"]);
    expect(found["stem"]).toEqual(blocks.layers.slice(1).map(({ name }) => name));
  });

  it("S1, S2: of a transformer stay within a branch, and never reach logits that have samples and tokens in one axis", () => {
    expect(targets(tokens)).toEqual({
      "b1.attention.value": ["b1.attention.value", "b1.attention.projection"],
      "b1.attention.projection": ["b1.attention.projection"],
      "b1.mlp.in": ["b1.mlp.out"],
      "b1.mlp.out": ["b1.mlp.out"],
      "b2.attention.value": ["b2.attention.value", "b2.attention.projection"],
      "b2.attention.projection": ["b2.attention.projection"],
      "b2.mlp.in": ["b2.mlp.out"],
      "b2.mlp.out": ["b2.mlp.out"],
    });
    expect(sampleShapes(tokens).get("logits")).toBeUndefined();
    expect(sampleShapes(tokens).get("causalMask")).toBeUndefined();
  });

  it("S1: what a seed has added is no path: the spans of a host stay legal after it has grown", () => {
    for (const host of hosts) {
      for (const { from, to } of legalSpans(host)) {
        const grown = grow(host, from, to, "one");
        expect(targets(grown), `${host.name}: ${from} → ${to}`).toEqual(targets(host));
      }
    }
  });
});

const kindsFor = (host: Host, from: string, to: string) => {
  const [source, target] = ends(host, from, to);
  const shapes = sampleShapes(host);
  return bypassKinds.filter((kind) => kind !== "no-op" && fits({ kind }, shapes.get(source)!, shapes.get(target)!));
};

const ends = (host: Host, from: string, to: string): readonly [string, string] => [
  host.layers.find(({ name }) => name === from)!.input,
  host.layers.find(({ name }) => name === to)!.preActivation,
];

const grow = (host: Host, from: string, to: string, alpha: "input" | "one", kind = kindsFor(host, from, to)[0]!): Host => {
  const [source] = ends(host, from, to);
  const blueprint = bypassFor(host, source, to, { kind, hiddenWidth: 4, initialization: "he" });
  return insertBypass(host, { seedId: "seed:s", blueprint, from: source, to, alpha });
};

const draws = (shape: readonly number[], seed: number, positive: boolean): Float32Array => {
  const random = createRandom(seed);
  return Float32Array.from({ length: sizeOf(shape) }, () => (positive ? 0.5 + random.uniform() : 0.5 * random.normal()));
};

/** Logits with every parameter random, running statistics positive. */
const logitsOf = (host: Host, alpha = 0): ArrayLike<number> => {
  const program = inference({ host, batch: 2 });
  const feeds = program.inputs.map(({ name, shape, dtype }): [string, Tensor] => {
    if (name === "alpha:seed:s") return [name, { dtype: "float32", shape: [], data: Float32Array.of(alpha) }];
    if (dtype === "int32")
      return [name, { dtype, shape, data: Int32Array.from({ length: sizeOf(shape) }, (_, i) => (i * 3) % 5) }];
    const seed = [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 1_000_003, 7);
    return [name, { dtype, shape, data: draws(shape, seed, name.endsWith("variance")) }];
  });
  return runReference(program, Object.fromEntries(feeds), { precision: "float32" })["logits"]!.data;
};

describe.each(hosts.map((host) => [host.name, host] as const))("every legal span of %s", (_, host) => {
  // One kind for each span, a different one from span to span.
  const spans = legalSpans(host).map(({ from, to }, i) => {
    const kinds = kindsFor(host, from, to);
    return [kinds[i % kinds.length]!, from, to] as const;
  });

  it.each(spans)(
    "%s from %s to %s: removed is as never inserted, alpha 0 is the host, folded is alpha 1, bit for bit",
    (kind, from, to) => {
      const open = grow(host, from, to, "input", kind);
      expect(removeBypass(open, "seed:s")).toEqual(host);
      expect(logitsOf(open, 0)).toEqual(logitsOf(host));
      const folded = foldBypass(open, "seed:s");
      expect(folded).toEqual(grow(host, from, to, "one", kind));
      expect(removeBypass(folded, "seed:s")).toEqual(host);
      expect(logitsOf(folded)).toEqual(logitsOf(open, 1));
      expect(logitsOf(folded)).not.toEqual(logitsOf(host));
    },
  );
});

describe("a span over tokens", () => {
  it.each(["attention-head", "token-mlp", "low-rank", "normalization"] as const)("%s lets no token see a later one", (kind) => {
    const host = grow(tokens, "b1.attention.value", "b1.attention.projection", "one", kind);
    const program = inference({ host, batch: 1 });
    const run = (ids: readonly number[]): readonly number[] => {
      const feeds = program.inputs.map(({ name, shape, dtype }): [string, Tensor] => [
        name,
        name === "x"
          ? { dtype: "int32", shape, data: Int32Array.from(ids) }
          : { dtype, shape, data: draws(shape, name.length, false) },
      ]);
      return [...runReference(program, Object.fromEntries(feeds))["logits"]!.data];
    };
    const [before, after] = [run([0, 1, 2, 3]), run([0, 1, 2, 4])];
    expect(after.slice(0, 15)).toEqual(before.slice(0, 15));
    expect(after.slice(15)).not.toEqual(before.slice(15));
  });
});
