/** SQLite: durability settings, transactions, migrations and damaged files. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DataError, ServiceError } from "../../src/contracts/errors.ts";
import { integer, openDatabase, openDatabaseReader, optional, text } from "../../src/store/database.ts";
import { migrations } from "../../src/store/migrations.ts";
import { temporaryDatabase, temporaryFolder } from "./support.ts";

const table = ["CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)"];
const open = (file: string, steps: readonly string[] = table) => openDatabase({ file, migrations: steps, busyTimeoutMs: 20 });

test("D1: commits are synced to a write-ahead log, and foreign keys hold", () => {
  const database = temporaryDatabase();
  expect(database.prepare("PRAGMA journal_mode").get()).toMatchObject({ journal_mode: "wal" });
  expect(database.prepare("PRAGMA synchronous").get()).toMatchObject({ synchronous: 2 });
  expect(database.prepare("PRAGMA foreign_keys").get()).toMatchObject({ foreign_keys: 1 });
  expect(() => database.prepare("INSERT INTO boundaries VALUES ('r-none', 1, '{}', '{}')").run()).toThrow(/FOREIGN KEY/);
});

test("D2: a transaction that throws leaves nothing, one inside another joins it", () => {
  const database = open(join(temporaryFolder(), "a.db"));
  const insert = database.prepare("INSERT INTO t (b) VALUES (?)");
  const count = (): number => integer(database.prepare("SELECT COUNT(*) AS n FROM t").get() ?? {}, "n");
  const failure = new TypeError("mine");
  expect(() =>
    database.transaction(() => {
      insert.run("x");
      database.transaction(() => insert.run("y"));
      throw failure;
    }),
  ).toThrow(failure);
  expect(count()).toBe(0);
  expect(database.transaction(() => insert.run("x") + database.transaction(() => insert.run("y")))).toBe(2);
  expect(count()).toBe(2);
  database.close();
  database.close();
});

test("values come back with their types, and a wrong type is told", () => {
  const database = open(join(temporaryFolder(), "a.db"));
  database.prepare("INSERT INTO t VALUES (?, ?)").run(1_795_000_000_123, "ü");
  database.prepare("INSERT INTO t VALUES (?, ?)").run(5, null);
  const [first, second] = database.prepare("SELECT * FROM t ORDER BY a").all();
  expect([integer(first!, "a"), optional(first!, "b", text)]).toEqual([5, undefined]);
  expect([integer(second!, "a"), optional(second!, "b", text)]).toEqual([1_795_000_000_123, "ü"]);
  expect(() => integer(second!, "b")).toThrow("expected an integer in column b, found string");
  expect(() => text(first!, "b")).toThrow("expected text in column b, found null");
  expect(database.prepare("SELECT * FROM t WHERE a = ?").get(9)).toBeUndefined();
  expect(() => text({}, "c")).toThrow(DataError);
  database.close();
});

test("D3: steps are done once, each in a transaction; a newer file is refused and not touched", () => {
  const file = join(temporaryFolder(), "a.db");
  const two = [...table, "ALTER TABLE t ADD COLUMN c TEXT"];
  open(file).close();
  const wider = open(file, two);
  wider.prepare("INSERT INTO t (c) VALUES ('kept')").run();
  wider.close();
  open(file, two).close();
  const before = readFileSync(file);
  expect(() => open(file)).toThrow(DataError);
  expect(() => open(file)).toThrow(`database ${file}: expected version 1 or older, found 2; a newer Esper wrote it`);
  expect(readFileSync(file).equals(before)).toBe(true);
  expect(() => open(file, [...two, "CREATE TABLE u (a); CREATE TABLE t (a)"])).toThrow(/already exists/);
  const still = open(file, two);
  expect(still.prepare("SELECT c FROM t").all()).toEqual([{ c: "kept" }]);
  expect(still.prepare("SELECT name FROM sqlite_master WHERE name = 'u'").all()).toEqual([]);
  still.close();
});

test("a file that is no database, or a damaged one, is a DataError that says what to do", () => {
  const file = join(temporaryFolder(), "a.db");
  writeFileSync(file, "no database at all ".repeat(100));
  expect(() => open(file)).toThrow(DataError);
  expect(() => open(file)).toThrow(
    /expected an SQLite database, found a damaged file \(.*\); move it away to start a new one, or put a backup/,
  );

  const other = join(temporaryFolder(), "b.db");
  const database = open(other);
  const insert = database.prepare("INSERT INTO t (b) VALUES (?)");
  database.transaction(() => {
    for (let row = 0; row < 500; row++) insert.run(`row ${row} ${"x".repeat(50)}`);
  });
  database.close();
  const bytes = readFileSync(other);
  writeFileSync(other, bytes.fill(0xaa, 4096, 4096 + 8192));
  expect(() => open(other)).toThrow(DataError);
});

test("a locked file is a DataError after the busy timeout", () => {
  const file = join(temporaryFolder(), "a.db");
  const [one, two] = [open(file), open(file)];
  one.transaction(() => {
    const attempt = (): number => two.transaction(() => two.prepare("INSERT INTO t (b) VALUES ('x')").run());
    expect(attempt).toThrow(DataError);
    expect(attempt).toThrow(
      /expected it to be free, found it locked .*; another node uses this data directory: stop it or set services\.dataDir/,
    );
  });
  expect(two.transaction(() => two.prepare("INSERT INTO t (b) VALUES ('x')").run())).toBe(1);
  one.close();
  two.close();
});

test("a folder that is not there is a ServiceError", () => {
  const file = join(temporaryFolder(), "none", "a.db");
  expect(() => open(file)).toThrow(ServiceError);
  expect(() => open(file)).toThrow(/check that its folder exists/);
});

test("the tables of the program can be made", () => {
  const names = temporaryDatabase()
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    .all();
  expect(names.map((row) => text(row, "name")).sort()).toEqual([
    "approvals",
    "artifact_index_names",
    "artifact_index_seen",
    "asset_inputs",
    "assets",
    "boundaries",
    "commands",
    "dead_letters",
    "decisions",
    "experiences",
    "field_reports",
    "gate_windows",
    "kernel_status",
    "kernel_tags",
    "learning_changes",
    "ledger",
    "ledger_heads",
    "ledger_tail",
    "outbox",
    "runs",
    "seed_transitions",
    "waiting_runs",
  ]);
  expect(migrations.length).toBeGreaterThan(0);
});

test("D4: what waits for a commit is called once, in order, after the outermost one; a rollback drops it", () => {
  const database = temporaryDatabase();
  const calls: string[] = [];
  const wait = (name: string): void => database.afterCommit(() => calls.push(`${name} ${calls.length}`));
  database.transaction(() => {
    wait("a");
    database.transaction(() => wait("b"));
    expect(calls).toEqual([]);
  });
  expect(calls).toEqual(["a 0", "b 1"]);
  const failing = (): void =>
    database.transaction(() => {
      wait("c");
      throw new Error("no");
    });
  expect(failing).toThrow("no");
  database.transaction(() => undefined);
  expect(calls).toHaveLength(2);
  expect(() => wait("d")).toThrow(/expected a transaction to wait for, found none/);
});

test("D5: a reader sees one moment, changes nothing, and stands in nobody's way", () => {
  const file = join(temporaryFolder(), "esper.db");
  const database = temporaryDatabase(file);
  const options = { file, migrations, busyTimeoutMs: 20 };
  const reader = openDatabaseReader(options);
  const count = (): number => integer(reader.prepare("SELECT COUNT(*) AS count FROM runs").get() ?? {}, "count");
  const add = (runId: string): number =>
    database.transaction(() =>
      database.prepare("INSERT INTO runs (run_id, arm, created_at_ms) VALUES (?, 'grown', 1)").run(runId),
    );
  expect(count()).toBe(0);
  add("a");
  expect(count()).toBe(0);
  reader.refresh();
  expect(count()).toBe(1);
  expect(() => reader.prepare("DELETE FROM runs").get()).toThrow();
  expect(count()).toBe(1);
  reader.close();
  expect(add("b")).toBe(1);
  expect(() => openDatabaseReader({ ...options, migrations: migrations.slice(1) })).toThrow(/expected version \d+, found \d+/);
  expect(() => openDatabaseReader({ ...options, file: `${file}.none` })).toThrow(/found nothing there/);
});

/** A database whose groups are committed when the test says so. */
const grouping = () => {
  const turns: (() => void)[] = [];
  const file = join(temporaryFolder(), "a.db");
  const database = openDatabase({ file, migrations: table, busyTimeoutMs: 20, nextTurn: (work) => void turns.push(work) });
  const other = openDatabaseReader({ file, migrations: table, busyTimeoutMs: 20 });
  const insert = database.prepare("INSERT INTO t (b) VALUES (?)");
  return {
    database,
    insert,
    add: (b: string) => database.grouped(() => insert.run(b)),
    turn: () => {
      for (const work of turns.splice(0)) work();
    },
    turns,
    /** What another connection finds: what is on the disk. */
    stored: () => {
      other.refresh();
      return other
        .prepare("SELECT b FROM t ORDER BY a")
        .all()
        .map((row) => text(row, "b"));
    },
  };
};

