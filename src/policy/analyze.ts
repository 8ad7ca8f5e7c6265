/** Every layer of the last signal as Tamiyo sees it, with what stands for and against growing there. Pure: it remembers and sends nothing. */
import type { Candidate } from "../contracts/command-queries.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import { candidateAt, objectionTo, type PolicySetup, type PolicyState } from "./decide.ts";
import { freeSites, type SiteReading, type Streak, streakOf, type TriggerState } from "./trigger.ts";

const candidatesMax = 256;

/** The reading's own streak: that of the trigger where it is the one that the last check named, else none. */
const streakAt = (state: TriggerState, { site, gap, severity, health }: SiteReading, setup: PolicySetup): Streak => {
  const named = streakOf(state, setup.config.trigger);
  return named?.site === site ? named : { site, length: 0, gapLast: gap, gapMin: gap, severityMin: severity, health };
};

const whyNotHere = (
  signal: HealthSignal,
  { site, severity }: SiteReading,
  { length }: Streak,
  setup: PolicySetup,
): string | undefined => {
  const { trigger, enabled } = setup.config;
  if (!enabled) return "growth is turned off by the configuration";
  if (!freeSites(signal, trigger).has(site)) return "its seeds are used up, it is excluded, or it is under embargo";
  if (!(severity > 1)) return "a candidate needs a severity above 1";
  return length < trigger.checks ? `${length} of ${trigger.checks} successive checks name it` : undefined;
};

const candidateOf = (state: PolicyState, signal: HealthSignal, reading: SiteReading, setup: PolicySetup): Candidate => {
  const { config } = setup;
  const streak = streakAt(state.trigger, reading, setup);
  const { site, severity, gap, health } = reading;
  const seen = { site, severity, gap, health, streak: streak.length, checks: config.trigger.checks };
  const here = whyNotHere(signal, reading, streak, setup);
  // ln of a severity that is none has no confidence.
  const found = severity > 0 ? candidateAt(signal, streak, state.failures, setup) : undefined;
  if (found === undefined || typeof found === "string")
    return { ...seen, objection: here ?? found ?? "no bypass from here is legal in this host" };
  const { span, blueprint, repair, confidence, penalty, forecast, seedId } = found;
  const sent = state.sent.epoch === signal.epoch ? state.sent.count : 0;
  const unsure =
    confidence > config.trigger.confidenceMin ? undefined : `confidence is not above ${config.trigger.confidenceMin}`;
  const objection = here ?? unsure ?? objectionTo(found, signal, sent, config);
  return {
    ...seen,
    ...(seedId === undefined ? {} : { seedId }),
    ...span,
    blueprint,
    repair,
    confidence,
    penalty,
    forecast,
    ...(objection === undefined ? {} : { objection }),
  };
};

/** `state` has observed the signal. The worst first. */
export const analyze = (state: PolicyState, signal: HealthSignal, setup: PolicySetup): readonly Candidate[] =>
  (state.trigger.checks.at(-1)?.sites ?? [])
    .map((reading) => candidateOf(state, signal, reading, setup))
    .sort((a, b) => b.severity - a.severity)
    .slice(0, candidatesMax);
