/**
 * What happens between two windows: Kasmina's heart as a pure function. A window's result, accepted commands and compiled kernels go in;
 * transitions, the next plan and what is to be sent come out.
 *
 * B1 A boundary is decided once: the same question again gets the same plan, and consumes nothing.
 * B2 At most one seed holds the grafting lock; every end of a trial frees it.
 * B3 Seeds change only through `stepSeed`; each of its refusals is reported.
 * B4 What the lane must do for an ended trial is owed until a plan carries it, exactly once.
 * B5 The plan's work is that of the active seed's state; without one the host trains.
 * B6 A kernel is taken at the boundary that is `kernelLeadEpochs` windows after its germination, no earlier and no later: what a run does
 *    depends on no compiler's speed. While it is outstanding there the boundary stays open: nothing is decided, nothing is consumed, nothing trains.
 * B7 A kernel is taken only with its characterisation; until then it is outstanding.
 * B8 A change of the policy is a change of the policy that stands when its turn comes, in the order of acceptance: not of the one that stood
 *    when it was accepted.
 */
import type { FieldReport } from "../contracts/assets.ts";
import { concernsRun, type RefusalCode } from "../contracts/commands.ts";
import type { CompilationOutcome, CompilationRequest } from "../contracts/compilation.ts";
import type { SeedTransition } from "../contracts/lifecycle.ts";
import { isActive } from "../contracts/lifecycle.ts";
import { type KernelMeasurement, trialFlopsUsed } from "../contracts/measure.ts";
import type { BoundaryAction, BoundaryReply, EpochResult, HostSummary } from "../contracts/plan.ts";
import { changePolicy, type Policy, underPolicy } from "../contracts/policy.ts";
import type { PruneSurvey } from "../contracts/pruning.ts";
import type { EscalationEvent } from "../contracts/subjects.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import { resolveGermination } from "./accept-command.ts";
import { nonFiniteCheck } from "./gates.ts";
import { applyHold, heldStill, noHolds } from "./holds.ts";
import type { KasminaRunState, PendingCommand, PolicyUpdate } from "./kasmina-state.ts";
import { keptReportsMax, seedSnapshot } from "./kasmina-state.ts";
import { type Forged, isAwaited, kernelIsDue, outstandingKernel, type WaitReply } from "./kernel-wait.ts";
import { unansweredCompilation } from "./recovery.ts";
import { germinationFacts, limitsOf, roundFits } from "./run-budget.ts";
import { escalationOf, fieldReportOf, healthSignalOf, pruneSurveyOf } from "./run-reports.ts";
import type { SeedEvent, SeedOutcome } from "./seed-context.ts";
import { seedStateOf } from "./seed-context.ts";
import { persistSeed, stepSeed } from "./seed-machine.ts";
import { endOfTrial } from "./trial-end.ts";
import { nextWindow, rememberSignal } from "./window-plan.ts";

export { acceptCommand } from "./accept-command.ts";
export type { KasminaRunState, KasminaSetup } from "./kasmina-state.ts";
export { createRunState, locateSeed, reviveRun, seedCount, seedRow } from "./kasmina-state.ts";

export interface BoundaryInput extends Forged {
  /** Windows that are complete in the lane. */
  readonly nowEpoch: number;
  /** The host as the lane has it now. */
  readonly host: HostSummary;
  /** The result of window `nowEpoch`; absent before the first. */
  readonly result?: EpochResult | undefined;
  /** The hash of a policy's canonical JSON (B8); left out where no command changes a policy. */
  readonly hashPolicy?: (policy: Policy) => string;
}

/** A command that was accepted and could not be carried out at its boundary. */
export interface BoundaryRefusal {
  readonly requestId: string;
  readonly seedId: string;
  readonly code: RefusalCode;
  readonly reason: string;
}

