/**
 * Tamiyo's heuristic: from the health of the sites to a decision, and to a germinate command when everything speaks for it. Pure.
 *
 * M1 Every decision has a reason with numbers, above all when it is "no".
 * M2 What was not measured never leads to a command.
 * M3 A signal that was seen already leads to no second command; the request id of a command follows from run, window and seed.
 */
import type { FieldReport } from "../contracts/assets.ts";
import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import type { Decision, Forecast, KasminaControlCommand } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HostSummary } from "../contracts/plan.ts";
import { isOverscaled, rivalOf, type SpanEnergy } from "../contracts/signal.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import { findSite, type SiteSpan } from "../contracts/trial.ts";
import type { Calibration } from "./calibration.ts";
import { calibration } from "./calibration.ts";
import { chooseBlueprint, chooseReplacement, type TagsOf } from "./choose-blueprint.ts";
import type { PenaltyState } from "./embargo.ts";
import { learnFailure, noPenalties, penaltyAt } from "./embargo.ts";
import { forecastTrial } from "./forecast.ts";
import { placedStreak } from "./placement.ts";
import type { Streak, TriggerState } from "./trigger.ts";
import { emptyTrigger, layersOf, observe, trendOf } from "./trigger.ts";

/** What Tamiyo remembers of one run. Plain JSON. */
export interface PolicyState {
  readonly trigger: TriggerState;
  readonly failures: PenaltyState;
  /** Commands sent for the last window that had any. */
  readonly sent: { readonly epoch: number; readonly count: number };
}

export const emptyPolicy: PolicyState = { trigger: emptyTrigger, failures: noPenalties, sent: { epoch: 0, count: 0 } };

export interface PolicySetup {
  readonly config: MorphogeneticConfig;
  /** Batches in one pass over the validation samples. */
  readonly validationBatches: number;
  readonly calibration?: Calibration;
  /** What Urabrask has found of each kind on this machine; left out, nothing is known. */
  readonly tagsOf?: TagsOf;
}

export type PolicyDecision = Omit<Decision, "latencyMs">;
export type GerminateCommand = Extract<KasminaControlCommand, { kind: "germinate" }>;

export interface Decided {
  readonly state: PolicyState;
  readonly decision: PolicyDecision;
  readonly command: GerminateCommand | undefined;
}

const ruleNames = {
  signal: "severity of a layer",
  random: "a random site when a layer's severity calls for growth",
  always: "the largest gap of every check",
} as const satisfies Record<MorphogeneticConfig["placement"], string>;

const shown = (value: number): string => String(Number(value.toPrecision(3)));

/**
 * Probability that the layer is damaged: logistic in ln(least severity of the streak), times the share of the checks that are done,
 * less the blueprint's penalty.
 */
export const confidenceOf = (
  streak: Streak,
  penalty: number,
  trigger: MorphogeneticConfig["trigger"],
  constants: Calibration["confidence"],
): number => {
  const logOdds = constants.logOddsAtOne + constants.logOddsPerLogSeverity * Math.log(streak.severityMin);
  const done = Math.min(1, streak.length / trigger.checks);
  return Math.min(1, Math.max(0, done / (1 + Math.exp(-logOdds)) - penalty));
};

/** The target of the largest energy among the legal ones, the nearest on ties. Without energies from this site: the last legal target, the logits. */
export const chooseTarget = (host: HostSummary, site: string, spans: readonly SpanEnergy[]): SpanEnergy | undefined => {
  const targets = findSite(host, site)?.legalTargets ?? [];
  const legal = host.sites.map((each) => each.site).filter((each) => targets.includes(each));
  const measured = legal.flatMap((target) => spans.filter((span) => span.fromSite === site && span.toSite === target));
  const best = measured
    .filter((span) => Number.isFinite(span.energy))
    .reduce<SpanEnergy | undefined>((a, b) => (a === undefined || b.energy > a.energy ? b : a), undefined);
  const last = legal.at(-1);
  return best ?? (last === undefined ? undefined : { fromSite: site, toSite: last, energy: 0 });
};

interface Candidate {
  readonly streak: Streak;
  readonly seedId: string | undefined;
  readonly span: SiteSpan;
  readonly blueprint: BlueprintRequest;
  /** What it is and where, in words. */
  readonly repair: string;
  readonly penalty: number;
  readonly confidence: number;
  readonly forecast: Forecast;
}

type Repair = Pick<Candidate, "span" | "blueprint" | "repair">;

