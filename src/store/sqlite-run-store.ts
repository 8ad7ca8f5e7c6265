/** The run store on SQLite. The invariants R1 … R11 stand in run-store.ts. */
import { CommandReceipt, KasminaControlCommand } from "../contracts/commands.ts";
import { ContractError, DataError, ServiceError } from "../contracts/errors.ts";
import { LifecycleState, legalTransitions, SeedTransition } from "../contracts/lifecycle.ts";
import { BoundaryReply, type SettledReply } from "../contracts/plan.ts";
import { type Database, integer, optional, type SqlRow, text } from "./database.ts";
import { anything, checkContract, decodeJson, encodeJson, sha256 } from "./json.ts";
import type { Ledger } from "./ledger.ts";
import { boundaryDrafts, commandDraft, finishDraft, refusalsDraft, rewindDrafts, startDraft } from "./ledger-drafts.ts";
import {
  type BoundaryRecord,
  type CommandRecord,
  type OutboxMessage,
  type RunRecord,
  type RunStore,
  runOutcome,
} from "./run-store.ts";

export interface RunStoreOptions {
  readonly database: Database;
  /** R9; of the same database. */
  readonly ledger: Ledger;
  /** How long a receipt is remembered (`services.idempotencyMs`). */
  readonly idempotencyMs: number;
  /** Unsent messages; one more is refused. */
  readonly outboxMessagesMax: number;
  /** Boundaries kept per run, the newest. */
  readonly boundariesMax: number;
}

const decodeReply = (json: string, what: string): SettledReply => {
  const reply = decodeJson(json, BoundaryReply, what);
  if (reply.kind === "pause" || reply.kind === "wait")
    throw new DataError(`${what}: expected a plan or a stop, found a ${reply.kind}; the database is damaged`);
  return reply;
};

