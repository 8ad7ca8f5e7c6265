/** A layer that a fresh one replaces: exact at both ends of alpha, alive from the first step, and nothing of the host is renamed. */
import { describe, expect, it } from "vitest";
import { Graph, Host, type Tensor } from "../../src/contracts/graph.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { bind } from "../../src/graph/bind.ts";
import { GraphView } from "../../src/graph/graph-view.ts";
import { cnn, mlp, resnet, transformer } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { optimizerScalars, recountFactor } from "../../src/graph/optimizers.ts";
import { inference } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runReference } from "../../src/graph/reference.ts";
import { insertReplacement, ownName, tailGraph } from "../../src/graph/replace.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { trainStep, updatedName } from "../../src/graph/step.ts";
import { growHost } from "../../src/workers/session/grow.ts";
import { kernelKey } from "../workers/replacement-key.ts";

const seedId = "seed:site";
const batch = 6;
const plain = mlp({ name: "m", inputShape: [7], widths: [6, 5, 6], classes: 3 });
const images = cnn({ name: "c", inputShape: [2, 6, 6], channels: [3, 4, 3], classes: 3 });
const normalized = cnn({ name: "n", inputShape: [2, 6, 6], channels: [3, 4, 3], classes: 3, batchNorm: true });
const residual = resnet({ name: "r", inputShape: [1, 6, 6], width: 4, blocks: [1, 1], classes: 3 });
const tokens = transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 1, width: 4, heads: 2 });

const cases: readonly (readonly [string, Host, string])[] = [
  ["the first dense layer", plain, "h1"],
  ["the last dense layer", plain, "h3"],
  ["a strided convolution", images, "c2"],
  ["a normalised convolution", normalized, "c2"],
  ["a convolution beside a shortcut", residual, "s2.b1.c1"],
  ["a shortcut", residual, "s2.b1.shortcut"],
  ["a dense layer over tokens", tokens, "b1.mlp.in"],
];

const draw = (shape: readonly number[], seed: number): Tensor => {
  const random = createRandom(seed);
  return { dtype: "float32", shape, data: Float32Array.from({ length: sizeOf(shape) }, () => random.normal()) };
};

const inputOf = (host: Host): Tensor => {
  const { dtype, shape } = bind(host.graph, { batch, mode: "eval" }).inputs.find(({ name }) => name === "x")!;
  const drawn = draw(shape, 4);
  if (dtype === "float32") return drawn;
  return { dtype, shape, data: Int32Array.from(drawn.data, (value) => (value > 0 ? 1 : 2)) };
};

/** Every parameter drawn: shifts and statistics too, so that nothing agrees by being zero. */
const tensorsOf = (host: Host): Map<string, Tensor> =>
  new Map(
    host.graph.parameters.map(({ name, shape, trainable }, index) => {
      const tensor = draw(shape, 100 + index);
      return [name, trainable ? tensor : { ...tensor, data: tensor.data.map((value) => 0.5 + Math.abs(value)) }] as const;
    }),
  );

const logitsOf = (host: Host, tensors: ReadonlyMap<string, Tensor>, alpha?: number): number[] => {
  const scalar = { dtype: "float32" as const, shape: [], data: Float32Array.of(alpha ?? 0) };
  const feeds = {
    ...Object.fromEntries(tensors),
    x: inputOf(host),
    ...(alpha === undefined ? {} : { [`alpha:${seedId}`]: scalar }),
  };
  return [...runReference(inference({ host, batch }), feeds)["logits"]!.data];
};

const broughtTo = (grown: Host, random = createRandom(9)): Map<string, Tensor> =>
  initializeParameters(
    grown.graph.parameters.filter(({ cohort }) => cohort === seedId),
    random,
  );

