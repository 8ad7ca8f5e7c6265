/** The cells of a plan with what their jobs measured, and what can be said of one trial. Pure. */
import type { ExperimentArm, JobResult, TrialRecord } from "../contracts/experiment.ts";
import { experimentArms } from "../contracts/experiment.ts";
import type { CellPlan, ExperimentPlan } from "./plan.ts";

export interface Cell extends Omit<CellPlan, "keys"> {
  /** Jobs that were done; a job that failed or was not run measured nothing and is absent. */
  readonly arms: Readonly<Partial<Record<ExperimentArm, JobResult>>>;
  /** Arms whose job was tried and failed: no measurement, and no success either. */
  readonly failed: readonly ExperimentArm[];
}

export const cellsWithResults = (plan: ExperimentPlan, results: ReadonlyMap<string, JobResult>): readonly Cell[] =>
  plan.cells.map(({ keys, ...cell }) => {
    const arms: Partial<Record<ExperimentArm, JobResult>> = {};
    const failed: ExperimentArm[] = [];
    for (const arm of experimentArms) {
      const key = keys[arm];
      const result = key === undefined ? undefined : results.get(key);
      if (result?.outcome === "done") arms[arm] = result;
      if (result?.outcome === "failed") failed.push(arm);
    }
    return { ...cell, arms, failed };
  });

export const accuracyOf = (result: JobResult | undefined): number | undefined => result?.test?.accuracy;

/** The place is right when the bypass starts at a damaged layer, or passes the first of them. */
export const coversDamage = ({ sites, damagedSites }: JobResult, { site, toSite }: TrialRecord): boolean => {
  const [first] = damagedSites;
  if (first === undefined) return false;
  if (damagedSites.includes(site)) return true;
  const [from, at, to] = [site, first, toSite].map((name) => sites.indexOf(name));
  // A bypass to the output passes everything after its start; the output is no hidden layer.
  const end = to === -1 ? sites.length : to!;
  return from! >= 0 && at! >= from! && at! <= end;
};

/** As the policy words it: the site had all its checks, and something else stood against growing there. */
const refusedTrigger = / in (\d+) of (\d+) successive checks; (?:but|no bypass) /;

/** The trigger fired: a seed germinated, or was refused although its site had all its checks. */
export const isTriggered = ({ trials, refusals }: JobResult): boolean =>
  trials.length > 0 ||
  refusals.some((reason) => {
    const [, seen, wanted] = refusedTrigger.exec(reason) ?? [];
    return seen !== undefined && Number(seen) >= Number(wanted);
  });

export const isKept = ({ outcome }: TrialRecord): boolean => outcome === "FOSSILIZED";

/** A watched host that was never damaged: the arm `watched`, or `grown` where the cell is whole. */
export const watchedOf = ({ arms, damaged }: Cell): JobResult | undefined => arms.watched ?? (damaged ? undefined : arms.grown);
export const healthyOf = ({ arms, damaged }: Cell): JobResult | undefined =>
  arms.healthy ?? (damaged ? undefined : arms["no-growth"]);

/** One per job: cells of different damage share their undamaged runs. */
export const byKey = <T>(items: readonly T[], keyOf: (item: T) => string | undefined): readonly T[] => {
  const first = new Map<string, T>();
  for (const item of items) {
    const key = keyOf(item);
    if (key !== undefined && !first.has(key)) first.set(key, item);
  }
  return [...first.values()];
};

/** Cells by host, data set and damage, in the plan's order. */
export const groupsOf = (cells: readonly Cell[]): readonly { readonly label: string; readonly cells: readonly Cell[] }[] => {
  const groups = new Map<string, Cell[]>();
  for (const cell of cells) {
    const label = [cell.host, cell.dataset, cell.damage].join(" / ");
    const group = groups.get(label) ?? [];
    group.push(cell);
    groups.set(label, group);
  }
  return [...groups].map(([label, members]) => ({ label, cells: members }));
};
