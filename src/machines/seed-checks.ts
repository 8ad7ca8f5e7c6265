/** The guards of the seed machine: each joins a gate to the seed's context and the event at hand. */
import type { LifecycleState } from "../contracts/lifecycle.ts";
import type { KernelMeasurement } from "../contracts/measure.ts";
import { trainingSteps } from "../contracts/trial.ts";
import type { GateOutcome } from "./gates.ts";
import {
  gateZero,
  graftAlarmGate,
  graftGate,
  kernelFailedCheck,
  loadingGate,
  lossSpikeCheck,
  measuredAs,
  nonFiniteCheck,
  screenGate,
  stabilizationGate,
  trainingGate,
  validationGate,
} from "./gates.ts";
import type { Verdict } from "./jury.ts";
import { verdictOf } from "./jury.ts";
import { pruneScreenGate } from "./prune-gates.ts";
import type { SeedContext, SeedEvent, Trial } from "./seed-context.ts";
import { nextGraftStretch, progressAfter, seedSinceEpoch } from "./seed-context.ts";

type Window = Extract<SeedEvent, { type: "WINDOW" }>;
type Check = (context: SeedContext, event: SeedEvent) => GateOutcome;

const outcome = (passed: boolean, reason: string): GateOutcome => ({ passed, measured: true, reason, evidence: {} });
const mistaken = outcome(false, "the event carries no measurement");

const onWindow =
  (check: (trial: Trial, window: Window, context: SeedContext) => GateOutcome): Check =>
  (context, event) =>
    event.type === "WINDOW" && context.trial !== null ? check(context.trial, event, context) : mistaken;

/** Where the bypass is to go and of what kind it is, for whoever draws it. */
const plannedOf = ({ span, blueprint, prune }: Extract<SeedEvent, { type: "GERMINATE" }>): GateOutcome["evidence"] => ({
  fromSite: span.fromSite,
  toSite: span.toSite,
  ...(prune === undefined
    ? { blueprint: blueprint.kind, hiddenWidth: blueprint.hiddenWidth, initialization: blueprint.initialization }
    : { prune: prune.kind }),
});

const stepsOf = (window: Window, kind: "trained" | "grown" | "twin"): number => {
  if (kind === "trained") return measuredAs(window.measurement, "trained")?.steps ?? 0;
  const tuned = measuredAs(window.measurement, "fine_tuned");
  return (kind === "grown" ? tuned?.grownSteps : tuned?.twinSteps) ?? 0;
};

/** A split opens an escalation; each further window that was measured counts for it. */
const afterContest = (
  { config }: SeedContext,
  before: Trial,
  window: Window,
  measured: Extract<KernelMeasurement, { kind: "fine_tuned" }>,
): Trial => {
  const { escalation } = before;
  const trial: Trial = {
    ...before,
    grownSteps: measured.grownSteps,
    twinSteps: measured.twinSteps,
    rounds: before.rounds + (measured.gain === undefined ? 0 : 1),
    gainBefore: before.rounds === 0 ? null : before.gain,
    gain: measured.gain ?? before.gain,
    judgements: measured.judgements ?? before.judgements,
    escalation: escalation === null ? null : { ...escalation, windows: escalation.windows + 1 },
  };
  const { decision } = verdictOf({ ...trial, measurement: measured }, config);
  return trial.escalation === null && decision === "split"
    ? { ...trial, escalation: { sinceEpoch: window.epoch, windows: 0, resolution: null } }
    : trial;
};

/** The trial with what a window adds to it; used by the guards to judge and by the machine to remember. */
export const trialAfterWindow = (context: SeedContext, trial: Trial, window: Window): Trial => {
  const measured = window.measurement;
  switch (measured?.kind) {
    case "loaded":
      return { ...trial, parameters: measured.parameters };
    case "trained":
      return { ...trial, trainedSteps: trial.trainedSteps + measured.steps, gain: measured.gain ?? trial.gain };
    case "grafted": {
      const stretch = nextGraftStretch(trial, context.config.grafting, context.epochSteps);
      const held = !graftAlarmGate(measured, graftingOf(trial, context.config)).passed;
      const graft = {
        progress: progressAfter(stretch, window.steps, window.interrupted),
        alpha: Number.isFinite(measured.alpha) ? measured.alpha : trial.graft.alpha,
        held,
        pausedEpochs: trial.graft.pausedEpochs + (held ? 1 : 0),
      };
      return { ...trial, graft };
    }
    case "stabilized":
      return { ...trial, unsteadyEpochs: trial.unsteadyEpochs + (window.interrupted ? 0 : 1) };
    case "evaluated":
      return { ...trial, gain: measured.gain ?? trial.gain };
    case "fine_tuned":
      return afterContest(context, trial, window, measured);
    case undefined:
      return trial;
  }
};

