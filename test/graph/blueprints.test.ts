import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bypassKinds } from "../../src/contracts/blueprint-kinds.ts";
import { blueprintCost, fits, hasTiny, joinOf, type SampleShape, strideBetween } from "../../src/contracts/blueprint-shapes.ts";
import type { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { bind } from "../../src/graph/bind.ts";
import { blueprints, buildBlueprint, bypassFor } from "../../src/graph/blueprints/index.ts";
import { countParameters, programFlops } from "../../src/graph/flops.ts";
import { cnn, mlp } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { inference } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runReference } from "../../src/graph/reference.ts";
import { fitting, outputOf, pairs, requestOf, train } from "./blueprint-cases.ts";

const dim = fc.integer({ min: 1, max: 7 });
const side = fc.integer({ min: 1, max: 9 });
const shape: fc.Arbitrary<SampleShape> = fc.oneof(
  fc.tuple(dim),
  fc.tuple(dim, dim),
  fc.tuple(dim, side, side),
  fc.tuple(fc.constant(2), fc.constant(24), fc.constant(24)),
);
/** Most pairs drawn at random do not fit; half of these are made to. */
const pair: fc.Arbitrary<readonly [SampleShape, SampleShape]> = fc.oneof(
  fc.tuple(shape, shape),
  shape.map((same) => [same, same] as const),
  fc.tuple(dim, side, side, dim, fc.integer({ min: 1, max: 3 })).map(
    ([inputs, h, w, outputs, stride]) =>
      [
        [inputs, h, w],
        [outputs, Math.ceil(h / stride), Math.ceil(w / stride)],
      ] as const,
  ),
  fc.tuple(dim, dim, dim).map(
    ([tokens, inputs, outputs]) =>
      [
        [tokens, inputs],
        [tokens, outputs],
      ] as const,
  ),
);

describe("the closed form of every kind", () => {
  it.each(bypassKinds)("%s: fits, parameters and forward FLOPs are the built graph's", (kind) => {
    let built = 0;
    fc.assert(
      fc.property(pair, dim, fc.integer({ min: 1, max: 4 }), ([from, to], hiddenWidth, batch) => {
        const request = requestOf(kind, "zero", hiddenWidth);
        const options = { from, to, hiddenWidth, initialization: "zero" } as const;
        const cost = blueprintCost(request, from, to, batch);
        const graph = blueprints[kind].build(options);
        expect(cost !== undefined).toBe(fits({ kind }, from, to));
        expect(graph !== null).toBe(fits({ kind }, from, to));
        if (graph === null) return;
        built++;
        const { types, outputs } = bind(graph, { batch, mode: "eval" });
        expect(types.get(outputs[0]!.value)!.shape).toEqual([batch, ...to]);
        const host = { graph: { ...graph, outputs: [{ name: "logits", value: graph.outputs[0]!.value }] } };
        expect(cost).toMatchObject({
          parameters: countParameters({ graph }),
          forwardFlops: programFlops(inference({ host, batch })),
        });
      }),
      { numRuns: 150, seed: 1 },
    );
    expect(built).toBeGreaterThan(10);
  });

  it("has a case among the pairs for every kind, and says no where none fits", () => {
    expect(new Set(fitting.map(([kind]) => kind))).toEqual(new Set(bypassKinds));
    expect(fits({ kind: "dense" }, [4], [2, 3, 3])).toBe(false);
    expect(fits({ kind: "token-mlp" }, [4, 6], [5, 6])).toBe(false);
    expect(joinOf([4, 6], [6])).toBeNull();
    expect(() => buildBlueprint(requestOf("convolution", "zero"), [1, 4, 4], [1, 3, 3])).toThrow(
      "blueprint convolution: expected shapes that a convolution can join, got [1, 4, 4] and [1, 3, 3]; choose another span or kind",
    );
    expect(() => buildBlueprint(requestOf("squeeze-excite", "tiny"), [3, 4, 4], [3, 4, 4])).toThrow(
      "a squeeze-excite started by TINY can join",
    );
  });

  it("finds the stride of an image by brute force", () => {
    fc.assert(
      fc.property(side, side, fc.integer({ min: 1, max: 9 }), (height, width, stride) => {
        const to = [Math.ceil(height / stride), Math.ceil(width / stride)];
        const found = strideBetween([height, width], to)!;
        expect([Math.ceil(height / found), Math.ceil(width / found)]).toEqual(to);
        expect(found).toBeLessThanOrEqual(stride);
      }),
    );
    expect(strideBetween([4, 4], [3, 4])).toBeNull();
  });
});

