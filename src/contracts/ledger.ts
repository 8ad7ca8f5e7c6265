/**
 * The ledger: who did what, why, and with what outcome. Entries are only ever appended; each carries the hash of the one before.
 * Read in order they rebuild the state of every seed and the standing of every budget.
 */
import { z } from "zod";
import { BudgetAmounts, BudgetStanding, budgetResources } from "./budget.ts";
import { CommandReceipt, KasminaControlCommand, refusalCodes } from "./commands.ts";
import { ContentHash } from "./ids.ts";
import { LifecycleState, SeedTransition } from "./lifecycle.ts";
import { EscalationEvent } from "./subjects.ts";

export const BudgetMovement = z.discriminatedUnion("move", [
  /** The run's budget as it begins, is resumed, or is given other limits. */
  z.strictObject({ move: z.literal("open"), standing: BudgetStanding }),
  /** A trial is admitted. A second reservation of the same seed takes the place of its first. */
  z.strictObject({ move: z.literal("reserve"), seedId: z.string(), amounts: BudgetAmounts }),
  /** The trial was kept: these amounts stay used. */
  z.strictObject({ move: z.literal("commit"), seedId: z.string(), amounts: BudgetAmounts }),
  /** The trial ended otherwise: these amounts are free again. */
  z.strictObject({ move: z.literal("release"), seedId: z.string(), amounts: BudgetAmounts }),
  /** What was used so far in all, as the lane counts it. */
  z.strictObject({ move: z.literal("charge"), used: BudgetAmounts }),
]);
export type BudgetMovement = z.infer<typeof BudgetMovement>;

const without = (reserved: BudgetStanding["reserved"], seedId: string): BudgetStanding["reserved"] =>
  Object.fromEntries(Object.entries(reserved).filter(([holder]) => holder !== seedId));

const added = (a: BudgetAmounts, b: BudgetAmounts): BudgetAmounts => {
  const sum: BudgetAmounts = { ...a };
  for (const resource of budgetResources) {
    const amount = b[resource];
    if (amount !== undefined) sum[resource] = (a[resource] ?? 0) + amount;
  }
  return sum;
};

export const noBudget: BudgetStanding = { limits: {}, used: {}, reserved: {} };

/** The standing after a movement. */
export const moveBudget = (standing: BudgetStanding, movement: BudgetMovement): BudgetStanding => {
  const { used, reserved } = standing;
  switch (movement.move) {
    case "open":
      return movement.standing;
    case "reserve":
      return { ...standing, reserved: { ...without(reserved, movement.seedId), [movement.seedId]: movement.amounts } };
    case "commit":
      return { ...standing, used: added(used, movement.amounts), reserved: without(reserved, movement.seedId) };
    case "release":
      return { ...standing, reserved: without(reserved, movement.seedId) };
    case "charge":
      return { ...standing, used: { ...used, ...movement.used } };
  }
};

/** How a command came in: in which role, over which transport, and the trace that it belongs to. */
const CommandOrigin = z.strictObject({ role: z.string(), transport: z.string(), traceId: z.string() });
export type CommandOrigin = z.infer<typeof CommandOrigin>;

const outcomes = ["done", "stopped", "failed"] as const;

/** What an entry tells, by its kind. */
const payloads = {
  /** A command and its receipt, accepted and refused alike. `paused` when it pauses or resumes its run at once. */
  command: z.strictObject({
    command: KasminaControlCommand,
    receipt: CommandReceipt,
    origin: CommandOrigin.optional(),
    paused: z.boolean().optional(),
  }),
  /** What became of an accepted command at its boundary. */
  decision: z.strictObject({
    requestId: z.string(),
    command: z.string(),
    outcome: z.enum(["applied", "refused"]),
    code: z.enum(refusalCodes).optional(),
    reason: z.string(),
  }),
  transition: SeedTransition,
  budget: BudgetMovement,
  escalation: EscalationEvent,
  run_started: z.strictObject({ arm: z.string() }),
  run_finished: z.strictObject({ outcome: z.enum(outcomes), reason: z.string() }),
  /** The run goes on from a checkpoint: what was told of its seeds and its budget before no longer counts; what counts follows. */
  rewind: z.strictObject({ epoch: z.int().min(0), transitions: z.int().min(0) }),
  /** Commands that the Gate refused by itself, in one minute, of one login and with one code. */
  refusals: z.strictObject({
    principal: z.string().max(128),
    role: z.string(),
    transport: z.string(),
    code: z.enum(refusalCodes),
    fromMs: z.int(),
    toMs: z.int(),
    count: z.int().min(1),
    /** By kind of command; `unknown` for what is none. */
    kinds: z.record(z.string(), z.int().min(1)),
  }),
  /** The signed index of artifacts was made for the first time: from here on nothing unsigned is signed any more. */
  index_made: z.strictObject({ version: z.int().min(1), entries: z.int().min(0) }),
  /** Signed heads that the file of heads lacked were written to it again. */
  heads_restored: z.strictObject({ heads: z.int().min(1), fromIndex: z.int().min(1) }),
} as const;

