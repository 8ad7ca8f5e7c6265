/**
 * When a site is a candidate: successive measurements that name the same layer, with an effect size and its lower bound.
 *
 * T1 A check names the site of the largest severity among those where a seed may germinate: not used up, excluded or under embargo. Nothing
 *    measured names nobody.
 * T2 A streak is broken by another name, by a check that names nobody, by evidence that is too weak and by a changed host.
 * T3 A signal of a window that was seen already changes nothing. The window of checks is bounded.
 */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import { type LayerSignal, severityOf } from "../contracts/signal.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import type { HealthPoint, HealthTrend } from "./health.ts";
import { healthTrend } from "./health.ts";

/** Checks kept per run. At least as many as `trigger.checks` may ask for. */
export const recentChecksMax = 32;

export interface SiteReading {
  readonly site: string;
  readonly gap: number;
  /** Above 1: a candidate. */
  readonly severity: number;
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

type TriggerRules = MorphogeneticConfig["trigger"];

/** What was measured of each site, in order. */
export const layersOf = (signal: HealthSignal): LayerSignal[] => {
  const bySite = new Map<string, LayerSignal>();
  for (const { site, layer } of signal.seeds) if (layer !== undefined && !bySite.has(site)) bySite.set(site, layer);
  return [...bySite.values()];
};

const readingsOf = (signal: HealthSignal, trigger: TriggerRules): SiteReading[] => {
  const healthBySite = new Map(signal.seeds.map(({ site, health }) => [site, health]));
  return layersOf(signal).flatMap((layer): SiteReading[] => {
    const [severity, health] = [severityOf(layer, trigger), healthBySite.get(layer.site)];
    return severity === undefined || health === undefined ? [] : [{ site: layer.site, gap: layer.gap, severity, health }];
  });
};

/** Sites that may be named: with a seed that is not used up, not excluded, and not resting after a failure. */
export const freeSites = (signal: HealthSignal, trigger: TriggerRules): ReadonlySet<string> =>
  new Set(
    signal.seeds.flatMap(({ site, state, embargoEpochs }) =>
      state === "FOSSILIZED" || embargoEpochs > 0 || trigger.exclude.includes(site) ? [] : [site],
    ),
  );

/** The first of the largest by a measure. */
export const largestBy = (readings: readonly SiteReading[], measure: (reading: SiteReading) => number): SiteReading | null =>
  readings.reduce<SiteReading | null>((best, each) => (best === null || measure(each) > measure(best) ? each : best), null);

/** T1. Where no layer has evidence against it the largest gap is the one to speak of. */
const nameOf = (free: ReadonlySet<string>, readings: readonly SiteReading[]): SiteReading | null => {
  const open = readings.filter(({ site }) => free.has(site));
  const worst = largestBy(open, ({ severity }) => severity);
  return worst !== null && worst.severity > 0 ? worst : largestBy(open, ({ gap }) => gap);
};

export const observe = (state: TriggerState, signal: HealthSignal, trigger: TriggerRules): TriggerState => {
  // T3
  if (signal.epoch <= (state.checks.at(-1)?.epoch ?? 0)) return state;
  const sites = readingsOf(signal, trigger);
  const named = nameOf(freeSites(signal, trigger), sites);
  const check: Check = { epoch: signal.epoch, hostHash: signal.host.hash, sites, named };
  return { checks: [...state.checks.slice(-(recentChecksMax - 1)), check] };
};

export interface Streak {
  readonly site: string;
  /** Successive checks up to the last that name the site beyond the threshold. */
  readonly length: number;
  readonly gapLast: number;
  /** Least gap and least severity of the last `trigger.checks` of them. */
  readonly gapMin: number;
  readonly severityMin: number;
  readonly health: number;
}

const isCandidate = (reading: SiteReading, trigger: TriggerRules): boolean =>
  reading.severity > 1 && reading.health < trigger.healthMax;

/** The present streak; undefined when the last check named nobody, or nobody beyond the threshold (T2). */
export const streakOf = (state: TriggerState, trigger: TriggerRules): Streak | undefined => {
  const last = state.checks.at(-1);
  if (last === undefined || last.named === null || !isCandidate(last.named, trigger)) return undefined;
  const { site, gap, health } = last.named;
  const readings: SiteReading[] = [];
  for (const check of state.checks.toReversed()) {
    const { named } = check;
    if (named === null || named.site !== site || check.hostHash !== last.hostHash || !isCandidate(named, trigger)) break;
    readings.push(named);
  }
  const counted = readings.slice(0, trigger.checks);
  return {
    site,
    length: readings.length,
    gapLast: gap,
    gapMin: Math.min(...counted.map((reading) => reading.gap)),
    severityMin: Math.min(...counted.map((reading) => reading.severity)),
    health,
  };
};

/** Where a site's health goes over the checks that are kept. */
export const trendOf = (state: TriggerState, site: string): HealthTrend | undefined =>
  healthTrend(
    state.checks.map(
      (check): HealthPoint => ({ epoch: check.epoch, health: check.sites.find((each) => each.site === site)?.health }),
    ),
  );
