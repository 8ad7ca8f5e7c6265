/** The ledger as tables: its entries, and what is wrong with it. Pure. */
import Table from "cli-table3";
import { type BudgetAmounts, budgetResources } from "../../contracts/budget.ts";
import type { BudgetMovement, LedgerEntry } from "../../contracts/ledger.ts";
import type { LedgerAudit } from "../../node/ledger-audit.ts";
import { formatCount, missing } from "./format-values.ts";

const style = { head: [], border: [], compact: true };

const amounts = (given: BudgetAmounts): string =>
  budgetResources
    .flatMap((resource) => (given[resource] === undefined ? [] : [`${formatCount(given[resource])} ${resource}`]))
    .join(", ") || "nothing";

const movement = (moved: BudgetMovement): string => {
  switch (moved.move) {
    case "open":
      return `open: at most ${amounts(moved.standing.limits)}`;
    case "reserve":
    case "commit":
    case "release":
      return `${moved.move} ${amounts(moved.amounts)}`;
    case "charge":
      return `used so far: ${amounts(moved.used)}`;
  }
};

/** What happened, why, and with what outcome, in one line. */
const storyOf = (entry: LedgerEntry): string => {
  switch (entry.kind) {
    case "command": {
      const { command, receipt } = entry.payload;
      const why = "reason" in command ? `: ${command.reason}` : "";
      return `${command.kind}${why} → ${receipt.kind === "refused" ? `refused (${receipt.code}): ${receipt.reason}` : receipt.kind}`;
    }
    case "decision": {
      const { command, outcome, code, reason } = entry.payload;
      return `${command} ${outcome}${code === undefined ? "" : ` (${code})`}${reason === "" ? "" : `: ${reason}`}`;
    }
    case "transition":
      return `${entry.payload.from} → ${entry.payload.to} at window ${entry.payload.epoch}: ${entry.payload.reason}`;
    case "budget":
      return movement(entry.payload);
    case "escalation": {
      const { payload } = entry;
      return payload.kind === "opened"
        ? `opened: ${payload.reason}`
        : `settled by ${payload.by}, ${payload.verdict}: ${payload.reason}`;
    }
    case "run_started":
      return `arm ${entry.payload.arm}`;
    case "run_finished":
      return `${entry.payload.outcome}: ${entry.payload.reason}`;
    case "rewind":
      return `goes on after window ${entry.payload.epoch} with ${entry.payload.transitions} transitions`;
    case "refusals": {
      const { code, count, kinds, role, transport } = entry.payload;
      const what = Object.entries(kinds).map(([kind, times]) => `${times} ${kind}`);
      return `${count} commands as ${role} over ${transport} refused (${code}): ${what.join(", ")}`;
    }
    case "index_made":
      return `the index of artifacts was made, with ${entry.payload.entries} names`;
    case "heads_restored":
      return `${entry.payload.heads} heads from entry ${entry.payload.fromIndex} on were written beside the database again`;
  }
};

export const formatLedgerEntries = (entries: readonly LedgerEntry[]): string[] => {
  if (entries.length === 0) return ["no entry"];
  const table = new Table({ head: ["entry", "time", "actor", "kind", "run", "seed", "what"], style });
  for (const entry of entries) {
    const { index, atMs, actor, kind, subject } = entry;
    const time = new Date(atMs).toISOString();
    table.push([String(index), time, actor, kind, subject.runId ?? missing, subject.seedId ?? missing, storyOf(entry)]);
  }
  return table.toString().split("\n");
};

export const formatLedgerAudit = ({ verdict, fingerprint, replayed, intact }: LedgerAudit, database: string): string[] => {
  const { entries, heads, signedUpTo, problems, problemCount } = verdict;
  const lines = [
    `ledger   ${database}`,
    `entries  ${entries}`,
    `heads    ${heads}, up to entry ${signedUpTo}`,
    `key      ${fingerprint ?? missing}`,
    `replay   ${replayed.runs} runs, ${replayed.seeds} seeds${replayed.hash === undefined ? "" : `, ${replayed.hash}`}`,
  ];
  if (intact) return [...lines, "intact"];
  const table = new Table({ head: ["entry", "problem", "what is wrong"], style });
  for (const { index, kind, detail } of problems) table.push([index === undefined ? missing : String(index), kind, detail]);
  for (const difference of replayed.differences) table.push([missing, "replay", difference]);
  const more = problemCount > problems.length ? [`and ${problemCount - problems.length} more problems`] : [];
  return [...lines, ...table.toString().split("\n"), ...more, "broken"];
};
