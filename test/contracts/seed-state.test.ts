import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lifecycleStates } from "../../src/contracts/lifecycle.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";

describe("the shared seed state", () => {
  it("two views of one buffer see the same rows, and no column overlaps another", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 1000 }), (seeds, salt) => {
        const writer = new SeedStateTable(seeds);
        const reader = new SeedStateTable(seeds, writer.buffer);
        const stateOf = (seed: number) => lifecycleStates[(seed + salt) % lifecycleStates.length]!;
        for (let seed = 0; seed < seeds; seed += 1) {
          writer.setLifecycle(seed, stateOf(seed));
          writer.setEpoch(seed, salt + seed);
          writer.setAlpha(seed, Math.fround(seed / seeds));
        }
        writer.windowStep = salt;
        writer.stopRequested = true;
        for (let seed = 0; seed < seeds; seed += 1) {
          expect(reader.lifecycle(seed)).toBe(stateOf(seed));
          expect(reader.epoch(seed)).toBe(salt + seed);
          expect(reader.alpha(seed)).toBe(Math.fround(seed / seeds));
        }
        expect(reader.windowStep).toBe(salt);
        expect(reader.stopRequested).toBe(true);
      }),
    );
  });

  it("refuses a buffer that is not of its size", () => {
    expect(() => new SeedStateTable(3, new SharedArrayBuffer(8))).toThrow(
      /expected a seed-state buffer of \d+ bytes for 3 seeds, got 8/,
    );
  });
});
