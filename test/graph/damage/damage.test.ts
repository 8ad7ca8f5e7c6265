/** Damage: where it may be done, what it leaves, and that training does not heal it. */
import { describe, expect, it } from "vitest";
import { DamageConfig } from "../../../src/contracts/config-damage.ts";
import { ModelConfig } from "../../../src/contracts/config-model.ts";
import { InputError } from "../../../src/contracts/errors.ts";
import type { Host, Tensor } from "../../../src/contracts/graph.ts";
import { hiddenLayersOf } from "../../../src/contracts/host-layers.ts";
import { OptimizerConfig } from "../../../src/contracts/optimizer.ts";
import { bind } from "../../../src/graph/bind.ts";
import { damagedLayers, damageParameters, damageStructure } from "../../../src/graph/damage/index.ts";
import { cnn, hostFor, mlp, resnet, transformer } from "../../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../../src/graph/initialize.ts";
import { optimizerScalars } from "../../../src/graph/optimizers.ts";
import { probe } from "../../../src/graph/programs.ts";
import { createRandom } from "../../../src/graph/random.ts";
import { runReference } from "../../../src/graph/reference.ts";
import { sizeOf } from "../../../src/graph/shapes.ts";
import { trainStep } from "../../../src/graph/step.ts";

const hosts = {
  relu: mlp({ name: "m", inputShape: [6], widths: [8, 8, 8], classes: 3 }),
  tanh: mlp({ name: "m", inputShape: [6], widths: [8, 8, 8], classes: 3, activation: "tanh" }),
  gelu: mlp({ name: "m", inputShape: [6], widths: [8, 8, 8], classes: 3, activation: "gelu" }),
  cnn: cnn({ name: "c", inputShape: [1, 6, 6], channels: [4, 6], classes: 3 }),
  cnnTanh: cnn({ name: "c", inputShape: [1, 6, 6], channels: [4, 6], classes: 3, activation: "tanh" }),
  cnnNorm: cnn({ name: "c", inputShape: [1, 6, 6], channels: [4, 6], classes: 3, batchNorm: true }),
  resnet: resnet({ name: "r", inputShape: [1, 6, 6], width: 4, blocks: [1, 1], classes: 3 }),
  transformer: transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 2, width: 8, heads: 2, hiddenWidth: 12 }),
} satisfies Record<string, Host>;

const batch = 8;

const batchOf = (host: Host, seed: number): Record<string, Tensor> => {
  const random = createRandom(seed);
  const { dtype, shape } = host.graph.inputs[0]!;
  const bound = shape.map((dim) => (dim === -1 ? batch : dim));
  const draw = (): number => (dtype === "int32" ? random.integer(host.classes) : random.normal());
  const data = Array.from({ length: sizeOf(bound) }, draw);
  return {
    x: { dtype, shape: bound, data: dtype === "int32" ? Int32Array.from(data) : Float32Array.from(data) },
    y: {
      dtype: "int32",
      shape: [batch * host.rows],
      data: Int32Array.from({ length: batch * host.rows }, () => random.integer(host.classes)),
    },
  };
};

interface Damaged {
  readonly host: Host;
  readonly sites: readonly string[];
  readonly parameters: ReadonlyMap<string, Tensor>;
}

const damaged = (whole: Host, config: Partial<DamageConfig>): Damaged => {
  const damage = DamageConfig.parse(config);
  const random = createRandom(5);
  const sites = damagedLayers(whole, damage, random);
  const host = damageStructure(whole, sites, damage);
  const fresh = initializeParameters(host.graph.parameters, createRandom(1));
  return { host, sites, parameters: new Map([...fresh, ...damageParameters(host, sites, damage, fresh, random)]) };
};

