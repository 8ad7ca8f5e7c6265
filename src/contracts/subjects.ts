/**
 * The bus API: every subject, what it carries, who may publish and who listens. Types for both sides, validation at the edge
 * and the server's permissions all come from this table.
 */
import { z } from "zod";
import { FieldReport } from "./assets.ts";
import { BreakerEvent } from "./breaker.ts";
import { KernelTags } from "./characterization.ts";
import { CommandReceipt, Decision, KasminaControlCommand } from "./commands.ts";
import { CompilationOutcome } from "./compilation.ts";
import { DeadLetterAnswer, DeadLetterEvent, DeadLetterQuery } from "./dead-letter.ts";
import {
  AssetGet,
  AssetGetReply,
  AssetPut,
  AssetPutReply,
  KernelFind,
  KernelFindReply,
  TagsFind,
  TagsFindReply,
  TagsPut,
  TagsPutReply,
} from "./library-messages.ts";
import { SeedTransition } from "./lifecycle.ts";
import { Judgement, judgeNames } from "./measure.ts";
import { AlertQuery, Alerts, CommandCounts, Health, Observed } from "./observed.ts";
import { Performance } from "./performance.ts";
import { BoundaryReply, EpochResult, HostSummary } from "./plan.ts";
import { PruneSurvey } from "./pruning.ts";
import { personRoles, Requester, type Role, roles, transports } from "./roles.ts";
import { RunEvent, SupervisionEvent } from "./run-events.ts";
import { HealthSignal, RunProgress, SystemStatePacket } from "./telemetry.ts";
import { CharacterizeTask, CompileTask } from "./work.ts";

export { SupervisionEvent } from "./run-events.ts";

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
  "http",
  "supervisor",
] as const;
export type ActorName = (typeof actorNames)[number];
/** Logins of other machines that work for this node, and the actors whose part they take. */
export const remoteLogins = { forge: ["tezzeret", "urabrask"] } as const satisfies Record<string, readonly ActorName[]>;
export type RemoteLogin = keyof typeof remoteLogins;
/** Every login on the bus: the node's actors, its forges on other machines, and one for each role of people and their programs. */
export const principals = [...actorNames, "forge", ...personRoles] as const;
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

/** Behind the Gate, for one of those who answer. */
const admittedTo = (listener: Principal, about: string) =>
  entry({ about, payload: AdmittedCommand, reply: CommandReceipt, publishers: ["gate"], listeners: [listener] });

