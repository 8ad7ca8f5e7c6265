/**
 * Emrakul, who unmakes: judges which parts of a host no longer earn their cost and asks to take the least of them out.
 *
 * E1 She changes nothing herself: what she proposes takes the way of every command, and a trial with a twin decides.
 * E2 A decision is told whatever came of it; a command that was refused is told as refused, with the reason.
 * E3 What she remembers of a run is small, outlives her in the node, and is dropped with the oldest runs.
 */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import { emptyPruning, learnPruning, type PruneState, proposePruning } from "../policy/prune.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { actOn, rememberRun } from "./controller.ts";
import { createRecentIds, type RecentIds } from "./recent-ids.ts";
import { type ActorPorts, startActor } from "./shell.ts";

export type PruneMemory = Map<string, PruneState>;

export interface EmrakulPorts {
  readonly morphogenetic: MorphogeneticConfig;
  /** Of a run that was not started with the node's own configuration. */
  readonly morphogeneticOf?: (runId: string) => MorphogeneticConfig | undefined;
  /** What she remembers, by run. */
  readonly memory: PruneMemory;
  /** Field reports that it learned from; one that is handed over again teaches nothing. */
  readonly heard?: RecentIds;
}

export const startEmrakul = (
  ports: ActorPorts,
  { morphogenetic, morphogeneticOf, memory, heard = createRecentIds() }: EmrakulPorts,
): Promise<RunningChild> =>
  startActor("emrakul", ports, async (scope) => {
    const remember = (runId: string, state: PruneState): void => rememberRun(memory, runId, state);

    await scope.on("telemetry.host.parts", async (survey, { traceId }) => {
      const startMs = scope.clock.monotonicMs();
      const { state, decision, command } = proposePruning(
        memory.get(survey.runId) ?? emptyPruning,
        survey,
        morphogeneticOf?.(survey.runId) ?? morphogenetic,
      );
      remember(survey.runId, state);
      const latencyMs = scope.clock.monotonicMs() - startMs;
      await actOn(scope, decision, command, { latencyMs, traceId });
    });
    await scope.on("innovation.field_reports", (report, { id }) => {
      if (!heard.isNew(id)) return;
      if (report.prune !== undefined) remember(report.runId, learnPruning(memory.get(report.runId) ?? emptyPruning, report));
    });
  });
