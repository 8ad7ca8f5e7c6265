/** The node's ledger and what lies beside the database: N1, N2, H1 to H4, and the look from outside. */
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DataError } from "../../src/contracts/errors.ts";
import { LedgerHead } from "../../src/contracts/ledger.ts";
import { type Log, silentLog } from "../../src/contracts/ports.ts";
import { openNodeLedger } from "../../src/node/ledger.ts";
import { auditLedger } from "../../src/node/ledger-audit.ts";
import { createSystemClock } from "../../src/ports/system.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { type FileSystem, nodeFileSystem } from "../../src/store/file-system.ts";
import { lastLedgerRows, readLedgerHeads } from "../../src/store/ledger-rows.ts";
import { migrations } from "../../src/store/migrations.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { temporaryFolder } from "../store/support.ts";

const clock = createSystemClock();

interface Opened {
  readonly database: Database;
  /** Starts runs of these names. */
  tell(...runIds: readonly string[]): void;
  close(): Promise<void>;
}

const open = async (dataDir: string, over: { readonly fileSystem?: FileSystem; readonly log?: Log } = {}): Promise<Opened> => {
  const paths = dataPaths(dataDir);
  const database = openDatabase({ file: paths.database, migrations, busyTimeoutMs: 50 });
  try {
    const { ledger, close } = await openNodeLedger({
      database,
      fileSystem: nodeFileSystem,
      paths: paths.ledger,
      headEntriesMax: 3,
      clock,
      log: silentLog,
      ...over,
    });
    const store = createRunStore({ database, ledger, idempotencyMs: 1000, outboxMessagesMax: 10, boundariesMax: 4 });
    return {
      database,
      tell: (...runIds) => {
        for (const runId of runIds) store.createRun({ runId, arm: "grown", nowMs: 1 });
      },
      close: async () => {
        await close();
        database.close();
      },
    };
  } catch (error) {
    database.close();
    throw error;
  }
};

const audit = (dataDir: string, fingerprint?: string) =>
  auditLedger(dataDir, { clock, problemsMax: 9, ...(fingerprint === undefined ? {} : { fingerprint }) });
const kinds = async (dataDir: string): Promise<readonly string[]> =>
  (await audit(dataDir)).verdict.problems.map(({ kind }) => kind);
const fileHeads = (dataDir: string): number[] =>
  readFileSync(dataPaths(dataDir).ledger.heads, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => LedgerHead.parse(JSON.parse(line)).index);

test("N1, N2: the key is made once, for its owner alone; the fingerprint beside it; a second start takes the same", async () => {
  const dataDir = temporaryFolder();
  const { key, fingerprint } = dataPaths(dataDir).ledger;
  const first = await open(dataDir);
  expect(statSync(key).mode & 0o777).toBe(0o600);
  expect(statSync(join(dataDir, "ledger")).mode & 0o077).toBe(0);
  const [pem, noted] = [readFileSync(key, "utf8"), readFileSync(fingerprint, "utf8")];
  first.tell("a");
  await first.close();
  const second = await open(dataDir);
  second.tell("b");
  await second.close();
  expect([readFileSync(key, "utf8"), readFileSync(fingerprint, "utf8")]).toEqual([pem, noted]);
  expect(noted).toMatch(/^[0-9a-f]{64}\n$/);
  const { verdict, intact, replayed } = await audit(dataDir);
  expect([verdict.entries, verdict.problems, intact, replayed.runs]).toEqual([2, [], true, 2]);
  expect((await audit(dataDir, noted.trim())).intact).toBe(true);
  expect((await audit(dataDir, "f".repeat(64))).verdict.problems[0]).toMatchObject({ kind: "key_changed", index: 1 });
});

