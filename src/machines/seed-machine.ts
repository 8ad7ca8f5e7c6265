/**
 * The life of one seed: eleven states, gates as guards, every step with its reason. Pure: no clock, no random, no I/O.
 *
 * S1 Only the ways of `legalTransitions` are ever taken.
 * S2 Each transition counts `sequence` up by one, never goes back in epochs, and says why with the measured values.
 * S3 What was not measured advances nothing.
 * S4 Every event has an outcome: a transition, a stay, or a refusal with a reason.
 * S5 A window is judged at most once.
 * S6 The live actor and the pure step run this same machine.
 */
import type { SnapshotFrom } from "xstate";
import { assign, initialTransition, setup, transition } from "xstate";
import type { LifecycleState, SeedTransition } from "../contracts/lifecycle.ts";
import { isActive } from "../contracts/lifecycle.ts";
import type { Evidence } from "./gates.ts";
import { gateZero } from "./gates.ts";
import type { SeedCheckName } from "./seed-checks.ts";
import { isTimely, seedCheckDescriptions, seedChecks, trialAfterWindow, whyRefused } from "./seed-checks.ts";
import type { SeedContext, SeedEvent, SeedInput, SeedOutcome, Trial } from "./seed-context.ts";
import { appendStep, initialSeedContext, seedStateOf } from "./seed-context.ts";

interface EnterParams {
  readonly to: LifecycleState;
  /** The check whose words give the reason. */
  readonly by: SeedCheckName;
}

const germinatedTrial = (event: Extract<SeedEvent, { type: "GERMINATE" }>): Trial => ({
  startedAtEpoch: event.epoch,
  span: event.span,
  blueprint: event.blueprint,
  ...(event.prune === undefined ? {} : { prune: event.prune }),
  adaptation: event.adaptation,
  parameters: event.gate0.parameters ?? 0,
  flopsReserved: event.gate0.flops ?? 0,
  kernelHash: null,
  blueprintHash: null,
  trainedSteps: 0,
  graft: { progress: 0, alpha: 0, held: false, pausedEpochs: 0 },
  unsteadyEpochs: 0,
  grownSteps: 0,
  twinSteps: 0,
  rounds: 0,
  gainBefore: null,
  gain: null,
  judgements: null,
  escalation: null,
});

const resolved = (trial: Trial, { verdict, reason }: Extract<SeedEvent, { type: "RESOLVE" }>): Trial =>
  trial.escalation === null ? trial : { ...trial, escalation: { ...trial.escalation, resolution: { verdict, reason } } };

const trialAfter = (context: SeedContext, event: SeedEvent, to: LifecycleState): Trial | null => {
  if (event.type === "GERMINATE") return germinatedTrial(event);
  if (to === "DORMANT" || context.trial === null) return null;
  if (event.type === "WINDOW") return trialAfterWindow(context, context.trial, event);
  if (event.type === "RESOLVE") return resolved(context.trial, event);
  if (event.type !== "KERNEL_READY") return context.trial;
  const { kernelHash, blueprintHash, gate0 } = event;
  return { ...context.trial, kernelHash, blueprintHash, parameters: gate0.parameters ?? context.trial.parameters };
};

const judgedAfter = (context: SeedContext, event: SeedEvent): number =>
  event.type === "WINDOW" ? event.epoch : context.judgedEpoch;

/** JSON has no NaN and no infinity: they are written by name. */
const writable = (evidence: Evidence): Evidence =>
  Object.fromEntries(
    Object.entries(evidence).map(([name, value]) => [
      name,
      typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
    ]),
  );

/** Enters a state (S2). A trial that ended without being kept puts its site under embargo. */
const enter = (context: SeedContext, event: SeedEvent, { to, by }: EnterParams): Partial<SeedContext> => {
  const from = seedStateOf(context);
  const check = seedChecks[by](context, event);
  const reason = event.type === "GERMINATE" ? `${event.reason}; ${check.reason}` : check.reason;
  const failed = isActive(from) && !isActive(to) && to !== "FOSSILIZED";
  const made: SeedTransition = {
    runId: context.runId,
    seedId: context.seedId,
    sequence: context.sequence + 1,
    from,
    to,
    epoch: event.epoch,
    reason,
    evidence: writable(check.evidence),
  };
  return {
    sequence: made.sequence,
    judgedEpoch: judgedAfter(context, event),
    history: appendStep(context.history, { state: to, epoch: event.epoch, reason }),
    embargoUntilEpoch: failed ? event.epoch + context.config.embargo.epochs : context.embargoUntilEpoch,
    trial: trialAfter(context, event, to),
    outcome: { kind: "transition", transition: made },
  };
};

