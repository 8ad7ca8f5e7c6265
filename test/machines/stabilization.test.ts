/** STABILIZATION: a loss that rises is not steady, batches that differ are no rise, and what was not measured passes nothing. */
import { describe, expect, test } from "vitest";
import type { KernelMeasurement } from "../../src/contracts/measure.ts";
import { stabilizationGate } from "../../src/machines/gates.ts";

const stabilized = (relativeSlope?: number, relativeSlopeError?: number): KernelMeasurement => ({
  kind: "stabilized",
  finite: true,
  meanLoss: 0.2,
  ...(relativeSlope === undefined ? {} : { relativeSlope }),
  ...(relativeSlopeError === undefined ? {} : { relativeSlopeError }),
});

describe("stabilizationGate", () => {
  test.each([
    ["a small change", stabilized(0.2, 0.01), true],
    ["a change beyond the limit and beyond its noise", stabilized(0.5, 0.05), false],
    ["a change beyond the limit that its batches explain", stabilized(0.5, 0.2), true],
  ])("%s", (_, measurement, passed) => {
    expect(stabilizationGate(measurement, 0.25)).toMatchObject({ measured: true, passed });
  });

  test.each([
    ["no slope", stabilized(undefined, 0.1)],
    ["no noise", stabilized(0.1)],
    ["nothing at all", undefined],
  ])("%s: not measured", (_, measurement) => {
    expect(stabilizationGate(measurement, 0.25)).toMatchObject({ measured: false, passed: false });
  });
});