describe("the start of every kind", () => {
  it.each(fitting)("%s from %j to %j: `zero` is exactly zero, `he` is not", (kind, from, to) => {
    const start = (initialization: "zero" | "he") => {
      const graph = buildBlueprint(requestOf(kind, initialization), from, to);
      return outputOf(graph, initializeParameters(graph.parameters, createRandom(1)), from, 2).data;
    };
    expect([...start("zero")].every((value) => value === 0)).toBe(true);
    expect([...start("he")].some((value) => value !== 0)).toBe(kind !== "no-op");
  });

  const optimizers: readonly OptimizerConfig[] = [
    { kind: "adam", learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clipNorm: 0 },
    { kind: "sgd", learningRate: 0.05, momentum: 0.9, weightDecay: 0, clipNorm: 0 },
  ];
  const starts = (["zero", "he"] as const).flatMap((initialization) =>
    optimizers.flatMap((optimizer) => fitting.map((each) => [initialization, optimizer, ...each] as const)),
  );

  it.each(starts.filter(([, , kind]) => kind !== "no-op"))(
    "%s, %o: every parameter of %s from %j to %j moves within two steps, and the first step is no spike",
    (initialization, optimizer, kind, from, to) => {
      const { losses, parameters, start } = train(requestOf(kind, initialization), [from, to], optimizer, 2);
      const dead = [...start].filter(([name, { data }]) => [...parameters[1]!.get(name)!.data].every((v, i) => v === data[i]));
      expect(dead.map(([name]) => name)).toEqual([]);
      expect(losses.every(Number.isFinite)).toBe(true);
      // One step may overshoot a little, never by a fifth of the loss.
      expect(losses[1]! / losses[0]!).toBeLessThan(1.2);
    },
  );

  it("no-op stays zero whatever it learns, and learns nothing", () => {
    for (const [from, to] of pairs) {
      const graph = buildBlueprint(requestOf("no-op", "zero"), from, to);
      const idle = new Map([["idle", { dtype: "float32" as const, shape: [1], data: Float32Array.of(7) }]]);
      expect([...outputOf(graph, idle, from, 3).data].every((value) => value === 0)).toBe(true);
    }
    const { losses, parameters, start } = train(requestOf("no-op", "he"), [[5], [5]], optimizers[0]!, 2);
    expect([...parameters[1]!]).toEqual([...start]);
    expect(new Set(losses).size).toBe(1);
  });

  it("writes TINY into just the kinds that say so", () => {
    for (const kind of bypassKinds) expect(blueprints[kind].tiny !== undefined).toBe(hasTiny(kind));
  });

  it("an attention head never looks ahead: a later token changes no earlier output", () => {
    const graph = buildBlueprint(requestOf("attention-head", "he"), [5, 3], [5, 2]);
    const parameters = initializeParameters(graph.parameters, createRandom(8));
    const program = inference({ host: { graph: { ...graph, outputs: [{ name: "logits", value: "last" }] } }, batch: 1 });
    const random = createRandom(9);
    const tokens = Float32Array.from({ length: 15 }, () => random.normal());
    const run = (data: Float32Array) => [
      ...runReference(program, { ...Object.fromEntries(parameters), in: { dtype: "float32", shape: [1, 5, 3], data } })["logits"]!
        .data,
    ];
    const before = run(tokens);
    for (let token = 0; token < 5; token++) {
      const changed = tokens.slice();
      changed[token * 3] = 10;
      const after = run(changed);
      expect(after.slice(0, token * 2)).toEqual(before.slice(0, token * 2));
      expect(after.slice(token * 2, token * 2 + 2)).not.toEqual(before.slice(token * 2, token * 2 + 2));
    }
  });
});

describe("bypassFor", () => {
  const host = mlp({ name: "m", inputShape: [1, 2, 3], widths: [4, 5, 4], classes: 3 });
  const images = cnn({ name: "c", inputShape: [2, 7, 7], channels: [3, 2, 4], classes: 3, batchNorm: true });

  it("builds the asked-for kind between the shapes of a span, and says what does not fit", () => {
    const ops = (of: typeof host, from: string, to: string, kind: "dense" | "convolution") =>
      bypassFor(of, from, to, requestOf(kind, "zero")).nodes.map(({ op }) => op);
    expect(ops(host, "h1/activation", "h3", "dense")).toEqual(["matMul", "add", "relu", "matMul", "add"]);
    expect(ops(host, "x", "h2", "dense")[0]).toBe("reshape");
    expect(ops(images, "x", "c3", "convolution").filter((op) => op === "conv2d")).toHaveLength(3);
    const large = cnn({ name: "l", inputShape: [1, 16, 16], channels: [8, 8], classes: 2 });
    expect(ops(large, "c1/activation", "output", "dense")).toContain("globalAveragePool");
    const pooled = images.layers.at(-1)!.input;
    expect(() => ops(images, pooled, "c2", "dense")).toThrow(
      "blueprint dense: expected shapes that a dense can join, got [4] and [2, 4, 4]",
    );
    expect(() => ops(host, "x", "h9", "dense")).toThrow("expected one of the layers h1, h2, h3, output");
    expect(() => ops(host, "nowhere", "h2", "dense")).toThrow("expected values with one entry per sample, got nowhere");
    expect(() => ops(host, "h1/weight", "h2", "dense")).toThrow("expected values with one entry per sample, got h1/weight");
  });
});
