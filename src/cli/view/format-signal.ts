/** The explained-error gap of each layer as a bar with the trigger's threshold marked. Pure. */

import type { Signal } from "../../contracts/signal.ts";
import type { Colors } from "./colors.ts";
import { padded } from "./format-values.ts";

const barCells = 20;
/** The threshold stands at this cell; a bar that leaves the scale ends in `▶`. */
const thresholdCell = 8;

/** `███████│█▶`: filled up to the gap, `│` at `gapMin`. A negative gap is empty. */
export const formatGapBar = (gap: number, gapMin: number): string => {
  const cells = Number.isFinite(gap) ? Math.round((gap / gapMin) * thresholdCell) : 0;
  const filled = Math.min(barCells, Math.max(0, cells));
  return Array.from({ length: barCells }, (_, index) => {
    if (index === barCells - 1 && cells > barCells) return "▶";
    if (index === thresholdCell) return "│";
    return index < filled ? "█" : "·";
  }).join("");
};

const sparks = "▁▂▃▄▅▆▇█";

/** The last gaps of a layer; a full block is twice the threshold or more. */
export const formatSparkline = (gaps: readonly number[], gapMin: number): string =>
  gaps.map((gap) => sparks[Math.min(sparks.length - 1, Math.max(0, Math.floor((gap / (2 * gapMin)) * sparks.length)))]).join("");

/** One line per layer; the layers above the threshold are marked. */
export const formatSignal = (
  signal: Signal,
  gapMin: number,
  history: ReadonlyMap<string, readonly number[]>,
  colors: Colors,
): string[] => {
  const width = Math.max(...signal.layers.map(({ site }) => site.length), 2);
  return signal.layers.map(({ site, gap }) => {
    const above = gap > gapMin;
    const bar = formatGapBar(gap, gapMin);
    const line = `${padded(site, width)} ${above ? colors.yellow(bar) : bar} gap ${gap.toFixed(4)}${above ? ` > ${gapMin}` : ""}`;
    const trend = history.get(site) ?? [];
    return `${line}  ${formatSparkline(trend, gapMin)}${above ? colors.yellow(" holds the error back") : ""}`;
  });
};
