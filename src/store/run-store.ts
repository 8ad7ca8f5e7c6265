/**
 * The durable truth about runs: plans, seed transitions, commands with their receipts, and the messages that must follow from them.
 *
 * R1 A boundary is one transaction: its reply, the seeds' snapshots, their transitions, the commands that it applied and the messages to send.
 * R2 A boundary is recorded once: asked again for the same run and epoch, the first reply comes back and nothing else changes.
 * R3 A seed's transitions are legal, start where the one before ended, and are numbered without a gap.
 * R4 A command is one transaction with its messages; the same request id gives the first receipt again until it expires.
 * R5 A command that waits for its boundary is kept until a boundary applies it, whatever its age.
 * R6 Messages leave the outbox in the order in which they were written, and only after they are known to be sent.
 * R7 A pause and a wait for a kernel are not recorded as a boundary: they have no plan that could be repeated.
 * R8 Unsent messages and stored boundaries are bounded.
 * R9 Every change that is recorded is told in the ledger in the same transaction, once.
 * R10 Commands share a commit with those of the same turn: one is durable when its promise resolves, and shown to nobody before.
 * R11 What was sent may be told to wait again, as long as it is kept: in the order in which it was written, and no more than half of what may wait.
 */

import type { BudgetStanding } from "../contracts/budget.ts";
import type { CommandReceipt, KasminaControlCommand, RefusalCode } from "../contracts/commands.ts";
import { DataError } from "../contracts/errors.ts";
import type { ContentHash } from "../contracts/ids.ts";
import type { BudgetMovement, CommandOrigin, RefusedCommands } from "../contracts/ledger.ts";
import type { SeedTransition } from "../contracts/lifecycle.ts";
import type { SettledReply } from "../contracts/plan.ts";
import type { EscalationEvent } from "../contracts/subjects.ts";

/** A message to be published once what it tells is durable. */
export interface OutboxMessage {
  readonly subject: string;
  readonly payload: unknown;
}

/** `id` only grows and is never used twice: fit for de-duplication by the receiver. */
export interface StoredMessage extends OutboxMessage {
  readonly id: number;
}

/** What became of messages that a lost stream held. */
export interface SentAgain {
  /** They wait again. */
  readonly again: number;
  /** They are kept, and there were too many. */
  readonly left: number;
  /** Of what was sent before this nothing is kept, as far as this process knows; absent when it forgot nothing. */
  readonly forgottenBeforeMs?: number;
}

export interface BoundaryRecord {
  readonly runId: string;
  /** The window that the reply plans: for a plan, its own epoch. */
  readonly epoch: number;
  readonly reply: SettledReply;
  /** The seeds after the transitions; any JSON. */
  readonly snapshots: unknown;
  readonly transitions: readonly SeedTransition[];
  /** Request ids of waiting commands that took effect or became void at this boundary. */
  readonly appliedCommands: readonly string[];
  /** Those of them that could not be carried out. */
  readonly refusals: readonly { readonly requestId: string; readonly code: RefusalCode; readonly reason: string }[];
  /** In the order in which they happened. */
  readonly budget: readonly BudgetMovement[];
  readonly escalations: readonly EscalationEvent[];
  readonly outbox: readonly OutboxMessage[];
}

export interface CommandRecord {
  readonly command: KasminaControlCommand;
  /** What waits for the boundary in its place: with what the command names by hash looked up. */
  readonly resolved?: KasminaControlCommand;
  readonly receipt: CommandReceipt;
  /** Who sent it. */
  readonly sender: string;
  /** How it came in; absent for one that no gate let in. */
  readonly origin?: CommandOrigin;
  /** The run that the command acts on; absent when it found none. */
  readonly runId?: string;
  /** True when the command waits for the next boundary (R5). */
  readonly pending: boolean;
  /** Set when the command pauses or resumes the run. */
  readonly paused?: boolean;
  readonly nowMs: number;
  readonly outbox: readonly OutboxMessage[];
}

const outcomeKinds = ["done", "stopped", "failed"] as const;

export interface RunOutcome {
  readonly kind: (typeof outcomeKinds)[number];
  readonly reason: string;
}

/** A run's outcome as it is stored. Throws DataError for a kind that is none. */
export const runOutcome = (kind: string, reason: string): RunOutcome => {
  const known = outcomeKinds.find((each) => each === kind);
  if (known !== undefined) return { kind: known, reason };
  throw new DataError(`outcome of a run: expected one of ${outcomeKinds.join(", ")}, found ${kind}; the database is damaged`);
};

