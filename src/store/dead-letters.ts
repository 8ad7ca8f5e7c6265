/**
 * Dead letters on SQLite.
 *
 * L1 A message that an actor could not handle is one letter, however often it died; it is known by actor, subject and the message's id.
 * L2 Told a second time of the same place in the stream, nothing changes; a message that comes without its text takes none away.
 * L3 At most `lettersMax` are kept: one more pushes out the oldest that was sent again, else the oldest.
 * L4 A letter that died again after a retry waits again; its retries stay counted.
 */
import type { DeadLetter, DeadLetterReport } from "../contracts/dead-letter.ts";
import { deadLetterStates } from "../contracts/dead-letter.ts";
import { Envelope } from "../contracts/envelope.ts";
import { DataError } from "../contracts/errors.ts";
import { type Database, integer, optional, type SqlRow, text } from "./database.ts";
import { decodeJson, encodeJson } from "./json.ts";

/** A letter with what it says. */
export interface StoredLetter extends Omit<DeadLetter, "stuck"> {
  readonly envelope?: Envelope;
  readonly raw?: string;
}

export interface LettersAsked {
  readonly afterId: number;
  readonly limit: number;
  readonly subject?: string | undefined;
  readonly principal?: string | undefined;
}

/** All calls are synchronous and durable when they return. */
export interface DeadLetterStore {
  /** L1, L2, L3. `pushedOut`: letters that made room. */
  add(report: DeadLetterReport, nowMs: number): { readonly id: number; readonly isNew: boolean; readonly pushedOut: number };
  /** In the order of their ids. */
  list(asked: LettersAsked): readonly StoredLetter[];
  find(id: number): StoredLetter | undefined;
  count(): number;
  markRetried(id: number): void;
  /** False when there is no such letter. */
  drop(id: number): boolean;
}

const stateOf = (row: SqlRow): (typeof deadLetterStates)[number] => {
  const found = text(row, "state");
  const state = deadLetterStates.find((known) => known === found);
  if (state === undefined)
    throw new DataError(
      `dead letters: expected one of ${deadLetterStates.join(", ")}, found ${found}; the stored data is damaged`,
    );
  return state;
};

const letterOf = (row: SqlRow): StoredLetter => {
  const id = integer(row, "id");
  const envelope = optional(row, "envelope", text);
  const raw = optional(row, "raw", text);
  return {
    id,
    state: stateOf(row),
    principal: text(row, "principal"),
    subject: text(row, "subject"),
    messageId: text(row, "message_id"),
    reason: text(row, "reason"),
    deliveries: integer(row, "deliveries"),
    occurrences: integer(row, "occurrences"),
    retries: integer(row, "retries"),
    firstAtMs: integer(row, "first_at_ms"),
    lastAtMs: integer(row, "last_at_ms"),
    ...(envelope === undefined ? {} : { envelope: decodeJson(envelope, Envelope, `dead letter ${id}`) }),
    ...(raw === undefined ? {} : { raw }),
  };
};

export const createDeadLetterStore = ({
  database,
  lettersMax,
}: {
  readonly database: Database;
  /** `services.deadLetters.lettersMax` */
  readonly lettersMax: number;
}): DeadLetterStore => {
  const sql = {
    selectPlace: database.prepare(
      "SELECT id, message_id FROM dead_letters WHERE principal = ? AND subject = ? AND stream = ? AND sequence = ? ORDER BY id DESC LIMIT 1",
    ),
    selectMessage: database.prepare("SELECT id FROM dead_letters WHERE principal = ? AND subject = ? AND message_id = ?"),
    insert: database.prepare(
      `INSERT INTO dead_letters
         (state, principal, subject, message_id, stream, sequence, reason, deliveries, occurrences, retries, first_at_ms, last_at_ms, envelope, raw)
       VALUES ('waiting', ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?, ?, ?)`,
    ),
    dieAgain: database.prepare(
      "UPDATE dead_letters SET state = 'waiting', stream = ?, sequence = ?, reason = ?, deliveries = ?, occurrences = occurrences + 1, last_at_ms = ? WHERE id = ?",
    ),
    select: database.prepare("SELECT * FROM dead_letters WHERE id = ?"),
    selectAll: database.prepare(
      "SELECT * FROM dead_letters WHERE id > ? AND (? IS NULL OR subject = ?) AND (? IS NULL OR principal = ?) ORDER BY id LIMIT ?",
    ),
    count: database.prepare("SELECT COUNT(*) AS count FROM dead_letters"),
    pushOut: database.prepare(
      "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters ORDER BY state = 'waiting', id LIMIT ?)",
    ),
    retried: database.prepare("UPDATE dead_letters SET state = 'retried', retries = retries + 1 WHERE id = ?"),
    drop: database.prepare("DELETE FROM dead_letters WHERE id = ?"),
  };
  const count = (): number => integer(sql.count.get() ?? {}, "count");

  const add: DeadLetterStore["add"] = (report, nowMs) => {
    const { principal, subject, stream, sequence, reason, deliveries, envelope, raw } = report;
    const known = sql.selectPlace.get(principal, subject, stream, sequence);
    // Another message may stand in its place: a stream that was lost and made again counts from 1.
    const isSame = known !== undefined && (envelope === undefined || text(known, "message_id") === envelope.id);
    if (isSame) return { id: integer(known, "id"), isNew: false, pushedOut: 0 }; // L2
    const messageId = envelope?.id ?? `${stream}:${sequence}`;
    const atMs = Math.round(nowMs);
    const before = sql.selectMessage.get(principal, subject, messageId);
    if (before !== undefined) {
      const id = integer(before, "id");
      sql.dieAgain.run(stream, sequence, reason, deliveries, atMs, id); // L1, L4
      return { id, isNew: false, pushedOut: 0 };
    }
    const over = count() + 1 - lettersMax;
    const pushedOut = over > 0 ? sql.pushOut.run(over) : 0; // L3
    const json = envelope === undefined ? null : encodeJson(envelope, `dead letter on ${subject}`);
    sql.insert.run(principal, subject, messageId, stream, sequence, reason, deliveries, atMs, atMs, json, raw ?? null);
    return { id: integer(sql.selectMessage.get(principal, subject, messageId) ?? {}, "id"), isNew: true, pushedOut };
  };

  return {
    add: (report, nowMs) => database.transaction(() => add(report, nowMs)),
    list: ({ afterId, limit, subject = null, principal = null }) =>
      sql.selectAll.all(afterId, subject, subject, principal, principal, limit).map(letterOf),
    find: (id) => {
      const row = sql.select.get(id);
      return row === undefined ? undefined : letterOf(row);
    },
    count,
    markRetried: (id) => void sql.retried.run(id),
    drop: (id) => sql.drop.run(id) > 0,
  };
};
