/** Budgets, escalations, approvals and learning's standing as lines for people. Pure. */
import { type BudgetAmounts, budgetResources } from "../../contracts/budget.ts";
import type { CommandReceipt } from "../../contracts/commands.ts";
import {
  formatAnalysis,
  formatDecisions,
  formatKernel,
  formatKernels,
  formatLayers,
  formatPolicies,
  formatPolicy,
  formatSeedDetail,
  formatSeeds,
} from "./format-answers.ts";
import { formatReceipt } from "./format-message.ts";
import { formatRunStatus } from "./format-status.ts";
import { formatCount, missing, padded } from "./format-values.ts";

type Receipt<K extends CommandReceipt["kind"]> = Extract<CommandReceipt, { kind: K }>;

const columnWidth = 14;
const time = (atMs: number): string => new Date(atMs).toISOString();
const amount = (value: number | undefined): string => (value === undefined ? missing : formatCount(value));
const row = (cells: readonly string[]): string =>
  cells
    .map((cell) => padded(cell, columnWidth))
    .join(" ")
    .trimEnd();

const formatBudget = ({ standing, left }: Receipt<"budget">): string[] => {
  const reserved = (resource: keyof BudgetAmounts): number =>
    Object.values(standing.reserved).reduce((sum, amounts) => sum + (amounts[resource] ?? 0), 0);
  return [
    row(["resource", "limit", "used", "reserved", "left"]),
    ...budgetResources.map((resource) =>
      row([
        resource,
        amount(standing.limits[resource]),
        amount(standing.used[resource]),
        amount(reserved(resource)),
        amount(left[resource]),
      ]),
    ),
  ];
};

const formatEscalations = ({ escalations }: Receipt<"escalations">): string[] =>
  escalations.map(
    ({ seedId, sinceEpoch, reason, windowsLeft, otherwise }) =>
      `${seedId}, since window ${sinceEpoch}: ${reason}; ${windowsLeft} windows left, then ${otherwise}`,
  );

const formatApprovals = ({ approvals }: Receipt<"approvals">): string[] =>
  approvals.map(({ requestId, state, command, principal, approvers, expiresAtMs, decidedBy, reason }) => {
    const standing =
      state === "waiting"
        ? `waits for ${approvers.join(" or ")} until ${time(expiresAtMs)}`
        : `${state} by ${decidedBy ?? "nobody"}`;
    return `${requestId} from ${principal}: ${standing}${reason === undefined ? "" : ` (${reason})`}; ${command}`;
  });

const formatLearning = ({ learning }: Receipt<"governance">): string[] => [
  `the next change may be asked for from ${time(learning.nextAtMs)} on`,
  ...learning.recent.map(({ requestId, change, principal, atMs }) => `${time(atMs)} ${requestId} from ${principal}: ${change}`),
];

/** A receipt with all that it tells. */
export const formatAnswer = (receipt: CommandReceipt): string[] => {
  switch (receipt.kind) {
    case "status":
      return formatRunStatus(receipt.run);
    case "budget":
      return [formatReceipt(receipt), ...formatBudget(receipt)];
    case "escalations":
      return [formatReceipt(receipt), ...formatEscalations(receipt)];
    case "approvals":
      return [formatReceipt(receipt), ...formatApprovals(receipt)];
    case "governance":
      return [formatReceipt(receipt), ...formatLearning(receipt)];
    case "seeds":
      return [formatReceipt(receipt), ...formatSeeds(receipt)];
    case "seed":
      return [formatReceipt(receipt), ...formatSeedDetail(receipt.seed)];
    case "layers":
      return [formatReceipt(receipt), ...formatLayers(receipt.layers)];
    case "layer":
      return [formatReceipt(receipt), ...formatLayers([receipt.layer])];
    case "decisions":
      return [formatReceipt(receipt), ...formatDecisions(receipt.decisions)];
    case "kernels":
      return [formatReceipt(receipt), ...formatKernels(receipt.kernels)];
    case "kernel":
      return formatKernel(receipt);
    case "analysis":
      return [formatReceipt(receipt), ...formatAnalysis(receipt)];
    case "policy":
      return [formatReceipt(receipt), ...formatPolicy(receipt)];
    case "policies":
      return formatPolicies(receipt);
    default:
      return [formatReceipt(receipt)];
  }
};
