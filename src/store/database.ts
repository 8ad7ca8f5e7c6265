/**
 * SQLite: the one file that imports its driver.
 *
 * D1 A transaction that returned is on the disk: write-ahead log with synchronous=FULL.
 * D2 A transaction is all or nothing, also when its callback throws.
 * D3 `user_version` counts the migrations done; a file from a newer program is refused, never touched.
 * D4 What waits for a commit is called once the outermost transaction is on the disk, and never when it is rolled back.
 * D5 A reader changes nothing and sees one moment of the database, whatever is written meanwhile.
 * D6 Grouped work is done at once, and shares a commit with what is grouped in the same turn of the event loop: one wait for the disk
 *    instead of many. Each work is all or nothing by itself; on the disk it is when its promise resolves. What fails with the commit
 *    is undone as a whole, and every promise of the group rejects.
 * D7 No other write is in a group unknowingly: a transaction that begins while one is open ends it, and so does a single statement.
 */
import { existsSync } from "node:fs";
import Libsql from "libsql";
import { ContractError, DataError, describeError, ServiceError } from "../contracts/errors.ts";
import { errorCode } from "./file-system.ts";

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, unknown>>;

/** A prepared statement; values are bound to its `?` in order. */
export interface Statement {
  /** The number of rows changed. */
  run(...values: readonly SqlValue[]): number;
  get(...values: readonly SqlValue[]): SqlRow | undefined;
  all(...values: readonly SqlValue[]): readonly SqlRow[];
}

export interface Database {
  readonly file: string;
  prepare(sql: string): Statement;
  /** D1, D2. A transaction inside another joins it. */
  transaction<T>(work: () => T): T;
  /** D6. Outside of a transaction. */
  grouped<T>(work: () => T): Grouped<T>;
  /** Resolves when all that was grouped is on the disk. D6 */
  settled(): Promise<void>;
  /** D4. Inside a transaction; `work` may not throw. */
  afterCommit(work: () => void): void;
  /** Inside a transaction: the last thing to be done in it, once, however often it is asked for. */
  beforeCommit(work: () => void): void;
  close(): void;
}

export interface Grouped<T> {
  readonly value: T;
  /** Resolves when it is on the disk. */
  readonly stored: Promise<void>;
}

/** D5. */
export interface DatabaseReader {
  readonly file: string;
  prepare(sql: string): Pick<Statement, "get" | "all">;
  /** From here on another, later moment is seen. */
  refresh(): void;
  close(): void;
}

export interface DatabaseOptions {
  readonly file: string;
  /** Step n of the list takes a file from version n to n + 1. Steps are only ever added. */
  readonly migrations: readonly string[];
  /** Wait for another process that is writing. */
  readonly busyTimeoutMs: number;
  /** When a group is committed: after what the present turn of the event loop still brings. */
  readonly nextTurn?: (work: () => void) => void;
}

/** Another connection holds the file. */
export class DatabaseLockedError extends DataError {}

/** What the driver threw, in words; anything else as it is. */
const databaseError = (file: string, error: unknown): unknown => {
  const code = errorCode(error) ?? "";
  const options = { cause: error };
  const found = describeError(error);
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
    return new DatabaseLockedError(
      `database ${file}: expected it to be free, found it locked (${found}); another node uses this data directory: stop it or set services.dataDir`,
      { file },
      options,
    );
  }
  if (code.startsWith("SQLITE_NOTADB") || code.startsWith("SQLITE_CORRUPT")) {
    return new DataError(
      `database ${file}: expected an SQLite database, found a damaged file (${found}); move it away to start a new one, or put a backup in its place`,
      { file },
      options,
    );
  }
  if (code.startsWith("SQLITE_FULL") || code.startsWith("SQLITE_IOERR")) {
    return new ServiceError(
      `database ${file}: expected room on a working disk, found: ${found}; free some space or set services.dataDir to another disk`,
      { file },
      options,
    );
  }
  if (found.includes("Unable to open")) {
    return new ServiceError(
      `database ${file}: expected to open or make it, found: ${found}; check that its folder exists and may be written to`,
      { file },
      options,
    );
  }
  return error;
};

const isRow = (value: unknown): value is SqlRow => typeof value === "object" && value !== null;

const guardFile =
  (file: string) =>
  <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw databaseError(file, error);
    }
  };