const trained = ({ host, parameters }: Damaged, optimizer: OptimizerConfig, steps = 15): ReadonlyMap<string, Tensor> => {
  const step = trainStep({ host, optimizer, trainableCohorts: ["host"], batch });
  const zeros = step.slots.map(
    ({ name, shape }) => [name, { dtype: "float32", shape, data: new Float32Array(sizeOf(shape)) }] as const,
  );
  let state: Record<string, Tensor> = { ...Object.fromEntries(parameters), ...Object.fromEntries(zeros) };
  for (let t = 1; t <= steps; t++) {
    const results = runReference(step.program, { ...state, ...batchOf(host, t), ...optimizerScalars(optimizer, "host", t) });
    state = Object.fromEntries(Object.keys(state).map((name) => [name, results[step.updates[name] ?? ""] ?? state[name]!]));
  }
  return new Map([...parameters.keys()].map((name) => [name, state[name]!]));
};

/** How many units of a value differ between samples or places. */
const varyingUnits = (host: Host, parameters: ReadonlyMap<string, Tensor>, value: string): number => {
  const program = probe({ host, batch, values: [value], gradients: [] });
  const found = runReference(program, { ...Object.fromEntries(parameters), ...batchOf(host, 99) })[`value:${value}`]!;
  const unitAxis = found.shape.length === 4 ? 1 : found.shape.length - 1;
  const units = found.shape[unitAxis]!;
  const inner = sizeOf(found.shape.slice(unitAxis + 1));
  const ranges = Array.from({ length: units }, () => [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] as [number, number]);
  found.data.forEach((entry, i) => {
    const range = ranges[Math.floor(i / inner) % units]!;
    range[0] = Math.min(range[0], entry);
    range[1] = Math.max(range[1], entry);
  });
  return ranges.filter(([low, high]) => high - low > 1e-6).length;
};

const optimizers = [
  OptimizerConfig.parse({ kind: "adam", learningRate: 0.01 }),
  OptimizerConfig.parse({ kind: "sgd", learningRate: 0.05 }),
] as const;

describe("dead units", () => {
  it.each([
    ["relu", "h2", "h2/activation"],
    ["tanh", "h2", "h2/activation"],
    ["gelu", "h3", "h3/activation"],
    ["cnn", "c2", "c2/activation"],
    ["cnnTanh", "c2", "c2/activation"],
    ["cnnNorm", "c1", "c1/activation"],
    ["resnet", "s1.b1.c1", "s1.b1.c1/activation"],
    ["resnet", "s1.b1.c2", "s1.b1.c2/preActivation"],
    ["resnet", "s2.b1.shortcut", "s2.b1.shortcut/preActivation"],
    ["transformer", "b1.attention.value", "b1.attention.value/preActivation"],
    ["transformer", "b2.mlp.in", "b2.mlp.in/activation"],
  ] as const)("%s %s: at most `live` units vary before training and after it, with Adam and with SGD", (name, site, value) => {
    const start = damaged(hosts[name], { site, kind: "dead", live: 2 });
    expect(start.sites).toEqual([site]);
    const healthy = initializeParameters(start.host.graph.parameters, createRandom(1));
    expect(varyingUnits(start.host, healthy, value)).toBeGreaterThan(2);
    // A unit that is left alive may die on its own.
    for (const parameters of [start.parameters, ...optimizers.map((optimizer) => trained(start, optimizer))]) {
      const varying = varyingUnits(start.host, parameters, value);
      expect(varying).toBeLessThanOrEqual(2);
      expect(varying).toBeGreaterThan(0);
    }
  });

  it("a linear layer before a residual sum dies by the units that feed it, the same ones as when both are named", () => {
    const one = damaged(hosts.transformer, { site: "b1.attention.projection", kind: "dead", live: 2 });
    const both = damaged(hosts.transformer, { site: "b1.attention", kind: "dead", live: 2 });
    expect(both.sites).toEqual(["b1.attention.value", "b1.attention.projection"]);
    expect(one.parameters).toEqual(both.parameters);
    const mlpParts = damaged(hosts.transformer, { site: "b2.mlp", kind: "dead", live: 3 });
    expect(mlpParts.sites).toEqual(["b2.mlp.in", "b2.mlp.out"]);
    for (const optimizer of optimizers) {
      expect(varyingUnits(mlpParts.host, trained(mlpParts, optimizer), "b2.mlp.in/activation")).toBe(3);
    }
  });

  it("leaves the other units and all other layers as they were", () => {
    const { host, parameters } = damaged(hosts.relu, { site: "h2", kind: "dead", live: 2 });
    const fresh = initializeParameters(host.graph.parameters, createRandom(1));
    const changed = [...parameters].filter(([name, { data }]) => data.some((value, i) => value !== fresh.get(name)!.data[i]));
    expect(changed.map(([name]) => name)).toEqual(["h2/weight", "h2/bias"]);
    const weight = parameters.get("h2/weight")!.data;
    const alive = Array.from({ length: 8 }, (_, unit) => unit).filter((unit) => weight[unit] !== 0);
    expect(alive).toHaveLength(2);
    for (const unit of alive) expect(weight[unit]).toBe(fresh.get("h2/weight")!.data[unit]);
  });
});