export interface Decided {
  readonly kind: "decided";
  readonly state: KasminaRunState;
  readonly reply: Exclude<BoundaryReply, WaitReply>;
  /** Every event that a seed was told, in order, so that live actors can follow. */
  readonly steps: readonly { readonly seedId: string; readonly event: SeedEvent; readonly outcome: SeedOutcome }[];
  readonly transitions: readonly SeedTransition[];
  readonly submissions: readonly CompilationRequest[];
  readonly fieldReports: readonly FieldReport[];
  /** Questions to the operator, and how they ended. */
  readonly escalations: readonly EscalationEvent[];
  readonly refusals: readonly BoundaryRefusal[];
  /** After a window that measured the signal, or was asked to. */
  readonly health: HealthSignal | undefined;
  /** After a window that looked at the host's parts. */
  readonly parts: PruneSurvey | undefined;
}

export type BoundaryDecision =
  | Decided
  /** B1: nothing was consumed; hand the compilations in again at the next boundary. */
  | { readonly kind: "repeated"; readonly reply: BoundaryReply }
  /** B6: nothing was consumed; ask again with what the forge has told by then. */
  | { readonly kind: "waiting"; readonly reply: WaitReply }
  /** The lane stands elsewhere than this state: load the state that was stored for its window. */
  | { readonly kind: "out_of_step"; readonly expectedEpoch: number; readonly reason: string };

/** One boundary in the making: the only mutable thing here, gone when `decideBoundary` returns. */
interface Draft {
  state: KasminaRunState;
  readonly epoch: number;
  readonly result: EpochResult | undefined;
  readonly forged: Forged;
  readonly hashPolicy: BoundaryInput["hashPolicy"];
  readonly steps: { seedId: string; event: SeedEvent; outcome: SeedOutcome }[];
  readonly transitions: SeedTransition[];
  readonly submissions: CompilationRequest[];
  readonly fieldReports: FieldReport[];
  readonly escalations: EscalationEvent[];
  readonly refusals: BoundaryRefusal[];
}

const owe = (draft: Draft, action: BoundaryAction): void => {
  draft.state = { ...draft.state, owed: [...draft.state.owed, action] };
};

/** Host windows since the last look at the parts, where such looks are taken. */
const looked = ({ setup }: KasminaRunState, windowsSinceLook: number): Pick<KasminaRunState, "windowsSinceLook"> =>
  setup.config.pruning.enabled ? { windowsSinceLook } : {};

/** B3: one event to one seed, with all that follows from the state it enters. */
const tell = (draft: Draft, seedId: string, event: SeedEvent): SeedOutcome => {
  const before = seedSnapshot(draft.state, seedId);
  const { snapshot, outcome } = stepSeed(before, event);
  draft.steps.push({ seedId, event, outcome });
  if (outcome.kind === "refused") return outcome;
  const { context } = snapshot;
  draft.state = { ...draft.state, seeds: { ...draft.state.seeds, [seedId]: persistSeed(snapshot) } };
  const escalation = escalationOf(before.context, context);
  if (escalation !== undefined) draft.escalations.push(escalation);
  if (outcome.kind === "stayed") return outcome;
  draft.transitions.push(outcome.transition);
  const { from, to } = outcome.transition;
  if (isActive(to)) {
    if (!isActive(from))
      draft.state = { ...draft.state, activeSeedId: seedId, trialFlopsBefore: trialFlopsUsed(draft.state.flops) };
    if (to === "LOADING" && context.trial?.kernelHash)
      owe(draft, { kind: "load_kernel", seedId, kernelHash: context.trial.kernelHash, ...context.trial.span });
  } else if (isActive(from)) {
    const report = fieldReportOf(draft.state, before.context, context);
    if (report !== undefined) draft.fieldReports.push(report);
    if (report?.outcome === "FOSSILIZED")
      draft.state = { ...draft.state, kept: [...draft.state.kept, report].slice(-keptReportsMax) };
    draft.state = { ...endOfTrial(draft.state, before.context, context, draft.result), ...looked(draft.state, 0) };
  }
  return outcome;
};

const isAnomalous = (result: EpochResult): boolean =>
  result.anomalies.length > 0 || nonFiniteCheck(result.kernel, result.anomalies).passed;

