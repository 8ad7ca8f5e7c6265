/**
 * What the Warden must not forget: commands that wait for approval and how they were decided, and the changes that learning made.
 *
 * W1 A record is on the disk when a call returns.
 * W2 At most `decidedMax` approvals that wait no longer and `changesMax` changes are kept, the newest.
 */
import { ApprovalRecord, LearningChange } from "../contracts/governance.ts";
import { type Database, integer, text } from "./database.ts";
import { checkContract, decodeJson, encodeJson } from "./json.ts";

export interface WardenStore {
  findApproval(requestId: string): ApprovalRecord | undefined;
  /** The oldest first. */
  approvals(): readonly ApprovalRecord[];
  waiting(): number;
  /** One record for each request id: the last one counts. */
  putApproval(record: ApprovalRecord): void;
  /** The oldest first. */
  changes(): readonly LearningChange[];
  putChange(change: LearningChange): void;
  forgetChange(requestId: string): void;
}

const decidedMax = 256;
const changesMax = 1024;

export const createWardenStore = ({ database }: { readonly database: Database }): WardenStore => {
  const sql = {
    find: database.prepare("SELECT record FROM approvals WHERE request_id = ?"),
    all: database.prepare("SELECT record FROM approvals ORDER BY created_at_ms, request_id"),
    waiting: database.prepare("SELECT COUNT(*) AS count FROM approvals WHERE state = 'waiting'"),
    put: database.prepare(
      "INSERT INTO approvals (request_id, state, created_at_ms, record) VALUES (?, ?, ?, ?) ON CONFLICT (request_id) DO UPDATE SET state = excluded.state, created_at_ms = excluded.created_at_ms, record = excluded.record",
    ),
    trim: database.prepare(
      "DELETE FROM approvals WHERE request_id IN (SELECT request_id FROM approvals WHERE state <> 'waiting' ORDER BY created_at_ms DESC LIMIT -1 OFFSET ?)",
    ),
    changes: database.prepare("SELECT change FROM learning_changes ORDER BY at_ms, request_id"),
    putChange: database.prepare(
      "INSERT INTO learning_changes (request_id, at_ms, change) VALUES (?, ?, ?) ON CONFLICT (request_id) DO UPDATE SET at_ms = excluded.at_ms, change = excluded.change",
    ),
    forgetChange: database.prepare("DELETE FROM learning_changes WHERE request_id = ?"),
    trimChanges: database.prepare(
      "DELETE FROM learning_changes WHERE request_id IN (SELECT request_id FROM learning_changes ORDER BY at_ms DESC LIMIT -1 OFFSET ?)",
    ),
  };
  const approval = (json: string): ApprovalRecord => decodeJson(json, ApprovalRecord, "an approval");

  return {
    findApproval: (requestId) => {
      const row = sql.find.get(requestId);
      return row === undefined ? undefined : approval(text(row, "record"));
    },
    approvals: () => sql.all.all().map((row) => approval(text(row, "record"))),
    waiting: () => integer(sql.waiting.get() ?? {}, "count"),
    putApproval: (record) =>
      database.transaction(() => {
        const what = `the approval of ${record.command.requestId}`;
        const json = encodeJson(checkContract(record, ApprovalRecord, what), what);
        sql.put.run(record.command.requestId, record.state, Math.round(record.createdAtMs), json); // W1
        sql.trim.run(decidedMax); // W2
      }),
    changes: () => sql.changes.all().map((row) => decodeJson(text(row, "change"), LearningChange, "a change of the policy")),
    forgetChange: (requestId) => database.transaction(() => void sql.forgetChange.run(requestId)),
    putChange: (change) =>
      database.transaction(() => {
        const what = `the change ${change.requestId}`;
        sql.putChange.run(
          change.requestId,
          Math.round(change.atMs),
          encodeJson(checkContract(change, LearningChange, what), what),
        );
        sql.trimChanges.run(changesMax);
      }),
  };
};
