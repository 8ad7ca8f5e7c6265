/** The table of services that `esper services` prints. */
import type { ListedService } from "../../bus/service-list.ts";

/** Names come from whoever is on the bus: nothing of them may steer the terminal. */
const plain = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 80);

export const formatServices = (services: readonly ListedService[]): string[] => {
  const rows = services.flatMap(({ node, service, tags, costTier, offers }) => {
    const who = [node || "-", service, costTier === undefined ? "-" : String(costTier), tags.join(",") || "-"];
    const shown = offers.filter(({ subject }) => !subject.endsWith(".*"));
    const offered = shown.length === 0 ? ["-"] : shown.map(({ kind, subject }) => `${kind} ${subject}`);
    return offered.map((offer, index) => [...(index === 0 ? who : ["", "", "", ""]), offer].map(plain));
  });
  if (rows.length === 0) return ["nobody answers"];
  const table = [["node", "actor", "cost", "tags", "offers"], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  return table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
};
