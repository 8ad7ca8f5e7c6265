/**
 * Tamiyo, the strategic controller: judges the health of every site and asks for a repair where the evidence holds.
 *
 * Y1 A decision is told whatever came of it; a command that was refused is told as refused, with the reason.
 * Y2 What Tamiyo remembers of a run is small, outlives her in the node, and goes into the run's checkpoints.
 * Y3 What Urabrask measured of a kind of blueprint on this machine, last, is what she knows of that kind.
 */

import type { BlueprintKind } from "../contracts/blueprint-kinds.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import { decide, emptyPolicy, learn, type PolicyState } from "../policy/decide.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { actOn, rememberRun } from "./controller.ts";
import { findTags } from "./library-client.ts";
import { type ActorPorts, startActor } from "./shell.ts";

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
    const remember = (runId: string, state: PolicyState): void => rememberRun(memory, runId, state);

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
      await actOn(scope, decision, command, { latencyMs, traceId });
    });

    await scope.on("innovation.field_reports", (report) => {
      remember(report.runId, learn(memory.get(report.runId) ?? emptyPolicy, report, morphogenetic));
    });
  });