/** The rank of the map from a layer's input to its pre-activation, by its singular values: rows of a Gram matrix reduced. */
const rankOf = (rows: readonly (readonly number[])[]): number => {
  const matrix = rows.map((row) => [...row]);
  const scale = Math.max(...matrix.flat().map(Math.abs));
  let rank = 0;
  for (let column = 0; column < matrix[0]!.length && rank < matrix.length; column++) {
    const pivot = matrix.reduce(
      (best, row, i) => (i >= rank && Math.abs(row[column]!) > Math.abs(matrix[best]![column]!) ? i : best),
      rank,
    );
    if (Math.abs(matrix[pivot]![column]!) < 1e-4 * scale) continue;
    [matrix[rank], matrix[pivot]] = [matrix[pivot]!, matrix[rank]!];
    for (let i = rank + 1; i < matrix.length; i++) {
      const factor = matrix[i]![column]! / matrix[rank]![column]!;
      for (let k = column; k < matrix[0]!.length; k++) matrix[i]![k] = matrix[i]![k]! - factor * matrix[rank]![k]!;
    }
    rank++;
  }
  return rank;
};

describe("damage in the structure", () => {
  it.each(["relu", "tanh"] as const)("rank, %s: the weight is a product of that rank and stays one under training", (name) => {
    const start = damaged(hosts[name], { site: "h2", kind: "rank", live: 2 });
    const layer = start.host.layers.find((candidate) => candidate.name === "h2")!;
    expect(layer.parameters).toEqual(["h2/weight:left", "h2/weight:right", "h2/bias"]);
    for (const parameters of [start.parameters, ...optimizers.map((optimizer) => trained(start, optimizer))]) {
      const [left, right] = [parameters.get("h2/weight:left")!, parameters.get("h2/weight:right")!];
      expect([left.shape, right.shape]).toEqual([
        [8, 2],
        [2, 8],
      ]);
      const product = Array.from({ length: 8 }, (_, i) =>
        Array.from({ length: 8 }, (_unit, j) => left.data[2 * i]! * right.data[j]! + left.data[2 * i + 1]! * right.data[8 + j]!),
      );
      expect(rankOf(product)).toBe(2);
    }
  });

  it.each([
    ["cnn", "c2"],
    ["resnet", "s2"],
    ["transformer", "b1.mlp"],
  ] as const)("rank, %s %s: both factors learn and every shape stays", (name, site) => {
    const start = damaged(hosts[name], { site, kind: "rank", live: 1 });
    const shapes = (host: Host) =>
      host.layers.map(({ preActivation }) => bind(host.graph, { batch, mode: "eval" }).types.get(preActivation));
    expect(shapes(start.host)).toEqual(shapes(hosts[name]));
    const after = trained(start, optimizers[0], 3);
    for (const factor of [...start.parameters.keys()].filter((known) => /:(left|right)$/.test(known))) {
      expect([...after.get(factor)!.data], factor).not.toEqual([...start.parameters.get(factor)!.data]);
    }
  });

  it.each([
    ["relu", "h2", [8, 2]],
    ["cnn", "c2", [2, 4, 3, 3]],
    ["cnnNorm", "c1", [2, 1, 3, 3]],
    ["resnet", "s1.b1.c1", [2, 4, 3, 3]],
    ["transformer", "b1.mlp.in", [8, 2]],
  ] as const)("narrow, %s %s: the layer has `live` units, its readers read as many, and the host trains", (name, site, shape) => {
    const start = damaged(hosts[name], { site, kind: "narrow", live: 2 });
    expect(start.parameters.get(`${site}/weight`)!.shape).toEqual(shape);
    const output = start.host.layers.find((layer) => layer.name === site)!.output;
    expect(varyingUnits(start.host, trained(start, optimizers[0], 2), output)).toBeLessThanOrEqual(2);
    expect(start.host.layers.map((layer) => layer.name)).toEqual(hosts[name].layers.map((layer) => layer.name));
  });

  it("narrow equals the host that was built with that width", () => {
    const start = damaged(hosts.relu, { site: "h2", kind: "narrow", live: 3 });
    expect(start.host).toEqual(mlp({ name: "m", inputShape: [6], widths: [8, 3, 8], classes: 3 }));
    const narrowCnn = damaged(hosts.cnn, { site: "c1", kind: "narrow", live: 2 });
    expect(narrowCnn.host).toEqual(cnn({ name: "c", inputShape: [1, 6, 6], channels: [2, 6], classes: 3 }));
  });
});