export interface RunRecord {
  readonly runId: string;
  readonly arm: string;
  readonly createdAtMs: number;
  readonly paused: boolean;
  readonly outcome?: RunOutcome;
  /** The last boundary's epoch; 0, or where the run was resumed, before the first. */
  readonly lastEpoch: number;
  /** The last boundary's reply; absent before the first. */
  readonly reply?: SettledReply;
  /** The snapshots of the last boundary, or those that the run was resumed with; null at a run's very start. */
  readonly snapshots: unknown;
}

/**
 * All calls are synchronous, and durable when they return but for R10. Errors: ContractError for a record that breaks R2, R3 or R7,
 * ServiceError for a full disk or outbox, DataError for a damaged database.
 */
export interface RunStore {
  /** Makes the run; nothing happens when it is there already. */
  createRun(run: { readonly runId: string; readonly arm: string; readonly nowMs: number }): void;
  loadRun(runId: string): RunRecord | undefined;
  /** Newest first. */
  listRuns(limit: number): readonly RunRecord[];
  finishRun(runId: string, outcome: RunOutcome, outbox: readonly OutboxMessage[]): void;
  /**
   * Resumes a run from a checkpoint: its boundaries are forgotten and its transitions are those of the checkpoint, so that later
   * ones can be recorded anew; it is neither paused nor finished.
   */
  rewindRun(point: {
    readonly runId: string;
    readonly epoch: number;
    readonly snapshots: unknown;
    readonly transitions: readonly SeedTransition[];
    /** What the checkpoint says of the run's budget; absent before its first boundary. */
    readonly budget?: BudgetStanding;
  }): void;

  /** R1, R2, R3. `repeated` is true when the reply is one of an earlier call. */
  recordBoundary(record: BoundaryRecord): { readonly reply: SettledReply; readonly repeated: boolean };
  /** R2, without recording: the reply given for this window before. */
  findReply(runId: string, epoch: number): SettledReply | undefined;
  /** A run's transitions in the order of seed and sequence. */
  transitions(runId: string, seedId?: string): readonly SeedTransition[];

  /** R4. The first receipt when the request id is known and has not expired. */
  recordCommand(record: CommandRecord): {
    readonly receipt: CommandReceipt;
    readonly repeated: boolean;
    readonly stored: Promise<void>;
  };
  /** R9: a command that changed nothing yet, or never will, and whose request id is not remembered here: told, and that is all. */
  tellCommand(record: Omit<CommandRecord, "pending" | "paused">): Promise<void>;
  /** R10: resolves when what is known of commands by now is durable. */
  settled(): Promise<void>;
  /** R9: what the Gate refused by itself. */
  tellRefusals(refusals: readonly RefusedCommands[]): void;
  findReceipt(requestId: string, nowMs: number): CommandReceipt | undefined;
  /** R4, before recording: the first receipt, and whether the id was used for this very command. */
  recall(command: KasminaControlCommand, nowMs: number): { readonly same: boolean; readonly receipt: CommandReceipt } | undefined;
  /** SHA-256 of the canonical JSON of a stored command, as the ledger has it. */
  commandHash(requestId: string): ContentHash | undefined;
  /** R5, in the order in which they came; as they were resolved. */
  pendingCommands(runId: string): readonly KasminaControlCommand[];

  /** Puts messages into the outbox by themselves. */
  enqueue(outbox: readonly OutboxMessage[]): void;
  /** R6. The oldest unsent messages. */
  pendingOutbox(limit: number): readonly StoredMessage[];
  /** Durable with the commands of the same turn (R10): what is forgotten in a crash is sent once more, under the same id. */
  markSent(ids: readonly number[], nowMs: number): void;
  /** R8: more than half of what may wait does, so that whoever can wait should. */
  isCrowded(): boolean;
  /**
   * R11. Messages on these subjects that were sent at `sinceMs` or later, or ever, wait again; not those that nobody needs after
   * their deadline.
   */
  sendAgain(what: { readonly subjects: readonly string[]; readonly sinceMs?: number; readonly nowMs: number }): SentAgain;
  /** How often `sendAgain` made anything wait again. */
  sentAgain(): number;
  /** Forgets receipts and sent messages older than `idempotencyMs`; the number of rows removed. */
  prune(nowMs: number): number;
}
