/** The end of a run: a table of arms, what was recovered, and where everything lies. Pure. */
import Table from "cli-table3";
import type { Task } from "../../contracts/graph.ts";
import type { Report, ReportArm } from "../../contracts/report.ts";
import type { Colors } from "./colors.ts";
import { formatCount, formatLoss, formatPercent, formatScore, formatSeconds, missing } from "./format-values.ts";

const growthFlops = (arm: ReportArm): number => arm.flops.kernel + arm.flops.trial + arm.flops.signal + arm.flops.gate;

const foundText = (arm: ReportArm): string => (arm.damageFound === undefined ? missing : arm.damageFound ? "yes" : "no");

const seedsText = (arm: ReportArm): string => {
  const ended = (state: string): number => arm.seeds.filter((seed) => seed.history.some((step) => step.state === state)).length;
  const [kept, culled] = [ended("FOSSILIZED"), ended("CULLED") + ended("ROLLED_BACK")];
  return arm.triggers === 0 ? missing : `${kept} / ${culled}`;
};

const row = (arm: ReportArm, task: Task): string[] => [
  arm.outcome === "done" ? arm.name : `${arm.name} (${arm.outcome})`,
  formatScore(arm.testAccuracy, task),
  formatLoss(arm.validationLoss),
  formatCount(arm.trainFlops),
  formatPercent(arm.trainFlops > 0 ? growthFlops(arm) / arm.trainFlops : undefined, 0),
  formatCount(arm.parameters),
  formatSeconds(arm.seconds),
  formatCount(arm.stepsPerSecond),
  foundText(arm),
  seedsText(arm),
];

const heads = ["arm", "test", "val loss", "FLOPs", "growth", "params", "time", "steps/s", "found", "kept/culled"];

/**
 * The arms side by side, as text without colour. `FLOPs` is all of training, `growth` its part in signals, kernels, trials and
 * gates, `found` whether a seed germinated at the damaged layer.
 */
export const formatArmTable = (arms: readonly ReportArm[], task: Task): string => {
  const table = new Table({
    head: heads,
    style: { head: [], border: [], compact: true },
    colAligns: heads.map((_, index) => (index === 0 ? "left" : "right")),
  });
  table.push(...arms.map((arm) => row(arm, task)));
  return table.toString();
};

/** The share of the damage's cost that growth won back; undefined unless all three arms measured it. */
export const recoveredShare = (report: Report): number | undefined => {
  const accuracy = (name: string): number | undefined => report.arms.find((arm) => arm.name === name)?.testAccuracy;
  const [damaged, grown, healthy] = [accuracy("no-growth"), accuracy("grown"), accuracy("healthy")];
  if (!report.damage || damaged === undefined || grown === undefined || healthy === undefined || healthy <= damaged)
    return undefined;
  return (grown - damaged) / (healthy - damaged);
};

export const formatReport = (report: Report, reportFile: string | undefined, colors: Colors, task: Task): string[] => {
  const { damage, dataset, host, engine } = report;
  const done = damage
    ? `${damage.sites.join(", ")} ${damage.sites.length === 1 ? "was" : "were"} damaged (${damage.kind}, ${damage.live} live)`
    : "nothing was damaged";
  const lanes = engine.trainingLanes === 1 ? "" : ", twins in a second lane";
  const share = recoveredShare(report);
  const lines = [
    "",
    colors.bold(
      `${host.name} on ${dataset.name}, random seed ${report.randomSeed}, engine ${engine.name} ${engine.version}${lanes}: ${done}`,
    ),
    ...formatArmTable(report.arms, task).split("\n"),
  ];
  if (share !== undefined)
    lines.push(
      `growth won back ${formatPercent(share, 0)} of the test ${task === "classification" ? "accuracy" : "R²"} that the damage cost`,
    );
  for (const arm of report.arms) if (arm.outcome !== "done") lines.push(colors.red(`${arm.name}: ${arm.outcome}: ${arm.reason}`));
  if (reportFile !== undefined) lines.push(`report      ${reportFile}`);
  for (const arm of report.arms) {
    lines.push(`${arm.name.padEnd(11)} checkpoint ${arm.checkpoint ?? missing}`);
    lines.push(`${"".padEnd(11)} event log  ${arm.eventLog}`);
  }
  return lines;
};
