import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dominatorsFrom, type Vertex } from "../../src/graph/dominators.ts";

/** By definition: take `by` away and see whether the root still reaches `value`. */
const bruteForce = (vertices: readonly Vertex[], by: string, value: string): boolean => {
  const reach = (without: string | undefined): Set<string> => {
    const reached = new Set(without === "x" ? [] : ["x"]);
    for (const { id, inputs } of vertices) if (id !== without && inputs.some((input) => reached.has(input))) reached.add(id);
    return reached;
  };
  return reach(undefined).has(value) && reach(undefined).has(by) && !reach(by).has(value);
};

/** Value i reads some of the root, a parameter that nothing computes, and the values before it. */
const acyclic: fc.Arbitrary<readonly Vertex[]> = fc
  .array(fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 })
  .map((rows) =>
    rows.map((row, i) => {
      const before = ["x", "weight", ...Array.from({ length: i }, (_, j) => `v${j}`)];
      return { id: `v${i}`, inputs: row.map((pick) => before[pick % before.length]!) };
    }),
  );

describe("dominators", () => {
  it("are those of the definition, on any acyclic graph", () => {
    fc.assert(
      fc.property(acyclic, (vertices) => {
        const { dominates } = dominatorsFrom("x", vertices);
        const names = ["x", ...vertices.map(({ id }) => id)];
        for (const by of names) {
          for (const value of names) expect(dominates(by, value), `${by} over ${value}`).toBe(bruteForce(vertices, by, value));
        }
      }),
      { numRuns: 200, seed: 3 },
    );
  });

  it("the immediate one is the nearest: a diamond's end has its start, the root has none", () => {
    const { immediate, dominates } = dominatorsFrom("x", [
      { id: "a", inputs: ["x", "weight"] },
      { id: "left", inputs: ["a"] },
      { id: "right", inputs: ["a"] },
      { id: "end", inputs: ["left", "right"] },
      { id: "constant", inputs: ["weight"] },
    ]);
    expect(immediate("end")).toBe("a");
    expect(immediate("left")).toBe("a");
    expect(immediate("x")).toBeUndefined();
    expect(immediate("constant")).toBeUndefined();
    expect(dominates("left", "end")).toBe(false);
    expect(dominates("x", "constant")).toBe(false);
    expect(dominates("unknown", "end")).toBe(false);
  });
});