/**
 * What to grow for a site. Weights far too large call for a fresh layer in the place of theirs: a bypass adds to what a layer says and takes nothing
 * of it away. Everything else gets a bypass to the target of the largest energy. A reason where nothing suits, undefined where no span is legal.
 */
const repairAt = (signal: HealthSignal, site: string, { config, tagsOf }: PolicySetup): Repair | string | undefined => {
  const layer = layersOf(signal).find((each) => each.site === site);
  const own = { fromSite: site, toSite: site };
  // On feature maps a bypass won more back than a fresh layer did.
  const isVector = findSite(signal.host, site)?.shape.length === 1;
  const isCalledFor = layer !== undefined && isVector && isOverscaled(layer, config.trigger);
  const isWanted = config.blueprint.kind === "replacement" || isCalledFor;
  const fresh = isWanted ? chooseReplacement(signal.host, own, config, tagsOf) : undefined;
  if (fresh !== undefined) {
    const gain = layer?.weightGain === undefined ? "" : ` (weights ${shown(layer.weightGain)} times He's)`;
    return { span: own, blueprint: fresh, repair: `a fresh layer in the place of ${site}${gain}` };
  }
  const span = chooseTarget(signal.host, site, signal.spans);
  if (span === undefined) return undefined;
  const choice = chooseBlueprint(signal.host, span, config.blueprint, tagsOf);
  if ("refused" in choice) return choice.refused;
  const { fromSite, toSite, energy } = span;
  const repair = `bypass of ${choice.request.hiddenWidth} from the input of ${fromSite} to ${toSite} (energy ${shown(energy)})`;
  return { span: { fromSite, toSite }, blueprint: choice.request, repair };
};

export const candidateAt = (
  signal: HealthSignal,
  streak: Streak,
  failures: PenaltyState,
  setup: PolicySetup,
): Candidate | string | undefined => {
  const { config, validationBatches } = setup;
  const constants = setup.calibration ?? calibration;
  const found = repairAt(signal, streak.site, setup);
  if (found === undefined || typeof found === "string") return found;
  const { span, blueprint, repair } = found;
  const penalty = penaltyAt(failures, blueprint, signal.epoch, config.embargo);
  const confidence = confidenceOf(streak, penalty, config.trigger, constants.confidence);
  const { host } = signal;
  const basis = { gap: streak.gapMin, ...(signal.validationLoss === undefined ? {} : { validationLoss: signal.validationLoss }) };
  const forecast = forecastTrial({ ...basis, confidence, host, span, blueprint, validationBatches }, config, constants);
  const seedId = signal.seeds.find((seed) => seed.site === streak.site && seed.state === "DORMANT")?.seedId;
  return { streak, seedId, span, blueprint, repair, penalty, confidence, forecast };
};

/** Why a candidate that convinces must still not germinate; undefined when nothing stands against it. */
export const objectionTo = (
  candidate: Candidate,
  signal: HealthSignal,
  sent: number,
  config: MorphogeneticConfig,
): string | undefined => {
  const { streak, forecast } = candidate;
  if (signal.activeSeedId !== undefined) return `${signal.activeSeedId} holds the grafting lock`;
  if (candidate.seedId === undefined) return `no dormant seed is left at ${streak.site}`;
  if (sent >= config.adaptationsPerEpochMax)
    return `${sent} adaptations in this window, at most ${config.adaptationsPerEpochMax}`;
  if (forecast.parameters > config.budget.parametersMax)
    return `the bypass has ${forecast.parameters} parameters, at most ${config.budget.parametersMax} may be added`;
  // M2: a budget that is not a number is no budget.
  if (!(forecast.trialFlops <= signal.flopsLeft))
    return `the trial needs ${shown(forecast.trialFlops)} FLOPs, ${shown(signal.flopsLeft)} are left for trials`;
  return undefined;
};

const describeStreak = (state: TriggerState, streak: Streak, checks: number): string => {
  const trend = trendOf(state, streak.site);
  const going = trend === undefined ? "" : `, trend ${shown(trend.slope)} a window`;
  return `severity ${shown(streak.severityMin)}, gap ${shown(streak.gapLast)} at ${streak.site} (health ${shown(streak.health)}${going}) in ${streak.length} of ${checks} successive checks`;
};

/** Why the next measurement should take more samples; undefined when the worst layer stands apart. */
const describeRival = (signal: HealthSignal, streak: Streak, config: MorphogeneticConfig): string | undefined => {
  const layers = layersOf(signal);
  const worst = layers.find(({ site }) => site === streak.site);
  const rival = worst === undefined || config.signal.probeBatches === 1 ? undefined : rivalOf(worst, layers, config.trigger);
  if (worst === undefined || rival === undefined) return undefined;
  return `${rival.site} (gap ${shown(rival.gap)} ± ${shown(rival.gapError)}) cannot be told from it (± ${shown(worst.gapError)}); ${config.signal.probeBatches} batches will be measured next`;
};

