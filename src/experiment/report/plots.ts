/** The plots of the report as SVG. Pure. Colours are the page's classes, so that light and dark both work. */
import type { ExperimentArm } from "../../contracts/experiment.ts";
import { lifecycleStates } from "../../contracts/lifecycle.ts";
import type { Cell } from "../cells.ts";
import type { ArmCurve, ParetoPoint } from "../curves.ts";
import { type ForecastPair, regretOf } from "../figures.ts";
import { countText, percent } from "./format.ts";
import { axes, drawing, escapeText, frame, linearScale, logScale, polyline, px } from "./svg.ts";

const floor = frame.height - frame.bottom;
const end = frame.width - frame.right;

const nothing = (what: string): string => `<p class="none">${escapeText(what)}</p>`;

export const legend = (arms: readonly ExperimentArm[]): string =>
  `<p class="legend">${arms.map((arm) => `<span><i class="arm-${arm}"></i>${escapeText(arm)}</span>`).join("")}</p>`;

const minMax = (values: readonly number[]): readonly [number, number] => [Math.min(...values), Math.max(...values)];
const asPercent = (label: string) => ({ label, format: (value: number) => Number((100 * value).toFixed(2)).toString() });

/** The lower end of accuracies: runs that never learn would flatten all others. */
const accuracyFloor = (values: readonly number[]): number => {
  const [low, high] = minMax(values);
  return Math.max(low, high - 0.6);
};

export const accuracyPlot = (curves: readonly ArmCurve[]): string => {
  const points = curves.flatMap((curve) => curve.points);
  if (points.length === 0) return nothing("No arm was validated on its way.");
  const values = points.flatMap(({ mean, lower, upper }) => [mean, lower ?? mean, upper ?? mean]);
  const x = linearScale(0, 1, frame.left, end);
  const y = linearScale(Math.max(0, accuracyFloor(values)), Math.min(1, Math.max(...values)), floor, frame.top);
  const clip = (value: number): number => y.at(Math.min(y.to, Math.max(y.from, value)));
  const lines = curves.map(({ arm, points: own }) => {
    const upper = own.map(({ share, upper: bound, mean }) => [x.at(share), clip(bound ?? mean)] as const);
    const lower = own.map(({ share, lower: bound, mean }) => [x.at(share), clip(bound ?? mean)] as const);
    const line = own.map(({ share, mean }) => [x.at(share), clip(mean)] as const);
    const n = own.at(-1)?.n ?? 0;
    return `<g class="arm-${arm}"><polygon class="band" points="${polyline([...upper, ...lower.toReversed()])}"/><polyline class="line" points="${polyline(line)}"><title>${escapeText(`${arm}, ${n} runs, ends at ${percent(own.at(-1)?.mean)} %`)}</title></polyline></g>`;
  });
  const frameText = axes(frame, x, y, asPercent("FLOPs charged, % of the budget"), asPercent("validation accuracy, %"));
  return drawing(frame, "accuracy against FLOPs by arm", frameText + lines.join("")) + legend(curves.map(({ arm }) => arm));
};

/** @param log Costs by powers of ten. */
export const paretoPlot = (points: readonly ParetoPoint[], label: string, log: boolean): string => {
  if (points.length === 0) return nothing("Nothing was measured.");
  const [low, high] = minMax(points.map(({ cost }) => cost));
  const format = log ? countText : (value: number) => Number((100 * value).toFixed(1)).toString();
  const x = log ? logScale(low / 1.3, high * 1.3, frame.left, end) : linearScale(0, high, frame.left, end);
  const accuracies = points.map(({ accuracy }) => accuracy);
  const y = linearScale(accuracyFloor(accuracies), Math.max(...accuracies), floor, frame.top);
  const inside = points.filter(({ accuracy }) => accuracy >= y.from);
  const front = inside.filter(({ best }) => best).sort((a, b) => a.cost - b.cost);
  const dots = inside.map(
    ({ arm, accuracy, cost, best }) =>
      `<circle class="dot arm-${arm}${best ? " best" : ""}" cx="${px(x.at(cost))}" cy="${px(y.at(accuracy))}" r="${best ? 3.5 : 2.5}"><title>${escapeText(`${arm}: ${percent(accuracy, 2)} % at ${format(cost)}`)}</title></circle>`,
  );
  const line = `<polyline class="front" points="${polyline(front.map(({ cost, accuracy }) => [x.at(cost), y.at(accuracy)]))}"/>`;
  const arms = [...new Set(points.map(({ arm }) => arm))];
  const extra = log && x.ticks.length < 2 ? { ...x, ticks: linearScale(low, high, 0, 1, 4).ticks.filter((tick) => tick > 0) } : x;
  const frameText = axes(frame, extra, y, { label, format }, asPercent("accuracy, %"));
  return drawing(frame, `accuracy against ${label}`, frameText + line + dots.join("")) + legend(arms);
};

/** One mark per cell, sorted: how far the signal's place and a random one stay behind the best place tried. */
export const regretPlot = (cells: readonly Cell[]): string => {
  const places = (["grown", "random-place"] as const).map((arm) => ({
    arm,
    values: cells.flatMap((cell) => regretOf(cell, arm) ?? []).sort((a, b) => a - b),
  }));
  const values = places.flatMap((place) => place.values);
  if (values.length === 0) return nothing("No cell tried two places: add the arm random-place or always-grow.");
  const x = linearScale(0, 1, frame.left, end);
  const y = linearScale(0, Math.max(0.01, ...values), floor, frame.top);
  const lines = places.map(({ arm, values: own }) => {
    const points = own.map((value, index) => [x.at(own.length === 1 ? 0.5 : index / (own.length - 1)), y.at(value)] as const);
    const dots = points.map(([cx, cy]) => `<circle class="dot" cx="${px(cx)}" cy="${px(cy)}" r="3"/>`).join("");
    return `<g class="arm-${arm}"><polyline class="line" points="${polyline(points)}"/>${dots}</g>`;
  });
  const frameText = axes(frame, x, y, asPercent("hosts, sorted, %"), asPercent("accuracy lost to the best place, points"));
  return drawing(frame, "regret of the location choice", frameText + lines.join("")) + legend(["grown", "random-place"]);
};

