/**
 * How the runs of a node stand, out of what is told of them. A bounded memory: the run not heard of for longest is forgotten, and of a run
 * no more seeds are remembered than the bound.
 */
import type { LifecycleState } from "../contracts/lifecycle.ts";
import { type RunStanding, runStandingsMax } from "../contracts/observed.ts";
import type { Told } from "./alerts.ts";

const seedsMax = 100_000;

interface Run {
  standing: Omit<RunStanding, "seeds">;
  readonly seeds: Map<string, LifecycleState>;
}

export interface RunStandings {
  note(told: Told): void;
  list(): RunStanding[];
}

export const createRunStandings = (): RunStandings => {
  const runs = new Map<string, Run>();

  /** The run, put at the end of those that are remembered. */
  const runOf = (runId: string, arm: string): Run => {
    const fresh = { runId, arm, epoch: 0, hostStep: 0, flops: 0, flopsMax: 0, parameters: 0 };
    const run = runs.get(runId) ?? { standing: fresh, seeds: new Map() };
    runs.delete(runId);
    runs.set(runId, run);
    const oldest = runs.keys().next().value;
    if (runs.size > runStandingsMax && oldest !== undefined) runs.delete(oldest);
    return run;
  };

  const noteSeed = ({ seeds }: Run, seedId: string, state: LifecycleState): void => {
    if (seeds.has(seedId) || seeds.size < seedsMax) seeds.set(seedId, state);
  };

  const defined = <T extends object>(fields: T): T =>
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;

  return {
    note: ({ subject, payload }) => {
      switch (subject) {
        case "system.events.run": {
          if (payload.kind === "started") {
            const run = runOf(payload.runId, payload.arm);
            run.standing = { ...run.standing, flopsMax: payload.flopsMax, parameters: payload.host.parameters };
          } else if (payload.kind === "finished") {
            const run = runOf(payload.runId, payload.arm);
            run.standing = { ...run.standing, outcome: payload.outcome };
          }
          return;
        }
        case "system.events.epoch": {
          const { result, flopsMax } = payload;
          const run = runOf(payload.runId, payload.arm);
          run.standing = {
            ...run.standing,
            ...defined({
              trainLoss: result.trainLoss,
              validationLoss: result.validation?.loss,
              accuracy: result.validation?.accuracy,
            }),
            epoch: result.epoch,
            hostStep: result.hostStep,
            flops: result.flops.total,
            flopsMax,
            parameters: result.parameters,
          };
          return;
        }
        case "system.events.seed": {
          const run = runs.get(payload.runId);
          if (run !== undefined) noteSeed(run, payload.seedId, payload.to);
          return;
        }
        case "telemetry.seed.health": {
          const run = runs.get(payload.runId);
          if (run !== undefined) for (const { seedId, state } of payload.seeds) noteSeed(run, seedId, state);
          return;
        }
      }
    },
    list: () =>
      [...runs.values()].map(({ standing, seeds }) => {
        const counts: RunStanding["seeds"] = {};
        for (const state of seeds.values()) counts[state] = (counts[state] ?? 0) + 1;
        return { ...standing, seeds: counts };
      }),
  };
};