describe("saturated units and far-off starts", () => {
  it.each([
    ["relu", "h2"],
    ["tanh", "h2"],
    ["gelu", "h2"],
    ["cnn", "c2"],
    ["cnnNorm", "c2"],
    ["resnet", "s1.b1.c1"],
  ] as const)("saturated, %s %s: weights stay, all but `live` units are constant, also after training", (name, site) => {
    const start = damaged(hosts[name], { site, kind: "saturated", live: 2 });
    const fresh = initializeParameters(start.host.graph.parameters, createRandom(1));
    expect(start.parameters.get(`${site}/weight`)).toEqual(fresh.get(`${site}/weight`));
    const { output } = start.host.layers.find((layer) => layer.name === site)!;
    expect(varyingUnits(start.host, start.parameters, output)).toBeLessThanOrEqual(2);
    for (const optimizer of optimizers)
      expect(varyingUnits(start.host, trained(start, optimizer), output)).toBeLessThanOrEqual(2);
  });

  it("initialization: a hundred times the weights, or the scale where they are normalised; `live` units as they were", () => {
    const start = damaged(hosts.relu, { site: "h2", kind: "initialization", live: 2 });
    const fresh = initializeParameters(start.host.graph.parameters, createRandom(1)).get("h2/weight")!.data;
    const ratios = start.parameters.get("h2/weight")!.data.map((value, i) => Math.round(value / fresh[i]!));
    expect([...ratios].filter((ratio) => ratio === 1)).toHaveLength(2 * 8);
    expect([...ratios].filter((ratio) => ratio === 100)).toHaveLength(6 * 8);
    const normalised = damaged(hosts.cnnNorm, { site: "c2", kind: "initialization", live: 2 });
    expect([...normalised.parameters.get("c2/gamma")!.data].filter((value) => value === 100)).toHaveLength(4);
  });
});