const outcomeOf = async (stored: Promise<void>): Promise<string> =>
  Promise.race([
    stored.then(
      () => "stored",
      (error: unknown) => `lost: ${error instanceof Error ? error.message : String(error)}`,
    ),
    new Promise<string>((resolve) => setImmediate(() => resolve("open"))),
  ]);

test("D6: grouped works are on the disk together, at the end of the turn, and not before", async () => {
  const { database, add, turn, turns, stored } = grouping();
  const works = ["a", "b", "c"].map(add);
  expect(works.map(({ value }) => value)).toEqual([1, 1, 1]);
  expect(turns).toHaveLength(1);
  expect(stored()).toEqual([]);
  expect(await outcomeOf(works[0]!.stored)).toBe("open");
  expect(await outcomeOf(database.settled())).toBe("open");
  turn();
  expect(stored()).toEqual(["a", "b", "c"]);
  for (const { stored: promise } of works) expect(await outcomeOf(promise)).toBe("stored");
  expect(await outcomeOf(database.settled())).toBe("stored");
  add("d");
  expect(turns).toHaveLength(1);
  database.close();
  expect(() => turn()).not.toThrow();
});

test("D6: a work that throws is undone alone, with what waited for it", async () => {
  const { database, insert, add, turn, stored } = grouping();
  const told: string[] = [];
  const first = add("a");
  expect(() =>
    database.grouped(() => {
      insert.run("lost");
      database.afterCommit(() => told.push("lost"));
      throw new TypeError("mine");
    }),
  ).toThrow("mine");
  database.grouped(() => database.afterCommit(() => told.push("kept")));
  turn();
  expect(stored()).toEqual(["a"]);
  expect(told).toEqual(["kept"]);
  expect(await outcomeOf(first.stored)).toBe("stored");
  database.close();
});

