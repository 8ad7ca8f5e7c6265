import { expect } from "vitest";
import { FieldReport, KernelKey } from "../../src/contracts/assets.ts";
import type { KernelTags } from "../../src/contracts/characterization.ts";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { CommandReceipt } from "../../src/contracts/commands.ts";
import type { SeedTransition } from "../../src/contracts/lifecycle.ts";
import type { EpochPlan, EpochResult, HostSummary } from "../../src/contracts/plan.ts";
import { BoundaryReply } from "../../src/contracts/plan.ts";
import type { Policy } from "../../src/contracts/policy.ts";
import { EscalationEvent } from "../../src/contracts/subjects.ts";
import { HealthSignal } from "../../src/contracts/telemetry.ts";
import type { BoundaryDecision, Decided, KasminaRunState, KasminaSetup } from "../../src/machines/boundary.ts";
import { acceptCommand, createRunState, decideBoundary } from "../../src/machines/boundary.ts";
import type { Germination } from "../../src/machines/kasmina-state.ts";
import type { Forged, WaitReply } from "../../src/machines/kernel-wait.ts";
import type { Quality } from "./fixtures.ts";
import { characterized, host, laneResult, ready, runId, setup } from "./fixtures.ts";

export const germinate: Germination = {
  kind: "germinate",
  requestId: "q1",
  seedId: "seed:h2",
  reason: "for the test",
};
export const cull: Extract<KasminaControlCommand, { kind: "cull" }> = {
  kind: "cull",
  requestId: "q2",
  seedId: "seed:h2",
  reason: "by hand",
};

export interface Script {
  /** Per window: what the lane measured, or other changes to its result. */
  readonly windows?: Readonly<Record<number, { quality?: Quality; change?: Partial<EpochResult> }>>;
  /** Commands that arrive while the window runs. */
  readonly commands?: Readonly<Record<number, readonly KasminaControlCommand[]>>;
  readonly compiled?: "ready" | "failed";
  /** Slow: at every boundary it has told nothing at first, then the kernel, then what Urabrask measured of it. */
  readonly forge?: "fast" | "slow";
  /** Commands may be refused. */
  readonly lenient?: boolean;
  readonly hosts?: Readonly<Record<number, HostSummary>>;
  readonly setup?: KasminaSetup;
  readonly hashPolicy?: (policy: Policy) => string;
  /** What Urabrask has told by then; left out, that the kernel is fine. */
  readonly characterizations?: readonly KernelTags[];
}

/** Drives boundaries as Tolaria would, with kernels ready one window after they were asked for. Every message is checked against its schema. */
export const drive = (windows: number, script: Script = {}) => {
  let state = createRunState(script.setup ?? setup, host);
  const hashing = script.hashPolicy === undefined ? {} : { hashPolicy: script.hashPolicy };
  let result: EpochResult | undefined;
  let present = host;
  const characterizations = script.characterizations ?? [characterized];
  let compilations: ReturnType<typeof ready>[] = [];
  const plans: EpochPlan[] = [];
  const boundaries: Decided[] = [];
  const waits: { epoch: number; reply: WaitReply }[] = [];
  for (let epoch = 0; epoch < windows; epoch += 1) {
    // A stored state is as good as the one in memory.
    state = JSON.parse(JSON.stringify(state)) as KasminaRunState;
    for (const command of script.commands?.[epoch] ?? []) {
      const accepted = acceptCommand(state, command);
      expect(CommandReceipt.parse(accepted.receipt).kind).toBeOneOf(script.lenient ? ["accepted", "refused"] : ["accepted"]);
      state = accepted.state;
    }
    const told: Forged[] = [
      { compilations: [], characterizations: [] },
      { compilations, characterizations: [] },
      { compilations, characterizations },
    ];
    let decided: BoundaryDecision | undefined;
    for (const forged of script.forge === "slow" ? told : told.slice(-1)) {
      decided = decideBoundary(state, { nowEpoch: epoch, host: present, result, ...hashing, ...forged });
      BoundaryReply.parse(decided.kind === "out_of_step" ? undefined : decided.reply);
      if (decided.kind !== "waiting") break;
      waits.push({ epoch, reply: decided.reply });
    }
    if (decided?.kind !== "decided") throw new Error(`window ${epoch}: ${JSON.stringify(decided)}`);
    for (const report of decided.fieldReports) FieldReport.parse(report);
    for (const event of decided.escalations) EscalationEvent.parse(event);
    for (const { key } of decided.submissions) KernelKey.parse(key);
    if (decided.health !== undefined) HealthSignal.parse(decided.health);
    boundaries.push(decided);
    state = decided.state;
    // A kernel waits for its boundary: it is handed in again until another is asked for.
    if (decided.submissions.length > 0)
      compilations = decided.submissions.map(({ seedId }) =>
        script.compiled === "failed"
          ? { kind: "failed", taskId: "task-1", keyHash: "d".repeat(64), runId, seedId, reason: "unknown operator" }
          : ready(seedId),
      );
    if (decided.reply.kind !== "run") break;
    plans.push(decided.reply.plan);
    result = laneResult(decided.reply.plan, result, script.windows?.[epoch + 1]);
    if (result.host !== undefined) present = result.host;
    present = script.hosts?.[epoch + 1] ?? present;
  }
  return { state, plans, boundaries, waits, transitions: boundaries.flatMap((each) => each.transitions) };
};

export const works = (plans: readonly EpochPlan[]): string[] => plans.map((plan) => plan.work.kind);
export const ways = (transitions: readonly SeedTransition[]): string[] => transitions.map((each) => `${each.epoch} ${each.to}`);
