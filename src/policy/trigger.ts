/**
 * When a site is a candidate: successive measurements that name the same layer, with an effect size, not a significance.
 *
 * T1 A check names the site of the largest gap among those that still have a seed to germinate; nothing measured names nobody.
 * T2 A streak is broken by another name, by a check that names nobody, by a gap that is too small and by a changed host.
 * T3 A signal of a window that was seen already changes nothing. The window of checks is bounded.
 */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import type { HealthPoint, HealthTrend } from "./health.ts";
import { healthTrend } from "./health.ts";

/** Checks kept per run. At least as many as `trigger.checks` may ask for. */
export const recentChecksMax = 32;

export interface SiteReading {
  readonly site: string;
  readonly gap: number;
  readonly health: number;
}

export interface Check {
  readonly epoch: number;
  readonly hostHash: string;
  /** Measured sites only. */
  readonly sites: readonly SiteReading[];
  readonly named: SiteReading | null;
}

export interface TriggerState {
  /** Oldest first. */
  readonly checks: readonly Check[];
}

export const emptyTrigger: TriggerState = { checks: [] };

const readingsOf = (signal: HealthSignal): SiteReading[] => {
  const bySite = new Map<string, SiteReading>();
  for (const { site, gap, health } of signal.seeds) {
    if (gap !== undefined && health !== undefined && Number.isFinite(gap) && !bySite.has(site))
      bySite.set(site, { site, gap, health });
  }
  return [...bySite.values()];
};

/** T1 */
const nameOf = (signal: HealthSignal, readings: readonly SiteReading[]): SiteReading | null => {
  const free = new Set(signal.seeds.filter((seed) => seed.state !== "FOSSILIZED").map((seed) => seed.site));
  return readings
    .filter((each) => free.has(each.site))
    .reduce<SiteReading | null>((best, each) => (best === null || each.gap > best.gap ? each : best), null);
};

export const observe = (state: TriggerState, signal: HealthSignal): TriggerState => {
  // T3
  if (signal.epoch <= (state.checks.at(-1)?.epoch ?? 0)) return state;
  const sites = readingsOf(signal);
  const check: Check = { epoch: signal.epoch, hostHash: signal.host.hash, sites, named: nameOf(signal, sites) };
  return { checks: [...state.checks.slice(-(recentChecksMax - 1)), check] };
};

export interface Streak {
  readonly site: string;
  /** Successive checks up to the last that name the site beyond the threshold. */
  readonly length: number;
  readonly gapLast: number;
  /** Least gap of the last `trigger.checks` of them. */
  readonly gapMin: number;
  readonly health: number;
}

const isCandidate = (reading: SiteReading, trigger: MorphogeneticConfig["trigger"]): boolean =>
  reading.gap > trigger.gapMin && reading.health < trigger.healthMax;

/** The present streak; undefined when the last check named nobody, or nobody beyond the threshold (T2). */
export const streakOf = (state: TriggerState, trigger: MorphogeneticConfig["trigger"]): Streak | undefined => {
  const last = state.checks.at(-1);
  if (last === undefined || last.named === null || !isCandidate(last.named, trigger)) return undefined;
  const { site, gap, health } = last.named;
  const gaps: number[] = [];
  for (const check of state.checks.toReversed()) {
    const { named } = check;
    if (named === null || named.site !== site || check.hostHash !== last.hostHash || !isCandidate(named, trigger)) break;
    gaps.push(named.gap);
  }
  return { site, length: gaps.length, gapLast: gap, gapMin: Math.min(...gaps.slice(0, trigger.checks)), health };
};

/** Where a site's health goes over the checks that are kept. */
export const trendOf = (state: TriggerState, site: string): HealthTrend | undefined =>
  healthTrend(
    state.checks.map(
      (check): HealthPoint => ({ epoch: check.epoch, health: check.sites.find((each) => each.site === site)?.health }),
    ),
  );
