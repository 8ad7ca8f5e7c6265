/**
 * Runs that were asked for and wait for their turn.
 *
 * W1 What was put here is there after a crash, in its order, until it is taken or taken away.
 */
import { z } from "zod";
import { FirstCommand, firstCommandsMax } from "../contracts/command-steering.ts";
import { StartConfig } from "../contracts/config.ts";
import { Requester } from "../contracts/roles.ts";
import { type Database, text } from "./database.ts";
import { decodeJson, encodeJson } from "./json.ts";

export const WaitingRun = z.strictObject({
  requestId: z.string(),
  /** Its report's name; the ids of its runs begin with it. */
  name: z.string(),
  config: StartConfig,
  /** Under the data directory. */
  resume: z.string().optional(),
  /** Asked for at its first boundary, and who asks. */
  first: z.array(FirstCommand).max(firstCommandsMax).optional(),
  by: Requester.optional(),
});
export type WaitingRun = z.infer<typeof WaitingRun>;

export interface WaitingRunStore {
  /** The one that waits longest first. */
  list(): readonly WaitingRun[];
  put(run: WaitingRun): void;
  remove(requestId: string): void;
}

export const createWaitingRunStore = (database: Database): WaitingRunStore => {
  const select = database.prepare("SELECT run FROM waiting_runs ORDER BY id");
  const insert = database.prepare("INSERT INTO waiting_runs (request_id, run) VALUES (?, ?) ON CONFLICT (request_id) DO NOTHING");
  const drop = database.prepare("DELETE FROM waiting_runs WHERE request_id = ?");
  return {
    list: () => select.all().map((row) => decodeJson(text(row, "run"), WaitingRun, "waiting run")),
    put: (run) => database.transaction(() => void insert.run(run.requestId, encodeJson(run, "waiting run"))), // W1
    remove: (requestId) => database.transaction(() => void drop.run(requestId)),
  };
};
