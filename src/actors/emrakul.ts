/**
 * Emrakul, who unmakes: judges which parts of a host no longer earn their cost and asks to take the least of them out.
 *
 * E1 She changes nothing herself: what she proposes takes the way of every command, and a trial with a twin decides.
 * E2 A decision is told whatever came of it; a command that Kasmina refused is told as refused, with her reason.
 * E3 What she remembers of a run is small, outlives her in the node, and is dropped with the oldest runs.
 */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import { emptyPruning, learnPruning, type PruneCommand, type PruneState, proposePruning } from "../policy/prune.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

/** Runs remembered at once; the one not heard of for longest is forgotten. */
const runsMax = 64;

export type PruneMemory = Map<string, PruneState>;

export interface EmrakulPorts {
  readonly morphogenetic: MorphogeneticConfig;
  /** What she remembers, by run. */
  readonly memory: PruneMemory;
}

export const startEmrakul = (ports: ActorPorts, { morphogenetic, memory }: EmrakulPorts): Promise<RunningChild> =>
  startActor("emrakul", ports, async (scope) => {
    const remember = (runId: string, state: PruneState): void => {
      memory.delete(runId);
      memory.set(runId, state);
      const oldest = memory.keys().next().value;
      if (memory.size > runsMax && oldest !== undefined) memory.delete(oldest);
    };

    await scope.on("telemetry.host.parts", async (survey, { traceId }) => {
      const startMs = scope.clock.monotonicMs();
      const { state, decision, command } = proposePruning(memory.get(survey.runId) ?? emptyPruning, survey, morphogenetic);
      remember(survey.runId, state);
      const latencyMs = scope.clock.monotonicMs() - startMs;
      const refusal = command === undefined ? undefined : await send(scope, command, traceId);
      const told =
        refusal === undefined ? decision : { ...decision, outcome: "refused" as const, reason: `${decision.reason}; ${refusal}` };
      const sent = await scope.bus.publish("system.events.decision", { ...told, latencyMs }, { traceId });
      if (sent.kind === "failed") scope.log.warn("a decision could not be told", { reason: sent.reason });
    });
    await scope.on("innovation.field_reports", (report) => {
      if (report.prune !== undefined) remember(report.runId, learnPruning(memory.get(report.runId) ?? emptyPruning, report));
    });
  });

/** E2: undefined when the command was accepted, else why not. */
const send = async (scope: ActorScope, command: PruneCommand, traceId: string): Promise<string | undefined> => {
  const outcome = await scope.bus.request("control.kasmina.commands", command, { traceId });
  if (outcome.kind !== "reply") return `Kasmina gave no receipt (${outcome.kind}): ${outcome.reason}`;
  return outcome.value.kind === "refused" ? `Kasmina refused (${outcome.value.code}): ${outcome.value.reason}` : undefined;
};