test("D6: what fails with the commit is undone as a whole, and everybody is told", async () => {
  const { database, add, turn, stored } = grouping();
  const first = add("a");
  const second = database.grouped(() =>
    database.beforeCommit(() => {
      throw new Error("no room");
    }),
  );
  turn();
  for (const { stored: promise } of [first, second]) expect(await outcomeOf(promise)).toBe("lost: no room");
  expect(stored()).toEqual([]);
  const again = add("b");
  turn();
  expect(await outcomeOf(again.stored)).toBe("stored");
  expect(stored()).toEqual(["b"]);
  database.close();
});

test("D7: a transaction, a statement and the end take the open group to the disk with them", async () => {
  const { database, insert, add, stored } = grouping();
  add("a");
  database.transaction(() => insert.run("b"));
  expect(stored()).toEqual(["a", "b"]);
  add("c");
  insert.run("d");
  expect(stored()).toEqual(["a", "b", "c", "d"]);
  const failing = add("e");
  expect(() =>
    database.transaction(() => {
      insert.run("lost");
      throw new Error("mine");
    }),
  ).toThrow("mine");
  add("f");
  database.close();
  expect(await outcomeOf(failing.stored)).toBe("stored");
  expect(stored()).toEqual(["a", "b", "c", "d", "e", "f"]);
  expect(() => database.grouped(() => undefined)).toThrow();
});

test("what is to be done before a commit is done once, and joins it", () => {
  const database = open(join(temporaryFolder(), "a.db"));
  const insert = database.prepare("INSERT INTO t (b) VALUES (?)");
  const end = (): void => void insert.run("end");
  database.transaction(() => {
    database.beforeCommit(end);
    insert.run("work");
    database.transaction(() => database.beforeCommit(end));
  });
  const rows = database.prepare("SELECT b FROM t ORDER BY a").all();
  expect(rows.map((row) => text(row, "b"))).toEqual(["work", "end"]);
  expect(() => database.beforeCommit(end)).toThrow(/expected a transaction to end with it/);
  database.close();
});
