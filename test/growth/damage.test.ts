import { describe, expect, it } from "vitest";
import { InputError } from "../../src/contracts/errors.ts";
import type { Tensor } from "../../src/contracts/graph.ts";
import { cnn, mlp } from "../../src/graph/hosts.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { createRandom } from "../../src/graph/random.ts";
import { damagedLayer, damageLayer } from "../../src/growth/damage.ts";
import { projectToRank } from "../../src/growth/linear-algebra.ts";

const dense = mlp({ name: "mlp", inputShape: [6], widths: [8, 8], classes: 3 });
const convolutional = cnn({ name: "cnn", inputShape: [1, 8, 8], channels: [4, 6], classes: 3 });
const random = () => createRandom(5);

const damage = (host: typeof dense, site: string, kind: "dead" | "rank", live: number) => {
  const parameters = initializeParameters(host.graph.parameters, createRandom(1));
  const layer = damagedLayer(host.layers, { site, kind, live }, random());
  return { parameters, damaged: damageLayer(layer, parameters, { site, kind, live }, random()) };
};

/** Incoming weights of each unit. */
const incoming = (weight: Tensor, convolution: boolean): number[][] => {
  const units = weight.shape[convolution ? 0 : 1]!;
  const each = weight.data.length / units;
  return Array.from({ length: units }, (_, unit) =>
    Array.from({ length: each }, (_, input) => weight.data[convolution ? unit * each + input : input * units + unit]!),
  );
};

describe("damage", () => {
  it.each([
    ["dense", dense, "h2", 8],
    ["convolution", convolutional, "c2", 6],
  ] as const)("dead: all but `live` units of a %s can never fire; the others stay", (kind, host, site, units) => {
    const { parameters, damaged } = damage(host, site, "dead", 2);
    const [weight, bias] = [damaged.get(`${site}/weight`)!, damaged.get(`${site}/bias`)!];
    const before = incoming(parameters.get(`${site}/weight`)!, kind === "convolution");
    const after = incoming(weight, kind === "convolution");
    const dead = after.map((values, unit) => values.every((value) => value === 0) && bias.data[unit]! < 0);
    expect(dead.filter(Boolean)).toHaveLength(units - 2);
    after.forEach((values, unit) => {
      if (!dead[unit]) expect(values).toEqual(before[unit]);
    });
    expect([...damaged.keys()].sort()).toEqual([`${site}/bias`, `${site}/weight`]);
  });

  it("rank: the weights have that rank and are the nearest of it", () => {
    const { parameters, damaged } = damage(dense, "h1", "rank", 2);
    const weight = damaged.get("h1/weight")!;
    const [rows, columns] = [weight.shape[0]!, weight.shape[1]!];
    const nearest = projectToRank({ rows, columns, data: parameters.get("h1/weight")!.data }, 2);
    const again = projectToRank({ rows, columns, data: weight.data }, 2);
    weight.data.forEach((value, i) => {
      expect(value).toBeCloseTo(nearest.data[i]!, 5);
      expect(value).toBeCloseTo(again.data[i]!, 5);
    });
  });

  it("`random` picks hidden layers only, each of them for some seed, and the same one for the same seed", () => {
    const pick = (seed: number): string =>
      damagedLayer(dense.layers, { site: "random", kind: "dead", live: 1 }, createRandom(seed)).name;
    const sites = Array.from({ length: 20 }, (_, seed) => pick(seed));
    expect(new Set(sites)).toEqual(new Set(["h1", "h2"]));
    expect(pick(3)).toBe(pick(3));
  });

  it("refuses an unknown layer, the output, and damage that leaves everything as it was", () => {
    expect(() => damage(dense, "h9", "dead", 1)).toThrow(InputError);
    expect(() => damage(dense, "output", "dead", 1)).toThrow(/one of h1, h2/);
    expect(() => damage(dense, "h1", "dead", 8)).toThrow(/expected fewer than the 8 units/);
    expect(() => damage(dense, "h1", "rank", 6)).toThrow(/nothing would be damaged/);
  });
});
