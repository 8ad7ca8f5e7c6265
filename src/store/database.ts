/**
 * SQLite: the one file that imports its driver.
 *
 * D1 A transaction that returned is on the disk: write-ahead log with synchronous=FULL.
 * D2 A transaction is all or nothing, also when its callback throws.
 * D3 `user_version` counts the migrations done; a file from a newer program is refused, never touched.
 * D4 What waits for a commit is called once the outermost transaction is on the disk, and never when it is rolled back.
 * D5 A reader changes nothing and sees one moment of the database, whatever is written meanwhile.
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
  /** D4. Inside a transaction; `work` may not throw. */
  afterCommit(work: () => void): void;
  close(): void;
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

/** Opens or makes the file and brings it to the newest version. Its folder exists. */
export const openDatabase = (options: DatabaseOptions): Database => {
  const { file, migrations, busyTimeoutMs } = options;
  const guarded = guardFile(file);
  const driver = guarded(() => new Libsql(file, { timeout: busyTimeoutMs }));
  const prepare = (sql: string): Statement => prepareOn(driver, file, sql);
  let depth = 0;
  let committed: (() => void)[] = [];

  const transaction = <T>(work: () => T): T => {
    if (depth > 0) return work();
    const result = guarded(() => {
      driver.exec("BEGIN IMMEDIATE");
      depth++;
      try {
        const value = work();
        driver.exec("COMMIT");
        return value;
      } catch (error) {
        committed = []; // D4
        // A full disk has ended the transaction already: then there is nothing to roll back, and the first error is the one to tell.
        if (driver.inTransaction) driver.exec("ROLLBACK"); // D2
        throw error;
      } finally {
        depth--;
      }
    });
    const waiting = committed;
    committed = [];
    for (const each of waiting) each(); // D4
    return result;
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
    afterCommit: (work) => {
      if (depth === 0) throw new ContractError(`database ${file}: expected a transaction to wait for, found none`);
      committed.push(work);
    },
    close: () => {
      if (!driver.open) return;
      // The driver's statements keep the log open: without this all would stay in `-wal`, and a copy of the file alone would be empty.
      try {
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