const prepareOn = (driver: Libsql.Database, file: string, sql: string): Statement => {
  const guarded = guardFile(file);
  const statement = guarded(() => driver.prepare(sql));
  const row = (value: unknown): SqlRow => {
    if (isRow(value)) return value;
    throw new DataError(`database ${file}: expected a row, found ${typeof value}`, { file });
  };
  return {
    run: (...values) => guarded(() => statement.run(...values).changes),
    get: (...values) => {
      const value = guarded(() => statement.get(...values));
      return value === undefined ? undefined : row(value);
    },
    all: (...values) => guarded(() => statement.all(...values)).map(row),
  };
};

/** Works that share a commit. D6 */
interface Group {
  readonly stored: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const openGroup = (): Group => {
  let resolve: () => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const stored = new Promise<void>((kept, lost) => {
    resolve = kept;
    reject = lost;
  });
  // A failure is news to those who wait; that nobody does is no failure of its own.
  stored.catch(() => undefined);
  return { stored, resolve, reject };
};

/** Opens or makes the file and brings it to the newest version. Its folder exists. */
export const openDatabase = (options: DatabaseOptions): Database => {
  const { file, migrations, busyTimeoutMs } = options;
  const guarded = guardFile(file);
  const driver = guarded(() => new Libsql(file, { timeout: busyTimeoutMs }));
  const nextTurn = options.nextTurn ?? ((work) => void setImmediate(work));
  let depth = 0;
  let committed: (() => void)[] = [];
  const last = new Set<() => void>();
  let group: Group | undefined;

  const nested = <T>(work: () => T): T => {
    depth++;
    try {
      return work();
    } finally {
      depth--;
    }
  };

  const begin = (): void => void driver.exec("BEGIN IMMEDIATE");

  const rollback = (): void => {
    committed = []; // D4
    last.clear();
    // A full disk has ended the transaction already: then there is nothing to roll back, and the first error is the one to tell.
    if (driver.inTransaction) driver.exec("ROLLBACK"); // D2
  };

  const commit = (): void => {
    nested(() => {
      for (const each of last) each();
    });
    last.clear();
    driver.exec("COMMIT");
  };

  const tellCommitted = (): void => {
    const waiting = committed;
    committed = [];
    for (const each of waiting) each(); // D4
  };

  /** D6. Nothing when no group is open. */
  const commitGroup = (): void => {
    const open = group;
    if (open === undefined) return;
    group = undefined;
    try {
      guarded(() => {
        try {
          commit();
        } catch (error) {
          rollback();
          throw error;
        }
      });
    } catch (error) {
      open.reject(error);
      throw error;
    }
    tellCommitted();
    open.resolve();
  };

  /** The work in a savepoint of the open group: undone alone when it throws. */
  const inGroup = <T>(work: () => T): T =>
    guarded(() => {
      const told = committed.length;
      driver.exec("SAVEPOINT work");
      try {
        const value = nested(work);
        driver.exec("RELEASE work");
        return value;
      } catch (error) {
        committed.length = told;
        if (driver.inTransaction) driver.exec("ROLLBACK TO work; RELEASE work");
        else {
          const lost = group;
          group = undefined;
          rollback();
          lost?.reject(error);
        }
        throw error;
      }
    });

  const transaction = <T>(work: () => T): T => {
    if (depth > 0) return work();
    if (group !== undefined) {
      const value = inGroup(work);
      commitGroup(); // D7
      return value;
    }
    const result = guarded(() => {
      begin();
      try {
        const value = nested(work);
        commit();
        return value;
      } catch (error) {
        rollback();
        throw error;
      }
    });
    tellCommitted();
    return result;
  };

  const grouped = <T>(work: () => T): Grouped<T> => {
    if (depth > 0)
      throw new ContractError(`database ${file}: expected grouped work outside of a transaction, found it inside one`);
    if (group === undefined) {
      guarded(begin);
      const opened = openGroup();
      group = opened;
      nextTurn(() => {
        if (group !== opened) return;
        try {
          commitGroup();
        } catch {
          // Those who wait are told.
        }
      });
    }
    const { stored } = group;
    return { value: inGroup(work), stored };
  };

  const prepare = (sql: string): Statement => {
    const statement = prepareOn(driver, file, sql);
    return {
      ...statement,
      run: (...values) => {
        if (depth === 0) commitGroup(); // D7
        return statement.run(...values);
      },
    };
  };

  const migrate = (): void => {
    const version = integer(prepare("PRAGMA user_version").get() ?? {}, "user_version");
    if (version > migrations.length) {
      // D3: before anything is changed, the journal mode included.
      throw new DataError(
        `database ${file}: expected version ${migrations.length} or older, found ${version}; a newer Esper wrote it: update, or set services.dataDir to another folder`,
        { file },
      );
    }
    driver.exec("PRAGMA journal_mode = WAL");
    driver.exec("PRAGMA synchronous = FULL"); // D1
    driver.exec("PRAGMA foreign_keys = ON");
    const check = text(prepare("PRAGMA quick_check(1)").get() ?? {}, "quick_check");
    if (check !== "ok") {
      throw new DataError(
        `database ${file}: expected an intact SQLite database, found: ${check}; move it away to start a new one, or put a backup in its place`,
        { file },
      );
    }
    for (let step = version; step < migrations.length; step++) {
      transaction(() => {
        driver.exec(migrations[step]!);
        driver.exec(`PRAGMA user_version = ${step + 1}`);
      });
    }
  };

  try {
    guarded(migrate);
  } catch (error) {
    driver.close();
    throw error;
  }

  return {
    file,
    prepare,
    transaction,
    grouped,
    settled: () => group?.stored ?? Promise.resolve(),
    afterCommit: (work) => {
      if (depth === 0) throw new ContractError(`database ${file}: expected a transaction to wait for, found none`);
      committed.push(work);
    },
    beforeCommit: (work) => {
      if (depth === 0) throw new ContractError(`database ${file}: expected a transaction to end with it, found none`);
      last.add(work);
    },
    close: () => {
      if (!driver.open) return;
      try {
        commitGroup();
        // The driver's statements keep the log open: without this all would stay in `-wal`, and a copy of the file alone would be empty.
        guarded(() => prepare("PRAGMA wal_checkpoint(TRUNCATE)").get());
      } finally {
        driver.close();
      }
    },
  };
};

/** Opens a file that a node wrote, also while it runs. Throws DataError when there is none, or it is of another version. */
export const openDatabaseReader = ({ file, migrations, busyTimeoutMs }: DatabaseOptions): DatabaseReader => {
  if (!existsSync(file))
    throw new DataError(`database ${file}: expected the database of a node, found nothing there; name its data directory`, {
      file,
    });
  const guarded = guardFile(file);
  const driver = guarded(() => new Libsql(file, { timeout: busyTimeoutMs }));
  try {
    return guarded(() => {
      driver.exec("PRAGMA query_only = ON"); // D5
      const prepare = (sql: string): Statement => prepareOn(driver, file, sql);
      const version = integer(prepare("PRAGMA user_version").get() ?? {}, "user_version");
      if (version !== migrations.length)
        throw new DataError(
          `database ${file}: expected version ${migrations.length}, found ${version}; start a node of this Esper on it first, or use the Esper that wrote it`,
          { file },
        );
      // A deferred transaction takes its moment with the first row that is read.
      driver.exec("BEGIN"); // D5
      return {
        file,
        prepare,
        refresh: () => guarded(() => void driver.exec("COMMIT; BEGIN")),
        close: () => {
          if (driver.open) driver.close();
        },
      };
    });
  } catch (error) {
    driver.close();
    throw error;
  }
};

const columnError = (row: SqlRow, column: string, expected: string): DataError =>
  new DataError(
    `database: expected ${expected} in column ${column}, found ${row[column] === null ? "null" : typeof row[column]}`,
  );

/** A column that holds text; DataError otherwise. */
export const text = (row: SqlRow, column: string): string => {
  const value = row[column];
  if (typeof value !== "string") throw columnError(row, column, "text");
  return value;
};

/** A column that holds an integer; DataError otherwise. */
export const integer = (row: SqlRow, column: string): number => {
  const value = row[column];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw columnError(row, column, "an integer");
  return value;
};

/** A column that may be empty. */
export const optional = <T>(row: SqlRow, column: string, read: (row: SqlRow, column: string) => T): T | undefined =>
  row[column] === null ? undefined : read(row, column);
