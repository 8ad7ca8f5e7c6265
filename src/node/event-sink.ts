/** The event logs of a node: one per run, and one for what belongs to no run. */
import { join } from "node:path";
import type { EventSink } from "../actors/nissa.ts";
import type { Envelope } from "../contracts/envelope.ts";
import { type EventLog, openEventLog, readEventLog } from "../store/event-log.ts";
import type { FileSystem } from "../store/file-system.ts";
import type { DataPaths } from "../store/paths.ts";

const recentIdsMax = 100_000;
const tailBytes = 1_048_576;

export interface NodeEventSink extends EventSink {
  /** Events written to a run's log by this process, by subject. */
  written(runId: string, subject: string): number;
  /** The log of the run tells its end. */
  finished(runId: string): boolean;
  read(runId: string): Promise<readonly Envelope[]>;
  close(): Promise<void>;
}

export const createEventSink = (fileSystem: FileSystem, paths: DataPaths, dataDir: string, bytesMax: number): NodeEventSink => {
  const logs = new Map<string, Promise<EventLog>>();
  const counts = new Map<string, number>();
  const open = (file: string): Promise<EventLog> => {
    const known = logs.get(file);
    if (known !== undefined) return known;
    const opening = openEventLog({ fileSystem, file, bytesMax, recentIdsMax, tailBytes, syncPolicy: "batch" });
    logs.set(file, opening);
    opening.catch(() => logs.delete(file));
    return opening;
  };
  const ended = new Set<string>();
  const key = (runId: string, subject: string): string => `${runId} ${subject}`;
  return {
    append: async (runId, envelope) => {
      const log = await open(runId === undefined ? join(dataDir, "events.jsonl") : paths.eventLog(runId));
      const { duplicates } = await log.append([envelope]);
      if (runId !== undefined && duplicates === 0) {
        if (isEnd(envelope)) ended.add(runId);
        counts.set(key(runId, envelope.subject), (counts.get(key(runId, envelope.subject)) ?? 0) + 1);
      }
      return duplicates === 0;
    },
    written: (runId, subject) => counts.get(key(runId, subject)) ?? 0,
    finished: (runId) => ended.has(runId),
    read: async (runId) => {
      const events: Envelope[] = [];
      for await (const envelope of readEventLog(fileSystem, paths.eventLog(runId))) events.push(envelope);
      return events;
    },
    close: async () => {
      for (const opening of logs.values()) await (await opening).close();
      logs.clear();
    },
  };
};

const isEnd = ({ subject, payload }: Envelope): boolean =>
  subject === "system.events.run" &&
  typeof payload === "object" &&
  payload !== null &&
  "kind" in payload &&
  payload.kind === "finished";
