/** What a host's tensors become when a trained tail takes its place in it. */
import { expect, test } from "vitest";
import type { Tensor } from "../../src/contracts/graph.ts";
import { mlp } from "../../src/graph/hosts/index.ts";
import { recountFactor } from "../../src/graph/optimizers.ts";
import { replacedTensors } from "../../src/workers/session/replaced.ts";
import { kernelKey } from "./replacement-key.ts";

const host = mlp({ name: "m", inputShape: [2], widths: [2, 2], classes: 2 });
const key = kernelKey("seed:h2", "h2");
const filled = (shape: readonly number[], value: number): Tensor => ({
  dtype: "float32",
  shape,
  data: new Float32Array(shape.reduce((product, dim) => product * dim, 1)).fill(value),
});
/** Each parameter and its two slots, of one value each. */
const tensors = (prefix: string, chosen: (name: string) => boolean, [value, m, v]: readonly [number, number, number]) =>
  new Map(
    host.graph.parameters
      .filter(({ name }) => chosen(name))
      .flatMap(({ name, shape }) => [
        [`${prefix}${name}`, filled(shape, value)] as const,
        [`${prefix}${name}#m`, filled(shape, m)] as const,
        [`${prefix}${name}#v`, filled(shape, v)] as const,
      ]),
  );
const inTail = (name: string): boolean => !name.startsWith("h1/");
const present = { tensors: tensors("", () => true, [100, 3, 5]), state: { cohortSteps: { host: 500 } } };
const kernel = { tensors: tensors("seed:h2/", inTail, [1, 2, 4]), state: { cohortSteps: { "seed:h2": 50 } } };
const changed = replacedTensors(key, host, kernel, present);
const first = (name: string): number | undefined => changed.get(name)?.data[0];

test("R1: the tail's parameters stand under the host's own names, and every one of them is there", () => {
  for (const { name } of host.graph.parameters) expect([name, first(name)]).toEqual([name, inTail(name) ? 1 : undefined]);
  expect([...changed.keys()].filter((name) => name.includes("seed"))).toEqual([]);
});

test("R2: the tail's moments count for as much as at the kernel's own step", () => {
  expect(first("h2/weight#m")).toBeCloseTo(2 * recountFactor(key.optimizer, "#m", 50, 500), 5);
  expect(first("output/bias#v")).toBeCloseTo(4 * recountFactor(key.optimizer, "#v", 50, 500), 4);
  expect(recountFactor(key.optimizer, "#v", 50, 500)).toBeGreaterThan(5);
});

test("R3: before the layer, moments shrink with its weights, the second by the square; R4: parameters stay", () => {
  expect(first("h1/weight#m")).toBeCloseTo(3 / 100, 7);
  expect(first("h1/bias#v")).toBeCloseTo(5 / 100 ** 2, 9);
  expect(changed.has("h1/weight")).toBe(false);
});
