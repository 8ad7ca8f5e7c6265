/**
 * Tamiyo, the strategic controller: judges the health of every site and asks for a repair where the evidence holds.
 *
 * Y1 A decision is told whatever came of it; a command that Kasmina refused is told as refused, with her reason.
 * Y2 What Tamiyo remembers of a run is small, outlives her in the node, and goes into the run's checkpoints.
 * Y3 What Urabrask measured of a kind of blueprint on this machine, last, is what she knows of that kind.
 */

import type { BlueprintKind } from "../contracts/blueprint-kinds.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import { decide, emptyPolicy, type GerminateCommand, learn, type PolicyState } from "../policy/decide.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { findTags } from "./library-client.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

/** Runs remembered at once; the one not heard of for longest is forgotten. */
const runsMax = 64;

export type PolicyMemory = Map<string, PolicyState>;

export interface TamiyoPorts {
  readonly morphogenetic: MorphogeneticConfig;
  /** Batches in one pass over the validation samples. */
  readonly validationBatches: number;
  /** What she remembers, by run. */
  readonly memory: PolicyMemory;
  /** Whose measurements count. */
  readonly machine: string;
}

export const startTamiyo = (
  ports: ActorPorts,
  { morphogenetic, validationBatches, memory, machine }: TamiyoPorts,
): Promise<RunningChild> =>
  startActor("tamiyo", ports, async (scope) => {
    const remember = (runId: string, state: PolicyState): void => {
      memory.delete(runId);
      memory.set(runId, state);
      const oldest = memory.keys().next().value;
      if (memory.size > runsMax && oldest !== undefined) memory.delete(oldest);
    };

    // Y3
    const tags = new Map<BlueprintKind, readonly string[]>();
    const know = (known: KernelTags): void => {
      if (known.machine === machine && known.measured !== undefined) tags.set(known.blueprint.kind, known.tags);
    };
    await scope.on("validation.kernel.characterized", ({ characterized }) => know(characterized));
    // Before the first decision; a library that does not answer delays it by its bounded attempts and no more.
    scope.enqueue("what is known of kernels", async () => {
      for (const known of (await findTags(scope, { machine })).toReversed()) know(known);
    });

    await scope.on("telemetry.seed.health", async (signal: HealthSignal, { traceId }) => {
      const startMs = scope.clock.monotonicMs();
      const { state, decision, command } = decide(memory.get(signal.runId) ?? emptyPolicy, signal, {
        config: morphogenetic,
        validationBatches,
        tagsOf: (kind) => tags.get(kind),
      });
      remember(signal.runId, state);
      const latencyMs = scope.clock.monotonicMs() - startMs;
      const refusal = command === undefined ? undefined : await send(scope, command, traceId);
      const told =
        refusal === undefined ? decision : { ...decision, outcome: "refused" as const, reason: `${decision.reason}; ${refusal}` };
      const sent = await scope.bus.publish("system.events.decision", { ...told, latencyMs }, { traceId });
      if (sent.kind === "failed") scope.log.warn("a decision could not be told", { reason: sent.reason });
    });

    await scope.on("innovation.field_reports", (report) => {
      remember(report.runId, learn(memory.get(report.runId) ?? emptyPolicy, report, morphogenetic));
    });
  });

/** Y1: undefined when the command was accepted, else why not. */
const send = async (scope: ActorScope, command: GerminateCommand, traceId: string): Promise<string | undefined> => {
  const outcome = await scope.bus.request("control.kasmina.commands", command, { traceId });
  if (outcome.kind !== "reply") return `Kasmina gave no receipt (${outcome.kind}): ${outcome.reason}`;
  return outcome.value.kind === "refused" ? `Kasmina refused (${outcome.value.code}): ${outcome.value.reason}` : undefined;
};
