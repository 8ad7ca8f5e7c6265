/** What the page computes without a browser: where cells lie, which seeds are shown, moments of a recording, layouts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lifecycleStates } from "../../src/contracts/lifecycle-table.ts";
import { drawings } from "../../src/machines/drawing/index.ts";
import { applyChanges, emptyView } from "../../src/view/reduce.ts";
import { Recording } from "../../src/visualizer/data/recording.ts";
import { bounded, duration, measured, percent, short } from "../../src/visualizer/lib/format.ts";
import { own } from "../../src/visualizer/lib/own.ts";
import { compacted } from "../../src/visualizer/parts/compact-layout.ts";
import { lanesOf } from "../../src/visualizer/views/overview/lanes.ts";
import {
  cellAt,
  cellPxMax,
  columnsFor,
  keepInSight,
  placeOf,
  reveal,
  rowsFor,
  stepBy,
  wholeSight,
  zoomAround,
} from "../../src/visualizer/views/seeds/grid-geometry.ts";
import { countStates, everySeed, orderSeeds } from "../../src/visualizer/views/seeds/seed-order.ts";
import { scene, sceneChanges } from "./scene.ts";

const box = fc.record({ width: fc.integer({ min: 100, max: 2000 }), height: fc.integer({ min: 100, max: 1200 }) });
const count = fc.integer({ min: 1, max: 100_000 });

describe("the seeds' grid", () => {
  test("G1 every cell is found at its middle, and all of them lie in the whole sight", () => {
    fc.assert(
      fc.property(box, count, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (size, cells, share) => {
        const columns = columnsFor(cells, size);
        const sight = wholeSight(cells, columns, size);
        const index = Math.floor(share * cells);
        const { x, y } = placeOf(index, columns, sight);
        expect(cellAt(x + sight.cellPx / 2, y + sight.cellPx / 2, cells, columns, sight)).toBe(index);
        expect(columns * rowsFor(cells, columns)).toBeGreaterThanOrEqual(cells);
        if (sight.cellPx > 1) expect(columns * sight.cellPx).toBeLessThanOrEqual(size.width + 1);
      }),
    );
  });

  test("G2 something stays in sight, however far it is dragged", () => {
    const far = fc.integer({ min: -1e6, max: 1e6 });
    fc.assert(
      fc.property(box, count, far, far, fc.double({ min: 1, max: cellPxMax, noNaN: true }), (size, cells, left, top, cellPx) => {
        const columns = columnsFor(cells, size);
        const kept = keepInSight({ cellPx, left, top }, cells, columns, size);
        expect(kept.left).toBeLessThan(size.width);
        expect(kept.top).toBeLessThan(size.height);
        expect(kept.left + columns * cellPx).toBeGreaterThan(0);
        expect(kept.top + rowsFor(cells, columns) * cellPx).toBeGreaterThan(0);
      }),
    );
  });

  test("G3 zooming leaves the point under the pointer where it is", () => {
    const sight = { cellPx: 10, left: -30, top: 12 };
    const zoomed = zoomAround(sight, 2.5, 100, 80);
    expect((100 - zoomed.left) / zoomed.cellPx).toBeCloseTo((100 - sight.left) / sight.cellPx);
    expect((80 - zoomed.top) / zoomed.cellPx).toBeCloseTo((80 - sight.top) / sight.cellPx);
    expect(zoomAround(sight, 1e9, 0, 0).cellPx).toBe(cellPxMax);
  });

  test("keys move within the grid and never out of it; the cell that is moved to is brought into sight", () => {
    expect(stepBy("ArrowDown", 3, 10, 4, 2)).toBe(7);
    expect(stepBy("ArrowDown", 8, 10, 4, 2)).toBe(8);
    expect(stepBy("ArrowLeft", 0, 10, 4, 2)).toBe(0);
    expect(stepBy("End", 0, 10, 4, 2)).toBe(9);
    expect(stepBy("x", 0, 10, 4, 2)).toBeUndefined();
    const size = { width: 200, height: 100 };
    const shown = reveal(99, 100, 10, { cellPx: 50, left: 0, top: 0 }, size);
    const { x, y } = placeOf(99, 10, shown);
    expect([x >= 0, x + 50 <= 200, y >= 0, y + 50 <= 100]).toEqual([true, true, true, true]);
  });
});

describe("which seeds are shown", () => {
  const run = scene().runs[0]!;
  const ids = (filter: Partial<typeof everySeed>): string[] =>
    [...orderSeeds(run, { ...everySeed, ...filter }, lifecycleStates)].map((index) => run.seeds[index]!.seedId);

  test("filters by text, state, health and blueprint", () => {
    expect(ids({})).toHaveLength(10);
    expect(ids({ text: "H2" })).toEqual(["seed:h2", "seed:h2.1"]);
    expect(ids({ states: new Set(["FOSSILIZED"]) })).toEqual(["seed:h5"]);
    expect(ids({ health: "poor" })).toEqual(["seed:h2", "seed:h2.1"]);
    expect(ids({ blueprint: "dense" })).toHaveLength(9);
    expect(ids({ blueprint: "residual" })).toEqual([]);
  });

  test("orders by state, by health, by name and by the newest change", () => {
    expect(ids({ sort: "state" }).at(-1)).toBe("seed:h1");
    expect(ids({ sort: "health" }).slice(0, 2)).toEqual(["seed:h2", "seed:h2.1"]);
    expect(ids({ sort: "name" })).toEqual(ids({}).toSorted());
    expect(ids({ sort: "recent" })[0]).toBe("seed:h5");
    expect([...countStates(run.seeds).values()].reduce((sum, each) => sum + each, 0)).toBe(10);
  });
});

describe("a recording", () => {
  const steps = sceneChanges({ layers: 20, seedsPerLayer: 6, windows: 300 }).map((change) => [change]);
  const recorded = new Recording("r");
  recorded.add({
    changes: steps,
    epochs: steps.map((_, index) => Math.floor(index / 2)),
    at: steps.map((_, index) => index * 10),
  });

  test("R1 every moment is what its changes in order give, from whatever key frame", () => {
    expect(steps.length).toBeGreaterThan(300);
    for (const place of [0, 1, 255, 256, 257, 311, steps.length]) {
      const plain = emptyView("recorded");
      for (const step of steps.slice(0, place)) applyChanges(plain, step);
      expect(recorded.stateAt(place)).toEqual(plain);
    }
  });

  test("a moment that was handed out can be changed without harm to others", () => {
    const before = structuredClone(recorded.stateAt(300));
    applyChanges(recorded.stateAt(300), steps.slice(300).flat());
    expect(recorded.stateAt(300)).toEqual(before);
  });

  test("windows and places find each other", () => {
    expect(recorded.epochAt(recorded.placeOfEpoch(100))).toBe(100);
    expect(recorded.placeOfEpoch(-1)).toBe(0);
    expect(recorded.placeOfEpoch(1e9)).toBe(recorded.length);
    expect(recorded.between(0, recorded.length)).toHaveLength(steps.length);
    expect(recorded.marks().length).toBe(steps.filter(([change]) => change?.k === "step").length);
  });

  test("R2 a long run keeps a bounded number of key frames and still every moment", () => {
    const long = new Recording("r");
    const row = (epoch: number) => [
      { k: "progress", r: "r", progress: { epoch, work: "host", step: 1, steps: 2, loss: 1 } } as const,
    ];
    const all = Array.from({ length: 20_000 }, (_, index) => row(index));
    long.add({ changes: all, epochs: all.map((_, index) => index), at: all.map(() => 0) });
    for (const place of [1, 12_345, 19_999]) expect(long.stateAt(place).runs[0]?.progress?.epoch).toBe(place - 1);
  });
});

describe("drawings", () => {
  test("arcs of stretches that overlap have lanes of their own", () => {
    const stretch = fc.tuple(fc.nat(20), fc.nat(20)).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
    fc.assert(
      fc.property(fc.array(stretch, { maxLength: 12 }), (stretches) => {
        const lanes = lanesOf(stretches);
        for (const [i, a] of stretches.entries()) {
          for (const [j, b] of stretches.entries()) {
            if (i < j && a.first <= b.last && b.first <= a.last) expect(lanes[i]).not.toBe(lanes[j]);
          }
        }
      }),
    );
  });

  test.each(Object.entries(drawings))(
    "%s: the compact drawing keeps order, loses no state, and no two boxes overlap",
    (_name, { layout }) => {
      const small = compacted(layout);
      expect(small.states.map(({ id }) => id)).toEqual(layout.states.map(({ id }) => id));
      expect(small.width).toBeLessThanOrEqual(layout.width + 80);
      for (const [i, a] of small.states.entries()) {
        expect(a.x).toBeGreaterThanOrEqual(0);
        expect(a.x + a.width).toBeLessThanOrEqual(small.width);
        for (const b of small.states.slice(i + 1)) {
          const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
          const nested = layout.states.some(({ headHeight }) => headHeight !== undefined);
          expect(apart || nested, `${a.id} and ${b.id}`).toBe(true);
        }
      }
    },
  );
});

describe("words", () => {
  test("what was not measured is a dash, never zero", () => {
    for (const absent of [undefined, null, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect([short(absent), percent(absent), duration(absent)]).toEqual(["–", "–", "–"]);
    }
  });

  test("numbers are short, texts bounded, names of a prototype not found", () => {
    expect([short(27_914), short(1.83e10), short(0.00123), short(447)]).toEqual(["27.9 k", "18.3 G", "0.00123", "447"]);
    expect([duration(850), duration(12_400), duration(200_000), duration(7_500_000)]).toEqual([
      "850 ms",
      "12.4 s",
      "3 min 20 s",
      "2 h 05 min",
    ]);
    expect(bounded("x".repeat(1000), 10)).toHaveLength(10);
    expect(measured(Number.NaN)).toBe("NaN");
    expect(own({ a: 1 }, "__proto__")).toBeUndefined();
    expect(own({ a: 1 }, "a")).toBe(1);
  });
});
