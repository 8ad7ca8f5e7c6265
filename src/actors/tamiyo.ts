/**
 * Tamiyo, the strategic controller: judges the health of every site and asks for a repair where the evidence holds.
 *
 * Y1 A decision is told whatever came of it; a command that was refused is told as refused, with the reason.
 * Y2 What Tamiyo remembers of a run is small, outlives her in the node, and goes into the run's checkpoints.
 * Y3 What Urabrask measured of a kind of blueprint on this machine, last, is what she knows of that kind.
 * Y4 She decides under the policy that the signal names; without one, under the run's configuration.
 * Y5 Asked to decide again on the last signal she decides as she stood before it, and knows since what was learnt; her own
 *    request ids are not used a second time.
 */

import type { BlueprintKind } from "../contracts/blueprint-kinds.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { CommandReceipt } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import { analyze } from "../policy/analyze.ts";
import { decide, emptyPolicy, learn, type PolicySetup, type PolicyState } from "../policy/decide.ts";
import { setupInForce } from "../policy/in-force.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { actOn, rememberRun } from "./controller.ts";
import { findTags } from "./library-client.ts";
import { createRecentIds, type RecentIds } from "./recent-ids.ts";
import { type ActorPorts, startActor } from "./shell.ts";

export type PolicyMemory = Map<string, PolicyState>;

/** The last signal of a run, and how she stood before it. */
export interface LastSignal {
  readonly before: PolicyState;
  readonly signal: HealthSignal;
}
export type SignalMemory = Map<string, LastSignal>;

/** What decides in a run. */
export interface RunPolicy {
  readonly morphogenetic: MorphogeneticConfig;
  /** Batches in one pass over the validation samples. */
  readonly validationBatches: number;
}

export interface TamiyoPorts extends RunPolicy {
  /** Of a run that was not started with the node's own configuration. */
  readonly policyOf?: (runId: string) => RunPolicy | undefined;
  /** The last signals, by run: they outlive her in the node. */
  readonly signals?: SignalMemory;
  /** What she remembers, by run. */
  readonly memory: PolicyMemory;
  /** Field reports that she learned from, as long as that: one that is handed over again teaches nothing. */
  readonly heard?: RecentIds;
  /** Whose measurements count. */
  readonly machine: string;
}

/** Signals remembered at once; that of a run may be large. */
const signalsMax = 4;

export const startTamiyo = (ports: ActorPorts, own: TamiyoPorts): Promise<RunningChild> =>
  startActor("tamiyo", ports, async (scope) => {
    const { memory, machine, signals = new Map<string, LastSignal>(), heard = createRecentIds() } = own;
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

    /** Y4 */
    const setupFor = (signal: HealthSignal): PolicySetup => {
      const { morphogenetic: config, validationBatches } = own.policyOf?.(signal.runId) ?? own;
      return setupInForce({ config, validationBatches, tagsOf: (kind) => tags.get(kind) }, signal);
    };

    await scope.on("telemetry.seed.health", async (signal: HealthSignal, { traceId }) => {
      const startMs = scope.clock.monotonicMs();
      const before = memory.get(signal.runId) ?? emptyPolicy;
      const { state, decision, command } = decide(before, signal, setupFor(signal));
      remember(signal.runId, state);
      // A signal that was seen already was decided on as she stood before it the first time.
      if (state.trigger !== before.trigger) rememberRun(signals, signal.runId, { before, signal }, signalsMax);
      const latencyMs = scope.clock.monotonicMs() - startMs;
      await actOn(scope, decision, command, { latencyMs, traceId });
    });

    await scope.on("innovation.field_reports", (report, { id }) => {
      if (!heard.isNew(id)) return;
      const { morphogenetic } = own.policyOf?.(report.runId) ?? own;
      remember(report.runId, learn(memory.get(report.runId) ?? emptyPolicy, report, morphogenetic));
    });

    /** Y5 */
    const again = ({ before, signal }: LastSignal) => {
      const startMs = scope.clock.monotonicMs();
      const { failures } = memory.get(signal.runId) ?? before;
      const made = decide({ ...before, failures }, signal, setupFor(signal));
      return { ...made, latencyMs: scope.clock.monotonicMs() - startMs };
    };

    await scope.answer("control.tamiyo.admitted", ({ command }, { traceId }): CommandReceipt => {
      const { requestId, runId: asked } = command;
      const last = asked === undefined ? [...signals.values()].at(-1) : signals.get(asked);
      if (command.kind !== "analyze" && command.kind !== "step")
        return { kind: "refused", requestId, code: "invalid", reason: `${command.kind} is not answered by Tamiyo` };
      if (last === undefined) {
        const reason = `no signal of ${asked ?? "any run"} was heard yet; try again after a window that measures`;
        return { kind: "refused", requestId, code: "unavailable", reason };
      }
      const { signal } = last;
      const { runId, epoch } = signal;
      const made = again(last);
      const { latencyMs } = made;
      if (command.kind === "analyze") {
        const candidates = [...analyze(memory.get(runId) ?? made.state, signal, setupFor(signal))];
        return { kind: "analysis", requestId, runId, epoch, candidates, decision: { ...made.decision, latencyMs } };
      }
      const own = made.command && { ...made.command, requestId: `step:${requestId}`.slice(0, 128) };
      const decision = own === undefined ? made.decision : { ...made.decision, requestId: own.requestId };
      // After the answer: the Gate that asks is the one that she asks.
      scope.enqueue("a decision that was asked for", () => actOn(scope, decision, own, { latencyMs, traceId }));
      return { kind: "decision", requestId, runId, decision: { ...decision, latencyMs } };
    });
  });