const gainFloor = 1e-3;

/** Forecast against measured gain; bars are the 80 % intervals. Gains below the floor stand on it, hollow. */
export const forecastPlot = (pairs: readonly ForecastPair[]): string => {
  if (pairs.length === 0) return nothing("No trial with a forecast came to a verdict.");
  const all = pairs.flatMap(({ forecast, measured, upper }) => [forecast, measured, upper]);
  const high = Math.max(0.1, ...all);
  const x = logScale(gainFloor, high, frame.left, end);
  const y = logScale(gainFloor, high, floor, frame.top);
  const marks = pairs.map(({ label, forecast, lower, upper, measured }) => {
    const cy = px(y.at(measured));
    const inside = measured >= lower && measured <= upper;
    const kind = `${inside ? "inside" : "outside"}${measured <= gainFloor ? " hollow" : ""}`;
    return `<g class="pair ${kind}"><line x1="${px(x.at(lower))}" x2="${px(x.at(upper))}" y1="${cy}" y2="${cy}"/><circle cx="${px(x.at(forecast))}" cy="${cy}" r="3.5"><title>${escapeText(`${label}: forecast ${forecast.toFixed(3)} [${lower.toFixed(3)}, ${upper.toFixed(3)}], measured ${measured.toFixed(3)} nats`)}</title></circle></g>`;
  });
  const diagonal = `<line class="front" x1="${px(x.at(gainFloor))}" y1="${px(y.at(gainFloor))}" x2="${px(x.at(high))}" y2="${px(y.at(high))}"/>`;
  const format = (value: number): string => String(Number(value.toPrecision(2)));
  const frameText = axes(
    frame,
    x,
    y,
    { label: "forecast gain, nats, with its 80 % interval", format },
    { label: "measured gain, nats", format },
  );
  return drawing(frame, "forecast against measurement", frameText + diagonal + marks.join(""));
};

const rowHeight = 15;
const timelinesMax = 48;
const labelWidth = 210;
/** A label of this many letters still fits beside its bar. */
const labelLettersMax = 36;

/** The grown arm of each cell as bars over its windows: one colour a state, from germination to the verdict. */
export const timelinePlot = (cells: readonly Cell[]): string => {
  const rows = cells.flatMap(({ host, dataset, damage, randomSeed, arms: { grown } }) =>
    grown === undefined || grown.timeline.length === 0 ? [] : [{ label: `${host} ${dataset} ${damage} ${randomSeed}`, grown }],
  );
  if (rows.length === 0) return nothing("No seed germinated.");
  const shown = rows.slice(0, timelinesMax);
  const width = frame.width + 160;
  const windows = Math.max(...shown.map(({ grown }) => grown.windows));
  const height = shown.length * rowHeight + 40;
  const x = linearScale(0, windows, labelWidth, width - 12);
  const bars = shown.map(({ label, grown }, row) => {
    const y = row * rowHeight + 4;
    const text = label.length > labelLettersMax ? `${label.slice(0, labelLettersMax - 1)}…` : label;
    const base = `<text class="tick" x="${labelWidth - 8}" y="${y + 9}" text-anchor="end">${escapeText(text)}<title>${escapeText(label)}</title></text><rect class="host" x="${px(x.at(0))}" y="${y + 3}" width="${px(x.at(grown.windows) - x.at(0))}" height="4"/>`;
    const parts = grown.timeline.flatMap(({ seedId, state, epoch }, index) => {
      if (state === "DORMANT") return [];
      const next = grown.timeline.slice(index + 1).find((step) => step.seedId === seedId);
      const to =
        state === "FOSSILIZED" || state === "CULLED" || state === "ROLLED_BACK" ? epoch + 0.6 : (next?.epoch ?? grown.windows);
      const wide = Math.max(x.at(to) - x.at(epoch), 2);
      return [
        `<rect class="state-${state}" x="${px(x.at(epoch))}" y="${y}" width="${px(wide)}" height="10"><title>${escapeText(`${seedId} ${state} from window ${epoch}; damaged ${grown.damagedSites.join(", ") || "nothing"}`)}</title></rect>`,
      ];
    });
    return base + parts.join("");
  });
  const ticks = x.ticks.map(
    (tick) => `<text class="tick" x="${px(x.at(tick))}" y="${height - 22}" text-anchor="middle">${tick}</text>`,
  );
  const label = `<text class="label" x="${(labelWidth + width) / 2}" y="${height - 6}" text-anchor="middle">window</text>`;
  const states = lifecycleStates.filter((state) => state !== "DORMANT");
  const names = `<p class="legend">${states.map((state) => `<span><i class="state-${state}"></i>${state.toLowerCase().replaceAll("_", " ")}</span>`).join("")}</p>`;
  const more = rows.length > shown.length ? nothing(`${rows.length - shown.length} more are in report.json.`) : "";
  return drawing({ width, height }, "seed timelines", bars.join("") + ticks.join("") + label) + names + more;
};