/** What windows cost in time, where seconds are limited: what a run does else depends on no clock. */
const timed = (state: KasminaRunState, { durationMs, work, flops }: EpochResult): Pick<KasminaRunState, "spent"> => {
  if (limitsOf(state).seconds === undefined) return {};
  const { spent = { flops: 0, runMs: 0, trialMs: 0 } } = state;
  const windowFlops = Math.max(0, flops.total - (state.flops?.total ?? 0));
  return {
    spent: {
      flops: spent.flops + windowFlops,
      runMs: spent.runMs + durationMs,
      trialMs: spent.trialMs + (work === "host" ? 0 : durationMs),
    },
  };
};

/** Takes in the window's numbers; B4 for a host window that went wrong. */
const takeResult = (draft: Draft, result: EpochResult): void => {
  const { plan } = draft.state;
  const planned = plan?.work.kind === "host" ? plan.work.steps : 0;
  const { signal, parts, work } = result;
  const hostWindows = work === "host" ? draft.state.windowsSinceSignal + 1 : draft.state.windowsSinceSignal;
  draft.state = {
    ...draft.state,
    hostStep: result.hostStep,
    flops: result.flops,
    budgetUsed: result.budgetUsed,
    hostStepsLeft: work === "host" && result.interrupted ? Math.max(0, planned - result.steps) : 0,
    ...timed(draft.state, result),
    windowsSinceSignal: signal === undefined ? hostWindows : 0,
    ...looked(draft.state, parts === undefined ? (draft.state.windowsSinceLook ?? 0) + Number(work === "host") : 0),
    signal: signal === undefined ? draft.state.signal : rememberSignal(draft.state, result, signal),
  };
  const misfits = (result.cached ?? []).filter(({ problems }) => problems.length > 0).map(({ kernelHash }) => kernelHash);
  if (misfits.length > 0)
    draft.state = {
      ...draft.state,
      cachedKernels: (draft.state.cachedKernels ?? []).filter(({ hash }) => !misfits.includes(hash)),
    };
  const anomaly = result.anomalies[0];
  if (work === "host" && anomaly !== undefined)
    owe(draft, { kind: "rollback", reason: `${anomaly.kind} at step ${anomaly.step}: ${anomaly.detail}` });
};

/** The lane knows what is left of the run, the state what trials may still use of it. */
const underLimits = (state: KasminaRunState, measured: KernelMeasurement | undefined): KernelMeasurement | undefined =>
  measured?.kind === "fine_tuned" && measured.roundFits === true && measured.roundFlops !== undefined
    ? { ...measured, roundFits: roundFits(state, measured.roundFlops) }
    : measured;

/** The verdict of the window for the seed that worked in it. A window whose result was lost measured nothing. */
const judgeWindow = (draft: Draft): void => {
  const { activeSeedId, plan } = draft.state;
  if (activeSeedId === null || plan === null || !("seedId" in plan.work) || plan.work.seedId !== activeSeedId) return;
  const { result } = draft;
  const told = result !== undefined && result.seedId === activeSeedId && result.work === plan.work.kind;
  tell(draft, activeSeedId, {
    type: "WINDOW",
    epoch: draft.epoch,
    steps: result?.steps ?? 0,
    interrupted: result?.interrupted ?? false,
    measurement: told ? underLimits(draft.state, result.kernel) : undefined,
    anomalies: result?.anomalies ?? [],
  });
};

const takeCompilation = (draft: Draft, outcome: CompilationOutcome): void => {
  const { state, epoch } = draft;
  if (!isAwaited(state, outcome)) return;
  const { context } = seedSnapshot(state, outcome.seedId);
  const { trial } = context;
  if (seedStateOf(context) !== "GERMINATED" || trial === null) return;
  if (!kernelIsDue(state, trial, epoch)) return; // B6
  if (outcome.kind === "failed") {
    tell(draft, outcome.seedId, { type: "KERNEL_FAILED", epoch, reason: `no kernel: ${outcome.reason}` });
    return;
  }
  const characterized = draft.forged.characterizations.find((each) => each.kernelHash === outcome.kernelHash);
  if (characterized === undefined) return; // B7
  const deviceBytes = characterized.measured?.memoryBytes;
  const cost = { parameters: outcome.parameters, flops: trial.flopsReserved, deviceBytes };
  const counted = { lockHolder: state.activeSeedId, adaptations: 0 };
  const gate0 = { ...germinationFacts(state, trial.span, cost, counted, trial.prune), embargoUntilEpoch: 0, adaptationsMax: 1 };
  const { kernelHash, blueprintHash } = outcome;
  tell(draft, outcome.seedId, { type: "KERNEL_READY", epoch, kernelHash, blueprintHash, gate0, characterized });
};

