/** The lines at the bottom of the terminal that are drawn anew: one per arm that is training, its signal and its seed. Pure. */
import type { TriggerConfig } from "../../contracts/config-signal.ts";
import type { Task } from "../../contracts/graph.ts";
import { severityOf } from "../../contracts/signal.ts";
import type { Colors } from "./colors.ts";
import { formatWay } from "./format-seed.ts";
import { formatSeverityBar, formatSparkline } from "./format-signal.ts";
import { formatBar, formatLoss, formatPercent, formatScore, padded } from "./format-values.ts";
import type { ArmState, RunStates } from "./run-state.ts";

export interface LiveOptions {
  readonly colors: Colors;
  readonly trigger: TriggerConfig;
  readonly task: Task;
  /** Columns and rows of the terminal; nothing is drawn past them. */
  readonly columns: number;
  readonly rows: number;
}

const formatArm = (arm: ArmState, { colors, trigger, task }: LiveOptions): string[] => {
  const head =
    `${colors.bold(padded(arm.arm, 10))} ${formatBar(arm.budget ?? 0, 16)} ${padded(formatPercent(arm.budget, 0), 5)} ` +
    `window ${arm.epoch} ${arm.work.replaceAll("_", " ")} ${arm.step}/${arm.steps} loss ${formatLoss(arm.loss)} val ${formatLoss(arm.validationLoss)} ${formatScore(arm.validationAccuracy, task, 1)}`;
  const signal = [...arm.layers].map(([site, layers]) => {
    const severities = layers.map((layer) => severityOf(layer, trigger));
    const last = severities.at(-1);
    const bar = formatSeverityBar(last);
    return `           ${padded(site, 4)} ${last !== undefined && last > 1 ? colors.yellow(bar) : bar} ${formatSparkline(severities)}`;
  });
  const seed = arm.seed && arm.seed.state !== "DORMANT" ? [`           ${arm.seed.id} ${formatWay(arm.seed.state, colors)}`] : [];
  return [head, ...signal, ...seed];
};

const escapeCharacter = String.fromCharCode(27);
const sequences = new RegExp(`${escapeCharacter}\\[[0-9;]*m`, "g");

/** Cuts a line to the terminal's width; a line that would wrap loses its colour, because a cut may fall into a sequence. */
export const fitted = (line: string, columns: number): string => {
  const plain = line.replace(sequences, "");
  return plain.length <= columns ? line : `${plain.slice(0, Math.max(0, columns - 1))}…`;
};

/** At most `rows − 1` lines, so that the terminal never scrolls. */
export const formatLive = (states: RunStates, options: LiveOptions): string =>
  [...states.values()]
    .filter((arm) => arm.outcome === undefined)
    .flatMap((arm) => formatArm(arm, options))
    .slice(0, Math.max(1, options.rows - 1))
    .map((line) => fitted(line, options.columns))
    .join("\n");
