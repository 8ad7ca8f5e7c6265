/**
 * The state as it travels: a run's seeds as columns instead of objects, so that a hundred thousand of them are written, sent and read quickly.
 *
 * P1 What is unpacked is the state that was packed, as JSON would have carried it.
 * P2 What is packed shares lists with the state: its text is written before the state changes again.
 */
import { lifecycleStates } from "../contracts/lifecycle-table.ts";
import type {
  GateTuple,
  SeedColumns,
  SeedStep,
  ViewRun,
  ViewSeed,
  ViewState,
  ViewTrial,
  WireRun,
  WireState,
} from "../contracts/view.ts";
import { emptySeed, emptyTrial } from "./empty.ts";

/** Each text once, in the order of its coming. */
class Texts {
  readonly list: string[] = [];
  readonly #places = new Map<string, number>();

  placeOf(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    this.#places.set(text, this.list.length);
    return this.list.push(text) - 1;
  }
}

const codes = new Map(lifecycleStates.map((state, code) => [state, code]));

/** Whether the seed is what its last transition says, or rests where it never moved. */
const followsHistory = ({ state, sinceEpoch, sinceMs, sequence, reason, history }: ViewSeed): boolean => {
  const last = history.at(-1);
  return last === undefined
    ? state === "DORMANT" && sinceEpoch === 0 && sinceMs === 0 && sequence === 0 && reason === ""
    : state === last.to &&
        sinceEpoch === last.epoch &&
        sinceMs === last.atMs &&
        sequence === last.sequence &&
        reason === last.reason;
};

const trialNames = Object.keys(emptyTrial(0)) as readonly (keyof ViewTrial)[];

/** What is known of it: neither null nor an empty list. */
const packTrial = (trial: ViewTrial): Partial<ViewTrial> => {
  const told: Record<string, unknown> = {};
  for (const name of trialNames) {
    const value = trial[name];
    if (value !== null && !(typeof value === "object" && "length" in value && value.length === 0)) told[name] = value;
  }
  return told;
};

const packSeeds = (seeds: readonly ViewSeed[]): SeedColumns => {
  const [sites, reasons, gateNames] = [new Texts(), new Texts(), new Texts()];
  const columns = {
    ids: [] as string[],
    siteOf: [] as number[],
    alphaOf: [] as number[],
    alphas: [] as number[],
    moved: [] as number[],
    counts: [] as number[],
    sequence: [] as number[],
    from: [] as number[],
    to: [] as number[],
    epoch: [] as number[],
    atMs: [] as number[],
    reasonOf: [] as number[],
    gated: [] as number[],
    gates: [] as (readonly GateTuple[])[],
    tried: [] as number[],
    trials: [] as Partial<ViewTrial>[],
    odd: [] as (readonly [number, ViewSeed])[],
  };
  const packStep = ({ sequence, from, to, epoch, atMs, reason, gates }: SeedStep): void => {
    if (gates.length > 0) {
      columns.gated.push(columns.sequence.length);
      columns.gates.push(
        gates.map(
          ({ name, value, threshold, side, passed }) => [gateNames.placeOf(name), value, threshold, side, passed] as const,
        ),
      );
    }
    columns.sequence.push(sequence);
    columns.from.push(codes.get(from) ?? 0);
    columns.to.push(codes.get(to) ?? 0);
    columns.epoch.push(epoch);
    columns.atMs.push(atMs);
    columns.reasonOf.push(reasons.placeOf(reason));
  };
  for (let index = 0; index < seeds.length; index += 1) {
    const seed = seeds[index]!;
    columns.ids.push(seed.seedId);
    columns.siteOf.push(sites.placeOf(seed.site));
    if (!followsHistory(seed)) {
      columns.odd.push([index, seed]);
      continue;
    }
    if (seed.alpha !== 0) {
      columns.alphaOf.push(index);
      columns.alphas.push(seed.alpha);
    }
    if (seed.history.length > 0) {
      columns.moved.push(index);
      columns.counts.push(seed.history.length);
      for (const step of seed.history) packStep(step);
    }
    if (seed.trial !== null) {
      columns.tried.push(index);
      columns.trials.push(packTrial(seed.trial));
    }
  }
  return { ...columns, sites: sites.list, reasons: reasons.list, gateNames: gateNames.list };
};

const stateAt = (code: number | undefined): SeedStep["to"] => lifecycleStates[code ?? 0] ?? "DORMANT";

const unpackSeeds = (columns: SeedColumns): ViewSeed[] => {
  const { ids, sites, siteOf, reasons, gateNames } = columns;
  const seeds = ids.map((seedId, index) => emptySeed(seedId, sites[siteOf[index]!] ?? ""));
  const gatesOf = new Map(columns.gated.map((row, place) => [row, columns.gates[place]!]));
  let row = 0;
  columns.moved.forEach((index, place) => {
    const seed = seeds[index];
    const end = row + (columns.counts[place] ?? 0);
    for (; row < end; row += 1) {
      const gates = (gatesOf.get(row) ?? []).map(([name, value, threshold, side, passed]) => {
        return { name: gateNames[name] ?? "", value, threshold, side, passed };
      });
      seed?.history.push({
        sequence: columns.sequence[row]!,
        from: stateAt(columns.from[row]),
        to: stateAt(columns.to[row]),
        epoch: columns.epoch[row]!,
        atMs: columns.atMs[row]!,
        reason: reasons[columns.reasonOf[row]!] ?? "",
        gates,
      });
    }
    const last = seed?.history.at(-1);
    if (seed === undefined || last === undefined) return;
    seed.state = last.to;
    seed.sinceEpoch = last.epoch;
    seed.sinceMs = last.atMs;
    seed.sequence = last.sequence;
    seed.reason = last.reason;
  });
  columns.alphaOf.forEach((index, place) => {
    const seed = seeds[index];
    if (seed !== undefined) seed.alpha = columns.alphas[place]!;
  });
  columns.tried.forEach((index, place) => {
    const [seed, trial] = [seeds[index], columns.trials[place]];
    if (seed !== undefined && trial !== undefined) seed.trial = Object.assign(emptyTrial(0), trial);
  });
  for (const [index, seed] of columns.odd) seeds[index] = seed;
  return seeds;
};

export const packView = ({ runs, ...state }: ViewState): WireState => ({
  ...state,
  runs: runs.map(({ seeds, ...run }): WireRun => ({ ...run, seeds: packSeeds(seeds) })),
});

export const unpackView = ({ runs, ...state }: WireState): ViewState => ({
  ...state,
  runs: runs.map(({ seeds, ...run }): ViewRun => ({ ...run, seeds: unpackSeeds(seeds) })),
});