test.each<[string, (dataDir: string) => void, RegExp]>([
  [
    "gone",
    (dataDir) => rmSync(dataPaths(dataDir).ledger.key),
    /expected the key with the fingerprint [0-9a-f]{64} in .* found nothing there/,
  ],
  [
    "gone with its fingerprint",
    (dataDir) => {
      rmSync(dataPaths(dataDir).ledger.key);
      rmSync(dataPaths(dataDir).ledger.fingerprint);
    },
    /expected the key with the fingerprint [0-9a-f]{64} in .* found nothing there/,
  ],
  [
    "another one",
    (dataDir) => writeFileSync(dataPaths(dataDir).ledger.key, generateSigningKey()),
    /expected the key with the fingerprint/,
  ],
  [
    "another one, with its fingerprint taken away",
    (dataDir) => {
      writeFileSync(dataPaths(dataDir).ledger.key, generateSigningKey());
      rmSync(dataPaths(dataDir).ledger.fingerprint);
    },
    /expected the key with the fingerprint .* found one with/,
  ],
  ["no key at all", (dataDir) => writeFileSync(dataPaths(dataDir).ledger.key, "x"), /expected an Ed25519 private key in PEM/],
])("N1: with a key that is %s the node does not start, and says what to do", async (_, damage, message) => {
  const dataDir = temporaryFolder();
  const first = await open(dataDir);
  first.tell("a");
  await first.close();
  damage(dataDir);
  await expect(open(dataDir)).rejects.toThrow(DataError);
  await expect(open(dataDir)).rejects.toThrow(message);
  expect((await audit(dataDir)).verdict.problems.filter(({ kind }) => kind === "key_changed")).toEqual([]);
});

test("H1: heads stand beside the database in order, as in the database", async () => {
  const dataDir = temporaryFolder();
  const node = await open(dataDir);
  node.tell("a", "b", "c", "d", "e", "f", "g", "h");
  await node.close();
  expect(fileHeads(dataDir)).toEqual([1, 4, 7]);
  expect((await audit(dataDir)).intact).toBe(true);
});

test("it can be looked at while a node writes, and nobody is in the other's way", async () => {
  const dataDir = temporaryFolder();
  const node = await open(dataDir);
  node.tell("a", "b");
  const looking = audit(dataDir);
  node.tell("c", "d", "e");
  const { verdict, intact } = await looking;
  expect(intact).toBe(true);
  expect(verdict.entries).toBeGreaterThanOrEqual(2);
  node.tell("f");
  expect((await audit(dataDir)).verdict.entries).toBe(6);
  await node.close();
});

test("H2, H3: heads that a crash left out are written at the next start, and the ledger tells of it", async () => {
  const dataDir = temporaryFolder();
  const { heads } = dataPaths(dataDir).ledger;
  const node = await open(dataDir);
  node.tell("a", "b", "c", "d", "e", "f", "g");
  await node.close();
  const [first = ""] = readFileSync(heads, "utf8").split("\n");
  writeFileSync(heads, `${first}\n${first.slice(0, 40)}`);
  expect(await kinds(dataDir)).toEqual(["head_not_in_file", "head_not_in_file"]);
  const again = await open(dataDir);
  const [last] = lastLedgerRows(again.database, {}, 1);
  expect([last?.kind, last?.payload]).toEqual(["heads_restored", '{"fromIndex":4,"heads":2}']);
  again.tell("h", "i");
  await again.close();
  expect(fileHeads(dataDir)).toEqual([1, 4, 7, 10]);
  expect((await audit(dataDir)).intact).toBe(true);
});

test("H2: a file that is gone is said, written again at the next start, and told of for good", async () => {
  const dataDir = temporaryFolder();
  const node = await open(dataDir);
  node.tell("a", "b");
  await node.close();
  rmSync(dataPaths(dataDir).ledger.heads);
  expect(await kinds(dataDir)).toEqual(["heads_file_missing"]);
  await (await open(dataDir)).close();
  const { intact, verdict } = await audit(dataDir);
  expect([intact, verdict.entries]).toEqual([true, 3]);
});

