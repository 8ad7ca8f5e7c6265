/** Where a run grows by its configuration: where the signal says, or, as controls, at a random site or at the largest gap of every check. */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import { findSite } from "../contracts/trial.ts";
import { freeSites, largestBy, type SiteReading, type Streak, streakOf, type TriggerState } from "./trigger.ts";

const streakAt = ({ site, gap, severity, health }: SiteReading, length: number): Streak => ({
  site,
  length,
  gapLast: gap,
  gapMin: gap,
  severityMin: severity,
  health,
});

/** FNV-1a, 32 bits. */
const hash = (text: string): number => {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  return value;
};

/** Measured sites where a seed could germinate now. */
const openSites = (state: TriggerState, signal: HealthSignal, config: MorphogeneticConfig): SiteReading[] => {
  const free = freeSites(signal, config.trigger);
  const dormant = new Set(signal.seeds.flatMap(({ site, state: seed }) => (seed === "DORMANT" ? [site] : [])));
  return (state.checks.at(-1)?.sites ?? []).filter(
    ({ site }) => free.has(site) && dormant.has(site) && (findSite(signal.host, site)?.legalTargets.length ?? 0) > 0,
  );
};

/**
 * The streak that a decision is about; undefined when there is no candidate. A random site is drawn by run and window, so that equal runs take
 * equal ones, and only when the signal's own candidate has all its checks.
 */
export const placedStreak = (state: TriggerState, signal: HealthSignal, config: MorphogeneticConfig): Streak | undefined => {
  const { checks } = config.trigger;
  if (config.placement === "always") {
    const largest = largestBy(openSites(state, signal, config), ({ gap }) => gap);
    return largest === null ? undefined : streakAt(largest, checks);
  }
  const streak = streakOf(state, config.trigger);
  if (config.placement === "signal" || streak === undefined || streak.length < checks) return streak;
  const open = openSites(state, signal, config);
  const drawn = open[hash(`${signal.runId}:${signal.epoch}`) % Math.max(1, open.length)];
  return drawn === undefined ? streak : streakAt(drawn, streak.length);
};
