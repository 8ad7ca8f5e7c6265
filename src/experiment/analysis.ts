/** The whole evaluation of an experiment, as it stands in report.json and as the page draws it. Pure. */
import type { ExperimentConfig, JobResult } from "../contracts/experiment.ts";
import { type Cell, cellsWithResults, groupsOf } from "./cells.ts";
import { type ArmCurve, curvesOf, type ParetoPoint, paretoByFlops, paretoBySize } from "./curves.ts";
import { type AnalysisOptions, type Figures, figuresOf } from "./figures.ts";
import type { ExperimentPlan } from "./plan.ts";

export interface GroupAnalysis {
  readonly label: string;
  readonly figures: Figures;
  readonly curves: readonly ArmCurve[];
}

export interface Analysis {
  readonly name: string;
  readonly options: AnalysisOptions;
  readonly jobs: { readonly planned: number; readonly done: number };
  readonly overall: GroupAnalysis;
  /** Damaged and undamaged cells apart: their arms cannot be averaged with each other. */
  readonly parts: readonly GroupAnalysis[];
  readonly groups: readonly GroupAnalysis[];
  readonly paretoBySize: readonly ParetoPoint[];
  readonly paretoByFlops: readonly ParetoPoint[];
  readonly cells: readonly Cell[];
}

const groupOf = (label: string, cells: readonly Cell[], options: AnalysisOptions): GroupAnalysis => ({
  label,
  figures: figuresOf(cells, options),
  curves: curvesOf(cells, options.confidence),
});

export const analyze = (
  experiment: Pick<ExperimentConfig, "name"> & AnalysisOptions,
  plan: ExperimentPlan,
  results: ReadonlyMap<string, JobResult>,
): Analysis => {
  const { name, hurtsMin, confidence, bootstrapDraws } = experiment;
  const options = { hurtsMin, confidence, bootstrapDraws };
  const cells = cellsWithResults(plan, results);
  const overall = groupOf("all cells", cells, options);
  const parts = [
    { label: "damaged hosts", members: cells.filter(({ damaged }) => damaged) },
    { label: "undamaged hosts", members: cells.filter(({ damaged }) => !damaged) },
  ].filter(({ members }) => members.length > 0);
  const analyzed = parts.map(({ label, members }) => groupOf(label, members, options));
  return {
    name,
    options,
    jobs: { planned: plan.jobs.length, done: plan.jobs.filter(({ key }) => results.get(key)?.outcome === "done").length },
    overall,
    parts: analyzed,
    groups: groupsOf(cells).map(({ label, cells: members }) => groupOf(label, members, options)),
    paretoBySize: paretoBySize(cells),
    paretoByFlops: paretoByFlops((analyzed[0] ?? overall).curves),
    cells,
  };
};
