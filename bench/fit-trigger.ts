/**
 * The trigger's thresholds from hosts whose damage is known. Pure: the same checks give the same thresholds.
 *
 * F1 The objective is the number of damaged hosts that both checks name right, less twenty for every whole host that both name anywhere: with as
 *    many hosts of each kind no find is worth a false alarm of five percent.
 * F2 The search begins at the best of a coarse grid over all thresholds; of equals, at the one in the middle of them.
 * F3 Then one group of thresholds after the other goes to where its margin is largest: of the grid points with the largest objective the one that can
 *    be moved by the largest factor, up or down in each threshold of the group, before the objective falls. For a group of one that is the
 *    geometric middle of the plateau. Two thresholds of which the lesser counts are one group: each alone would look as if it did not matter.
 *    Rounds go on until one changes nothing. The objective never falls.
 * F4 The end is rounded to two digits, to more where two would cost something.
 */
import type { TriggerConfig } from "../src/contracts/config-signal.ts";
import { type HostChecks, isWhole, triggeredAt } from "./host-checks.ts";

/** Weight of a false alarm in the objective (F1). */
export const falseAlarmCost = 20;
const roundsMax = 16;
const coarseValues = 5;
/** Steps of the search, and of the plateaus that are told. */
const searchPerDecade = 24;
const toldPerDecade = 60;

interface Range {
  readonly from: number;
  readonly to: number;
  readonly whole?: boolean;
}

/** Searched on a logarithmic scale, whole numbers one by one. */
const ranges = {
  dimensionsMax: { from: 0, to: 15, whole: true },
  gapMin: { from: 0.001, to: 0.3 },
  gapShareMin: { from: 0.01, to: 1 },
  weightGainMax: { from: 2, to: 200 },
  agreementWeight: { from: 0.0625, to: 16 },
} as const satisfies Partial<Record<keyof TriggerConfig, Range>>;
export type ThresholdName = keyof typeof ranges;
export const thresholdNames = Object.keys(ranges) as readonly ThresholdName[];
/** In the order of the search. */
const groups = [
  ["dimensionsMax"],
  ["gapMin", "gapShareMin"],
  ["weightGainMax"],
  ["agreementWeight"],
] as const satisfies readonly (readonly ThresholdName[])[];
export type Thresholds = Readonly<Record<ThresholdName, number>>;

export interface Plateau {
  readonly name: ThresholdName;
  readonly value: number;
  /** The objective is largest from `from` to `to`, with all others where they are. */
  readonly from: number;
  readonly to: number;
  /** The plateau goes on beyond what was searched. */
  readonly openBelow: boolean;
  readonly openAbove: boolean;
}

export interface TriggerScore {
  readonly found: number;
  readonly damaged: number;
  readonly falseAlarms: number;
  readonly whole: number;
}

export interface TriggerFit {
  readonly thresholds: Thresholds;
  readonly plateaus: readonly Plateau[];
  readonly score: TriggerScore;
}

/** Hosts without both checks are named nowhere. */
export const scoreTrigger = (hosts: readonly HostChecks[], trigger: TriggerConfig): TriggerScore => {
  const score = { found: 0, damaged: 0, falseAlarms: 0, whole: 0 };
  for (const host of hosts) {
    const site = triggeredAt({ ...host, trigger });
    if (isWhole(host)) {
      score.whole += 1;
      if (site !== undefined) score.falseAlarms += 1;
    } else {
      score.damaged += 1;
      if (site !== undefined && host.damagedSites.includes(site)) score.found += 1;
    }
  }
  return score;
};

/** F1 */
export const objectiveOf = ({ found, falseAlarms }: TriggerScore): number => found - falseAlarmCost * falseAlarms;

const spaced = ({ from, to, whole = false }: Range, count: number): readonly number[] => {
  const step = (index: number): number =>
    whole ? Math.round(from + ((to - from) * index) / (count - 1)) : from * (to / from) ** (index / (count - 1));
  return Array.from({ length: count }, (_, index) => step(index));
};

const gridOf = (name: ThresholdName, perDecade: number): readonly number[] => {
  const range: Range = ranges[name];
  return spaced(range, range.whole ? range.to - range.from + 1 : Math.round(perDecade * Math.log10(range.to / range.from)) + 1);
};

/** Every combination, the last name's values running fastest. */
const combine = (names: readonly ThresholdName[], values: (name: ThresholdName) => readonly number[]): Partial<Thresholds>[] =>
  names.reduce<Partial<Thresholds>[]>(
    (known, name) => known.flatMap((thresholds) => values(name).map((value) => ({ ...thresholds, [name]: value }))),
    [{}],
  );

/** The place whose sum of squared distances to the middle of all is least, the first on ties. */
const mostCentral = (places: readonly (readonly number[])[]): number => {
  const centre = places[0]!.map((_, axis) => places.reduce((sum, place) => sum + place[axis]!, 0) / places.length);
  const away = places.map((place) => place.reduce((sum, at, axis) => sum + (at - centre[axis]!) ** 2, 0));
  return away.indexOf(Math.min(...away));
};

