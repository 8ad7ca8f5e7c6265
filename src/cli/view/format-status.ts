/** A run's status as a table of its seeds. Pure. */
import Table from "cli-table3";
import type { RunStatus } from "../../contracts/commands.ts";
import { formatCount, missing } from "./format-values.ts";

const rowsMax = 40;

const formatHolds = ({ holds }: RunStatus): string[] => {
  if (holds === undefined) return [];
  const { adaptationPaused, pausedSites, pins } = holds;
  return [
    ...(adaptationPaused ? ["adaptation is paused"] : []),
    ...(pausedSites.length === 0 ? [] : [`adaptation is paused at ${pausedSites.join(", ")}`]),
    ...(pins.length === 0 ? [] : [`pinned: ${pins.join(", ")}`]),
  ];
};

/** Seeds that left DORMANT come first; at most `rowsMax` are shown. */
export const formatRunStatus = (run: RunStatus): string[] => {
  const table = new Table({
    head: ["seed", "state", "since", "health", "alpha", "embargo until", "reason"],
    style: { head: [], border: [], compact: true },
  });
  const seeds = [...run.seeds].sort((a, b) => Number(a.state === "DORMANT") - Number(b.state === "DORMANT")).slice(0, rowsMax);
  for (const seed of seeds) {
    const embargo = seed.embargoUntilEpoch > run.epoch ? String(seed.embargoUntilEpoch) : missing;
    table.push([
      seed.seedId,
      seed.state,
      String(seed.sinceEpoch),
      seed.health?.toFixed(2) ?? missing,
      seed.alpha.toFixed(2),
      embargo,
      seed.reason,
    ]);
  }
  const more = run.seedCount > seeds.length ? [`and ${run.seedCount - seeds.length} more seeds`] : [];
  return [
    `run ${run.runId} (${run.arm}) at window ${run.epoch}${run.paused ? ", paused" : ""}: ${run.host.name}, ${formatCount(run.host.parameters)} parameters`,
    ...formatHolds(run),
    ...table.toString().split("\n"),
    ...more,
  ];
};
