/** The report as one HTML file: no script, no request, light and dark. Pure. */
import type { Analysis } from "../analysis.ts";
import { percent } from "./format.ts";
import { accuracyPlot, forecastPlot, paretoPlot, regretPlot, timelinePlot } from "./plots.ts";
import { styleSheet } from "./style.ts";
import { escapeText } from "./svg.ts";
import { armTable, budgetTable, groupTable, keyTable, trialTable } from "./tables.ts";

export interface ReportContext {
  /** Processor, cores and versions. */
  readonly machine: string;
  readonly createdAtMs: number;
}

const figure = (title: string, content: string, note: string, wide = false): string =>
  `<figure${wide ? ' class="wide"' : ""}><h3>${escapeText(title)}</h3>${content}<p class="soft">${escapeText(note)}</p></figure>`;

export const reportPage = (analysis: Analysis, { machine, createdAtMs }: ReportContext): string => {
  const { name, jobs, overall, parts, options, cells } = analysis;
  const missed = jobs.planned - jobs.done;
  const level = percent(options.confidence, 0);
  const made = new Date(createdAtMs).toISOString().slice(0, 16).replace("T", " ");
  const plots = [
    ...parts.map(({ label, curves }) =>
      figure(
        `Accuracy against FLOPs, ${label}`,
        accuracyPlot(curves),
        `Mean over all runs of an arm; bands are ${level} % intervals of the mean. Validation on the way decides nothing and is not charged.`,
      ),
    ),
    figure(
      "Pareto: accuracy by FLOPs",
      paretoPlot(analysis.paretoByFlops, "FLOPs charged, % of the budget", false),
      `Arms at hard budgets, ${parts[0]?.label ?? "all"}, on validation samples. The dashed line joins what no other point beats.`,
    ),
    figure(
      "Pareto: accuracy by size",
      paretoPlot(analysis.paretoBySize, "parameters at the end", true),
      "Test accuracy of each run.",
    ),
    figure(
      "Regret of the location",
      regretPlot(cells),
      "How far a place stays behind the best of the places tried in the same cell, in test accuracy.",
    ),
    figure(
      "Forecast against measurement",
      forecastPlot(overall.figures.forecast.pairs),
      `Gain on the validation loss at the verdict. Blue: inside the forecast's 80 % interval (${overall.figures.forecast.coverage.successes} of ${overall.figures.forecast.coverage.n}); hollow: below the scale.`,
    ),
    figure(
      "Lives of the seeds",
      timelinePlot(cells),
      "Arm grown; the thin line is the run, from its first window to its last.",
      true,
    ),
  ];
  const body = [
    `<h1>${escapeText(name)}</h1>`,
    `<p class="soft">${escapeText(`${jobs.done} of ${jobs.planned} jobs, ${cells.length} cells; ${made} UTC; ${machine}`)}</p>`,
    missed > 0
      ? `<p>${escapeText(`${missed} jobs failed or were not run: their cells are left out of the figures that need them.`)}</p>`
      : "",
    `<p>${escapeText(
      `All arms of a cell get the FLOPs of the undamaged host; growth's own work is charged to them. Intervals are ${level} %: Student's for means, Clopper–Pearson for shares, bootstrap for ratios and ranks. A recovered share is taken where the damage costs at least ${percent(options.hurtsMin)} points. Test samples are read once, at the end.`,
    )}</p>`,
    `<h2>Figures</h2>${keyTable(overall.figures)}`,
    ...parts.map((part) => `<h2>Arms, ${escapeText(part.label)}</h2>${armTable(part)}`),
    `<h2>Plots</h2><div class="plots">${plots.join("")}</div>`,
    ...parts.map((part) => `<h2>Hard budgets, ${escapeText(part.label)}</h2>${budgetTable(part)}`),
    `<h2>By host, data and damage</h2>${groupTable(analysis)}`,
    `<h2>Trials of the arm grown</h2>${trialTable(analysis)}`,
  ];
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta http-equiv="Content-Security-Policy" content="${policy}"><title>${escapeText(name)}</title><style>${styleSheet}</style></head><body>${body.join("\n")}</body></html>\n`;
};