const germinate = (draft: Draft, command: Extract<PendingCommand, { kind: "germinate" }>, adaptations: number): boolean => {
  const { requestId, seedId } = command;
  const resolved = resolveGermination(draft.state, command);
  if ("code" in resolved) {
    draft.refusals.push({ requestId, seedId, ...resolved });
    return false;
  }
  const { state, epoch } = draft;
  const { cost, ...asked } = resolved;
  const held = heldStill(state.holds ?? noHolds, { seedId, ...asked.span, prune: asked.prune });
  if (held !== undefined) {
    draft.refusals.push({ requestId, seedId, ...held });
    return false;
  }
  const gate0 = germinationFacts(state, asked.span, cost, { lockHolder: state.activeSeedId, adaptations }, asked.prune);
  const adaptation = command.adaptation ?? null;
  const outcome = tell(draft, seedId, { type: "GERMINATE", epoch, ...asked, adaptation, reason: command.reason, gate0 });
  if (outcome.kind === "refused") draft.refusals.push({ requestId, seedId, code: outcome.code, reason: outcome.reason });
  if (outcome.kind !== "transition") return false;
  const submission = unansweredCompilation(draft.state);
  if (submission !== undefined) draft.submissions.push(submission);
  return true;
};

/** The event that an order to a seed becomes, and the seed; undefined for a command of another kind. */
const orderOf = (command: PendingCommand, { epoch, state }: Draft): readonly [string, SeedEvent] | undefined => {
  switch (command.kind) {
    case "cull":
      return [command.seedId, { type: "CULL", epoch, reason: command.reason }];
    case "rollback":
      return [command.seedId ?? state.activeSeedId ?? "", { type: "ROLLBACK", epoch, reason: command.reason }];
    case "release":
      return [command.seedId, { type: "RELEASE", epoch, reason: command.reason }];
    case "resolve":
      return [command.seedId, { type: "RESOLVE", epoch, verdict: command.verdict, reason: command.reason }];
    default:
      return undefined;
  }
};

/** Orders to seeds, in the order they were accepted. */
const applyOrders = (draft: Draft): void => {
  for (const command of draft.state.pending) {
    const order = orderOf(command, draft);
    if (order === undefined) continue;
    const { requestId } = command;
    const [seedId, event] = order;
    // The trial that the order was about may have ended before its boundary.
    const outcome: SeedOutcome =
      seedId === ""
        ? { kind: "refused", code: "illegal_transition", reason: "no seed is in trial any more" }
        : tell(draft, seedId, event);
    if (outcome.kind === "refused") draft.refusals.push({ requestId, seedId, code: outcome.code, reason: outcome.reason });
  }
};

type CacheCommand = Extract<PendingCommand, { kind: "load_kernel" | "unload_kernel" }>;

/** A kernel comes into the lane's cache, or goes out of it, before the next window. */
const cache = (draft: Draft, { kind, site, hash }: CacheCommand): void => {
  const others = (draft.state.cachedKernels ?? []).filter((each) => each.hash !== hash);
  owe(draft, { kind: kind === "load_kernel" ? "cache_kernel" : "evict_kernel", site, kernelHash: hash });
  draft.state = { ...draft.state, cachedKernels: kind === "load_kernel" ? [...others, { site, hash }] : others };
};

