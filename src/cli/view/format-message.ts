/** The lines that a message leaves in the terminal for good. Pure: message and known state in, lines out. */
import type { CommandReceipt, Decision } from "../../contracts/commands.ts";
import type { MorphogeneticConfig } from "../../contracts/config.ts";
import type { Task } from "../../contracts/graph.ts";
import type { EscalationEvent, PayloadOf } from "../../contracts/subjects.ts";
import type { Colors } from "./colors.ts";
import { formatForecast, formatGain, formatJudgements, formatMeasurement, formatTransition } from "./format-seed.ts";
import { formatSignal } from "./format-signal.ts";
import { formatCount, formatLoss, formatPercent, formatScore, formatSeconds, padded } from "./format-values.ts";
import type { ViewMessage } from "./message.ts";
import type { ArmState, RunStates } from "./run-state.ts";

export interface FormatOptions {
  readonly colors: Colors;
  /** What decides growth: its trigger is marked in the signal. */
  readonly morphogenetic: MorphogeneticConfig;
  readonly task: Task;
  /** Tell also what is routine. */
  readonly verbose: boolean;
}

const armWidth = 10;
const indent = " ".repeat(armWidth + 1);

/** `before` is the state without the message, `after` the state with it. */
export const formatMessage = (
  { subject, payload }: ViewMessage,
  before: RunStates,
  after: RunStates,
  options: FormatOptions,
): string[] => {
  const { colors, verbose } = options;
  const tag = (arm: string): string => colors.bold(padded(arm, armWidth));
  const armOf = (runId: string): string => tag(after.get(runId)?.arm ?? runId);
  switch (subject) {
    case "system.events.run":
      return formatRun(payload, armOf(payload.runId), options);
    case "system.events.epoch":
      return formatEpoch(payload, tag(payload.arm), after.get(payload.runId), options);
    case "system.events.decision": {
      // Waiting for the same reason again is no news.
      const again = payload.outcome === "wait" && before.get(payload.runId)?.lastWait === payload.reason;
      return again && !verbose ? [] : formatDecision(payload, armOf(payload.runId), colors);
    }
    case "system.events.seed":
      return [`${armOf(payload.runId)} ${formatTransition(payload, colors)}`];
    case "system.events.escalation":
      return formatEscalation(payload, armOf(payload.runId), colors);
    case "validation.kernel.characterized":
      return formatCharacterized(payload, armOf(payload.runId), options);
    case "system.events.command":
      // Accepted commands of Tamiyo and Emrakul are told by their decisions.
      if (payload.receipt.kind === "accepted" && ["tamiyo", "emrakul"].includes(payload.sender) && !verbose) return [];
      return [`${padded("command", armWidth)} ${payload.command.kind} from ${payload.sender}: ${formatReceipt(payload.receipt)}`];
    case "system.events.supervision": {
      if (!verbose && (payload.kind === "started" || payload.kind === "stopped")) return [];
      const text = `${padded("supervisor", armWidth)} ${payload.child} ${payload.kind.replaceAll("_", " ")}: ${payload.detail}`;
      return [payload.kind === "started" || payload.kind === "stopped" ? colors.dim(text) : colors.yellow(text)];
    }
    case "system.events.breaker": {
      const text = `${padded("breaker", armWidth)} ${payload.name} ${payload.from} → ${payload.to}: ${payload.reason}`;
      return [payload.to === "CLOSED" ? colors.green(text) : colors.yellow(text)];
    }
    case "innovation.field_reports": {
      const measured = payload.measuredGain ? formatGain(payload.measuredGain) : "not measured";
      const forecast = payload.forecast ? formatForecast(payload.forecast) : "none";
      return [
        `${armOf(payload.runId)} ${colors.bold(`field report of ${payload.seedId}`)} ${payload.fromSite} to ${payload.toSite}: ${payload.outcome.toLowerCase()}, ${payload.reason}`,
        `${indent}measured gain ${measured}`,
        `${indent}forecast ${forecast}`,
        ...(payload.judgements === undefined ? [] : [`${indent}jury ${formatJudgements(payload.judgements)}`]),
      ];
    }
    default:
      return [];
  }
};

const formatEscalation = (event: EscalationEvent, arm: string, colors: Colors): string[] => {
  if (event.kind === "settled")
    return [`${arm} escalation of ${event.seedId} settled by ${event.by}: ${event.verdict}; ${event.reason}`];
  return [
    colors.yellow(`${arm} ${event.seedId}: ${event.reason}`),
    `${indent}jury ${formatJudgements(event.judgements)}`,
    `${indent}answer with \`esper ctl resolve --seed ${event.seedId} --verdict keep|cull\` within ${event.windowsLeft} windows, else ${event.otherwise}`,
  ];
};