/** A pruning has no gradient to watch: its drift is watched instead. */
const graftingOf = (trial: Trial, { grafting }: SeedContext["config"]): SeedContext["config"]["grafting"] =>
  trial.prune !== undefined && grafting.mode === "gradient" ? { ...grafting, mode: "drift" } : grafting;

const after = (trial: Trial, window: Window, context: SeedContext): Trial => trialAfterWindow(context, trial, window);

/** What the contest's window comes to, with what it adds to the trial. */
export const contestVerdict = (trial: Trial, window: Window, context: SeedContext): Verdict =>
  verdictOf({ ...after(trial, window, context), measurement: window.measurement }, context.config);

const loading = onWindow((_trial, window, context) => loadingGate(window.measurement, context.config));

/** Each check says yes or no and why; `descriptions` tells in plain words what a yes means. */
export const seedChecks = {
  admitted: (context, event) => {
    if (event.type !== "GERMINATE" && event.type !== "KERNEL_READY") return mistaken;
    const gate = gateZero(event.gate0, context.seedId, event.epoch);
    return event.type === "GERMINATE" ? { ...gate, evidence: { ...gate.evidence, ...plannedOf(event) } } : gate;
  },
  kernelAccepted: (context, event) => {
    if (event.type !== "KERNEL_READY") return mistaken;
    const admitted = gateZero(event.gate0, context.seedId, event.epoch);
    if (!admitted.passed) return admitted;
    const valid = validationGate(event.characterized, event.kernelHash, context.config.validation);
    return valid.passed
      ? { ...valid, reason: `${admitted.reason}; ${valid.reason}`, evidence: { ...admitted.evidence, ...valid.evidence } }
      : valid;
  },
  kernelIsFixed: (context, event) => {
    const gate = loading(context, event);
    // A replacement adds no parameters and learns those whose place it takes.
    const learns = gate.evidence["parameters"] !== 0 || context.trial?.blueprint.kind === "replacement";
    return { ...gate, passed: gate.passed && !learns };
  },
  kernelLoaded: loading,
  nonFinite: onWindow((_trial, window) => nonFiniteCheck(window.measurement, window.anomalies)),
  kernelFailed: onWindow((_trial, window) => kernelFailedCheck(window.anomalies)),
  lossSpiked: onWindow((_trial, window) => lossSpikeCheck(window.anomalies)),
  interrupted: onWindow((_trial, window) =>
    outcome(window.interrupted, `the window was interrupted after ${window.steps} steps and goes on`),
  ),
  kernelTrained: onWindow((trial, window, context) =>
    trainingGate(window.measurement, after(trial, window, context).trainedSteps, {
      steps: trainingSteps(context.config, trial.blueprint),
      confidence: context.config.training.confidence,
    }),
  ),
  trainsOn: onWindow((trial, window, context) => {
    const done = after(trial, window, context).trainedSteps;
    const wanted = trainingSteps(context.config, trial.blueprint);
    return outcome(stepsOf(window, "trained") > 0 && done < wanted, `training: ${done} of ${wanted} steps done`);
  }),
  graftComplete: onWindow((trial, window, context) =>
    graftGate(window.measurement, after(trial, window, context).graft.progress, graftingOf(trial, context.config)),
  ),
  graftHeld: onWindow((trial, window, context) => {
    const next = after(trial, window, context).graft;
    const alarm = graftAlarmGate(window.measurement, graftingOf(trial, context.config));
    const limit = context.config.grafting.pauseEpochsMax;
    return {
      ...alarm,
      passed: window.measurement?.kind === "grafted" && next.held && next.pausedEpochs <= limit,
      reason: `${alarm.reason}; paused for ${next.pausedEpochs} windows, at most ${limit}`,
    };
  }),
  graftAdvances: onWindow((trial, window, context) => {
    const next = after(trial, window, context).graft;
    const moved = window.measurement?.kind === "grafted" && !next.held && next.progress < 1;
    return outcome(moved && (window.steps > 0 || window.interrupted), `grafting: alpha ${next.alpha}, progress ${next.progress}`);
  }),
  lossSteady: onWindow((_trial, window, context) => stabilizationGate(window.measurement, context.config.stabilization.slopeMax)),
  settlesOn: onWindow((trial, window, context) => {
    const gate = stabilizationGate(window.measurement, context.config.stabilization.slopeMax);
    const unsteady = after(trial, window, context).unsteadyEpochs;
    const limit = context.config.stabilization.epochsMax;
    return {
      ...gate,
      passed: gate.measured && !gate.passed && unsteady < limit,
      reason: `${gate.reason}; unsteady for ${unsteady} windows, at most ${limit}`,
    };
  }),
  screenPassed: onWindow((trial, window, context) =>
    (trial.prune === undefined ? screenGate : pruneScreenGate)(window.measurement, context.config),
  ),
  verdictPassed: onWindow(contestVerdict),
  jurySplit: onWindow((trial, window, context) => {
    const verdict = contestVerdict(trial, window, context);
    return { ...verdict, passed: verdict.decision === "split" };
  }),
  contestGoesOn: onWindow((trial, window, context) => {
    const verdict = contestVerdict(trial, window, context);
    return { ...verdict, passed: verdict.decision === "undecided" };
  }),
  escalationOpen: ({ trial }, event) => {
    if (event.type !== "RESOLVE") return mistaken;
    const open = trial?.escalation !== null && trial?.escalation !== undefined;
    return outcome(open, open ? `the operator resolves: ${event.verdict}, ${event.reason}` : "no escalation is open");
  },
  tunesOn: onWindow((trial, window, context) => {
    const done = after(trial, window, context).grownSteps;
    const wanted = context.config.fineTuning.steps;
    return outcome(stepsOf(window, "grown") > 0 && done < wanted, `fine-tuning: ${done} of ${wanted} joint steps done`);
  }),
  embargoOver: (context, event) =>
    outcome(
      event.epoch >= context.embargoUntilEpoch,
      `embargo until window ${context.embargoUntilEpoch}, now ${event.epoch}: ${event.epoch >= context.embargoUntilEpoch ? "over" : "still on"}`,
    ),
  commanded: (_context, event) => outcome(true, "reason" in event ? event.reason : "asked by the operator"),
} as const satisfies Record<string, Check>;