describe("sites", () => {
  const sitesOf = (host: Host, config: Partial<DamageConfig>, seed = 5): string[] =>
    damagedLayers(host, DamageConfig.parse(config), createRandom(seed));

  it("takes adjacent layers from the site on, or all under a prefix that this kind can hit", () => {
    expect(sitesOf(hosts.relu, { site: "h2", layers: 2 })).toEqual(["h2", "h3"]);
    expect(sitesOf(hosts.resnet, { site: "s2" })).toEqual(["s2.b1.c1", "s2.b1.c2", "s2.b1.shortcut"]);
    expect(sitesOf(hosts.resnet, { site: "s2", kind: "narrow" })).toEqual(["s2.b1.c1"]);
    expect(sitesOf(hosts.resnet, { site: "s1.b1", kind: "saturated" })).toEqual(["s1.b1.c1"]);
    expect(sitesOf(hosts.transformer, { site: "b1", kind: "rank" })).toHaveLength(4);
  });

  it("`random` draws every hidden layer for some seed, the same for the same seed, and only where the damage fits", () => {
    const drawn = Array.from({ length: 30 }, (_, seed) => sitesOf(hosts.relu, { site: "random", live: 1 }, seed)[0]);
    expect(new Set(drawn)).toEqual(new Set(["h1", "h2", "h3"]));
    expect(sitesOf(hosts.relu, { site: "random", live: 1 }, 3)).toEqual(sitesOf(hosts.relu, { site: "random", live: 1 }, 3));
    const pairs = Array.from({ length: 20 }, (_, seed) =>
      sitesOf(hosts.relu, { site: "random", live: 1, layers: 2 }, seed).join(),
    );
    expect(new Set(pairs)).toEqual(new Set(["h1,h2", "h2,h3"]));
    for (let seed = 0; seed < 20; seed++) {
      expect(sitesOf(hosts.transformer, { site: "random", live: 9 }, seed)[0]).toMatch(/\.mlp\.(in|out)$/);
    }
  });

  it("refuses an unknown layer, the output, a run past the end, and damage that leaves everything as it was", () => {
    expect(() => sitesOf(hosts.relu, { site: "h9" })).toThrow(InputError);
    expect(() => sitesOf(hosts.relu, { site: "output" })).toThrow(/one of h1, h2, h3/);
    expect(() => sitesOf(hosts.relu, { site: "h3", layers: 2 })).toThrow(/at most the 1 hidden layers/);
    expect(() => sitesOf(hosts.resnet, { site: "s2", layers: 2 })).toThrow(/1 where the site s2 is a prefix/);
    expect(() => sitesOf(hosts.relu, { site: "h1", live: 8 })).toThrow(/fewer than the 8 of h1/);
    expect(() => sitesOf(hosts.relu, { site: "h1", kind: "rank", live: 6 })).toThrow(/nothing would be damaged/);
    expect(() => sitesOf(hosts.relu, { site: "random", live: 8 })).toThrow(/fewer than the 8/);
    expect(() => sitesOf(hosts.resnet, { site: "s1.b1.c2", kind: "saturated" })).toThrow(/it has no activation of its own/);
    expect(() => sitesOf(hosts.transformer, { site: "b1.attention.value", kind: "narrow" })).toThrow(/its width is bound/);
  });
});

describe("names of the configuration", () => {
  const images = { kind: "images", inputShape: [1, 8, 8], rows: 1, classes: 4, task: "classification" } as const;
  const text = { kind: "tokens", inputShape: [4], rows: 4, classes: 9, task: "classification" } as const;

  it.each([
    [{ name: "mlp", widths: [3, 4] }, images],
    [{ name: "cnn", channels: [3, 4] }, images],
    [{ name: "resnet18", width: 2, blocks: [1, 2, 1] }, images],
    [{ name: "transformer", layers: 2, width: 4, heads: 2 }, text],
  ] as const)("are those of the host that is built: %j", (given, data) => {
    const model = ModelConfig.parse(given);
    const host = hostFor(model, data);
    const { types } = bind(host.graph, { batch: 1, mode: "eval" });
    const layers = host.layers.slice(0, -1).map(({ name, preActivation }) => {
      const { shape } = types.get(preActivation)!;
      return { name, width: shape.length === 4 ? shape[1] : shape.at(-1) };
    });
    expect(hiddenLayersOf(model)).toEqual(layers);
  });
});
