/**
 * The bus API: every subject, what it carries, who may publish and who listens. Types for both sides, validation at the edge
 * and the server's permissions all come from this table.
 */
import { z } from "zod";
import { AssetKind, FieldReport } from "./assets.ts";
import { BlueprintKind } from "./blueprint-kinds.ts";
import { BreakerEvent } from "./breaker.ts";
import { KernelTags } from "./characterization.ts";
import { CommandReceipt, Decision, KasminaControlCommand } from "./commands.ts";
import { CompilationOutcome, CompilationRequest } from "./compilation.ts";
import { DeadLetterAnswer, DeadLetterCommand, DeadLetterEvent, DeadLetterQuery, DeadLetterReceipt } from "./dead-letter.ts";
import { ContentHash } from "./ids.ts";
import { SeedTransition } from "./lifecycle.ts";
import { Judgement, judgeNames } from "./measure.ts";
import { Performance } from "./performance.ts";
import { BoundaryReply, EpochResult, HostSummary } from "./plan.ts";
import { PruneSurvey } from "./pruning.ts";
import { ReportDamage } from "./report.ts";
import { personRoles, Requester, type Role, roles, transports } from "./roles.ts";
import { HealthSignal, RunProgress, SystemStatePacket } from "./telemetry.ts";

export const actorNames = [
  "tolaria",
  "kasmina",
  "gate",
  "warden",
  "tamiyo",
  "emrakul",
  "tezzeret",
  "urabrask",
  "urza",
  "nissa",
  "supervisor",
] as const;
export type ActorName = (typeof actorNames)[number];
/** Every login on the bus: the node's actors, and one for each role of people and their programs. */
export const principals = [...actorNames, ...personRoles] as const;
export type Principal = (typeof principals)[number];

/** In whose role a login commands; undefined for one that commands nothing. */
export const roleOf = (principal: Principal): Role | undefined => {
  if (principal === "tamiyo" || principal === "emrakul") return "controller";
  return personRoles.find((role) => role === principal);
};

/** Those who may look at everything that is told. */
const people = ["admin", "operator", "developer", "observer"] as const;

interface SubjectEntry {
  readonly about: string;
  readonly payload: z.ZodType;
  /** Present when a message is a request: the answer. Exactly one of `listeners` answers. */
  readonly reply?: z.ZodType;
  readonly publishers: readonly Principal[];
  readonly listeners: readonly Principal[];
  /** Asked twice, it has the effect of once: a request that may be tried again. */
  readonly idempotent?: true;
  /** The JetStream stream that keeps the message until every listening actor has handled it. */
  readonly stream?: "EVENTS" | "COMPILATION" | "REPORTS" | "DEAD_LETTERS";
  /**
   * The server itself vouches for the sender: each publisher sends on `<subject>.<its name>`, which nobody else may; the operator
   * may leave the name out.
   */
  readonly vouched?: true;
}

const entry = <const T extends SubjectEntry>(value: T): T => value;

/** The run's life as Tolaria tells it. */
export const RunEvent = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("started"),
    runId: z.string(),
    arm: z.string(),
    dataset: z.string(),
    engine: z.string(),
    host: HostSummary,
    flopsMax: z.number(),
    epochSteps: z.int(),
    hostSteps: z.int(),
    resumedAtEpoch: z.int().optional(),
  }),
  z.strictObject({ kind: z.literal("checkpoint"), runId: z.string(), epoch: z.int(), file: z.string() }),
  z.strictObject({ kind: z.literal("checkpoint_failed"), runId: z.string(), epoch: z.int(), reason: z.string() }),
  z.strictObject({ kind: z.literal("rolled_back"), runId: z.string(), epoch: z.int(), reason: z.string(), rollbacks: z.int() }),
  z.strictObject({ kind: z.literal("paused"), runId: z.string(), epoch: z.int() }),
  z.strictObject({ kind: z.literal("resumed"), runId: z.string(), epoch: z.int() }),
  /** Nothing trains: the kernel of a seed is outstanding at the boundary after this window. Told after two seconds, four, eight … */
  z.strictObject({
    kind: z.literal("waiting"),
    runId: z.string(),
    epoch: z.int(),
    seedId: z.string(),
    outstanding: z.enum(["compilation", "characterization"]),
    waitedMs: z.number().min(0),
  }),
  z.strictObject({
    kind: z.literal("finished"),
    runId: z.string(),
    arm: z.string(),
    outcome: z.enum(["done", "stopped", "failed"]),
    reason: z.string(),
    testAccuracy: z.number().optional(),
    /** Told only now, when no decision can use it. */
    damage: ReportDamage.optional(),
  }),
]);
export type RunEvent = z.infer<typeof RunEvent>;

