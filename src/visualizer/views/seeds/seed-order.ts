/** Which seeds are shown and in what order. Pure: indices in, indices out; a hundred thousand seeds take a few milliseconds. */
import type { LifecycleState } from "../../../contracts/lifecycle.ts";
import type { ViewRun, ViewSeed } from "../../../contracts/view.ts";
import { own } from "../../lib/own.ts";

export const sortKeys = ["host", "state", "health", "recent", "name"] as const;
export type SortKey = (typeof sortKeys)[number];

export const healthBands = ["any", "poor", "fair", "sound", "unmeasured"] as const;
export type HealthBand = (typeof healthBands)[number];

export interface SeedFilter {
  /** Part of the seed's or layer's name, in any case. */
  readonly text: string;
  /** Empty: all of them. */
  readonly states: ReadonlySet<LifecycleState>;
  readonly health: HealthBand;
  /** Kind of the blueprint; empty: any. */
  readonly blueprint: string;
  readonly sort: SortKey;
}

export const everySeed: SeedFilter = { text: "", states: new Set(), health: "any", blueprint: "", sort: "host" };

export const healthOf = (run: ViewRun, seed: ViewSeed): number | null => own(run.signals, seed.site)?.health ?? null;

export const blueprintOf = ({ trial }: ViewSeed): string => (trial?.prune ? "prune" : (trial?.blueprint?.kind ?? ""));

const inBand = (health: number | null, band: HealthBand): boolean => {
  if (band === "any") return true;
  if (health === null) return band === "unmeasured";
  return band === (health < 0.4 ? "poor" : health < 0.75 ? "fair" : "sound");
};

export const isFiltered = ({ text, states, health, blueprint }: SeedFilter): boolean =>
  text !== "" || states.size > 0 || health !== "any" || blueprint !== "";

const comparison = (
  run: ViewRun,
  sort: SortKey,
  rank: ReadonlyMap<LifecycleState, number>,
): ((a: number, b: number) => number) => {
  const { seeds } = run;
  switch (sort) {
    case "host":
      return (a, b) => a - b;
    case "name":
      return (a, b) => (seeds[a]!.seedId < seeds[b]!.seedId ? -1 : 1);
    case "state":
      return (a, b) => (rank.get(seeds[b]!.state) ?? 0) - (rank.get(seeds[a]!.state) ?? 0) || a - b;
    case "recent":
      return (a, b) => seeds[b]!.sinceEpoch - seeds[a]!.sinceEpoch || a - b;
    case "health":
      return (a, b) => (healthOf(run, seeds[a]!) ?? 2) - (healthOf(run, seeds[b]!) ?? 2) || a - b;
  }
};

/** Indices of the shown seeds; by state, those in trial come first. */
export const orderSeeds = (run: ViewRun, filter: SeedFilter, states: readonly LifecycleState[]): Uint32Array => {
  const { seeds } = run;
  const text = filter.text.trim().toLowerCase();
  const order: number[] = [];
  for (let index = 0; index < seeds.length; index += 1) {
    const seed = seeds[index]!;
    if (filter.states.size > 0 && !filter.states.has(seed.state)) continue;
    if (text !== "" && !seed.seedId.toLowerCase().includes(text) && !seed.site.toLowerCase().includes(text)) continue;
    if (filter.health !== "any" && !inBand(healthOf(run, seed), filter.health)) continue;
    if (filter.blueprint !== "" && blueprintOf(seed) !== filter.blueprint) continue;
    order.push(index);
  }
  if (filter.sort !== "host") order.sort(comparison(run, filter.sort, new Map(states.map((state, rank) => [state, rank]))));
  return Uint32Array.from(order);
};

/** How many seeds are in each state. */
export const countStates = (seeds: readonly ViewSeed[]): ReadonlyMap<LifecycleState, number> => {
  const counts = new Map<LifecycleState, number>();
  for (const { state } of seeds) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
};