/** A decision is asked for after a window that measured, or that was to: one without a measurement had no room for it. */
const describeQuiet = (state: TriggerState, signal: HealthSignal): string => {
  const named = state.checks.at(-1)?.named ?? null;
  if (named !== null)
    return `worst is ${named.site} with severity ${shown(named.severity)} and gap ${shown(named.gap)} (health ${shown(named.health)}), a candidate needs a severity above 1`;
  if (layersOf(signal).length > 0)
    return "no layer that was measured may be named: its seeds are used up, it is excluded or under embargo, or its gap is no number";
  return `no layer was measured in this window although it was due: the FLOPs that are left (${shown(signal.flopsLeft)} for trials) have no room for a measurement, or its numbers were not finite`;
};

export const decide = (state: PolicyState, signal: HealthSignal, setup: PolicySetup): Decided => {
  const { config } = setup;
  const { checks, confidenceMin } = config.trigger;
  const trigger = observe(state.trigger, signal, config.trigger);
  const next: PolicyState = { ...state, trigger };
  const base = { runId: signal.runId, epoch: signal.epoch, rule: `${ruleNames[config.placement]}, ${checks} successive checks` };
  const answer = (outcome: "wait" | "probe" | "refused", reason: string, known: Partial<PolicyDecision> = {}): Decided => ({
    state: next,
    decision: { ...base, ...known, outcome, reason },
    command: undefined,
  });
  // M3
  if (trigger === state.trigger) return answer("wait", `window ${signal.epoch} was decided already`);
  if (!config.enabled) return answer("wait", "growth is turned off by the configuration");
  const streak = placedStreak(trigger, signal, config);
  if (streak === undefined) return answer("wait", describeQuiet(trigger, signal));
  const grounds = describeStreak(trigger, streak, checks);
  const candidate = candidateAt(signal, streak, state.failures, setup);
  if (candidate === undefined)
    return answer("refused", `${grounds}; no bypass from ${streak.site} is legal in this host`, { site: streak.site });
  if (typeof candidate === "string") return answer("refused", `${grounds}; but ${candidate}`, { site: streak.site });
  const { span, blueprint, repair, confidence, forecast, seedId, penalty } = candidate;
  const known = {
    site: streak.site,
    fromSite: span.fromSite,
    toSite: span.toSite,
    confidence,
    forecast,
    ...(seedId === undefined ? {} : { seedId }),
  };
  if (streak.length < checks) {
    const rival = describeRival(signal, streak, config);
    if (rival !== undefined) return answer("probe", `${grounds}; ${rival}`, known);
    return answer("wait", `${grounds}; confidence ${shown(confidence)}`, known);
  }
  // The controls grow without conviction: that is what they are for.
  if (config.placement === "signal" && !(confidence > confidenceMin)) {
    const less = penalty > 0 ? ` after a penalty of ${shown(penalty)} on ${blueprint.kind} ${blueprint.hiddenWidth}` : "";
    return answer("wait", `${grounds}; confidence ${shown(confidence)}${less}, more than ${confidenceMin} is needed`, known);
  }
  const sent = state.sent.epoch === signal.epoch ? state.sent.count : 0;
  const objection = objectionTo(candidate, signal, sent, config);
  if (objection !== undefined || seedId === undefined) return answer("refused", `${grounds}; but ${objection}`, known);
  const reason = `${grounds}; ${repair}, confidence ${shown(confidence)}`;
  // Window and seed stand at the end, which the bound on request ids keeps.
  const requestId = `${signal.runId}:${signal.epoch}:${seedId}`.slice(-128);
  return {
    state: { ...next, sent: { epoch: signal.epoch, count: sent + 1 } },
    decision: { ...base, ...known, outcome: "germinate", reason, requestId },
    command: {
      kind: "germinate",
      requestId,
      runId: signal.runId,
      seedId,
      toSite: span.toSite,
      blueprint,
      adaptation: { rule: base.rule, reason, confidence, forecast },
      reason: reason.slice(0, 500),
    },
  };
};

/** Takes a finished trial into account. */
export const learn = (state: PolicyState, report: FieldReport, config: MorphogeneticConfig): PolicyState => ({
  ...state,
  failures: learnFailure(state.failures, report, config.embargo),
});
