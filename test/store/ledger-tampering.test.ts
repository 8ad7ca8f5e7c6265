/** Whatever is done to the ledger's rows, heads, end or key behind its back is found, with the place (V1 to V5). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LedgerHead } from "../../src/contracts/ledger.ts";
import { type Database, openDatabase, type SqlValue } from "../../src/store/database.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { encodeJson } from "../../src/store/json.ts";
import { hashOfRow, readLedgerRows, readLedgerTail } from "../../src/store/ledger-rows.ts";
import { ledgerSigner } from "../../src/store/ledger-signature.ts";
import { type LedgerVerdict, verifyLedger } from "../../src/store/ledger-verify.ts";
import { migrations } from "../../src/store/migrations.ts";
import { History, headsOf, type Step, steps, verify } from "./ledger-history.ts";
import { temporaryDatabase, testSigner } from "./support.ts";

fc.configureGlobal({ seed: 14, numRuns: 20 });

/** Every kind of entry, several heads, and entries after the last of them. */
const story: readonly Step[] = [
  { kind: "command", run: 1, what: 0, accepted: true },
  { kind: "boundary", run: 1, choices: [0, 1, 1], amount: 5 },
  { kind: "command", run: 1, what: 2, accepted: true },
  { kind: "command", run: 2, what: 1, accepted: false },
  { kind: "boundary", run: 1, choices: [2], amount: 10 },
  { kind: "rewind", run: 1, keep: 2 },
  { kind: "finish", run: 1 },
  { kind: "boundary", run: 2, choices: [3], amount: 4 },
];

/** Does something to the database, looks at it, and takes it back. */
const tampered = async (database: Database, work: () => void, fileHeads: readonly LedgerHead[]): Promise<LedgerVerdict> => {
  database.prepare("BEGIN").run();
  try {
    work();
    return await verify(database, fileHeads);
  } finally {
    database.prepare("ROLLBACK").run();
  }
};

const tables = {
  ledger: [
    ["entry_index", "number"],
    ["at_ms", "number"],
    ["actor", "text"],
    ["kind", "text"],
    ["run_id", "optional"],
    ["seed_id", "optional"],
    ["site", "optional"],
    ["payload", "json"],
    ["previous_hash", "text"],
    ["hash", "text"],
  ],
  ledger_heads: [
    ["entry_index", "number"],
    ["hash", "text"],
    ["at_ms", "number"],
    ["public_key", "text"],
    ["signature", "text"],
  ],
  ledger_tail: [
    ["entry_index", "number"],
    ["hash", "text"],
    ["at_ms", "number"],
    ["public_key", "text"],
    ["signature", "text"],
  ],
} as const;

/** Other bytes in a text, at a place. */
const nudged = (text: string, place: number): string => {
  const at = text.length === 0 ? 0 : place % text.length;
  return `${text.slice(0, at)}${text[at] === "a" ? "b" : "a"}${text.slice(at + 1)}`;
};

/** Other values of a column; for JSON also other bytes of an equal value. */
const edits = (type: string, value: unknown, place: number): readonly SqlValue[] => {
  if (typeof value === "number") return [value + 1, value + 100_000, -value].filter((each) => each !== value);
  if (typeof value !== "string") return ["x", ""];
  const texts = [nudged(value, place), `${value} `, value.toUpperCase()].filter((each) => each !== value);
  if (type === "optional") return [...texts, null];
  if (type !== "json") return texts;
  const parsed: unknown = JSON.parse(value);
  const fields = Object.entries(parsed as object);
  const reordered = JSON.stringify(Object.fromEntries(fields.toReversed()));
  const more = encodeJson({ ...(parsed as object), added: 1 }, "edit");
  const escaped = value.replace('"', '"\\u0061').replace("\\u0061a", "\\u0061");
  return [...texts, ` ${value}`, reordered, more, escaped, "null", "{"].filter((each) => each !== value);
};

