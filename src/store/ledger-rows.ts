/** The ledger's rows: between an entry and its columns, and read in pages so that no length of ledger fills the memory. */

import { DataError, describeError } from "../contracts/errors.ts";
import { LedgerEntry, type LedgerHead, type LedgerKind } from "../contracts/ledger.ts";
import { type DatabaseReader, integer, optional, type SqlRow, text } from "./database.ts";
import { anything, decodeJson, encodeJson, sha256 } from "./json.ts";

const pageRows = 512;

/** An entry as it is stored: the payload still text, nothing checked but the columns' types. */
export interface LedgerRow {
  readonly index: number;
  readonly atMs: number;
  readonly actor: string;
  readonly kind: string;
  readonly runId: string | undefined;
  readonly seedId: string | undefined;
  readonly site: string | undefined;
  readonly payload: string;
  readonly previousHash: string;
  readonly hash: string;
}

/** What rows are wanted; all that are named must fit. */
export interface LedgerFilter {
  readonly runId?: string;
  readonly seedId?: string;
  readonly kind?: LedgerKind;
  readonly sinceMs?: number;
}

const subjectOf = ({ runId, seedId, site }: LedgerRow) => ({
  ...(runId === undefined ? {} : { runId }),
  ...(seedId === undefined ? {} : { seedId }),
  ...(site === undefined ? {} : { site }),
});

type Bound = Pick<LedgerEntry, "index" | "atMs" | "actor" | "subject" | "previousHash"> & { readonly kind: string };

/**
 * The SHA-256 that binds an entry: over its canonical JSON (RFC 8785) without the hash. The payload is given as canonical JSON; the
 * names of the other fields stand here in their order.
 */
export const hashOfEntry = (entry: Bound, payload: string): string => {
  const { index, atMs, actor, kind, previousHash, subject } = entry;
  const json = (value: unknown): string => encodeJson(value, `ledger entry ${index}`);
  return sha256(
    `{"actor":${json(actor)},"atMs":${json(atMs)},"index":${json(index)},"kind":${json(kind)},"payload":${payload},"previousHash":${json(previousHash)},"subject":${json(subject)}}`,
  );
};

/**
 * The hash that the row's columns call for. Undefined when the payload is not canonical JSON: equal values would have other bytes, and an
 * edit of blanks would hide.
 */
export const hashOfRow = (row: LedgerRow): string | undefined => {
  try {
    if (encodeJson(JSON.parse(row.payload), "payload") !== row.payload) return undefined;
  } catch {
    return undefined;
  }
  return hashOfEntry({ ...row, subject: subjectOf(row) }, row.payload);
};

/** @throws DataError when the row is no entry of the contract */
export const entryOfRow = (row: LedgerRow): LedgerEntry => {
  const { index, atMs, actor, kind, previousHash, hash } = row;
  const what = `ledger entry ${index}`;
  const payload = decodeJson(row.payload, anything, what);
  const entry = { index, atMs, actor, kind, subject: subjectOf(row), payload, previousHash, hash };
  return decodeJson(JSON.stringify(entry), LedgerEntry, what);
};

/** What a row holds; DataError that names its entry when a column holds something else. */
const named =
  <T>(what: string, read: (row: SqlRow) => T) =>
  (row: SqlRow): T => {
    try {
      return read(row);
    } catch (error) {
      throw new DataError(`${what} ${String(row["entry_index"])}: ${describeError(error)}`, {}, { cause: error });
    }
  };

const rowOf = named("ledger entry", (row) => ({
  index: integer(row, "entry_index"),
  atMs: integer(row, "at_ms"),
  actor: text(row, "actor"),
  kind: text(row, "kind"),
  runId: optional(row, "run_id", text),
  seedId: optional(row, "seed_id", text),
  site: optional(row, "site", text),
  payload: text(row, "payload"),
  previousHash: text(row, "previous_hash"),
  hash: text(row, "hash"),
}));

const headOf = named("signed head of ledger entry", (row) => ({
  index: integer(row, "entry_index"),
  hash: text(row, "hash"),
  atMs: integer(row, "at_ms"),
  publicKey: text(row, "public_key"),
  signature: text(row, "signature"),
}));

const conditions: readonly { readonly key: keyof LedgerFilter; readonly sql: string }[] = [
  { key: "runId", sql: "run_id = ?" },
  { key: "seedId", sql: "seed_id = ?" },
  { key: "kind", sql: "kind = ?" },
  { key: "sinceMs", sql: "at_ms >= ?" },
];

const whereOf = (filter: LedgerFilter): { readonly sql: string; readonly values: readonly (string | number)[] } => {
  const asked = conditions.flatMap(({ key, sql }) => {
    const value = filter[key];
    return value === undefined ? [] : [{ sql, value }];
  });
  return { sql: asked.map((each) => ` AND ${each.sql}`).join(""), values: asked.map(({ value }) => value) };
};

type Reader = Pick<DatabaseReader, "prepare">;

/** Pages through rows by their index, in order. */
function* paged<T extends { readonly index: number }>(
  database: Reader,
  sql: string,
  values: readonly (string | number)[],
  read: (row: SqlRow) => T,
  afterIndex: number,
): Generator<T> {
  const statement = database.prepare(sql);
  for (let after = afterIndex; ; ) {
    const rows = statement.all(after, ...values, pageRows).map(read);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageRows) return;
    after = last.index;
  }
}

/** Below every index that an integer column can hold. */
const beforeAll = -Number.MAX_SAFE_INTEGER;

/** The rows in the order of their index. */
export const readLedgerRows = (database: Reader, filter: LedgerFilter = {}): Generator<LedgerRow> => {
  const { sql, values } = whereOf(filter);
  const select = `SELECT * FROM ledger WHERE entry_index > ?${sql} ORDER BY entry_index LIMIT ?`;
  return paged(database, select, values, rowOf, beforeAll);
};

/** The last rows that fit, in the order of their index. */
export const lastLedgerRows = (database: Reader, filter: LedgerFilter, limit: number): readonly LedgerRow[] => {
  const { sql, values } = whereOf(filter);
  const select = `SELECT * FROM ledger WHERE 1 = 1${sql} ORDER BY entry_index DESC LIMIT ?`;
  return database
    .prepare(select)
    .all(...values, limit)
    .map(rowOf)
    .reverse();
};

/** Kept heads in the order of their index. */
export const readLedgerHeads = (database: Reader, afterIndex = beforeAll): Generator<LedgerHead> =>
  paged(database, "SELECT * FROM ledger_heads WHERE entry_index > ? ORDER BY entry_index LIMIT ?", [], headOf, afterIndex);

/** The signed end of the ledger; undefined while it is empty. */
export const readLedgerTail = (database: Reader): LedgerHead | undefined => {
  const row = database.prepare("SELECT * FROM ledger_tail WHERE id = 1").get();
  return row === undefined ? undefined : headOf(row);
};