export type RefusedCommands = z.infer<typeof payloads.refusals>;
export type LedgerKind = keyof typeof payloads;
export const ledgerKinds = Object.keys(payloads) as LedgerKind[];

/** What the entry is about. */
export const LedgerSubject = z.strictObject({
  runId: z.string().min(1).optional(),
  seedId: z.string().min(1).optional(),
  site: z.string().min(1).optional(),
});
export type LedgerSubject = z.infer<typeof LedgerSubject>;

/** The actor or person that did it: the sender of a command, else the actor that wrote. */
const actor = z.string().min(1).max(128);

const place = {
  /** From 1, without a gap. */
  index: z.int().min(1),
  atMs: z.int(),
  actor,
  subject: LedgerSubject,
  /** 64 zeros before the first. */
  previousHash: ContentHash,
  /** SHA-256 over the canonical JSON (RFC 8785) of the entry without this field. */
  hash: ContentHash,
};

export const LedgerEntry = z.discriminatedUnion("kind", [
  z.strictObject({ ...place, kind: z.literal("command"), payload: payloads.command }),
  z.strictObject({ ...place, kind: z.literal("decision"), payload: payloads.decision }),
  z.strictObject({ ...place, kind: z.literal("transition"), payload: payloads.transition }),
  z.strictObject({ ...place, kind: z.literal("budget"), payload: payloads.budget }),
  z.strictObject({ ...place, kind: z.literal("escalation"), payload: payloads.escalation }),
  z.strictObject({ ...place, kind: z.literal("run_started"), payload: payloads.run_started }),
  z.strictObject({ ...place, kind: z.literal("run_finished"), payload: payloads.run_finished }),
  z.strictObject({ ...place, kind: z.literal("rewind"), payload: payloads.rewind }),
  z.strictObject({ ...place, kind: z.literal("refusals"), payload: payloads.refusals }),
  z.strictObject({ ...place, kind: z.literal("index_made"), payload: payloads.index_made }),
  z.strictObject({ ...place, kind: z.literal("heads_restored"), payload: payloads.heads_restored }),
]);
export type LedgerEntry = z.infer<typeof LedgerEntry>;

type DraftOf<T> = T extends LedgerEntry ? Pick<T, "actor" | "subject" | "kind" | "payload"> : never;
/** An entry before it has its place in the chain. */
export type LedgerDraft = DraftOf<LedgerEntry>;

/** Before the first entry. */
export const genesisHash: ContentHash = "0".repeat(64);

export const hexadecimal = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));

/** The ledger's end at some moment, signed with Ed25519 (RFC 8032) by the key of the node that wrote it. */
export const LedgerHead = z.strictObject({
  /** Of the last entry. */
  index: z.int().min(1),
  hash: ContentHash,
  atMs: z.int(),
  /** SubjectPublicKeyInfo in DER (RFC 8410), hexadecimal. */
  publicKey: hexadecimal(44),
  /** Over the canonical JSON of the fields above and what the signature is for. */
  signature: hexadecimal(64),
});
export type LedgerHead = z.infer<typeof LedgerHead>;

/** What the ledger, and beside it the tables, say about a run. */
export const RunStanding = z.strictObject({
  arm: z.string(),
  paused: z.boolean(),
  outcome: z.strictObject({ kind: z.enum(outcomes), reason: z.string() }).nullable(),
  /** Seeds that ever moved. */
  seeds: z.record(z.string(), z.strictObject({ state: LifecycleState, sequence: z.int().min(1) })),
  /** Null before the run's first boundary. */
  budget: BudgetStanding.nullable(),
});
export type RunStanding = z.infer<typeof RunStanding>;