export const subjects = {
  "system.events.epoch": entry({
    about: "A window is complete: losses, signal, FLOPs, what the seed at work measured.",
    payload: SystemStatePacket,
    publishers: ["tolaria"],
    listeners: ["nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "system.events.run": entry({
    about: "A run started, was checkpointed, rolled back, paused, waits for a kernel, finished.",
    payload: RunEvent,
    publishers: ["tolaria"],
    listeners: ["nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "system.events.seed": entry({
    about: "A seed changed its state. These alone rebuild every seed's lifecycle.",
    payload: SeedTransition,
    publishers: ["kasmina"],
    listeners: ["nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "system.events.decision": entry({
    about: "What Tamiyo or Emrakul decided, why, how sure it was and what it expects.",
    payload: Decision,
    publishers: ["tamiyo", "emrakul"],
    listeners: ["nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "system.events.escalation": entry({
    about: "The jury is split on a seed: the operator is asked, and told how it was settled.",
    payload: EscalationEvent,
    publishers: ["kasmina"],
    listeners: ["nissa", ...people, "http"],
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
    listeners: ["nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "system.events.supervision": entry({
    about: "An actor started, crashed, is restarted; a message could not be delivered.",
    payload: SupervisionEvent,
    publishers: ["supervisor"],
    listeners: ["nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "system.events.breaker": entry({
    about: "A circuit breaker opened, tries again, or closed.",
    payload: BreakerEvent,
    publishers: ["supervisor"],
    listeners: ["nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "system.events.dead_letter": entry({
    about: "A message died: its actor could not handle it. Or a dead letter was sent again, or dropped.",
    payload: DeadLetterEvent,
    publishers: ["supervisor"],
    listeners: ["supervisor", "nissa", ...people, "http"],
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
    listeners: ["nissa", ...people, "http"],
  }),
  "control.kasmina.commands": entry({
    about: "Every change that a person or program may ask for, applied at the next boundary, and every query.",
    payload: KasminaControlCommand,
    reply: CommandReceipt,
    publishers: ["tamiyo", "emrakul", ...personRoles],
    listeners: ["gate"],
    vouched: true,
  }),
  "control.gate.requests": entry({
    about: "A command that came over HTTP, as it came, with who asked as the token says.",
    payload: z.strictObject({
      by: Requester.pick({ principal: true }).extend({ role: z.enum(personRoles) }),
      command: z.unknown(),
      /** Size of the command as it came. */
      bytes: z.int().min(0),
      /** Until when the client waits. The message's own deadline is the server's, so that an impatient client is no failure of the Gate. */
      clientDeadlineAtMs: z.number().optional(),
    }),
    reply: CommandReceipt,
    publishers: ["http"],
    listeners: ["gate"],
  }),
  "control.gate.first": entry({
    about: "A command that came with the start of a run, at its first boundary, with who asked for the start.",
    payload: AdmittedCommand,
    reply: CommandReceipt,
    publishers: ["supervisor"],
    listeners: ["gate"],
  }),
  "control.warden.reviews": entry({
    about: "The Gate's question about a change that it admits: may it be?",
    payload: z.strictObject({
      by: Requester,
      command: KasminaControlCommand,
      /** What was let pass was refused behind her: it does not count as a change. */
      undone: z.literal(true).optional(),
    }),
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
  "control.urza.admitted": admittedTo("urza", "A command about the library that Gate and Warden let pass."),
  "control.tamiyo.admitted": admittedTo("tamiyo", "A command about decisions that Gate and Warden let pass."),
  "control.nissa.admitted": admittedTo("nissa", "A question about what was told."),
  "control.node.admitted": admittedTo("supervisor", "A command about the node's runs that Gate and Warden let pass."),
  "control.letters.admitted": admittedTo("supervisor", "A command about dead letters that Gate and Warden let pass."),
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
    about: "A task: a blueprint to be compiled for a host. One forge takes it.",
    payload: CompileTask,
    publishers: ["kasmina"],
    listeners: ["tezzeret"],
    stream: "COMPILATION",
  }),
  "compilation.kernel.ready": entry({
    about: "A kernel lies in Urza, or could not be made.",
    payload: CompilationOutcome,
    publishers: ["tezzeret", "forge"],
    listeners: ["kasmina", "nissa"],
    stream: "EVENTS",
  }),
  "validation.kernel.submitted": entry({
    about: "A task: a compiled kernel to be measured. One forge takes it.",
    payload: CharacterizeTask,
    publishers: ["kasmina"],
    listeners: ["urabrask"],
    stream: "COMPILATION",
  }),
  "validation.kernel.characterized": entry({
    about: "Measured characteristics of a kernel, for the run and the seed that wait for it. Without it no kernel is taken.",
    payload: z.strictObject({ taskId: z.string(), runId: z.string(), seedId: z.string(), characterized: KernelTags }),
    publishers: ["urabrask", "forge"],
    listeners: ["kasmina", "tamiyo", "nissa"],
    stream: "REPORTS",
  }),
  "innovation.field_reports": entry({
    about: "How a trial ended, forecast beside measurement.",
    payload: FieldReport,
    publishers: ["kasmina"],
    listeners: ["urza", "tamiyo", "emrakul", "nissa", ...people, "http"],
    stream: "EVENTS",
  }),
  "query.performance": entry({
    about: "How the node does: breakers with counts and latencies, queues with their depths.",
    payload: z.strictObject({}),
    reply: Performance,
    idempotent: true,
    publishers: [...people, "http"],
    listeners: ["nissa"],
  }),
  "query.health": entry({
    about: "Whether the node is ready, and how each actor is.",
    payload: z.strictObject({}),
    reply: Health,
    idempotent: true,
    publishers: [...personRoles, "http"],
    listeners: ["nissa"],
  }),
  "query.alerts": entry({
    about: "What asks for a person's attention, and what did.",
    payload: AlertQuery,
    reply: Alerts,
    idempotent: true,
    publishers: [...people, "http"],
    listeners: ["nissa"],
  }),
  "query.observed": entry({
    about: "How the runs stand: window, losses, accuracy, seeds by state.",
    payload: z.strictObject({}),
    reply: Observed,
    idempotent: true,
    publishers: [...people, "http"],
    listeners: ["nissa"],
  }),
  "query.commands": entry({
    about: "What came of commands since the Gate started, and how long it took.",
    payload: z.strictObject({}),
    reply: CommandCounts,
    idempotent: true,
    publishers: [...people, "http"],
    listeners: ["gate"],
  }),
  "query.dead_letters": entry({
    about: "Lists dead letters, or shows one with its message.",
    payload: DeadLetterQuery,
    reply: DeadLetterAnswer,
    idempotent: true,
    publishers: [...people, "http"],
    listeners: ["supervisor"],
  }),
  "library.asset.put": entry({
    about: "Store a blueprint, host, kernel or policy.",
    payload: AssetPut,
    reply: AssetPutReply,
    idempotent: true,
    publishers: ["tolaria", "kasmina", "tezzeret", "forge"],
    listeners: ["urza"],
    vouched: true,
  }),
  "library.asset.get": entry({
    about: "Fetch an asset by its hash.",
    payload: AssetGet,
    reply: AssetGetReply,
    idempotent: true,
    publishers: ["tolaria", "kasmina", "tezzeret", "urabrask", "tamiyo", "forge"],
    listeners: ["urza"],
    vouched: true,
  }),
  "library.kernel.find": entry({
    about: "The kernel that a key was compiled to before.",
    payload: KernelFind,
    reply: KernelFindReply,
    idempotent: true,
    publishers: ["tezzeret", "forge"],
    listeners: ["urza"],
    vouched: true,
  }),
  "library.tags.find": entry({
    about: "What kernels were measured to be: by kernel, machine, kind of blueprint, and tags that they must all have.",
    payload: TagsFind,
    reply: TagsFindReply,
    idempotent: true,
    publishers: ["kasmina", "urabrask", "tamiyo", "forge"],
    listeners: ["urza"],
    vouched: true,
  }),
  "library.tags.put": entry({
    about: "Keep what a kernel was measured to be.",
    payload: TagsPut,
    reply: TagsPutReply,
    idempotent: true,
    publishers: ["urabrask", "forge"],
    listeners: ["urza"],
    vouched: true,
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