const formatCharacterized = (
  { seedId, characterized }: PayloadOf<"validation.kernel.characterized">,
  arm: string,
  { colors, verbose }: FormatOptions,
): string[] => {
  const { kernelHash, tags, measured, problem } = characterized;
  const what = `kernel ${kernelHash.slice(0, 12)} of ${seedId}`;
  if (measured === undefined) return [colors.red(`${arm} ${what} could not be measured: ${problem ?? "no reason was given"}`)];
  const line = `${arm} ${what}: ${tags.join(", ")}`;
  if (!verbose) return [line];
  const { kernelStep, hostStep } = measured.latency;
  return [
    line,
    `${indent}step ${kernelStep.medianMs.toFixed(2)} ms (99 %: ${kernelStep.p99Ms.toFixed(2)}), the host's own ${hostStep.medianMs.toFixed(2)} ms, ${formatCount(measured.memoryBytes)}B`,
  ];
};

/** Steps before the first trial can begin: the warm-up, the checks, and the forge's time. None for a frozen base. */
const stepsToTrial = ({ base, signal, trigger, kernelLeadEpochs }: MorphogeneticConfig, epochSteps: number): number =>
  base === "frozen" ? 0 : signal.warmupSteps + (trigger.checks + kernelLeadEpochs) * epochSteps;

type Started = Extract<PayloadOf<"system.events.run">, { kind: "started" }>;

const warnOfShortRun = ({ arm, hostSteps, epochSteps }: Started, { morphogenetic, colors }: FormatOptions): string[] => {
  const needed = stepsToTrial(morphogenetic, epochSteps);
  if (arm !== "grown" || !morphogenetic.enabled || hostSteps > needed) return [];
  return [
    colors.yellow(
      `${indent}too short to grow: a trial begins after step ${needed} at the earliest; train longer, or lower optimization.epochSteps and morphogenetic.signal.warmupSteps`,
    ),
  ];
};

const formatRun = (event: PayloadOf<"system.events.run">, arm: string, options: FormatOptions): string[] => {
  const { colors, task } = options;
  switch (event.kind) {
    case "started": {
      const resumed = event.resumedAtEpoch === undefined ? "" : `, resumed at window ${event.resumedAtEpoch}`;
      const sites = event.host.sites.map(({ site, width }) => `${site}:${width}`).join(" ");
      return [
        `${arm} ${event.host.name} (${sites}) on ${event.dataset}, engine ${event.engine}, ${formatCount(event.host.parameters)} parameters${resumed}`,
        `${indent}budget ${formatCount(event.flopsMax)}FLOP, worth ${event.hostSteps} steps in windows of ${event.epochSteps}; run ${event.runId}`,
        ...warnOfShortRun(event, options),
      ];
    }
    case "checkpoint":
      return [colors.dim(`${arm} checkpoint of window ${event.epoch}: ${event.file}`)];
    case "checkpoint_failed":
      return [colors.red(`${arm} checkpoint of window ${event.epoch} failed, training goes on: ${event.reason}`)];
    case "rolled_back":
      return [colors.red(`${arm} rolled back at window ${event.epoch} (number ${event.rollbacks}): ${event.reason}`)];
    case "waiting": {
      const what = event.outstanding === "compilation" ? "compiled" : "measured";
      return [`${arm} waiting for the kernel of ${event.seedId}, ${formatSeconds(event.waitedMs / 1000)}: it is being ${what}`];
    }
    case "paused":
    case "resumed":
      return [`${arm} ${event.kind} at window ${event.epoch}`];
    case "finished": {
      const line = `${arm} ${event.outcome}: ${event.reason}${event.testAccuracy === undefined ? "" : `; test ${task === "classification" ? "accuracy " : ""}${formatScore(event.testAccuracy, task)}`}`;
      return [event.outcome === "done" ? colors.green(line) : colors.red(line)];
    }
  }
};

