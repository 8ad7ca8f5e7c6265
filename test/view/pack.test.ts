import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ViewState } from "../../src/contracts/view.ts";
import { packView, unpackView } from "../../src/view/pack.ts";
import { applyChanges, emptyView, findRun } from "../../src/view/reduce.ts";
import { scene } from "../visualizer/scene.ts";
import { anyChange, viewOf } from "./support.ts";

const carried = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const there = (state: ViewState): ViewState => unpackView(carried(packView(state)));

describe("the state as it travels", () => {
  test("P1: any state comes out as it went in, and goes on from there as the first does", () => {
    const changes = fc.array(anyChange, { maxLength: 60 });
    fc.assert(
      fc.property(changes, changes, (before, after) => {
        const state = viewOf(before);
        const copy = there(state);
        expect(copy).toEqual(carried(state));
        applyChanges(state, after);
        applyChanges(copy, after);
        expect(copy).toEqual(carried(state));
      }),
    );
  });

  test("P1: a scene with something in every field", () => {
    const state = scene({ layers: 30, seedsPerLayer: 20 });
    expect(there(state)).toEqual(carried(state));
  });

  test("P1: a seed that is not what its last transition says comes whole", () => {
    const state = scene({ layers: 4 });
    const seeds = findRun(state, state.currentRunId)!.seeds;
    seeds[0]!.reason = "something else";
    seeds[1]!.history.length = 0;
    seeds[1]!.state = "CULLED";
    expect(there(state)).toEqual(carried(state));
  });

  test("a seed at rest costs its name and little more", () => {
    const state = emptyView("live");
    const host = { name: "x", hash: "0".repeat(64), parameters: 1, stepFlops: 1, batchSize: 1, layers: [] };
    const seeds = Array.from({ length: 1_000 }, (_, index): [string, string] => [`seed:h${index}`, `h${index % 10}`]);
    applyChanges(state, [{ k: "host", r: "r", host, seeds }]);
    const idBytes = seeds.reduce((sum, [id]) => sum + id.length, 0);
    expect(JSON.stringify(packView(state)).length).toBeLessThan(idBytes + 10 * seeds.length);
  });
});
