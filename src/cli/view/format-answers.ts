/** Answers about seeds, layers, decisions, the library and the policy as tables for people. Pure; what was not measured is a dash. */
import Table from "cli-table3";
import type { Candidate, KernelSummary, LayerStanding, SeedDetail, SeedSummary } from "../../contracts/command-queries.ts";
import type { CommandReceipt, Decision } from "../../contracts/commands.ts";
import { formatForecast, formatGain, formatJudgements } from "./format-seed.ts";
import { formatCount, missing } from "./format-values.ts";

type Receipt<K extends CommandReceipt["kind"]> = Extract<CommandReceipt, { kind: K }>;

const style = { head: [], border: [], compact: true };
const visible = (text: string): string => text.replaceAll(/\p{Cc}+/gu, " ");
const number = (value: number | undefined, digits = 3): string =>
  value === undefined || !Number.isFinite(value) ? missing : value.toFixed(digits);
const short = (hash: string): string => hash.slice(0, 12);

const rows = (head: readonly string[], lines: readonly (readonly string[])[], empty: string): string[] => {
  if (lines.length === 0) return [empty];
  const table = new Table({ head: [...head], style });
  for (const line of lines) table.push(line.map(visible));
  return table.toString().split("\n");
};

const seedRow = (seed: SeedSummary): string[] => [
  `${seed.seedId}${seed.pinned ? " (pinned)" : ""}`,
  seed.state,
  String(seed.sinceEpoch),
  number(seed.health, 2),
  number(seed.alpha, 2),
  seed.blueprint === undefined ? missing : `${seed.blueprint.kind} ${seed.blueprint.hiddenWidth}`,
  seed.fromSite === undefined ? missing : `${seed.fromSite} to ${seed.toSite ?? missing}`,
  seed.reason,
];
const seedHead = ["seed", "state", "since", "health", "alpha", "blueprint", "span", "reason"];

export const formatSeeds = ({ seeds, next }: Receipt<"seeds">): string[] => [
  ...rows(seedHead, seeds.map(seedRow), "no seed"),
  ...(next === undefined ? [] : [`more: --after ${next}`]),
];

const formatTrial = ({ trial }: SeedDetail): string[] =>
  trial === undefined
    ? []
    : [
        `trial      since window ${trial.startedAtEpoch}, ${formatCount(trial.parameters)} parameters, steps alone ${trial.trainedSteps}, joint ${trial.grownSteps}, twin ${trial.twinSteps}, rounds ${trial.rounds}`,
        `kernel     ${trial.kernelHash ?? missing}`,
        `forecast   ${trial.forecast === undefined ? missing : formatForecast(trial.forecast)}, confidence ${number(trial.confidence, 2)}`,
        `gain       ${trial.gain === undefined ? "not measured" : formatGain(trial.gain)}`,
        ...(trial.judgements === undefined ? [] : [`jury       ${formatJudgements(trial.judgements)}`]),
      ];

export const formatSeedDetail = (seed: SeedDetail): string[] => [
  ...rows(seedHead, [seedRow(seed)], ""),
  `may go to  ${seed.legalTargets.join(", ") || "no layer"}; ask for ${seed.askable.join(", ") || "no state"}`,
  ...formatTrial(seed),
  ...rows(
    ["window", "state", "reason"],
    seed.history.map(({ epoch, state, reason }) => [String(epoch), state, reason]),
    "",
  ),
];

const layerRow = (layer: LayerStanding): string[] => [
  `${layer.site}${layer.pinned ? " (pinned)" : layer.paused ? " (paused)" : layer.excluded ? " (excluded)" : ""}`,
  String(layer.width),
  layer.measuredAtEpoch === undefined ? missing : String(layer.measuredAtEpoch),
  layer.signal === undefined ? missing : `${number(layer.signal.gap)} [${number(layer.gapLower)}, ${number(layer.gapUpper)}]`,
  `${layer.signal?.dimensionsIn ?? missing} → ${layer.signal?.dimensionsOut ?? missing}`,
  number(layer.severity, 2),
  number(layer.health, 2),
  Object.entries(layer.seeds)
    .map(([state, count]) => `${count} ${state}`)
    .join(", ") || `${layer.seedCount} DORMANT`,
];

