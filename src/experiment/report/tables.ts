/** The tables of the report. Pure. Every cell is escaped here and nowhere else. */
import type { Analysis, GroupAnalysis } from "../analysis.ts";
import type { Figures } from "../figures.ts";
import { countText, estimateText, meanText, missing, percent, plain, proportionText } from "./format.ts";
import { escapeText } from "./svg.ts";

export const htmlTable = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const heads = head.map((text) => `<th scope="col">${escapeText(text)}</th>`).join("");
  const body = rows.map(
    ([first = "", ...rest]) =>
      `<tr><th scope="row">${escapeText(first)}</th>${rest.map((text) => `<td>${escapeText(text)}</td>`).join("")}</tr>`,
  );
  return `<div class="table"><table><thead><tr>${heads}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
};

/** What, measured, over what. In percent unless said. */
export const keyRows = (figures: Figures): readonly (readonly [string, string])[] => {
  const { recovered, forecast, size } = figures;
  return [
    ["location found, all damaged hosts", proportionText(figures.found)],
    ["location found, hosts that the damage hurts", proportionText(figures.foundWhereItHurts)],
    ["first seed exactly at a damaged layer", proportionText(figures.foundExactly)],
    ["location found by a random place", proportionText(figures.foundAtRandom)],
    ["false triggers, undamaged hosts", proportionText(figures.falseTriggers)],
    ["kept on undamaged hosts that were watched", proportionText(figures.falseKept)],
    [
      `recovered share, mean over ${recovered.hosts} hosts (${recovered.leftOut} hardly hurt, left out)`,
      meanText(recovered.each),
    ],
    ["recovered share of the summed gaps", estimateText(recovered.pooled, percent)],
    ["kept at the damage", proportionText(figures.keptAtDamage)],
    ["kept at a random place of a damaged host", proportionText(figures.keptAtRandomPlace)],
    ["kept at a random place of an undamaged host", proportionText(figures.keptOnHealthy)],
    ["price of watching an undamaged host, points", meanText(figures.price, 2)],
    ["forecast and measured gain, rank correlation (of 1)", estimateText(forecast.rank, (value) => plain(value))],
    ["forecast's 80 % intervals cover", proportionText(forecast.coverage)],
    ["regret of the location, points", meanText(figures.regret, 2)],
    ["regret of a random location, points", meanText(figures.regretAtRandom, 2)],
    ...size.flatMap(({ arm, difference, reached, flopsShare, flopsShareOfFinalSize }): [string, string][] => [
      [`${arm} against the final size from scratch, points`, meanText(difference, 2)],
      [`${arm} reached the final size's accuracy`, proportionText(reached)],
      [
        `${arm}: FLOPs to it, of the budget, median (the final size's own)`,
        flopsShare === undefined ? missing : `${percent(flopsShare)} (${percent(flopsShareOfFinalSize)})`,
      ],
    ]),
  ];
};

/** Rows without a measurement are left out: they belong to arms that were not asked for. */
export const keyTable = (figures: Figures): string =>
  htmlTable(
    ["figure (%)", "measured [interval]"],
    keyRows(figures).filter(([, text]) => text !== missing),
  );

export const armTable = ({ figures }: GroupAnalysis): string =>
  htmlTable(
    ["arm", "runs", "test accuracy, %", "parameters", "budget used, %", "of it growth, %", "host steps", "seconds"],
    figures.arms.map(({ arm, accuracy, parameters, budgetShare, growthShare, hostSteps, seconds }) => [
      arm,
      String(accuracy.n),
      meanText(accuracy, 2),
      countText(parameters),
      percent(budgetShare),
      percent(growthShare),
      countText(hostSteps),
      plain(seconds, 1),
    ]),
  );

const armsOf = ({ overall }: Analysis): readonly string[] => overall.figures.arms.map(({ arm }) => arm);

/** One row per host, data set and damage. */
export const groupTable = (analysis: Analysis): string => {
  const arms = armsOf(analysis);
  return htmlTable(
    ["host / data / damage", "cells", ...arms, "recovered", "found", "false"],
    analysis.groups.map(({ label, figures }) => [
      label,
      String(figures.cells),
      ...arms.map((name) => {
        const found = figures.arms.find(({ arm }) => arm === name);
        return found === undefined ? missing : `${percent(found.accuracy.mean)} ± ${percent(found.accuracy.sd)}`;
      }),
      percent(figures.recovered.each?.mean),
      figures.found.n === 0 ? missing : `${figures.found.successes} / ${figures.found.n}`,
      figures.falseTriggers.n === 0 ? missing : `${figures.falseTriggers.successes} / ${figures.falseTriggers.n}`,
    ]),
  );
};

/** The arms at hard budgets. */
export const budgetTable = ({ curves }: GroupAnalysis): string => {
  const shares = [0.25, 0.5, 0.75, 1];
  return htmlTable(
    ["validation accuracy at", ...shares.map((share) => `${100 * share} % of the FLOPs`)],
    curves.map(({ arm, points }) => [
      arm,
      ...shares.map((share) => meanText(points.find((point) => Math.abs(point.share - share) < 1e-9))),
    ]),
  );
};

const trialsMax = 300;

export const trialTable = ({ cells }: Analysis): string => {
  const rows = cells.flatMap(({ host, dataset, damage, randomSeed, arms: { grown } }) =>
    (grown?.trials ?? []).map((trial) => [
      `${host} / ${dataset} / ${damage} / ${randomSeed}`,
      grown?.damagedSites.join(", ") || missing,
      `${trial.site} → ${trial.toSite}`,
      trial.blueprint ?? missing,
      plain(trial.forecast?.lossGain, 3),
      plain(trial.gain?.mean, 3),
      (trial.outcome ?? missing).toLowerCase(),
      trial.endReason ?? missing,
    ]),
  );
  const more = rows.length > trialsMax ? `<p class="none">${rows.length - trialsMax} more are in report.json.</p>` : "";
  return (
    htmlTable(["cell", "damaged", "span", "blueprint", "forecast", "gain, nats", "outcome", "why"], rows.slice(0, trialsMax)) +
    more
  );
};