test.each<[string, (database: Database) => void]>([
  [
    "cut back behind a head",
    (database) => {
      for (const table of ["ledger", "ledger_heads", "ledger_tail"]) database.prepare(`DELETE FROM ${table}`).run();
    },
  ],
  ["robbed of a head", (database) => void database.prepare("DELETE FROM ledger_heads WHERE entry_index = 4").run()],
])("H2: a database that was %s stops the start", async (_, damage) => {
  const dataDir = temporaryFolder();
  const node = await open(dataDir);
  node.tell("a", "b", "c", "d", "e");
  await node.close();
  const database = openDatabase({ file: dataPaths(dataDir).database, migrations, busyTimeoutMs: 50 });
  damage(database);
  database.close();
  await expect(open(dataDir)).rejects.toThrow(/heads of the ledger .*: expected .* found another/);
  expect((await audit(dataDir)).intact).toBe(false);
});

test("H4: a head that cannot be written is told, and goes out with the next one", async () => {
  const dataDir = temporaryFolder();
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (message) => errors.push(message), child: () => log };
  let failing = false;
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    append: async (path, bytes) => {
      if (!failing) return nodeFileSystem.append(path, bytes);
      await appendFile(path, bytes.subarray(0, 20)); // Half a line, as a full disk leaves it.
      throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    },
  };
  const node = await open(dataDir, { fileSystem, log });
  node.tell("a");
  await new Promise((resolve) => clock.schedule(50, () => resolve(undefined)));
  failing = true;
  node.tell("b", "c", "d");
  while (errors.length === 0) await new Promise((resolve) => clock.schedule(5, () => resolve(undefined)));
  expect(errors).toEqual(["a signed head of the ledger could not be written beside the database"]);
  failing = false;
  node.tell("e", "f", "g");
  await node.close();
  expect(fileHeads(dataDir)).toEqual([1, 4, 7]);
  expect((await audit(dataDir)).intact).toBe(true);
});

test("V4: a fingerprint that is gone is said; a line that is no head is said with its number", async () => {
  const dataDir = temporaryFolder();
  const node = await open(dataDir);
  node.tell("a", "b", "c", "d");
  await node.close();
  const { heads, fingerprint } = dataPaths(dataDir).ledger;
  rmSync(fingerprint);
  expect(await kinds(dataDir)).toEqual(["key_unknown"]);
  await (await open(dataDir)).close();
  expect(existsSync(fingerprint)).toBe(true);
  chmodSync(heads, 0o600);
  writeFileSync(heads, `${readFileSync(heads, "utf8").split("\n")[0]}\n{}\n`);
  const { verdict } = await audit(dataDir);
  expect(verdict.problems[0]).toMatchObject({ kind: "heads_file_changed", detail: expect.stringContaining("line 2") });
  await expect(open(dataDir)).rejects.toThrow(/line 2: expected the head of entry 4 .* found another/);
});

test("W3: tables that tell something else than the ledger are not intact", async () => {
  const dataDir = temporaryFolder();
  const node = await open(dataDir);
  node.tell("a");
  expect([...readLedgerHeads(node.database)]).toHaveLength(1);
  node.database.prepare("UPDATE runs SET arm = 'healthy'").run();
  await node.close();
  const { intact, replayed, verdict } = await audit(dataDir);
  expect([intact, verdict.problems]).toEqual([false, []]);
  expect(replayed.differences).toEqual(['run a, arm: the ledger says "grown", the tables "healthy"']);
});

test("a folder without a node's database is a DataError that says so", async () => {
  const dataDir = temporaryFolder();
  await expect(audit(dataDir)).rejects.toThrow(DataError);
  await expect(audit(dataDir)).rejects.toThrow(/expected the database of a node, found nothing there; name its data directory/);
  expect(existsSync(dataPaths(dataDir).database)).toBe(false);
});