/** F2 */
const startOf = (objective: (thresholds: Thresholds) => number): Thresholds => {
  const coarse = (name: ThresholdName): readonly number[] => spaced(ranges[name], coarseValues);
  const points = combine(thresholdNames, coarse) as Thresholds[];
  const worth = points.map(objective);
  const most = Math.max(...worth);
  const best = points.filter((_, index) => worth[index] === most);
  return best[mostCentral(best.map((point) => thresholdNames.map((name) => coarse(name).indexOf(point[name]))))]!;
};

/**
 * Of the points of a grid that are marked, the one that is furthest from all others and from the grid's edge, counted in steps along every axis at
 * once; the most central of equals. @param sizes Points along each axis, the last running fastest.
 */
export const innermost = (marked: readonly boolean[], sizes: readonly number[]): readonly number[] => {
  const strides = sizes.map((_, axis) => sizes.slice(axis + 1).reduce((product, size) => product * size, 1));
  const placeOf = (index: number): readonly number[] => sizes.map((size, axis) => Math.floor(index / strides[axis]!) % size);
  const erodedAlong = (layer: readonly boolean[], axis: number): readonly boolean[] =>
    layer.map((on, index) => {
      const at = placeOf(index)[axis]!;
      return on && at > 0 && at < sizes[axis]! - 1 && layer[index - strides[axis]!]! && layer[index + strides[axis]!]!;
    });
  let layer = marked;
  for (let next = marked; next.includes(true); next = sizes.reduce((each, _, axis) => erodedAlong(each, axis), layer))
    layer = next;
  const places = layer.flatMap((on, index) => (on ? [placeOf(index)] : []));
  return places[mostCentral(places)]!;
};

/** F3 */
const centred = (
  group: readonly ThresholdName[],
  thresholds: Thresholds,
  objective: (thresholds: Thresholds) => number,
): Thresholds => {
  const grids = group.map((name) => gridOf(name, searchPerDecade));
  const points = combine(group, (name) => grids[group.indexOf(name)]!).map((point) => ({ ...thresholds, ...point }));
  const worth = points.map(objective);
  const most = Math.max(...worth, objective(thresholds));
  const marked = worth.map((each) => each === most);
  // Between two points of the grid: what is there already is better than all of them.
  if (!marked.includes(true)) return thresholds;
  const place = innermost(
    marked,
    grids.map(({ length }) => length),
  );
  return { ...thresholds, ...Object.fromEntries(group.map((name, axis) => [name, grids[axis]![place[axis]!]!])) };
};

/** The widest run of the largest values, the first on ties. */
export const plateauOf = (worth: readonly number[]): readonly [from: number, to: number] => {
  const most = Math.max(...worth);
  let widest: readonly [number, number] = [0, -1];
  let from = 0;
  for (let index = 0; index <= worth.length; index++) {
    if (worth[index] === most) continue;
    if (index - from > widest[1] - widest[0] + 1) widest = [from, index - 1];
    from = index + 1;
  }
  return widest;
};

/** Around a value, with all other thresholds where they are. */
const plateauAround = (name: ThresholdName, thresholds: Thresholds, objective: (thresholds: Thresholds) => number): Plateau => {
  const grid = gridOf(name, toldPerDecade);
  const [low, high] = plateauOf(grid.map((value) => objective({ ...thresholds, [name]: value })));
  const openBelow = low === 0;
  return { name, value: thresholds[name], from: grid[low]!, to: grid[high]!, openBelow, openAbove: high === grid.length - 1 };
};

/** F4 */
const rounded = (thresholds: Thresholds, objective: (thresholds: Thresholds) => number): Thresholds => {
  const least = objective(thresholds);
  let known = thresholds;
  for (const name of thresholdNames) {
    const tries = [2, 3, 4].map((digits) => ({ ...known, [name]: Number(known[name].toPrecision(digits)) }));
    known = tries.find((each) => objective(each) >= least) ?? known;
  }
  return known;
};

/** @param base What is not searched: bound, checks, excluded sites. */
export const fitTrigger = (hosts: readonly HostChecks[], base: TriggerConfig): TriggerFit => {
  const objective = (thresholds: Thresholds): number => objectiveOf(scoreTrigger(hosts, { ...base, ...thresholds }));
  let thresholds = startOf(objective);
  for (let round = 0, moved = true; moved && round < roundsMax; round++) {
    const before = thresholds;
    for (const group of groups) thresholds = centred(group, thresholds, objective);
    moved = thresholdNames.some((name) => thresholds[name] !== before[name]);
  }
  thresholds = rounded(thresholds, objective);
  return {
    thresholds,
    plateaus: thresholdNames.map((name) => plateauAround(name, thresholds, objective)),
    score: scoreTrigger(hosts, { ...base, ...thresholds }),
  };
};
