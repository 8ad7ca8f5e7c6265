/** How runs stand: what was told last, seeds by state, and no more runs than the bound. */
import { expect, it } from "vitest";
import { runStandingsMax } from "../../src/contracts/observed.ts";
import type { Told } from "../../src/machines/alerts.ts";
import { createRunStandings } from "../../src/machines/run-standing.ts";
import { host } from "./fixtures.ts";

const started = (runId: string): Told => ({
  subject: "system.events.run",
  payload: {
    kind: "started",
    runId,
    arm: "grown",
    dataset: "d",
    engine: "native",
    host,
    flopsMax: 100,
    epochSteps: 1,
    hostSteps: 1,
  },
});
const seed = (runId: string, seedId: string, to: "GERMINATED" | "TRAINING"): Told => ({
  subject: "system.events.seed",
  payload: { runId, seedId, site: "h1", from: "DORMANT", to, epoch: 1, reason: "why" } as never,
});

it("counts each seed in the state that it was told to be in last", () => {
  const runs = createRunStandings();
  for (const told of [
    started("r-1"),
    seed("r-1", "seed:h1", "GERMINATED"),
    seed("r-1", "seed:h2", "GERMINATED"),
    seed("r-1", "seed:h1", "TRAINING"),
  ])
    runs.note(told);
  expect(runs.list()).toMatchObject([{ runId: "r-1", flopsMax: 100, seeds: { GERMINATED: 1, TRAINING: 1 } }]);
  // What was not measured has no value.
  expect(runs.list()[0]).not.toHaveProperty("accuracy");
});

it("forgets the run that was not heard of for longest; of a run that it does not know it notes no seed", () => {
  const runs = createRunStandings();
  for (let i = 0; i <= runStandingsMax; i += 1) runs.note(started(`r-${i}`));
  runs.note(seed("r-unknown", "seed:h1", "TRAINING"));
  expect(runs.list().map(({ runId }) => runId)).toEqual(Array.from({ length: runStandingsMax }, (_, i) => `r-${i + 1}`));
});