/** From here on the policy decides: what the window that just ended measured is told under it. */
const adoptPolicy = (
  state: KasminaRunState,
  { policy, hash }: { readonly policy: Policy; readonly hash: string },
): KasminaRunState => ({
  ...state,
  setup: { ...state.setup, config: underPolicy(state.setup.config, policy) },
  policy: { hash, sinceEpoch: state.epoch, policy },
});

/** B8 */
const mergePolicy = (draft: Draft, { requestId, set, name, ...accepted }: PolicyUpdate): void => {
  const { policy, setup } = draft.state;
  const present = policy?.policy ?? setup.policy?.policy;
  const changed =
    present === undefined
      ? ({ kind: "refused", reason: "this run has no policy that could be changed; load one" } as const)
      : changePolicy(present, set, name);
  if (changed.kind === "refused") {
    draft.refusals.push({ requestId, seedId: "", code: "invalid", reason: changed.reason });
    return;
  }
  const asAccepted = JSON.stringify(changed.policy) === JSON.stringify(accepted.policy);
  const hash = asAccepted ? accepted.hash : draft.hashPolicy?.(changed.policy);
  if (hash === undefined) {
    const reason = "another change of the policy came before it, and nobody here can name the policy that follows";
    draft.refusals.push({ requestId, seedId: "", code: "unavailable", reason });
    return;
  }
  draft.state = adoptPolicy(draft.state, { policy: changed.policy, hash });
};

/** Pause, resume, stop and germinate, in the order they were accepted. A germination waits while the new host is not known. */
const applyCommands = (draft: Draft): void => {
  const waiting: PendingCommand[] = [];
  let adaptations = 0;
  for (const command of draft.state.pending) {
    if (command.kind === "pause" || command.kind === "resume" || command.kind === "pin" || command.kind === "unpin")
      draft.state = hold(draft.state, command);
    if (command.kind === "limit")
      draft.state = { ...draft.state, limits: { ...draft.state.limits, [command.resource]: command.max } };
    if (command.kind === "load_kernel" || command.kind === "unload_kernel") cache(draft, command);
    if (command.kind === "checkpoint") draft.state = { ...draft.state, checkpointDue: true };
    if (command.kind === "policy_load") draft.state = adoptPolicy(draft.state, command);
    if (command.kind === "policy_update") mergePolicy(draft, command);
    if (command.kind === "stop") draft.state = { ...draft.state, stopReason: command.reason };
    if (command.kind !== "germinate") continue;
    if (draft.state.hostUnknown) waiting.push(command);
    else if (germinate(draft, command, adaptations)) adaptations += 1;
  }
  draft.state = { ...draft.state, pending: waiting, germinations: waiting.length };
};

const hold = (state: KasminaRunState, command: Extract<PendingCommand, { kind: "pause" | "resume" | "pin" | "unpin" }>) =>
  (command.kind === "pause" || command.kind === "resume") && concernsRun(command)
    ? { ...state, paused: command.kind === "pause" }
    : { ...state, holds: applyHold(state.holds ?? noHolds, command) };

/** Before anything else: what is vetoed takes no effect. */
const applyVetoes = (draft: Draft): void => {
  const { pending } = draft.state;
  for (const veto of pending) {
    if (veto.kind !== "veto") continue;
    const vetoed = pending.find(({ requestId }) => requestId === veto.target);
    if (vetoed === undefined) continue;
    const seedId = "seedId" in vetoed ? (vetoed.seedId ?? "") : "";
    draft.refusals.push({ requestId: veto.target, seedId, code: "vetoed", reason: `vetoed: ${veto.reason}` });
    draft.state = { ...draft.state, pending: draft.state.pending.filter(({ requestId }) => requestId !== veto.target) };
  }
};

const liftEmbargoes = (draft: Draft): void => {
  for (const [seedId, seed] of Object.entries(draft.state.seeds)) {
    const state = seedStateOf(seedSnapshot(draft.state, seedId).context);
    const resting = state === "CULLED" || state === "ROLLED_BACK";
    if (resting && draft.epoch >= seed.embargoUntilEpoch) tell(draft, seedId, { type: "EMBARGO_OVER", epoch: draft.epoch });
  }
};