export const createRunStore = (options: RunStoreOptions): RunStore => {
  const { database, ledger, idempotencyMs, outboxMessagesMax, boundariesMax } = options;
  const sql = {
    insertRun: database.prepare("INSERT INTO runs (run_id, arm, created_at_ms) VALUES (?, ?, ?) ON CONFLICT (run_id) DO NOTHING"),
    selectRun: database.prepare("SELECT * FROM runs WHERE run_id = ?"),
    selectRuns: database.prepare("SELECT * FROM runs ORDER BY created_at_ms DESC, run_id LIMIT ?"),
    finishRun: database.prepare("UPDATE runs SET outcome = ?, reason = ? WHERE run_id = ?"),
    pauseRun: database.prepare("UPDATE runs SET paused = ? WHERE run_id = ?"),
    rewindRun: database.prepare(
      "UPDATE runs SET base_epoch = ?, base_snapshots = ?, paused = 0, outcome = NULL, reason = NULL WHERE run_id = ?",
    ),
    insertBoundary: database.prepare("INSERT INTO boundaries (run_id, epoch, reply, snapshots) VALUES (?, ?, ?, ?)"),
    selectReply: database.prepare("SELECT reply FROM boundaries WHERE run_id = ? AND epoch = ?"),
    selectLast: database.prepare("SELECT epoch, reply, snapshots FROM boundaries WHERE run_id = ? ORDER BY epoch DESC LIMIT 1"),
    forgetBoundaries: database.prepare("DELETE FROM boundaries WHERE run_id = ?"),
    trimBoundaries: database.prepare(
      "DELETE FROM boundaries WHERE run_id = ? AND epoch <= (SELECT epoch FROM boundaries WHERE run_id = ? ORDER BY epoch DESC LIMIT 1 OFFSET ?)",
    ),
    insertTransition: database.prepare(
      "INSERT INTO seed_transitions (run_id, seed_id, sequence, boundary_epoch, state, transition) VALUES (?, ?, ?, ?, ?, ?)",
    ),
    selectState: database.prepare(
      "SELECT sequence, state FROM seed_transitions WHERE run_id = ? AND seed_id = ? ORDER BY sequence DESC LIMIT 1",
    ),
    selectTransitions: database.prepare("SELECT transition FROM seed_transitions WHERE run_id = ? ORDER BY seed_id, sequence"),
    selectSeedTransitions: database.prepare(
      "SELECT transition FROM seed_transitions WHERE run_id = ? AND seed_id = ? ORDER BY sequence",
    ),
    forgetTransitions: database.prepare("DELETE FROM seed_transitions WHERE run_id = ?"),
    insertCommand: database.prepare(
      "INSERT INTO commands (request_id, run_id, received_at_ms, pending, command, receipt, resolved) VALUES (?, ?, ?, ?, ?, ?, ?)",
    ),
    selectCommand: database.prepare("SELECT command, receipt, received_at_ms, pending FROM commands WHERE request_id = ?"),
    forgetCommand: database.prepare("DELETE FROM commands WHERE request_id = ?"),
    applyCommand: database.prepare("UPDATE commands SET pending = 0 WHERE request_id = ?"),
    selectPending: database.prepare(
      "SELECT COALESCE(resolved, command) AS command FROM commands WHERE run_id = ? AND pending = 1 ORDER BY id",
    ),
    pruneCommands: database.prepare("DELETE FROM commands WHERE received_at_ms <= ? AND pending = 0"),
    insertMessage: database.prepare("INSERT INTO outbox (subject, payload) VALUES (?, ?)"),
    countUnsent: database.prepare("SELECT COUNT(*) AS count FROM outbox WHERE sent_at_ms IS NULL"),
    selectUnsent: database.prepare("SELECT id, subject, payload FROM outbox WHERE sent_at_ms IS NULL ORDER BY id LIMIT ?"),
    markSent: database.prepare("UPDATE outbox SET sent_at_ms = ? WHERE id = ? AND sent_at_ms IS NULL"),
    sentSince: database.prepare(
      "SELECT id FROM outbox WHERE sent_at_ms >= ? AND subject IN (SELECT value FROM json_each(?)) AND COALESCE(json_extract(payload, '$.deadlineAtMs'), ?) >= ? ORDER BY id DESC LIMIT ?",
    ),
    countSentSince: database.prepare(
      "SELECT COUNT(*) AS count FROM outbox WHERE sent_at_ms >= ? AND subject IN (SELECT value FROM json_each(?)) AND COALESCE(json_extract(payload, '$.deadlineAtMs'), ?) >= ?",
    ),
    markUnsent: database.prepare("UPDATE outbox SET sent_at_ms = NULL WHERE id = ?"),
    pruneOutbox: database.prepare("DELETE FROM outbox WHERE sent_at_ms <= ?"),
  };

  /** R11 */
  let generation = 0;
  let forgottenBeforeMs: number | undefined;

  const enqueue = (outbox: readonly OutboxMessage[]): void => {
    if (outbox.length === 0) return;
    const waiting = integer(sql.countUnsent.get() ?? {}, "count");
    if (waiting + outbox.length > outboxMessagesMax) {
      throw new ServiceError(
        `outbox: expected at most ${outboxMessagesMax} unsent messages, found ${waiting} and ${outbox.length} more; the bus does not take them: check NATS`,
      ); // R8
    }
    for (const { subject, payload } of outbox) sql.insertMessage.run(subject, encodeJson(payload, `message on ${subject}`));
  };

  const knownRun = (runId: string): SqlRow => {
    const row = sql.selectRun.get(runId);
    if (row === undefined) throw new ContractError(`run ${runId}: expected a run that was made, found none; make it first`);
    return row;
  };

  const lastEpoch = (run: SqlRow): number => {
    const last = sql.selectLast.get(text(run, "run_id"));
    return last === undefined ? integer(run, "base_epoch") : integer(last, "epoch");
  };

  /** R3. */
  const addTransition = (runId: string, boundaryEpoch: number, input: SeedTransition): void => {
    const transition = checkContract(input, SeedTransition, `transition in run ${runId}`);
    const { seedId, sequence, from, to } = transition;
    const what = `transition ${sequence} of ${seedId} in run ${runId}`;
    if (transition.runId !== runId)
      throw new ContractError(`${what}: expected one of this run, found one of ${transition.runId}`);
    if (!legalTransitions[from].includes(to)) {
      throw new ContractError(
        `${what}: expected one of ${legalTransitions[from].join(", ") || "no state"} after ${from}, found ${to}; the table of legal transitions forbids it`,
      );
    }
    const before = sql.selectState.get(runId, seedId);
    if (before !== undefined) {
      const expected = integer(before, "sequence") + 1;
      if (sequence !== expected)
        throw new ContractError(`${what}: expected sequence ${expected}, found ${sequence}; none may be left out`);
      const state = checkContract(text(before, "state"), LifecycleState, what);
      if (state !== from)
        throw new ContractError(`${what}: expected to start from ${state}, found ${from}; load the seed's state first`);
    }
    sql.insertTransition.run(runId, seedId, sequence, boundaryEpoch, to, encodeJson(transition, what));
  };

  const findReply = (runId: string, epoch: number): SettledReply | undefined => {
    const row = sql.selectReply.get(runId, epoch);
    return row === undefined ? undefined : decodeReply(text(row, "reply"), `boundary ${epoch} of run ${runId}`);
  };

  const recordBoundary = (record: BoundaryRecord): { readonly reply: SettledReply; readonly repeated: boolean } => {
    const { runId, epoch } = record;
    const what = `boundary ${epoch} of run ${runId}`;
    const known = findReply(runId, epoch);
    if (known !== undefined) return { reply: known, repeated: true }; // R2
    const reply = checkContract(record.reply, BoundaryReply, what);
    if (reply.kind === "pause" || reply.kind === "wait")
      throw new ContractError(`${what}: expected a plan or a stop, found a ${reply.kind}; answer it without recording`); // R7
    const last = lastEpoch(knownRun(runId));
    if (epoch <= last) throw new ContractError(`${what}: expected an epoch after ${last}, found ${epoch}; rewind the run first`);
    if (reply.kind === "run" && (reply.plan.epoch !== epoch || reply.plan.runId !== runId)) {
      throw new ContractError(
        `${what}: expected a plan for this window, found one for ${reply.plan.epoch} of run ${reply.plan.runId}`,
      );
    }
    sql.insertBoundary.run(runId, epoch, encodeJson(reply, what), encodeJson(record.snapshots, `snapshots at ${what}`));
    for (const transition of record.transitions) addTransition(runId, epoch, transition);
    const applied = record.appliedCommands.flatMap((requestId) => storedCommand(requestId) ?? []);
    for (const { requestId } of applied) sql.applyCommand.run(requestId);
    ledger.append(boundaryDrafts(record, applied)); // R9
    enqueue(record.outbox);
    sql.trimBoundaries.run(runId, runId, boundariesMax); // R8
    return { reply, repeated: false };
  };

  const findReceipt = (requestId: string, nowMs: number): CommandReceipt | undefined => {
    const row = sql.selectCommand.get(requestId);
    if (row === undefined) return undefined;
    const expired = integer(row, "received_at_ms") + idempotencyMs <= nowMs;
    if (expired && integer(row, "pending") === 0) return undefined; // R4, R5
    return decodeJson(text(row, "receipt"), CommandReceipt, `receipt of ${requestId}`);
  };

  const storedCommand = (requestId: string): KasminaControlCommand | undefined => {
    const row = sql.selectCommand.get(requestId);
    return row === undefined ? undefined : decodeJson(text(row, "command"), KasminaControlCommand, `command ${requestId}`);
  };

  const recordCommand = (record: CommandRecord): { readonly receipt: CommandReceipt; readonly repeated: boolean } => {
    const { requestId } = record.command;
    const known = findReceipt(requestId, record.nowMs);
    if (known !== undefined) return { receipt: known, repeated: true }; // R4
    sql.forgetCommand.run(requestId);
    const receipt = checkContract(record.receipt, CommandReceipt, `receipt of ${requestId}`);
    sql.insertCommand.run(
      requestId,
      record.runId ?? null,
      Math.round(record.nowMs),
      record.pending ? 1 : 0,
      encodeJson(checkContract(record.command, KasminaControlCommand, `command ${requestId}`), `command ${requestId}`),
      encodeJson(receipt, `receipt of ${requestId}`),
      record.resolved === undefined ? null : encodeJson(record.resolved, `command ${requestId}`),
    );
    if (record.paused !== undefined) {
      if (record.runId === undefined)
        throw new ContractError(`command ${requestId}: expected a run to pause or resume, found none`);
      knownRun(record.runId);
      sql.pauseRun.run(record.paused ? 1 : 0, record.runId);
    }
    ledger.append([commandDraft(record)]); // R9
    enqueue(record.outbox);
    return { receipt, repeated: false };
  };

  const runRecord = (row: SqlRow): RunRecord => {
    const runId = text(row, "run_id");
    const last = sql.selectLast.get(runId);
    const outcome = optional(row, "outcome", text);
    return {
      runId,
      arm: text(row, "arm"),
      createdAtMs: integer(row, "created_at_ms"),
      paused: integer(row, "paused") === 1,
      ...(outcome === undefined ? {} : { outcome: runOutcome(outcome, text(row, "reason")) }),
      lastEpoch: lastEpoch(row),
      ...(last === undefined ? {} : { reply: decodeReply(text(last, "reply"), `last boundary of run ${runId}`) }),
      snapshots: decodeJson(
        text(last ?? { snapshots: row["base_snapshots"] }, "snapshots"),
        anything,
        `snapshots of run ${runId}`,
      ),
    };
  };

  return {
    createRun: ({ runId, arm, nowMs }) =>
      database.transaction(() => {
        if (sql.insertRun.run(runId, arm, Math.round(nowMs)) > 0) ledger.append([startDraft(runId, arm)]); // R9
      }),
    loadRun: (runId) => {
      const row = sql.selectRun.get(runId);
      return row === undefined ? undefined : runRecord(row);
    },
    listRuns: (limit) => sql.selectRuns.all(limit).map(runRecord),
    finishRun: (runId, outcome, outbox) =>
      database.transaction(() => {
        knownRun(runId);
        sql.finishRun.run(outcome.kind, outcome.reason, runId);
        ledger.append([finishDraft(runId, outcome)]); // R9
        enqueue(outbox);
      }),
    rewindRun: (point) =>
      database.transaction(() => {
        const { runId, epoch, snapshots, transitions } = point;
        knownRun(runId);
        sql.rewindRun.run(epoch, encodeJson(snapshots, `snapshots of run ${runId}`), runId);
        sql.forgetBoundaries.run(runId);
        sql.forgetTransitions.run(runId);
        for (const transition of transitions) addTransition(runId, epoch, transition);
        ledger.append(rewindDrafts(point)); // R9
      }),

    recordBoundary: (record) => database.transaction(() => recordBoundary(record)), // R1
    findReply,
    transitions: (runId, seedId) =>
      (seedId === undefined ? sql.selectTransitions.all(runId) : sql.selectSeedTransitions.all(runId, seedId)).map((row) =>
        decodeJson(text(row, "transition"), SeedTransition, `transition in run ${runId}`),
      ),

    recordCommand: (record) => {
      const { value, stored } = database.grouped(() => recordCommand(record)); // R4, R10
      return { ...value, stored };
    },
    tellCommand: (record) =>
      database.grouped(() => {
        ledger.append([commandDraft(record)]); // R9
        enqueue(record.outbox);
      }).stored,
    settled: () => database.settled(),
    tellRefusals: (refusals) => database.transaction(() => ledger.append(refusals.map(refusalsDraft))), // R9
    findReceipt,
    recall: (command, nowMs) => {
      const receipt = findReceipt(command.requestId, nowMs);
      if (receipt === undefined) return undefined;
      const first = sql.selectCommand.get(command.requestId);
      const what = `command ${command.requestId}`;
      return { same: first !== undefined && text(first, "command") === encodeJson(command, what), receipt };
    },
    commandHash: (requestId) => {
      const row = sql.selectCommand.get(requestId);
      return row === undefined ? undefined : sha256(text(row, "command"));
    },
    pendingCommands: (runId) =>
      sql.selectPending
        .all(runId)
        .map((row) => decodeJson(text(row, "command"), KasminaControlCommand, `command for run ${runId}`)),

    enqueue: (outbox) => database.transaction(() => enqueue(outbox)),
    pendingOutbox: (limit) =>
      // R6, R10: a transaction, so that nothing leaves that is not on the disk.
      database
        .transaction(() => sql.selectUnsent.all(limit))
        .map((row) => {
          const id = integer(row, "id");
          return {
            id,
            subject: text(row, "subject"),
            payload: decodeJson(text(row, "payload"), anything, `outbox message ${id}`),
          };
        }),
    sendAgain: ({ subjects, sinceMs, nowMs }) =>
      database.transaction(() => {
        const now = Math.round(nowMs);
        const which = [Math.floor(sinceMs ?? 0), JSON.stringify(subjects), now, now] as const;
        const kept = integer(sql.countSentSince.get(...which) ?? {}, "count");
        const room = Math.max(0, Math.floor(outboxMessagesMax / 2) - integer(sql.countUnsent.get() ?? {}, "count"));
        // R11: the newest, whose consumers are the least likely to have them.
        const ids = sql.sentSince.all(...which, Math.min(kept, room)).map((row) => integer(row, "id"));
        for (const id of ids) sql.markUnsent.run(id);
        if (ids.length > 0) generation++;
        return {
          again: ids.length,
          left: kept - ids.length,
          ...(forgottenBeforeMs === undefined ? {} : { forgottenBeforeMs }),
        };
      }),
    sentAgain: () => generation,
    isCrowded: () => 2 * integer(sql.countUnsent.get() ?? {}, "count") > outboxMessagesMax,
    markSent: (ids, nowMs) => {
      database.grouped(() => {
        for (const id of ids) sql.markSent.run(Math.round(nowMs), id); // R6
      });
    },
    prune: (nowMs) =>
      database.transaction(() => {
        const before = Math.round(nowMs - idempotencyMs);
        const messages = sql.pruneOutbox.run(before);
        if (messages > 0) forgottenBeforeMs = before;
        return sql.pruneCommands.run(before) + messages;
      }),
  };
};