export type SeedCheckName = keyof typeof seedChecks;

export const seedCheckDescriptions: Readonly<Record<SeedCheckName, string>> = {
  admitted: "Gate 0: ids, span, embargo, grafting lock, germinations in the window, parameters and FLOPs.",
  kernelAccepted:
    "Gate 0 again with the kernel's own size, and Urabrask's characterisation: alive, calm, stable, the same on two engines.",
  kernelIsFixed: "Gates 1 and 2 passed and the kernel has nothing to learn.",
  kernelLoaded: "Gate 1 (static fit) and gate 2 (dry run: shapes, finite, latency).",
  nonFinite: "A loss, parameter or kernel value is not finite.",
  kernelFailed: "A program of the kernel threw.",
  lossSpiked: "The governor saw the loss spike.",
  interrupted: "A command cut the window short; it is taken up again.",
  kernelTrained: "Enough steps, and the kernel lowers the validation loss beyond its interval.",
  trainsOn: "Steps are still to be done.",
  graftComplete: "Alpha is 1 and no drift or gradient alarm is on.",
  graftHeld: "The alarm is on; alpha is held for a window.",
  graftAdvances: "The schedule is not at its end yet.",
  lossSteady: "The loss changed by no more than its limit over the window.",
  settlesOn: "Not steady yet, and windows are left.",
  screenPassed:
    "With beats without beyond the paired interval on the frozen host. A pruning: without is not inferior, and steps cost less.",
  verdictPassed:
    "Gate 3 (the lower bound of the gain over the twin of equal FLOPs exceeds its share of the loss; a pruning: not inferior to the twin) and the jury.",
  jurySplit: "Gate 3 passed and the jury is split: the operator is asked, and another window of the contest runs.",
  contestGoesOn: "Gate 3 has neither passed nor failed for good: another round of the contest runs.",
  escalationOpen: "The operator answers an open escalation.",
  tunesOn: "Joint steps are still to be done.",
  embargoOver: "The embargo on the site has run out.",
  commanded: "A command; always granted in this state.",
};

/** An event from before the present state, or a window that was judged already, changes nothing. */
export const isTimely = (context: SeedContext, event: SeedEvent): boolean =>
  event.type === "WINDOW"
    ? event.epoch > Math.max(seedSinceEpoch(context), context.judgedEpoch)
    : event.epoch >= seedSinceEpoch(context);

/** Why the machine has no transition for this event in this state, in words. */
export const whyRefused = (state: LifecycleState, context: SeedContext, event: SeedEvent): string => {
  if (!isTimely(context, event))
    return event.type === "WINDOW"
      ? `window ${event.epoch} ended before ${context.seedId} entered ${state}, or was judged already`
      : `${event.type} of window ${event.epoch} is older than the state ${state} of window ${seedSinceEpoch(context)}`;
  if (event.type === "RESOLVE" && state === "FINE_TUNING") return seedChecks.escalationOpen(context, event).reason;
  if (event.type === "EMBARGO_OVER" && (state === "CULLED" || state === "ROLLED_BACK"))
    return seedChecks.embargoOver(context, event).reason;
  return `${event.type} is not legal in ${state}`;
};