/** Stop, pause, wait for a kernel (B6), or the next plan (B4, B5). When the FLOPs are used up an open trial is ended, and what the lane is owed goes out first. */
const answer = (draft: Draft): BoundaryReply => {
  const { setup, stopReason } = draft.state;
  if (stopReason !== null) return { kind: "stop", reason: stopReason };
  if (draft.state.paused) return { kind: "pause", askAgainMs: setup.askAgainMs };
  const { activeSeedId, budgetUsed } = draft.state;
  if (budgetUsed && activeSeedId !== null)
    tell(draft, activeSeedId, { type: "CULL", epoch: draft.epoch, reason: "the run's FLOPs are used up" });
  if (budgetUsed && draft.state.owed.length === 0) {
    const reason = "the run's FLOPs are used up";
    // From here on commands are refused: the run is stopping.
    draft.state = { ...draft.state, stopReason: reason };
    return { kind: "stop", reason };
  }
  const outstanding = outstandingKernel(draft.state, draft.epoch, draft.forged);
  if (outstanding !== undefined) return outstanding;
  const plan = nextWindow(draft.state);
  const { checkpointDue: _, ...state } = draft.state;
  draft.state = { ...state, plan, owed: [] };
  return { kind: "run", plan };
};

const outOfStep = (state: KasminaRunState, input: BoundaryInput): BoundaryDecision | undefined => {
  const { nowEpoch, result } = input;
  const { plan, epoch } = state;
  const expected = plan === null ? epoch : plan.epoch;
  if (nowEpoch === expected && (result === undefined || result.epoch === nowEpoch)) return undefined;
  // B1: the plan was told and its window is not complete yet.
  if (plan !== null && nowEpoch === plan.epoch - 1) return { kind: "repeated", reply: { kind: "run", plan } };
  const got = result === undefined ? `${nowEpoch}` : `${nowEpoch} with a result of window ${result.epoch}`;
  return { kind: "out_of_step", expectedEpoch: expected, reason: `expected the lane after window ${expected}, got ${got}` };
};

export const decideBoundary = (state: KasminaRunState, input: BoundaryInput): BoundaryDecision => {
  const unanswered = outOfStep(state, input);
  if (unanswered !== undefined) return unanswered;
  const { compilations, characterizations } = input;
  const fresh = state.plan !== null;
  const result = fresh ? input.result : undefined;
  const draft: Draft = {
    state: { ...state, host: result?.host ?? input.host, hostUnknown: fresh ? false : state.hostUnknown },
    epoch: input.nowEpoch,
    result,
    forged: { compilations, characterizations },
    hashPolicy: input.hashPolicy,
    steps: [],
    transitions: [],
    submissions: [],
    fieldReports: [],
    escalations: [],
    refusals: [],
  };
  applyVetoes(draft);
  if (result !== undefined) takeResult(draft, result);
  // An order comes before the verdict that it forestalls, but not before an anomaly: a twin may be broken too.
  const anomalous = result !== undefined && isAnomalous(result);
  if (!anomalous) applyOrders(draft);
  if (fresh) judgeWindow(draft);
  if (anomalous) applyOrders(draft);
  for (const outcome of compilations) takeCompilation(draft, outcome);
  liftEmbargoes(draft);
  const asked = state.plan?.measureSignal ?? false;
  draft.state = { ...draft.state, epoch: input.nowEpoch, plan: null };
  applyCommands(draft);
  const health = result !== undefined && (asked || result.signal !== undefined) ? healthSignalOf(draft.state, result) : undefined;
  const parts = result === undefined ? undefined : pruneSurveyOf(draft.state, result);
  const reply = answer(draft);
  if (reply.kind === "wait") return { kind: "waiting", reply };
  const { steps, transitions, submissions, fieldReports, escalations, refusals } = draft;
  return {
    kind: "decided",
    state: draft.state,
    reply,
    steps,
    transitions,
    submissions,
    fieldReports,
    escalations,
    refusals,
    health,
    parts,
  };
};