let database: Database;
let fileHeads: readonly LedgerHead[];
let entries = 0;
const folder = mkdtempSync(join(tmpdir(), "esper-ledger-"));
beforeAll(() => {
  database = openDatabase({ file: join(folder, "esper.db"), migrations, busyTimeoutMs: 20 });
  new History(database, 12).tell(story);
  fileHeads = headsOf(database);
  entries = [...readLedgerRows(database)].length;
});
afterAll(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

test("untouched it is whole, and holds every kind of entry", async () => {
  const verdict = await verify(database, fileHeads);
  expect(verdict).toEqual({
    entries,
    heads: fileHeads.length,
    signedUpTo: fileHeads.at(-1)!.index,
    problems: [],
    problemCount: 0,
  });
  expect(fileHeads.length).toBeGreaterThan(2);
  expect(entries).toBeGreaterThan(fileHeads.at(-1)!.index);
  const kinds = new Set([...readLedgerRows(database)].map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual(
    ["budget", "command", "decision", "escalation", "rewind", "run_finished", "run_started", "transition"].sort(),
  );
});

describe.each(Object.entries(tables))("table %s", (table, columns) => {
  const rows = () => database.prepare(`SELECT rowid AS row, * FROM ${table} ORDER BY rowid`).all();

  test("every edit of every column of every row is found at its entry", async () => {
    let tried = 0;
    for (const row of rows()) {
      for (const [column, type] of columns) {
        for (const value of edits(type, row[column], Number(row["row"]) * 7)) {
          const taken = column === "entry_index" && rows().some((each) => each[column] === value);
          if (taken && table !== "ledger_tail") continue;
          const verdict = await tampered(
            database,
            () => void database.prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`).run(value, Number(row["row"])),
            fileHeads,
          );
          const what = `${column} ${JSON.stringify(row[column])} → ${JSON.stringify(value)}`;
          expect(verdict.problemCount, what).toBeGreaterThan(0);
          const place = Number(row["entry_index"]);
          const found = verdict.problems.map(({ index }) => index);
          expect(found.includes(place) || found.includes(Number(value)), `${what}: ${JSON.stringify(verdict.problems)}`).toBe(
            true,
          );
          tried += 1;
        }
      }
    }
    expect(tried).toBeGreaterThan(10 * rows().length);
  }, 180_000);

  test("every deletion is found", async () => {
    for (const row of rows()) {
      const { problems } = await tampered(
        database,
        () => void database.prepare(`DELETE FROM ${table} WHERE rowid = ?`).run(Number(row["row"])),
        fileHeads,
      );
      expect(problems.map(({ index }) => index)).toContain(Number(row["entry_index"]));
    }
  });
});

test("every swap of two entries is found, with and without their places and hashes", async () => {
  const swap = (a: number, b: number, columns: readonly string[]): void => {
    const list = columns.join(", ");
    const [first, second] = [a, b].map(
      (index) => database.prepare(`SELECT ${list} FROM ledger WHERE entry_index = ?`).get(index)!,
    );
    for (const [index, row] of [
      [a, second!],
      [b, first!],
    ] as const) {
      const sets = columns.map((column) => `${column} = ?`).join(", ");
      database
        .prepare(`UPDATE ledger SET ${sets} WHERE entry_index = ?`)
        .run(...columns.map((each) => row[each] as SqlValue), index);
    }
  };
  const said = ["at_ms", "actor", "kind", "run_id", "seed_id", "site", "payload"];
  for (let a = 1; a <= entries; a++) {
    for (const b of [a + 1, a + 5].filter((each) => each <= entries)) {
      for (const columns of [said, [...said, "hash"], [...said, "previous_hash", "hash"]]) {
        const { problems } = await tampered(database, () => swap(a, b, columns), fileHeads);
        expect(problems.some(({ index }) => index === a || index === b)).toBe(true);
      }
    }
  }
}, 180_000);

test("every cut is found: of the tail, back to a head and behind it, of the heads with it, of everything", async () => {
  for (let keep = 0; keep < entries; keep++) {
    const cut = (tablesToCut: readonly string[]) => (): void => {
      for (const table of tablesToCut) database.prepare(`DELETE FROM ${table} WHERE entry_index > ?`).run(keep);
    };
    for (const names of [["ledger"], ["ledger", "ledger_heads"], ["ledger", "ledger_heads", "ledger_tail"]]) {
      const { problems } = await tampered(database, cut(names), fileHeads);
      expect(problems.length, `${names} after ${keep}`).toBeGreaterThan(0);
    }
  }
  const gone = () => {
    for (const table of Object.keys(tables)) database.prepare(`DELETE FROM ${table}`).run();
  };
  const { problems } = await tampered(database, gone, fileHeads);
  expect(problems[0]).toEqual({
    kind: "cut",
    index: 1,
    detail: "the ledger ends with nothing, the file beside it has a head of entry 1",
  });
});

/** Everything from an entry on hashed and linked anew, as somebody without the key can. */
const relink = (from: number): void => {
  let previous = "";
  for (const row of [...readLedgerRows(database)]) {
    const changed = row.index < from ? row : { ...row, previousHash: row.index === from ? row.previousHash : previous };
    const hash = row.index < from ? row.hash : hashOfRow(changed)!;
    previous = hash;
    database
      .prepare("UPDATE ledger SET previous_hash = ?, hash = ? WHERE entry_index = ?")
      .run(changed.previousHash, hash, row.index);
  }
};

test("a chain that was hashed anew from a changed entry on is found by the signatures", async () => {
  for (let index = 1; index <= entries; index++) {
    const { problems } = await tampered(
      database,
      () => {
        database.prepare("UPDATE ledger SET actor = 'somebody' WHERE entry_index = ?").run(index);
        relink(index);
      },
      fileHeads,
    );
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.every(({ kind }) => kind === "head_changed" || kind === "end_changed")).toBe(true);
    expect(Math.min(...problems.map((each) => each.index ?? 0))).toBeGreaterThanOrEqual(index);
  }
});

test("a ledger that was signed anew with another key is found by the fingerprint, and by the file's heads", async () => {
  const other = ledgerSigner(generateSigningKey());
  const work = (): void => {
    for (const [table, purpose, heads] of [
      ["ledger_heads", "head", headsOf(database)],
      ["ledger_tail", "tail", [readLedgerTail(database)!]],
    ] as const) {
      for (const head of heads) {
        const { publicKey, signature } = other.sign(purpose, head);
        database
          .prepare(`UPDATE ${table} SET public_key = ?, signature = ? WHERE entry_index = ?`)
          .run(publicKey, signature, head.index);
      }
    }
  };
  const verdict = await tampered(database, work, fileHeads);
  expect(verdict.problems[0]).toEqual({
    kind: "key_changed",
    index: 1,
    detail: `the head names the key ${other.fingerprint}, expected ${testSigner.fingerprint}`,
  });
  expect(verdict.problems.some(({ kind }) => kind === "head_changed")).toBe(true);
});

test("a signature of a kept head is none of the end", async () => {
  const head = fileHeads.at(-1)!;
  const { problems } = await tampered(
    database,
    () => {
      database.prepare("DELETE FROM ledger WHERE entry_index > ?").run(head.index);
      database
        .prepare("UPDATE ledger_tail SET entry_index = ?, hash = ?, at_ms = ?, signature = ?")
        .run(head.index, head.hash, head.atMs, head.signature);
    },
    fileHeads,
  );
  expect(problems).toEqual([
    { kind: "signature_wrong", index: head.index, detail: "the end is not signed by the key that it names" },
  ]);
});

describe("V3, V4: what lies beside the database", () => {
  test("a missing file or fingerprint is said", async () => {
    expect((await verify(database, undefined)).problems.map(({ kind }) => kind)).toEqual(["heads_file_missing"]);
    expect((await verify(database, fileHeads, "f".repeat(64))).problems[0]).toMatchObject({ kind: "key_changed", index: 1 });
    const { problems } = await verifyLedger({ database, fileHeads: undefined, fingerprint: undefined, problemsMax: 9 });
    expect(problems.map(({ kind }) => kind)).toEqual(["key_unknown", "heads_file_missing"]);
  });

  test.each<[string, (heads: readonly LedgerHead[]) => readonly LedgerHead[], string, number]>([
    ["the last head cut off", (heads) => heads.slice(0, -1), "head_not_in_file", -1],
    ["the first head taken out", (heads) => heads.slice(1), "head_not_in_file", 0],
    ["a head in the middle taken out", (heads) => heads.filter((_, at) => at !== 1), "head_not_in_file", 1],
    ["no head left", () => [], "head_not_in_file", 0],
    [
      "a head of an entry that has none",
      (heads) => [...heads.slice(0, 1), testSigner.sign("head", { ...heads[0]!, index: 2 }), ...heads.slice(1)],
      "head_missing",
      Number.NaN,
    ],
    [
      "another signature",
      (heads) => heads.map((head, at) => (at === 1 ? { ...head, atMs: head.atMs + 1 } : head)),
      "head_changed",
      1,
    ],
    ["two heads swapped", (heads) => [heads[1]!, heads[0]!, ...heads.slice(2)], "heads_file_changed", 0],
  ])("%s", async (_, change, kind, at) => {
    const { problems } = await verify(database, change(fileHeads));
    const index = Number.isNaN(at) ? 2 : fileHeads.at(at)!.index;
    expect(problems.map((each) => `${each.kind} ${each.index}`)).toContain(`${kind} ${index}`);
  });
});

test("V5: no more problems are told than asked for, and all are counted", async () => {
  const work = () => void database.prepare("UPDATE ledger SET at_ms = at_ms + 1").run();
  const { problems, problemCount } = await tampered(database, work, fileHeads);
  expect(problems).toHaveLength(5);
  expect(problemCount).toBe(entries);
});

test("any history: one random edit is found", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), fc.nat(), fc.nat(), async (history, table, row, edit) => {
      const own = temporaryDatabase();
      new History(own, 4).tell(history);
      const heads = headsOf(own);
      const [name, columns] = Object.entries(tables)[table % 3]!;
      const rows = own.prepare(`SELECT rowid AS row, * FROM ${name} ORDER BY rowid`).all();
      fc.pre(rows.length > 0);
      const target = rows[row % rows.length]!;
      const [column, type] = columns[edit % columns.length]!;
      const values = edits(type, target[column], edit);
      const value = values[edit % values.length]!;
      fc.pre(column !== "entry_index" || !rows.some((each) => each[column] === value));
      own.prepare(`UPDATE ${name} SET ${column} = ? WHERE rowid = ?`).run(value, Number(target["row"]));
      expect((await verify(own, heads)).problemCount).toBeGreaterThan(0);
      own.close();
    }),
  );
}, 180_000);

test.each([
  ["ledger", "at_ms", "ledger entry 3"],
  ["ledger_heads", "at_ms", "signed head of ledger entry 1"],
])("a number in %s that nobody wrote, and no program reads, is found at its entry", async (table, column, place) => {
  const index = table === "ledger" ? 3 : 1;
  const work = () =>
    void database.prepare(`UPDATE ${table} SET ${column} = 1152921504606846976 WHERE entry_index = ${index}`).run();
  const { problems } = await tampered(database, work, fileHeads);
  expect(problems[0]).toMatchObject({ kind: "unreadable", detail: expect.stringContaining(place) });
});