const formatEpoch = (
  { result, flopsMax }: PayloadOf<"system.events.epoch">,
  arm: string,
  state: ArmState | undefined,
  options: FormatOptions,
): string[] => {
  const { colors, morphogenetic, task } = options;
  const seed = result.seedId === undefined ? "" : ` ${result.seedId}`;
  const work = `${result.work.replaceAll("_", " ")}${seed}`;
  const validation = result.validation
    ? `val loss ${formatLoss(result.validation.loss)} ${task === "classification" ? "accuracy " : ""}${formatScore(result.validation.accuracy, task)}`
    : "validation not measured";
  // A window of a seed tells its own measurement on the next line.
  const losses = result.work === "host" || result.validation ? `loss ${formatLoss(result.trainLoss)} ${validation} ` : "";
  const budget = formatPercent(flopsMax > 0 ? result.flops.total / flopsMax : undefined, 0);
  const lines = [
    `${arm} window ${String(result.epoch).padStart(3)} ${padded(work, 20)} step ${String(result.hostStep).padStart(5)} ` +
      `${losses}budget ${budget} ${formatSeconds(result.durationMs / 1000)}${result.interrupted ? " (interrupted)" : ""}`,
  ];
  if (result.signal)
    lines.push(
      ...formatSignal(result.signal, morphogenetic.trigger, state?.layers ?? new Map(), colors).map((line) => `${indent}${line}`),
    );
  if (result.kernel) lines.push(`${indent}${formatMeasurement(result.kernel, colors)}`);
  for (const anomaly of result.anomalies)
    lines.push(colors.red(`${indent}${anomaly.kind.replaceAll("_", " ")} at step ${anomaly.step}: ${anomaly.detail}`));
  return lines;
};

const formatDecision = (decision: Decision, arm: string, colors: Colors): string[] => {
  const place =
    decision.fromSite !== undefined && decision.toSite !== undefined ? ` from ${decision.fromSite} to ${decision.toSite}` : "";
  const sure = decision.confidence === undefined ? "" : `, confidence ${decision.confidence.toFixed(2)}`;
  const what =
    decision.outcome === "germinate"
      ? colors.magenta(`germinate ${decision.seedId ?? decision.site ?? ""}${place}`)
      : decision.outcome === "prune"
        ? colors.magenta(`prune ${decision.site ?? ""}`)
        : decision.outcome;
  const lines = [
    `${arm} ${colors.bold(decision.by === "emrakul" ? "Emrakul" : "Tamiyo")} ${what}: ${decision.reason} (rule ${decision.rule}${sure}, ${decision.latencyMs.toFixed(2)} ms)`,
  ];
  if (decision.forecast) lines.push(`${indent}forecast ${formatForecast(decision.forecast)}`);
  return lines;
};

export const formatReceipt = (receipt: CommandReceipt): string => {
  switch (receipt.kind) {
    case "accepted":
      return `accepted for run ${receipt.runId}, takes effect at window ${receipt.appliesAtEpoch}: ${receipt.detail}`;
    case "refused":
      return `refused (${receipt.code}): ${receipt.reason}`;
    case "status":
      return `run ${receipt.run.runId} (${receipt.run.arm}) at window ${receipt.run.epoch}${receipt.run.paused ? ", paused" : ""}`;
    case "done":
      return `done: ${receipt.detail}`;
    case "held":
      return `held: ${receipt.detail}; ${receipt.approvers.join(" or ")} may approve it until ${new Date(receipt.expiresAtMs).toISOString()}`;
    case "escalations":
      return `${receipt.escalations.length} open escalations in run ${receipt.runId}`;
    case "budget":
      return `budget of run ${receipt.runId}`;
    case "approvals":
      return `${receipt.approvals.length} commands that wait, or waited, for approval`;
    case "governance":
      return `learning: ${receipt.learning.changesToday} of ${receipt.learning.changesPerDayMax} changes today`;
    case "seeds":
      return `${receipt.seeds.length} of ${receipt.seedCount} seeds of run ${receipt.runId} at window ${receipt.epoch}`;
    case "seed":
      return `${receipt.seed.seedId} of run ${receipt.runId} at window ${receipt.epoch}`;
    case "layers":
      return `${receipt.layers.length} layers of run ${receipt.runId} at window ${receipt.epoch}`;
    case "layer":
      return `layer ${receipt.layer.site} of run ${receipt.runId} at window ${receipt.epoch}`;
    case "decisions":
      return `${receipt.decisions.length} decisions, the newest first; ${receipt.kept} are kept`;
    case "kernels":
      return `${receipt.kernels.length} kernels`;
    case "kernel":
      return `kernel ${receipt.kernel.hash}, ${receipt.kernel.status}`;
    case "blueprint":
      return `blueprint ${receipt.blueprint.name}, ${receipt.blueprint.hash}`;
    case "policy":
      return `policy ${receipt.inForce.policy.name} (${receipt.inForce.hash}) of run ${receipt.runId} since window ${receipt.inForce.sinceEpoch}`;
    case "policies":
      return `${receipt.policies.length} policies`;
    case "analysis":
      return `${receipt.candidates.length} layers looked at after window ${receipt.epoch} of run ${receipt.runId}`;
    case "decision":
      return `decided ${receipt.decision.outcome} after window ${receipt.decision.epoch}: ${receipt.decision.reason}`;
    case "stored":
      return `${receipt.asset} ${receipt.hash} ${receipt.existed ? "was stored before" : "stored"}`;
    case "queued":
      return `queued as number ${receipt.position}: ${receipt.detail}`;
  }
};