const stay = (context: SeedContext, event: SeedEvent, by: SeedCheckName): Partial<SeedContext> => ({
  judgedEpoch: judgedAfter(context, event),
  trial: trialAfter(context, event, seedStateOf(context)),
  outcome: { kind: "stayed", reason: seedChecks[by](context, event).reason },
});

const refuse = (context: SeedContext, event: SeedEvent): Partial<SeedContext> => {
  const state = seedStateOf(context);
  if (event.type === "GERMINATE" && state === "DORMANT" && isTimely(context, event)) {
    const gate = gateZero(event.gate0, context.seedId, event.epoch);
    return { outcome: { kind: "refused", code: gate.code ?? "invalid", reason: gate.reason } };
  }
  const code = event.type === "EMBARGO_OVER" && event.epoch < context.embargoUntilEpoch ? "embargo" : "illegal_transition";
  return { outcome: { kind: "refused", code, reason: whyRefused(state, context, event) } };
};

type GuardArgs = { readonly context: SeedContext; readonly event: SeedEvent };
type Guards = Record<SeedCheckName, (args: GuardArgs) => boolean>;
const guards = Object.fromEntries(
  Object.entries(seedChecks).map(([name, check]) => [
    name,
    ({ context, event }: GuardArgs) => isTimely(context, event) && check(context, event).passed,
  ]),
) as Guards;

/** `by` passed → `target`. */
const go = <const T extends LifecycleState, const G extends SeedCheckName>(target: T, by: G) => ({
  target,
  guard: by,
  description: seedCheckDescriptions[by],
  actions: { type: "enter" as const, params: { to: target, by } },
});
/** `by` passed → the same state, with what the window added. */
const hold = <const G extends SeedCheckName>(by: G) => ({
  guard: by,
  description: seedCheckDescriptions[by],
  actions: { type: "stay" as const, params: { by } },
});
/** The else branch: `by` did not pass, or could not be measured (S3). */
const otherwise = <const T extends LifecycleState>(target: T, by: SeedCheckName) => ({
  target,
  guard: "timely" as const,
  meta: { otherwise: true },
  description: `Otherwise, measured or not: not ${by}.`,
  actions: { type: "enter" as const, params: { to: target, by } },
});

const refused = { actions: "refuse" as const, description: "Not legal in this state: refused with a reason." };
const cull = go("CULLED", "commanded");
const rollback = go("ROLLED_BACK", "commanded");
/** What the governor answers with a rollback, in every state in which a kernel runs. */
const undone = [go("ROLLED_BACK", "kernelFailed"), go("ROLLED_BACK", "nonFinite"), go("ROLLED_BACK", "lossSpiked")] as const;

