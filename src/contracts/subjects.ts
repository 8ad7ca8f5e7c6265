/**
 * The bus API: every subject, what it carries, who may publish and who listens. Types for both sides, validation at the edge
 * and the server's permissions all come from this table.
 */
import { z } from "zod";
import { AssetKind, FieldReport } from "./assets.ts";
import { BlueprintKind } from "./blueprint-kinds.ts";
import { KernelTags } from "./characterization.ts";
import { CommandReceipt, Decision, KasminaControlCommand } from "./commands.ts";
import { CompilationOutcome, CompilationRequest } from "./compilation.ts";
import { ContentHash } from "./ids.ts";
import { SeedTransition } from "./lifecycle.ts";
import { Judgement, judgeNames } from "./measure.ts";
import { BoundaryReply, EpochResult, HostSummary } from "./plan.ts";
import { PruneSurvey } from "./pruning.ts";
import { ReportDamage } from "./report.ts";
import { HealthSignal, RunProgress, SystemStatePacket } from "./telemetry.ts";

export const actorNames = [
  "tolaria",
  "kasmina",
  "tamiyo",
  "emrakul",
  "tezzeret",
  "urabrask",
  "urza",
  "nissa",
  "supervisor",
] as const;
export type ActorName = (typeof actorNames)[number];
/** People and their programs: `operator` may command, `observer` may only look. */
export const principals = [...actorNames, "operator", "observer"] as const;
export type Principal = (typeof principals)[number];

interface SubjectEntry {
  readonly about: string;
  readonly payload: z.ZodType;
  /** Present when a message is a request: the answer. Exactly one of `listeners` answers. */
  readonly reply?: z.ZodType;
  readonly publishers: readonly Principal[];
  readonly listeners: readonly Principal[];
  /** The JetStream stream that keeps the message until every listening actor has handled it. */
  readonly stream?: "EVENTS" | "COMPILATION" | "REPORTS";
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
  kind: z.enum(["started", "exited", "restarting", "escalated", "stopped", "shutdown_overrun", "dead_letter"]),
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

export const subjects = {
  "system.events.epoch": entry({
    about: "A window is complete: losses, signal, FLOPs, what the seed at work measured.",
    payload: SystemStatePacket,
    publishers: ["tolaria"],
    listeners: ["nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "system.events.run": entry({
    about: "A run started, was checkpointed, rolled back, paused, waits for a kernel, finished.",
    payload: RunEvent,
    publishers: ["tolaria"],
    listeners: ["nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "system.events.seed": entry({
    about: "A seed changed its state. These alone rebuild every seed's lifecycle.",
    payload: SeedTransition,
    publishers: ["kasmina"],
    listeners: ["nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "system.events.decision": entry({
    about: "What Tamiyo or Emrakul decided, why, how sure it was and what it expects.",
    payload: Decision,
    publishers: ["tamiyo", "emrakul"],
    listeners: ["nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "system.events.escalation": entry({
    about: "The jury is split on a seed: the operator is asked, and told how it was settled.",
    payload: EscalationEvent,
    publishers: ["kasmina"],
    listeners: ["nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "system.events.command": entry({
    about: "A command and its receipt.",
    payload: z.strictObject({ command: KasminaControlCommand, sender: z.string(), receipt: CommandReceipt }),
    publishers: ["kasmina"],
    listeners: ["nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "system.events.supervision": entry({
    about: "An actor started, crashed, is restarted; a message could not be delivered.",
    payload: SupervisionEvent,
    publishers: ["supervisor"],
    listeners: ["nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "telemetry.seed.health": entry({
    about: "The health of every site after a window that measured it.",
    payload: HealthSignal,
    publishers: ["kasmina"],
    listeners: ["tamiyo", "nissa", "operator", "observer"],
  }),
  "telemetry.host.parts": entry({
    about: "Which units and grown bypasses of the host earn their cost, after a window that looked at them.",
    payload: PruneSurvey,
    publishers: ["kasmina"],
    listeners: ["emrakul", "operator", "observer"],
  }),
  "telemetry.run.progress": entry({
    about: "Steps and loss inside a window.",
    payload: RunProgress,
    publishers: ["tolaria"],
    listeners: ["nissa", "operator", "observer"],
  }),
  "control.kasmina.commands": entry({
    about: "Germinate, cull, rollback, release, resolve, pause, resume, status, stop; applied at the next boundary.",
    payload: KasminaControlCommand,
    reply: CommandReceipt,
    publishers: ["tamiyo", "emrakul", "operator"],
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
    listeners: ["urza", "tamiyo", "emrakul", "nissa", "operator", "observer"],
    stream: "EVENTS",
  }),
  "library.asset.put": entry({
    about: "Store a blueprint, host or kernel.",
    payload: AssetPut,
    reply: AssetPutReply,
    publishers: ["tolaria", "tezzeret"],
    listeners: ["urza"],
  }),
  "library.asset.get": entry({
    about: "Fetch an asset by its hash.",
    payload: z.strictObject({ kind: AssetKind, hash: ContentHash }),
    reply: AssetGetReply,
    publishers: ["tolaria", "kasmina", "tezzeret", "urabrask", "tamiyo"],
    listeners: ["urza"],
  }),
  "library.kernel.find": entry({
    about: "The kernel that a key was compiled to before.",
    payload: z.strictObject({ keyHash: ContentHash }),
    reply: KernelFindReply,
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
export type ReplyOf<S extends RequestSubject> = (typeof subjects)[S] extends { reply: infer R extends z.ZodType }
  ? z.infer<R>
  : never;
