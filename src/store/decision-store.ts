/**
 * What Tamiyo and Emrakul decided, kept for questions.
 *
 * N1 A decision is kept once per message, however often it is delivered.
 * N2 At most `decisionsMax` are kept, the newest.
 */
import { Decision } from "../contracts/decision.ts";
import { type Database, integer, text } from "./database.ts";
import { checkContract, decodeJson, encodeJson } from "./json.ts";

export interface DecisionStore {
  add(messageId: string, decision: Decision): void;
  /** The newest first; of one run, or of all. */
  list(query: { readonly runId?: string | undefined; readonly sinceEpoch: number; readonly limit: number }): readonly Decision[];
  /** Of one run, or of all. */
  count(runId?: string): number;
}

export const decisionsMax = 20_000;

export const createDecisionStore = (database: Database, most = decisionsMax): DecisionStore => {
  const sql = {
    insert: database.prepare(
      "INSERT INTO decisions (message_id, run_id, epoch, decision) VALUES (?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING",
    ),
    trim: database.prepare("DELETE FROM decisions WHERE id <= (SELECT id FROM decisions ORDER BY id DESC LIMIT 1 OFFSET ?)"),
    all: database.prepare("SELECT decision FROM decisions WHERE epoch >= ? ORDER BY id DESC LIMIT ?"),
    ofRun: database.prepare("SELECT decision FROM decisions WHERE run_id = ? AND epoch >= ? ORDER BY id DESC LIMIT ?"),
    countAll: database.prepare("SELECT COUNT(*) AS count FROM decisions"),
    countRun: database.prepare("SELECT COUNT(*) AS count FROM decisions WHERE run_id = ?"),
  };
  return {
    add: (messageId, decision) =>
      database.transaction(() => {
        const checked = checkContract(decision, Decision, `decision ${messageId}`);
        sql.insert.run(messageId, checked.runId, checked.epoch, encodeJson(checked, `decision ${messageId}`)); // N1
        sql.trim.run(most); // N2
      }),
    list: ({ runId, sinceEpoch, limit }) =>
      (runId === undefined ? sql.all.all(sinceEpoch, limit) : sql.ofRun.all(runId, sinceEpoch, limit)).map((row) =>
        decodeJson(text(row, "decision"), Decision, "a decision"),
      ),
    count: (runId) => integer((runId === undefined ? sql.countAll.get() : sql.countRun.get(runId)) ?? {}, "count"),
  };
};
