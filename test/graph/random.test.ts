import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Parameter } from "../../src/contracts/graph.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { createRandom, restoreRandom, shuffle } from "../../src/graph/random.ts";

const take = (count: number, draw: () => number): number[] => Array.from({ length: count }, draw);

describe("random streams", () => {
  it("give the same numbers for the same seed on every machine", () => {
    const random = createRandom(42);
    expect(take(3, random.uniform)).toEqual(take(3, createRandom(42).uniform));
    expect(take(3, createRandom(42).uniform)).not.toEqual(take(3, createRandom(43).uniform));
    expect(take(2, createRandom(1).uniform)).toMatchInlineSnapshot(`
      [
        0.4950315591838801,
        0.15946606357019089,
      ]
    `);
    expect(take(2, createRandom(1).normal)).toMatchInlineSnapshot(`
      [
        -0.018080136069981885,
        -0.2889049367942467,
      ]
    `);
    const fork = createRandom(1).fork("a");
    expect(take(3, () => fork.integer(1000))).toMatchInlineSnapshot(`
      [
        185,
        691,
        954,
      ]
    `);
  });

  it("K1: a fork depends on the label and the parent's key, not on what was drawn or forked before", () => {
    const [fresh, used] = [createRandom(7), createRandom(7)];
    take(100, used.normal);
    used.fork("other");
    expect(take(5, used.fork("batches").uniform)).toEqual(take(5, fresh.fork("batches").uniform));
    const before = fresh.state();
    fresh.fork("batches");
    expect(fresh.state()).toEqual(before);
    const streams = [fresh, fresh.fork("a"), fresh.fork("b"), fresh.fork("a").fork("a"), createRandom(8).fork("a")];
    expect(new Set(streams.map((stream) => stream.uniform())).size).toBe(streams.length);
  });

  it("K2: a restored stream goes on where it stood, forks included", () => {
    const random = createRandom(5).fork("x");
    take(7, random.normal);
    const saved = JSON.parse(JSON.stringify(random.state())) as number[];
    const restored = restoreRandom(saved);
    expect(take(4, restored.uniform)).toEqual(take(4, random.uniform));
    expect(restored.fork("y").uniform()).toBe(random.fork("y").uniform());
  });

  it("have the moments of their distributions", () => {
    const random = createRandom(11);
    const moments = (values: readonly number[]): [number, number] => {
      const mean = values.reduce((a, b) => a + b) / values.length;
      return [mean, values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length];
    };
    const [uniformMean, uniformVariance] = moments(take(20_000, random.uniform));
    expect(uniformMean).toBeCloseTo(0.5, 1);
    expect(uniformVariance).toBeCloseTo(1 / 12, 2);
    const [normalMean, normalVariance] = moments(take(20_000, random.normal));
    expect(Math.abs(normalMean)).toBeLessThan(0.03);
    expect(Math.abs(normalVariance - 1)).toBeLessThan(0.05);
    // Integers of a bound that does not divide 2^32: chi-square with 6 degrees of freedom, 99.9 % point 22.46.
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 7000; i++) {
      const drawn = random.integer(7);
      counts[drawn] = counts[drawn]! + 1;
    }
    expect(counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(22.46);
  });

  it("stay in their ranges", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, bound) => {
        const random = createRandom(seed);
        const [u, n] = [random.uniform(), random.integer(bound)];
        return u >= 0 && u < 1 && Number.isInteger(n) && n >= 0 && n < bound;
      }),
      { seed: 1 },
    );
  });

  it("refuse bad seeds, bounds and states", () => {
    expect(() => createRandom(0.5)).toThrow("random seed: expected an integer within ±2^53, got 0.5");
    expect(() => createRandom(1).integer(0)).toThrow("random integer: expected a bound from 1 to 4294967296, got 0");
    expect(() => restoreRandom([1, 2, 3])).toThrow(
      "random state: expected 8 32-bit integers, the first 4 not all zero, got [1,2,3]; the checkpoint is damaged",
    );
    expect(() => restoreRandom([0, 0, 0, 0, 1, 2, 3, 4])).toThrow("the first 4 not all zero");
  });

  it("shuffle permutes in place and reaches every order equally often", () => {
    const random = createRandom(3);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = shuffle([0, 1, 2], random).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // Chi-square with 5 degrees of freedom, 99.9 % point 20.5.
    expect([...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(20.5);
    const ids = Int32Array.from({ length: 50 }, (_, i) => i);
    expect(shuffle(ids, random)).toBe(ids);
    expect([...ids]).not.toEqual([...ids].toSorted((a, b) => a - b));
    expect([...ids].toSorted((a, b) => a - b)).toEqual(
      take(
        50,
        (
          (i) => () =>
            i++
        )(0),
      ),
    );
  });
});

describe("initializeParameters", () => {
  const parameter = (name: string, initializer: Parameter["initializer"]): Parameter => ({
    name,
    shape: [100, 50],
    initializer,
    trainable: true,
    cohort: "host",
  });
  const all = [
    parameter("he", { kind: "heNormal", fanIn: 100 }),
    parameter("glorot", { kind: "glorotUniform", fanIn: 100, fanOut: 50 }),
    parameter("normal", { kind: "normal", sd: 0.3 }),
    parameter("constant", { kind: "constant", value: 0.5 }),
  ];

  it("draws each parameter from its own stream: order and company do not matter", () => {
    const values = initializeParameters(all, createRandom(1));
    expect(initializeParameters(all.toReversed(), createRandom(1)).get("he")).toEqual(values.get("he"));
    expect(initializeParameters(all.slice(2), createRandom(1)).get("normal")).toEqual(values.get("normal"));
  });

  it("has the spread that the initializer names", () => {
    const values = initializeParameters(all, createRandom(2));
    const sd = (name: string): number => Math.sqrt([...values.get(name)!.data].reduce((sum, v) => sum + v * v, 0) / 5000);
    expect(sd("he")).toBeCloseTo(Math.sqrt(2 / 100), 2);
    expect(sd("normal")).toBeCloseTo(0.3, 1);
    const limit = Math.sqrt(6 / 150);
    expect(sd("glorot")).toBeCloseTo(limit / Math.sqrt(3), 2);
    expect(Math.max(...values.get("glorot")!.data)).toBeLessThanOrEqual(Math.fround(limit));
    expect(new Set(values.get("constant")!.data)).toEqual(new Set([0.5]));
  });
});
