/**
 * One node for a data directory.
 *
 * L1 The lock is a write transaction that stays open: the operating system takes it back when the process ends, however it ends, so that none
 *    is ever stale.
 * L2 It is taken before anything else of the directory is opened: opening clears what a crash left half made, which of a node that runs is at work.
 */
import { ServiceError } from "../contracts/errors.ts";
import { DatabaseLockedError, openDatabase, openDatabaseReader } from "./database.ts";

const migrations = ["CREATE TABLE holder (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL)"];
/** A node that is just telling its process id is waited for. */
const busyTimeoutMs = 200;

export interface NodeLock {
  release(): void;
}

const holderOf = (file: string): string => {
  const reader = openDatabaseReader({ file, migrations, busyTimeoutMs });
  try {
    return String(reader.prepare("SELECT pid FROM holder WHERE id = 1").get()?.["pid"] ?? "unknown");
  } finally {
    reader.close();
  }
};

const hold = (file: string, pid: number): NodeLock => {
  const database = openDatabase({ file, migrations, busyTimeoutMs });
  try {
    database.prepare("INSERT OR REPLACE INTO holder (id, pid) VALUES (1, ?)").run(pid);
    database.prepare("BEGIN IMMEDIATE").run(); // L1
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    release: () => {
      database.prepare("ROLLBACK").run();
      database.close();
    },
  };
};

/**
 * @param pid Process id of the node, told to whoever comes second.
 * @throws ServiceError when another node holds the directory.
 */
export const lockDataDir = (dataDir: string, file: string, pid: number): NodeLock => {
  try {
    return hold(file, pid);
  } catch (error) {
    if (!(error instanceof DatabaseLockedError)) throw error;
    throw new ServiceError(
      `expected the data directory ${dataDir} to be free, it is used by the node with process id ${holderOf(file)}. Stop that node or set another \`services.dataDir\`.`,
      { path: "services.dataDir", file },
    );
  }
};
