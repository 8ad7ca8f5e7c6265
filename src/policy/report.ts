/** The report of an arm, from its event log alone: what is not in the log did not happen. */

import type { FieldReport } from "../contracts/assets.ts";
import type { KasminaControlCommand } from "../contracts/commands.ts";
import type { Envelope } from "../contracts/envelope.ts";
import type { SeedTransition } from "../contracts/lifecycle.ts";
import { zeroFlops } from "../contracts/measure.ts";
import type { HostSummary } from "../contracts/plan.ts";
import { isPruneSeed } from "../contracts/pruning.ts";
import type { ReportArm, ReportDamage, ReportSeed } from "../contracts/report.ts";
import type { PayloadOf, SubjectName } from "../contracts/subjects.ts";
import { subjects } from "../contracts/subjects.ts";

type EpochEvent = PayloadOf<"system.events.epoch">;
type RunEvent = PayloadOf<"system.events.run">;
type Germination = Extract<KasminaControlCommand, { kind: "germinate" }>;

interface Story {
  started?: Extract<RunEvent, { kind: "started" }>;
  finished?: Extract<RunEvent, { kind: "finished" }>;
  checkpoint?: string;
  rollbacks: number;
  readonly epochs: EpochEvent[];
  readonly transitions: Map<string, SeedTransition[]>;
  readonly germinations: Map<string, Germination>;
  readonly fieldReports: Map<string, FieldReport>;
}

export interface ToldRun {
  readonly arm: ReportArm;
  /** The host as it was when the run started. */
  readonly host: HostSummary;
  readonly damage: ReportDamage | undefined;
}

/** Undefined when the log does not say that the run started. Throws when a line does not fit its subject's schema. */
export const buildReportArm = (events: Iterable<Envelope>, eventLog: string): ToldRun | undefined => {
  const story: Story = { rollbacks: 0, epochs: [], transitions: new Map(), germinations: new Map(), fieldReports: new Map() };
  for (const event of events) tell(story, event);
  if (story.started === undefined) return undefined;

  const last = story.epochs.at(-1);
  const flops = last?.result.flops ?? zeroFlops;
  const validated = story.epochs.findLast(({ result }) => result.validation !== undefined)?.result.validation;
  const seconds = (last?.elapsedMs ?? 0) / 1000;
  const windowSeconds = sum(story.epochs.map(({ result }) => result.durationMs)) / 1000;
  const steps = sum(story.epochs.map(({ result }) => result.steps));
  const seeds = [...story.transitions.keys()].sort().map((id) => reportSeed(id, story));
  const germinated = [...story.transitions.values()]
    .flat()
    .filter(({ to, seedId }) => to === "GERMINATED" && !isPruneSeed(seedId));
  const damage = story.finished?.damage;

  const arm: ReportArm = {
    name: story.started.arm,
    runId: story.started.runId,
    outcome: story.finished?.outcome ?? "stopped",
    reason: story.finished?.reason ?? "the log ends before the run does",
    ...(story.finished?.testAccuracy === undefined ? {} : { testAccuracy: story.finished.testAccuracy }),
    ...(validated === undefined ? {} : { validationLoss: validated.loss, validationAccuracy: validated.accuracy }),
    trainFlops: flops.total,
    flops,
    parameters: last?.result.parameters ?? story.started.host.parameters,
    seconds,
    stepsPerSecond: windowSeconds > 0 ? steps / windowSeconds : 0,
    hostSteps: last?.result.hostStep ?? 0,
    triggers: germinated.length,
    rollbacks: story.rollbacks,
    ...(damage === undefined || germinated.length === 0
      ? {}
      : { damageFound: isDamageFound(damage, germinated, seeds, story.started.host) }),
    seeds,
    signals: story.epochs.flatMap(({ result }) =>
      (result.signal?.layers ?? []).map(({ site, gap }) => ({ epoch: result.epoch, site, gap })),
    ),
    ...(story.checkpoint === undefined ? {} : { checkpoint: story.checkpoint }),
    eventLog,
  };
  return { arm, host: story.started.host, damage };
};

/** A seed at a damaged layer finds it, and so does one whose span covers the first of them. */
const isDamageFound = (
  { sites }: ReportDamage,
  germinated: readonly SeedTransition[],
  seeds: readonly ReportSeed[],
  host: HostSummary,
): boolean => {
  const position = (site: string): number => host.sites.findIndex((candidate) => candidate.site === site);
  const first = position(sites[0]!);
  return germinated.some(({ seedId }) => {
    const site = siteOf(seedId);
    if (sites.includes(site)) return true;
    const span = seeds.find(({ id }) => id === seedId)?.span;
    const [from, to] = [position(site), span === undefined ? -1 : position(span.to)];
    return first >= 0 && from >= 0 && from <= first && first <= to;
  });
};

const payloadOf = <S extends SubjectName>(subject: S, event: Envelope): PayloadOf<S> =>
  subjects[subject].payload.parse(event.payload) as PayloadOf<S>;

const tell = (story: Story, event: Envelope): void => {
  switch (event.subject) {
    case "system.events.run": {
      const run = payloadOf("system.events.run", event);
      if (run.kind === "started") story.started = run;
      if (run.kind === "finished") story.finished = run;
      if (run.kind === "checkpoint") story.checkpoint = run.file;
      if (run.kind === "rolled_back") story.rollbacks += 1;
      return;
    }
    case "system.events.epoch":
      story.epochs.push(payloadOf("system.events.epoch", event));
      return;
    case "system.events.seed": {
      const transition = payloadOf("system.events.seed", event);
      story.transitions.set(transition.seedId, [...(story.transitions.get(transition.seedId) ?? []), transition]);
      return;
    }
    case "system.events.command": {
      const { command, receipt } = payloadOf("system.events.command", event);
      if (command.kind === "germinate" && receipt.kind === "accepted") story.germinations.set(command.seedId, command);
      return;
    }
    case "innovation.field_reports": {
      const report = payloadOf("innovation.field_reports", event);
      story.fieldReports.set(report.seedId, report);
      return;
    }
  }
};

const reportSeed = (id: string, story: Story): ReportSeed => {
  const transitions = story.transitions.get(id) ?? [];
  const report = story.fieldReports.get(id);
  const germination = story.germinations.get(id);
  const to = report?.toSite ?? germination?.toSite;
  const forecast = report?.forecast ?? germination?.adaptation?.forecast;
  const gain = report?.measuredGain;
  return {
    id,
    ...(to === undefined ? {} : { span: { from: report?.fromSite ?? siteOf(id), to } }),
    history: transitions.map(({ to: state, epoch, reason }) => ({ state, epoch, reason })),
    outcome: transitions.at(-1)?.to ?? "DORMANT",
    ...(forecast === undefined ? {} : { forecast }),
    ...(gain === undefined
      ? {}
      : { measuredGain: gain.mean, interval: { lower: gain.lower, upper: gain.upper, confidence: gain.confidence } }),
    ...(report?.judgements === undefined ? {} : { judgements: report.judgements }),
    ...(report?.escalation === undefined ? {} : { escalation: report.escalation }),
  };
};

/** `seed:h2.1` and `seed:h2.prune` stand at `h2`. */
const siteOf = (seedId: string): string => seedId.replace(/^seed:/, "").replace(/\.(\d+|prune)$/, "");
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
