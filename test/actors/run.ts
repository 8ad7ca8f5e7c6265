/** A run for actors under test: the lane is the test's, the rest is plain. */
import type { RunContext } from "../../src/actors/run-context.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { startRun } from "../../src/machines/run-machine.ts";
import { runId } from "../machines/fixtures.ts";
import { dataset, spec } from "../workers/fixture.ts";

/** What a test does not expect to be asked for. */
export const never = async (): Promise<never> => {
  throw new Error("not asked for in this test");
};

/** A lane that is never asked. */
export const idleLane: RunContext["lane"] = {
  open: never,
  run: never,
  status: never,
  host: never,
  snapshot: never,
  restore: never,
  test: never,
  close: never,
  onProgress: () => () => undefined,
  abort: never,
  destroy: never,
};

export const runContextOf = (lane: RunContext["lane"], more: Partial<RunContext> = {}): RunContext => ({
  runId,
  arm: "grown",
  growth: true,
  spec: { ...spec, runId },
  dataset,
  lane,
  table: new SeedStateTable(3),
  seedIds: ["seed:h1", "seed:h2", "seed:h3"],
  interrupt: new AbortController().signal,
  boundaryTimeoutMs: 2_000,
  boundaryRetryMs: 250,
  boundaryAttemptsMax: 4,
  checkpointEveryEpochs: 0,
  saveCheckpoint: never,
  finished: () => undefined,
  opened: true,
  elapsedBeforeMs: 0,
  machine: startRun({ rollbacksMax: 3 }),
  goodHostStep: 0,
  toldEpoch: 0,
  test: undefined,
  ...more,
});
