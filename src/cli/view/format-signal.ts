/** How bad each layer is, as a bar with the trigger's threshold marked, and what was measured of it. Pure. */
import type { TriggerConfig } from "../../contracts/config-signal.ts";
import { type LayerSignal, type Signal, severityOf } from "../../contracts/signal.ts";
import type { Colors } from "./colors.ts";
import { missing, padded } from "./format-values.ts";

const barCells = 20;
/** A severity of 1 stands at this cell; a bar that leaves the scale ends in `▶`. */
const thresholdCell = 8;

/** `███████│█▶`: filled up to the severity, `│` at 1, above which a layer is a candidate. */
export const formatSeverityBar = (severity: number | undefined): string => {
  const cells = severity === undefined || !Number.isFinite(severity) ? 0 : Math.round(severity * thresholdCell);
  const filled = Math.min(barCells, Math.max(0, cells));
  return Array.from({ length: barCells }, (_, index) => {
    if (index === barCells - 1 && cells > barCells) return "▶";
    if (index === thresholdCell) return "│";
    return index < filled ? "█" : "·";
  }).join("");
};

const sparks = "▁▂▃▄▅▆▇█";

/** The last severities of a layer; a full block is twice the threshold or more. */
export const formatSparkline = (severities: readonly (number | undefined)[]): string =>
  severities
    .map((severity) => sparks[Math.min(sparks.length - 1, Math.max(0, Math.floor(((severity ?? 0) / 2) * sparks.length)))])
    .join("");

/** The evidence in numbers: gap with its standard error, dimensions that come in and go on, a scale that is far off. */
export const formatEvidence = (layer: LayerSignal, { weightGainMax }: TriggerConfig): string => {
  const { gap, gapError, dimensionsIn, dimensionsOut, weightGain } = layer;
  const parts = [`gap ${gap.toFixed(4)} ± ${gapError.toFixed(4)}`];
  if (dimensionsIn !== undefined && dimensionsOut !== undefined) parts.push(`dimensions ${dimensionsIn} → ${dimensionsOut}`);
  if (weightGain !== undefined && weightGain > weightGainMax) parts.push(`weights × ${Number(weightGain.toPrecision(3))}`);
  return parts.join(", ");
};

/** One line per layer; candidates are marked. */
export const formatSignal = (
  signal: Signal,
  trigger: TriggerConfig,
  history: ReadonlyMap<string, readonly LayerSignal[]>,
  colors: Colors,
): string[] => {
  const width = Math.max(...signal.layers.map(({ site }) => site.length), 2);
  return signal.layers.map((layer) => {
    const severity = severityOf(layer, trigger);
    const above = severity !== undefined && severity > 1;
    const bar = formatSeverityBar(severity);
    const trend = formatSparkline((history.get(layer.site) ?? []).map((each) => severityOf(each, trigger)));
    const shown = severity === undefined ? missing : severity.toFixed(2);
    const line = `${padded(layer.site, width)} ${above ? colors.yellow(bar) : bar} severity ${shown.padStart(5)}, ${formatEvidence(layer, trigger)}  ${trend}`;
    return above ? `${line}${colors.yellow(" holds the error back")}` : line;
  });
};
