/** From an experiment to its jobs. */
import { describe, expect, test } from "vitest";
import { parseExperiment } from "../../src/config/load-experiment.ts";
import { InputError } from "../../src/contracts/errors.ts";
import { experimentArms } from "../../src/contracts/experiment.ts";
import { mergeTrees } from "../../src/experiment/merge.ts";
import { cellsOf, planCells, randomSeedsOf } from "../../src/experiment/plan.ts";
import { smallExperiment } from "./fixture.ts";

const engine = { name: "native", version: "1" };
const planOf = (changes: object) => planCells(cellsOf(smallExperiment(changes)), engine);
const whole = { name: "none", damage: null };

describe("merging", () => {
  test("groups are merged, lists replaced; another choice of a union drops the keys of the one before", () => {
    expect(mergeTrees({ a: { b: 1, c: [1, 2] } }, { a: { c: [3] } })).toEqual({ a: { b: 1, c: [3] } });
    const sgd = { optimization: { optimizer: { kind: "sgd", momentum: 0.5 }, epochs: 2 } };
    const adam = { optimization: { optimizer: { kind: "adam" } } };
    expect(mergeTrees(sgd, adam)).toEqual({ optimization: { optimizer: { kind: "adam" }, epochs: 2 } });
  });
});

describe("cells", () => {
  test("every host × data set × damage × random seed, in order", () => {
    const hosts = ["a", "b"].map((name) => ({ name, model: { name: "mlp", widths: [8, 8] } }));
    const cells = cellsOf(smallExperiment({ hosts, randomSeeds: { first: 5, count: 2 } }));
    expect(cells.map(({ host, config }) => [host, config.randomSeed])).toEqual([
      ["a", 5],
      ["a", 6],
      ["b", 5],
      ["b", 6],
    ]);
    expect(randomSeedsOf(smallExperiment({ randomSeeds: [3, 3, 1] }))).toEqual([3, 1]);
  });

  test("what does not fit is told with its place", () => {
    const hosts = [{ name: "bad", model: { name: "mlp", widths: [0] } }];
    expect(() => cellsOf(smallExperiment({ hosts }))).toThrow(
      /bad \/ mnist \/ dead: expected a valid configuration.*model\.widths\.0/s,
    );
    const twice = ["x", "x"].map((name) => ({ name, damage: null }));
    expect(() => cellsOf(smallExperiment({ damages: twice }))).toThrow("found x twice");
  });

  test("jobsMax holds at its bound and not one past it", () => {
    const arms = ["no-growth", "grown"];
    expect(cellsOf(smallExperiment({ arms, jobsMax: 2 }))).toHaveLength(1);
    expect(() => cellsOf(smallExperiment({ arms, jobsMax: 1 }))).toThrow(InputError);
  });
});

describe("jobs", () => {
  test("P1 equal jobs of different cells run once: the undamaged arms of every damage, and all of an undamaged cell", () => {
    const damages = [
      { name: "dead", damage: { site: "h2", kind: "dead", live: 1 } },
      { name: "dead-2", damage: { site: "h2", kind: "dead", live: 2 } },
      whole,
    ];
    const { cells, jobs } = planOf({ damages, arms: ["no-growth", "grown", "healthy", "watched"] });
    expect(jobs).toHaveLength(2 + 2 + 2);
    const keys = cells.map((cell) => cell.keys);
    expect(new Set(keys.map(({ healthy }) => healthy)).size).toBe(1);
    expect(keys[2]?.["no-growth"]).toBe(keys[2]?.healthy);
    expect(keys[2]?.grown).toBe(keys[0]?.watched);
  });

  test("P1 the key follows everything that decides, and nothing else", () => {
    const keyOf = (changes: object, used = engine) =>
      planCells(cellsOf(smallExperiment({ arms: ["grown"], ...changes })), used).jobs[0]?.key;
    const key = keyOf({});
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(
      keyOf({ name: "another", hurtsMin: 0.5, hosts: [{ name: "renamed", model: { name: "mlp", widths: [16, 16, 16] } }] }),
    ).toBe(key);
    const { base } = smallExperiment();
    const others = [
      keyOf({ randomSeeds: [12] }),
      keyOf({ hosts: [{ name: "mlp", model: { name: "mlp", widths: [16, 16, 17] } }] }),
      keyOf({ damages: [whole] }),
      keyOf({ base: { ...base, optimization: { ...base.optimization, epochs: 3 } } }),
      keyOf({ base: { ...base, morphogenetic: { budget: { flopsFractionMax: 0.1 } } } }),
      keyOf({}, { name: "native", version: "2" }),
    ];
    expect(new Set([key, ...others]).size).toBe(others.length + 1);
  });

  test("P3 the final size stands after the grown arm, which is run for it and keeps its host", () => {
    const { jobs, cells } = planOf({ arms: ["final-size", "healthy"] });
    const [final, grown] = [cells[0]?.keys["final-size"], cells[0]?.keys.grown];
    expect(jobs.at(-1)).toMatchObject({ key: final, finalSizeOf: grown, growth: false, keepHost: false });
    expect(jobs.at(-1)?.config.damage).toBeUndefined();
    expect(jobs.find(({ key }) => key === grown)).toMatchObject({ keepHost: true, growth: true });
  });

  test("each arm is what its name says", () => {
    const { jobs, cells } = planOf({ arms: experimentArms });
    const job = (arm: (typeof experimentArms)[number]) => jobs.find(({ key }) => key === cells[0]?.keys[arm]);
    expect(job("no-growth")).toMatchObject({ growth: false, config: { damage: { site: "h2" } } });
    expect(job("grown")).toMatchObject({ growth: true, config: { morphogenetic: { placement: "signal" } } });
    expect(job("random-place")).toMatchObject({ growth: true, config: { morphogenetic: { placement: "random" } } });
    expect(job("always-grow")).toMatchObject({ growth: true, config: { morphogenetic: { placement: "always" } } });
    expect(job("healthy")).toMatchObject({ growth: false });
    expect(job("watched")).toMatchObject({ growth: true });
    for (const arm of ["healthy", "watched"] as const) expect(job(arm)?.config.damage).toBeUndefined();
    const placed = planOf({ damages: [whole], arms: ["random-place"] }).jobs[0];
    expect(placed).toMatchObject({ growth: true, germinateAfterSteps: 40 });
    expect(placed?.config.morphogenetic.signal.warmupSteps).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe("the file", () => {
  test("YAML with defaults", () => {
    const read = parseExperiment("name: a\nhosts:\n  - name: mlp\n", "a.yaml");
    expect(read).toMatchObject({ name: "a", arms: ["no-growth", "grown", "healthy", "watched"], confidence: 0.95 });
  });

  test("every problem with its line", () => {
    const text = "name: a\nhosts:\n  - name: mlp\narms: [growm]\nlanes: 2\n";
    expect(() => parseExperiment(text, "a.yaml")).toThrow(
      /2 problems in a\.yaml:.*expected known keys alone, got 1 that.*arms\.0: .*\(line 4\)|2 problems in a\.yaml:.*arms\.0: .*\(line 4\).*expected known keys alone, got 1 that/s,
    );
    expect(() => parseExperiment("name: [", "b.yaml")).toThrow(/well-formed YAML.*b\.yaml line/);
  });
});