export const formatLayers = (layers: readonly LayerStanding[]): string[] =>
  rows(["layer", "width", "measured", "gap", "dimensions", "severity", "health", "seeds"], layers.map(layerRow), "no layer");

const decisionRow = (decision: Decision): string[] => [
  decision.runId,
  String(decision.epoch),
  decision.by ?? "tamiyo",
  decision.outcome,
  decision.seedId ?? decision.site ?? missing,
  number(decision.confidence, 2),
  decision.reason,
];

export const formatDecisions = (decisions: readonly Decision[]): string[] =>
  rows(["run", "window", "by", "outcome", "where", "confidence", "reason"], decisions.map(decisionRow), "no decision");

const kernelRow = (kernel: KernelSummary): string[] => [
  short(kernel.hash),
  kernel.status,
  `${kernel.blueprint.kind} ${kernel.blueprint.hiddenWidth}`,
  kernel.tags.join(", "),
  number(kernel.measured?.latency.kernelStep.medianMs, 2),
  formatCount(kernel.measured?.memoryBytes),
  formatCount(kernel.measured?.parameters),
  kernel.machine,
];

export const formatKernels = (kernels: readonly KernelSummary[]): string[] =>
  rows(
    ["kernel", "status", "blueprint", "tags", "step ms", "bytes", "parameters", "machine"],
    kernels.map(kernelRow),
    "no kernel",
  );

export const formatKernel = ({ kernel }: Receipt<"kernel">): string[] => [
  `${kernel.hash} ${kernel.status}${kernel.statusReason === undefined ? "" : ` (${visible(kernel.statusReason)})`}`,
  `made by ${kernel.provenance.producer} at ${new Date(kernel.provenance.createdAtMs).toISOString()} for ${kernel.seedId} from ${kernel.fromSite} to ${kernel.toSite}, ${kernel.engine} ${kernel.engineVersion}`,
  `${kernel.blueprint.kind} ${kernel.blueprint.hiddenWidth}, ${formatCount(kernel.parameters)} parameters, ${formatCount(kernel.bytes)}B`,
  ...formatKernels(kernel.characterized),
];

const candidateRow = (candidate: Candidate): string[] => [
  candidate.site,
  number(candidate.severity, 2),
  number(candidate.gap),
  `${candidate.streak} of ${candidate.checks}`,
  candidate.fromSite === undefined ? missing : `${candidate.fromSite} to ${candidate.toSite ?? missing}`,
  candidate.blueprint === undefined ? missing : `${candidate.blueprint.kind} ${candidate.blueprint.hiddenWidth}`,
  number(candidate.confidence, 2),
  candidate.objection ?? "would grow",
];

export const formatAnalysis = ({ candidates, decision }: Receipt<"analysis">): string[] => [
  ...rows(
    ["layer", "severity", "gap", "checks", "span", "blueprint", "confidence", "objection"],
    candidates.map(candidateRow),
    "no layer was measured",
  ),
  ...(decision === undefined ? [] : [`decision ${decision.outcome}: ${visible(decision.reason)}`]),
];

const formatPolicyValues = (values: Readonly<Record<string, unknown>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(" ") || "none" : String(value)}`)
    .join(", ");

export const formatPolicy = ({ inForce, next }: Receipt<"policy">): string[] => {
  const { trigger, confidence, forecast, blueprint } = inForce.policy;
  return [
    `trigger    ${formatPolicyValues(trigger)}`,
    `confidence ${formatPolicyValues(confidence)}`,
    `forecast   ${formatPolicyValues(forecast)}`,
    `blueprint  ${formatPolicyValues(blueprint)}`,
    ...(next === undefined ? [] : [`from window ${next.sinceEpoch} on: ${next.policy.name} (${next.hash})`]),
  ];
};

export const formatPolicies = ({ policies }: Receipt<"policies">): string[] =>
  rows(
    ["policy", "name", "time", "from"],
    policies.map(({ hash, name, createdAtMs, producer }) => [hash, name, new Date(createdAtMs).toISOString(), producer]),
    "no policy was ever stored",
  );
