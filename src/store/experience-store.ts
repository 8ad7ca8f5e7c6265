/**
 * What agents saw, did and got, for whoever learns from it.
 *
 * X1 A record is kept once per request.
 * X2 At most `experiencesMax` are kept, the newest.
 */
import { Experience } from "../contracts/command-changes.ts";
import { type Database, integer, text } from "./database.ts";
import { checkContract, decodeJson, encodeJson } from "./json.ts";

export interface ExperienceRecord {
  readonly requestId: string;
  readonly runId?: string | undefined;
  readonly principal: string;
  readonly atMs: number;
  readonly experience: Experience;
}

export interface ExperienceStore {
  /** How many are kept now. */
  add(record: ExperienceRecord): number;
  /** The newest first. */
  list(limit: number): readonly Experience[];
}

export const experiencesMax = 10_000;

export const createExperienceStore = (database: Database, most = experiencesMax): ExperienceStore => {
  const sql = {
    insert: database.prepare(
      "INSERT INTO experiences (request_id, run_id, principal, at_ms, experience) VALUES (?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING",
    ),
    trim: database.prepare("DELETE FROM experiences WHERE id <= (SELECT id FROM experiences ORDER BY id DESC LIMIT 1 OFFSET ?)"),
    count: database.prepare("SELECT COUNT(*) AS count FROM experiences"),
    list: database.prepare("SELECT experience FROM experiences ORDER BY id DESC LIMIT ?"),
  };
  return {
    add: ({ requestId, runId, principal, atMs, experience }) =>
      database.transaction(() => {
        const json = encodeJson(checkContract(experience, Experience, "an experience"), "an experience");
        sql.insert.run(requestId, runId ?? null, principal, Math.round(atMs), json); // X1
        sql.trim.run(most); // X2
        return integer(sql.count.get() ?? {}, "count");
      }),
    list: (limit) => sql.list.all(limit).map((row) => decodeJson(text(row, "experience"), Experience, "an experience")),
  };
};