export const seedMachine = setup({
  types: { context: {} as SeedContext, events: {} as SeedEvent, input: {} as SeedInput },
  guards: { ...guards, timely: ({ context, event }) => isTimely(context, event) },
  actions: {
    enter: assign(({ context, event }, params: EnterParams) => enter(context, event, params)),
    stay: assign(({ context, event }, params: { by: SeedCheckName }) => stay(context, event, params.by)),
    refuse: assign(({ context, event }) => refuse(context, event)),
  },
}).createMachine({
  id: "seed",
  description: "A seed's life at its site of the host; every transition takes effect at an epoch boundary.",
  context: ({ input }) => initialSeedContext(input),
  initial: "DORMANT",
  // S4: what no state takes is refused, one event at a time and by name.
  on: {
    GERMINATE: refused,
    KERNEL_READY: refused,
    KERNEL_FAILED: refused,
    WINDOW: refused,
    CULL: refused,
    ROLLBACK: refused,
    RESOLVE: refused,
    EMBARGO_OVER: refused,
    RELEASE: refused,
  },
  states: {
    DORMANT: {
      description: "The host's own tensor, no operator at all. The host learns.",
      on: { GERMINATE: go("GERMINATED", "admitted") },
    },
    GERMINATED: {
      description: "Budget reserved and grafting lock held; the kernel is being compiled while the host learns.",
      on: {
        KERNEL_READY: [go("LOADING", "kernelAccepted"), otherwise("DORMANT", "kernelAccepted")],
        KERNEL_FAILED: go("DORMANT", "commanded"),
        CULL: go("DORMANT", "commanded"),
      },
    },
    LOADING: {
      description: "The kernel is fetched by its hash, checked and run dry; nothing learns.",
      on: {
        WINDOW: [
          go("CULLED", "kernelFailed"),
          go("CULLED", "nonFinite"),
          go("GRAFTING", "kernelIsFixed"),
          go("TRAINING", "kernelLoaded"),
          hold("interrupted"),
          otherwise("CULLED", "kernelLoaded"),
        ],
        CULL: cull,
        ROLLBACK: cull,
      },
    },
    TRAINING: {
      description: "The kernel learns alone; the host is frozen and its output is untouched for everyone else.",
      on: {
        WINDOW: [
          ...undone,
          go("GRAFTING", "kernelTrained"),
          hold("interrupted"),
          hold("trainsOn"),
          otherwise("CULLED", "kernelTrained"),
        ],
        CULL: cull,
        ROLLBACK: rollback,
      },
    },
    GRAFTING: {
      description: "Alpha goes from 0 to 1 over its schedule; only the kernel learns.",
      on: {
        WINDOW: [
          ...undone,
          go("STABILIZATION", "graftComplete"),
          hold("graftHeld"),
          hold("graftAdvances"),
          hold("interrupted"),
          otherwise("CULLED", "graftComplete"),
        ],
        CULL: cull,
        ROLLBACK: rollback,
      },
    },
    STABILIZATION: {
      description: "Alpha is 1; nobody learns at the site and the loss settles.",
      on: {
        WINDOW: [
          ...undone,
          hold("interrupted"),
          go("EVALUATING", "lossSteady"),
          hold("settlesOn"),
          otherwise("CULLED", "lossSteady"),
        ],
        CULL: cull,
        ROLLBACK: rollback,
      },
    },
    EVALUATING: {
      description: "With and without the kernel on the same validation batches; exact, because the host did not move.",
      on: {
        WINDOW: [...undone, go("FINE_TUNING", "screenPassed"), hold("interrupted"), otherwise("CULLED", "screenPassed")],
        CULL: cull,
        ROLLBACK: rollback,
      },
    },
    FINE_TUNING: {
      description: "Kernel and host learn together; beside them a host-only twin on the same batches with equal FLOPs.",
      on: {
        WINDOW: [
          ...undone,
          go("FOSSILIZED", "verdictPassed"),
          hold("interrupted"),
          hold("tunesOn"),
          hold("jurySplit"),
          hold("contestGoesOn"),
          otherwise("CULLED", "verdictPassed"),
        ],
        RESOLVE: hold("escalationOpen"),
        CULL: cull,
        ROLLBACK: rollback,
      },
    },
    FOSSILIZED: { description: "Permanent: folded into the host's own graph and parameters." },
    CULLED: {
      description: "Removed without a trace; the site is under embargo.",
      on: { EMBARGO_OVER: go("DORMANT", "embargoOver") },
    },
    ROLLED_BACK: {
      description: "The host is as in the last good snapshot; the site waits for the operator or for its embargo to end.",
      on: { EMBARGO_OVER: go("DORMANT", "embargoOver"), RELEASE: go("DORMANT", "commanded") },
    },
  },
});

export type SeedSnapshot = SnapshotFrom<typeof seedMachine>;

/** A seed that was never touched. */
export const startSeed = (input: SeedInput): SeedSnapshot => initialTransition(seedMachine, input)[0];

/** One event, purely: the next snapshot, and what became of the event (S4, S6). */
export const stepSeed = (snapshot: SeedSnapshot, event: SeedEvent): { snapshot: SeedSnapshot; outcome: SeedOutcome } => {
  const [next] = transition(seedMachine, snapshot, event);
  const outcome = next.context.outcome;
  if (outcome === null)
    throw new Error(`expected an outcome for ${event.type} in ${String(snapshot.value)}, got none: a machine bug`);
  return { snapshot: next, outcome };
};

/** What is stored of a seed: plain JSON, without the configuration that all seeds of a run share. */
export type PersistedSeed = Omit<SeedContext, "config" | "epochSteps">;

export const persistSeed = ({ context }: SeedSnapshot): PersistedSeed => {
  const { config: _config, epochSteps: _epochSteps, ...rest } = context;
  return rest;
};

/** The snapshot to step on from, or to start a live actor with: `createActor(seedMachine, { input, snapshot })`. */
export const restoreSeed = (persisted: PersistedSeed, shared: Pick<SeedInput, "config" | "epochSteps">): SeedSnapshot => {
  const context: SeedContext = { ...persisted, ...shared };
  return seedMachine.resolveState({ value: seedStateOf(context), context });
};

export { rebuildSeed } from "./seed-rebuild.ts";