export const SupervisionEvent = z.strictObject({
  kind: z.enum([
    "started",
    "exited",
    "restarting",
    "escalated",
    "stopped",
    "shutdown_overrun",
    "dead_letter",
    "slow_consumer",
    "consumer_recovered",
    "consumers_restored",
  ]),
  child: z.string(),
  detail: z.string(),
});
export type SupervisionEvent = z.infer<typeof SupervisionEvent>;

const AssetPut = z.strictObject({
  kind: AssetKind,
  asset: z.unknown(),
  inputs: z.array(ContentHash).max(64),
  producer: z.string(),
});
const AssetPutReply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("stored"), hash: ContentHash, existed: z.boolean() }),
  z.strictObject({ kind: z.literal("refused"), reason: z.string() }),
]);
const AssetGetReply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("found"), hash: ContentHash, asset: z.unknown() }),
  z.strictObject({ kind: z.literal("missing"), reason: z.string() }),
]);
/** Which kernel a key was compiled to, if it was before. */
const KernelFindReply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("found"), hash: ContentHash }),
  z.strictObject({ kind: z.literal("missing") }),
]);

/** Known tags, the newest first. */
const TagsFindReply = z.strictObject({ found: z.array(KernelTags).max(256) });

/** A jury that is split on a seed, and how that ended. */
export const EscalationEvent = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("opened"),
    runId: z.string(),
    seedId: z.string(),
    epoch: z.int().min(0),
    reason: z.string(),
    judgements: z.array(Judgement).max(judgeNames.length),
    /** Windows that are waited for an answer, and what happens without one. */
    windowsLeft: z.int().min(0),
    otherwise: z.enum(["keep", "cull"]),
  }),
  z.strictObject({
    kind: z.literal("settled"),
    runId: z.string(),
    seedId: z.string(),
    epoch: z.int().min(0),
    reason: z.string(),
    verdict: z.enum(["keep", "cull"]),
    by: z.enum(["operator", "policy", "evidence"]),
  }),
]);
export type EscalationEvent = z.infer<typeof EscalationEvent>;

/** A command on its way from the Gate to the machine. */
export const AdmittedCommand = z.strictObject({ by: Requester, command: KasminaControlCommand });
export type AdmittedCommand = z.infer<typeof AdmittedCommand>;

/** What the Warden says to a change: it may pass, or this is the answer. */
export const WardenVerdict = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("pass"), admitted: AdmittedCommand }),
  /** Somebody's word lets another's command pass; the receipt is for the one who gave it. */
  z.strictObject({ kind: z.literal("release"), admitted: AdmittedCommand, receipt: CommandReceipt }),
  /** `again`: the receipt was given before; nothing happened. */
  z.strictObject({ kind: z.literal("answer"), receipt: CommandReceipt, again: z.boolean().optional() }),
]);
export type WardenVerdict = z.infer<typeof WardenVerdict>;