describe.each(cases)("%s", (_, host, site) => {
  const { grown, blueprint, fresh } = insertReplacement(host, seedId, site);
  const tensors = tensorsOf(host);

  it("L1: at alpha 0 the logits are exactly the host's, at alpha 1 exactly those of the host with the tail's parameters", () => {
    const brought = broughtTo(grown);
    const all = new Map([...tensors, ...brought]);
    expect(logitsOf(grown, all, 0)).toEqual(logitsOf(host, tensors));
    const kept = new Map([...tensors, ...[...brought].map(([name, tensor]) => [ownName(seedId, name), tensor] as const)]);
    expect(logitsOf(grown, all, 1)).toEqual(logitsOf(host, kept));
    expect(logitsOf(host, kept)).not.toEqual(logitsOf(host, tensors));
  });

  it("L2, L3: what it brings has the seed's name and the shapes of the host's own; the layer's parameters start afresh", () => {
    const own = new Map(host.graph.parameters.map((parameter) => [parameter.name, parameter]));
    const brought = grown.graph.parameters.filter(({ cohort }) => cohort === seedId);
    for (const { name, shape, trainable, initializer } of brought) {
      const known = own.get(ownName(seedId, name))!;
      expect({ shape, trainable }).toEqual({ shape: known.shape, trainable: known.trainable });
      if (!fresh.has(name)) expect(initializer).toEqual(known.initializer);
      else if (shape.length > 1) expect(initializer).toMatchObject({ kind: "heNormal" });
    }
    const layer = host.layers.find(({ name }) => name === site)!;
    expect([...fresh].map((name) => ownName(seedId, name)).toSorted()).toEqual(layer.parameters.toSorted());
    expect(grown.layers).toEqual(host.layers);
    expect(() => Host.parse(structuredClone(grown))).not.toThrow();
    expect(() => Graph.parse(structuredClone(blueprint))).not.toThrow();
  });

  it.each([
    ["adam", { kind: "adam", learningRate: 0.003 }],
    ["sgd", { kind: "sgd", learningRate: 0.02, momentum: 0.9 }],
  ] as const)(
    "%s: every parameter that moves in the host moves, none of the host does, and the first step is no spike",
    (_name, options) => {
      const optimizer = OptimizerConfig.parse(options);
      const labels = createRandom(5);
      const length = batch * host.rows;
      const y: Tensor = {
        dtype: "int32",
        shape: [length],
        data: Int32Array.from({ length }, () => labels.integer(host.classes)),
      };
      const start = initializeParameters(grown.graph.parameters, createRandom(3));
      /** Losses before two steps and after, and the parameters of a cohort that ever moved. */
      const run = (of: Host, cohort: string) => {
        const { program, slots } = trainStep({ host: of, optimizer, trainableCohorts: [cohort], batch });
        let state: Record<string, Tensor> = {
          ...Object.fromEntries(start),
          ...Object.fromEntries(
            slots.map(({ name, shape }) => [name, { ...draw(shape, 1), data: new Float32Array(sizeOf(shape)) }]),
          ),
        };
        const losses: number[] = [];
        for (let step = 1; step <= 3; step++) {
          const fixed = {
            x: inputOf(of),
            y,
            [`alpha:${seedId}`]: { dtype: "float32" as const, shape: [], data: Float32Array.of(1) },
          };
          const out = runReference(program, { ...state, ...fixed, ...optimizerScalars(optimizer, cohort, step) });
          losses.push(out["loss"]!.data[0]!);
          state = Object.fromEntries(Object.entries(state).map(([name, old]) => [name, out[updatedName(name)] ?? old]));
        }
        const moved = [...start].filter(([name, { data }]) => state[name]!.data.some((value, i) => value !== data[i]));
        return { losses, moved: new Set(moved.map(([name]) => name)) };
      };
      const inHost = run(host, "host").moved;
      const { losses, moved } = run(grown, seedId);
      const brought = grown.graph.parameters.filter(({ cohort }) => cohort === seedId).map(({ name }) => name);
      expect(brought.filter((name) => inHost.has(ownName(seedId, name)) && !moved.has(name))).toEqual([]);
      expect([...moved].filter((name) => !brought.includes(name))).toEqual([]);
      expect(losses.every(Number.isFinite)).toBe(true);
      expect(losses[1]! / losses[0]!).toBeLessThan(1.2);
    },
  );

  it("what is kept is the host itself", () => {
    const folded = growHost(kernelKey(seedId, site), host);
    expect(folded.folded).toBe(host);
    expect(folded.blueprint.graph).toEqual(blueprint);
  });
});

describe("tailGraph", () => {
  const tailOf = (host: Host, site: string) =>
    tailGraph(new GraphView(host.graph, new Map()), host.layers.find(({ name }) => name === site)!);

  it("is there for every hidden layer of the hosts that are weighted sums, and for no output", () => {
    for (const host of [plain, images, normalized, residual])
      for (const { name, kind } of host.layers)
        expect([name, tailOf(host, name) !== undefined]).toEqual([name, kind !== "output"]);
  });

  it("is not there where a bypass already adds to the layer: what would come in its place is not the layer alone", () => {
    const graph = growHost(
      { ...kernelKey("s", "h1"), toSite: "h2", request: { kind: "dense", hiddenWidth: 4, initialization: "zero" } },
      plain,
    );
    expect(tailOf(graph.folded, "h2")).toBeUndefined();
    expect(tailOf(graph.folded, "h3")).toBeDefined();
  });
});

describe("refusals", () => {
  it("an output, a layer that is not there, a seed that stands already, and a span of two layers", () => {
    expect(() => insertReplacement(plain, seedId, "output")).toThrow("expected a dense layer or a convolution that reads");
    expect(() => insertReplacement(plain, seedId, "h9")).toThrow("expected one of the layers h1, h2, h3, output");
    const { grown } = insertReplacement(plain, seedId, "h2");
    expect(() => insertReplacement(grown, seedId, "h2")).toThrow("expected a seed that the host does not hold");
    expect(() => growHost({ ...kernelKey(seedId, "h1"), toSite: "h2" }, plain)).toThrow("expected one layer as both ends");
  });
});

describe("recountFactor", () => {
  const adam = OptimizerConfig.parse({ kind: "adam" });

  it("keeps what Adam estimates from a slot: (1 − β)·m / (1 − βᵗ) is the same before and after", () => {
    if (adam.kind !== "adam") throw new Error("expected Adam");
    for (const [slot, beta] of [
      ["w#m", adam.beta1],
      ["w#v", adam.beta2],
    ] as const) {
      for (const [before, after] of [
        [96, 700],
        [10, 10],
        [500, 3],
      ] as const) {
        const estimate = (sum: number, steps: number): number => ((1 - beta) * sum) / (1 - beta ** steps);
        expect(estimate(2 * recountFactor(adam, slot, before, after), after)).toBeCloseTo(estimate(2, before), 12);
      }
    }
  });

  it("leaves parameters, momentum and what never stepped alone", () => {
    expect(recountFactor(adam, "w", 5, 500)).toBe(1);
    expect(recountFactor(adam, "w#m", 0, 500)).toBe(1);
    expect(recountFactor(OptimizerConfig.parse({ kind: "sgd" }), "w#velocity", 5, 500)).toBe(1);
  });
});
