/** The live actors of the seeds: they follow what was decided, and a difference is a bug that is told. */
import { describe, expect, it } from "vitest";
import { LiveSeeds } from "../../src/actors/live-seeds.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { createRunState } from "../../src/machines/boundary.ts";
import { drive, germinate } from "../machines/driver.ts";
import { host, setup } from "../machines/fixtures.ts";

const fail = (error: unknown): never => {
  throw error;
};

describe("LiveSeeds", () => {
  it("starts one actor per seed and shows each in the shared table, step by step as decided", () => {
    const run = drive(12, { commands: { 1: [germinate] } });
    const table = new SeedStateTable(3);
    const live = new LiveSeeds(createRunState(setup, host), table, fail);
    expect(live.size).toBe(3);
    const shown: string[] = [];
    for (const { state, steps } of run.boundaries) {
      live.follow(state, steps);
      if (shown.at(-1) !== table.lifecycle(1)) shown.push(table.lifecycle(1));
    }
    expect(shown).toEqual([
      "DORMANT",
      "GERMINATED",
      "LOADING",
      "TRAINING",
      "GRAFTING",
      "STABILIZATION",
      "EVALUATING",
      "FINE_TUNING",
      "FOSSILIZED",
    ]);
    expect([table.lifecycle(0), table.lifecycle(2)]).toEqual(["DORMANT", "DORMANT"]);
    live.stop();
    expect(live.size).toBe(0);
  });

  it("V1 taken up from any stored state, they go on from there", () => {
    const run = drive(12, { commands: { 1: [germinate] } });
    for (const [i, { state }] of run.boundaries.entries()) {
      const table = new SeedStateTable(3);
      const live = new LiveSeeds(state, table, fail);
      for (const later of run.boundaries.slice(i + 1)) live.follow(later.state, later.steps);
      expect(table.lifecycle(1)).toBe("FOSSILIZED");
    }
  });

  it("V2 an outcome that differs from the live actor's is a bug", () => {
    const run = drive(4, { commands: { 1: [germinate] } });
    const live = new LiveSeeds(createRunState(setup, host), new SeedStateTable(3), fail);
    const { state, steps } = run.boundaries.find((boundary) => boundary.steps.length > 0)!;
    const wrong = steps.map((step) => ({ ...step, outcome: { kind: "stayed" as const, reason: "" } }));
    expect(() => live.follow(state, wrong)).toThrow(/expected the live actor to answer GERMINATE with stayed/);
    expect(() => live.follow(state, [{ ...steps[0]!, seedId: "seed:none" }])).toThrow(/expected a live actor for seed:none/);
  });
});