export const subjects = {
  "system.events.epoch": entry({
    about: "A window is complete: losses, signal, FLOPs, what the seed at work measured.",
    payload: SystemStatePacket,
    publishers: ["tolaria"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.run": entry({
    about: "A run started, was checkpointed, rolled back, paused, waits for a kernel, finished.",
    payload: RunEvent,
    publishers: ["tolaria"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.seed": entry({
    about: "A seed changed its state. These alone rebuild every seed's lifecycle.",
    payload: SeedTransition,
    publishers: ["kasmina"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.decision": entry({
    about: "What Tamiyo or Emrakul decided, why, how sure it was and what it expects.",
    payload: Decision,
    publishers: ["tamiyo", "emrakul"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.escalation": entry({
    about: "The jury is split on a seed: the operator is asked, and told how it was settled.",
    payload: EscalationEvent,
    publishers: ["kasmina"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.command": entry({
    about: "A command and its receipt, also one that waits for approval.",
    payload: z.strictObject({
      command: KasminaControlCommand,
      /** The login that asked, or Kasmina for a command that its boundary could not carry out. */
      sender: z.string(),
      role: z.enum(roles).optional(),
      transport: z.enum(transports).optional(),
      traceId: z.string().optional(),
      receipt: CommandReceipt,
    }),
    publishers: ["kasmina", "gate"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.supervision": entry({
    about: "An actor started, crashed, is restarted; a message could not be delivered.",
    payload: SupervisionEvent,
    publishers: ["supervisor"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.breaker": entry({
    about: "A circuit breaker opened, tries again, or closed.",
    payload: BreakerEvent,
    publishers: ["supervisor"],
    listeners: ["nissa", ...people],
    stream: "EVENTS",
  }),
  "system.events.dead_letter": entry({
    about: "A message died: its actor could not handle it. Or a dead letter was sent again, or dropped.",
    payload: DeadLetterEvent,
    publishers: ["supervisor"],
    listeners: ["supervisor", "nissa", ...people],
    stream: "DEAD_LETTERS",
  }),
  "telemetry.seed.health": entry({
    about: "The health of every site after a window that measured it.",
    payload: HealthSignal,
    publishers: ["kasmina"],
    listeners: ["tamiyo", "nissa", ...people],
  }),
  "telemetry.host.parts": entry({
    about: "Which units and grown bypasses of the host earn their cost, after a window that looked at them.",
    payload: PruneSurvey,
    publishers: ["kasmina"],
    listeners: ["emrakul", ...people],
  }),
  "telemetry.run.progress": entry({
    about: "Steps and loss inside a window.",
    payload: RunProgress,
    publishers: ["tolaria"],
    listeners: ["nissa", ...people],
  }),
  "control.kasmina.commands": entry({
    about: "Every change that a person or program may ask for, applied at the next boundary, and every query.",
    payload: KasminaControlCommand,
    reply: CommandReceipt,
    publishers: ["tamiyo", "emrakul", ...personRoles],
    listeners: ["gate"],
    vouched: true,
  }),
  "control.warden.reviews": entry({
    about: "The Gate's question about a change that it admits: may it be?",
    payload: z.strictObject({ by: Requester, command: KasminaControlCommand }),
    reply: WardenVerdict,
    publishers: ["gate"],
    listeners: ["warden"],
  }),
  "control.kasmina.admitted": entry({
    about: "A command that Gate and Warden let pass, with who asked for it.",
    payload: AdmittedCommand,
    reply: CommandReceipt,
    publishers: ["gate"],
    listeners: ["kasmina"],
  }),
  "control.kasmina.boundary": entry({
    about: "Tolaria's question at a window's end: what next?",
    payload: z.strictObject({
      runId: z.string(),
      arm: z.string(),
      growth: z.boolean(),
      status: z.strictObject({ host: HostSummary, epoch: z.int().min(0), flopsMax: z.number() }),
      result: EpochResult.optional(),
    }),
    reply: BoundaryReply,
    publishers: ["tolaria"],
    listeners: ["kasmina"],
  }),
  "compilation.blueprint.submitted": entry({
    about: "A blueprint to be compiled for a host.",
    payload: CompilationRequest,
    publishers: ["kasmina"],
    listeners: ["tezzeret"],
    stream: "COMPILATION",
  }),
  "compilation.kernel.ready": entry({
    about: "A kernel lies in Urza, or could not be made.",
    payload: CompilationOutcome,
    publishers: ["tezzeret"],
    listeners: ["kasmina", "urabrask", "nissa"],
    stream: "EVENTS",
  }),
  "validation.kernel.characterized": entry({
    about: "Measured characteristics of a kernel, for the run and the seed that wait for it. Without it no kernel is taken.",
    payload: z.strictObject({ runId: z.string(), seedId: z.string(), characterized: KernelTags }),
    publishers: ["urabrask"],
    listeners: ["kasmina", "urza", "tamiyo", "nissa"],
    stream: "REPORTS",
  }),
  "innovation.field_reports": entry({
    about: "How a trial ended, forecast beside measurement.",
    payload: FieldReport,
    publishers: ["kasmina"],
    listeners: ["urza", "tamiyo", "emrakul", "nissa", ...people],
    stream: "EVENTS",
  }),
  "query.performance": entry({
    about: "How the node does: breakers with counts and latencies, queues with their depths.",
    payload: z.strictObject({}),
    reply: Performance,
    idempotent: true,
    publishers: people,
    listeners: ["nissa"],
  }),
  "query.dead_letters": entry({
    about: "Lists dead letters, or shows one with its message.",
    payload: DeadLetterQuery,
    reply: DeadLetterAnswer,
    idempotent: true,
    publishers: people,
    listeners: ["supervisor"],
  }),
  "control.dead_letters": entry({
    about: "Sends a dead letter again with its own id, or drops it.",
    payload: DeadLetterCommand,
    reply: DeadLetterReceipt,
    publishers: ["admin", "operator"],
    listeners: ["supervisor"],
    vouched: true,
  }),
  "library.asset.put": entry({
    about: "Store a blueprint, host or kernel.",
    payload: AssetPut,
    reply: AssetPutReply,
    idempotent: true,
    publishers: ["tolaria", "tezzeret"],
    listeners: ["urza"],
  }),
  "library.asset.get": entry({
    about: "Fetch an asset by its hash.",
    payload: z.strictObject({ kind: AssetKind, hash: ContentHash }),
    reply: AssetGetReply,
    idempotent: true,
    publishers: ["tolaria", "kasmina", "tezzeret", "urabrask", "tamiyo"],
    listeners: ["urza"],
  }),
  "library.kernel.find": entry({
    about: "The kernel that a key was compiled to before.",
    payload: z.strictObject({ keyHash: ContentHash }),
    reply: KernelFindReply,
    idempotent: true,
    publishers: ["tezzeret"],
    listeners: ["urza"],
  }),
  "library.tags.find": entry({
    about: "What kernels were measured to be: by kernel, machine, kind of blueprint, and tags that they must all have.",
    payload: z.strictObject({
      kernelHash: ContentHash.optional(),
      machine: z.string().optional(),
      kind: BlueprintKind.optional(),
      tags: z.array(z.string()).max(32).default([]),
    }),
    reply: TagsFindReply,
    idempotent: true,
    publishers: ["urabrask", "tamiyo"],
    listeners: ["urza"],
  }),
} as const;

export type SubjectName = keyof typeof subjects;
export const subjectNames = Object.keys(subjects) as SubjectName[];
export type PayloadOf<S extends SubjectName> = z.infer<(typeof subjects)[S]["payload"]>;
/** What a sender writes: fields with a default may be left out. */
export type InputOf<S extends SubjectName> = z.input<(typeof subjects)[S]["payload"]>;
export type RequestSubject = { [S in SubjectName]: (typeof subjects)[S] extends { reply: z.ZodType } ? S : never }[SubjectName];
export type IdempotentSubject = {
  [S in RequestSubject]: (typeof subjects)[S] extends { idempotent: true } ? S : never;
}[RequestSubject];
export type ReplyOf<S extends RequestSubject> = (typeof subjects)[S] extends { reply: infer R extends z.ZodType }
  ? z.infer<R>
  : never;
