/**
 * The ledger, appended to: each entry bound to the one before by its hash, the end signed.
 *
 * L1 Entries are written in the transaction of what they tell, and in no other way: rolled back with it, durable with it.
 * L2 Indices count from 1 without a gap; an entry carries the hash of the one before, and its own over its canonical JSON.
 * L3 No transaction that appended ends before the end is signed, so that not even the last entry can go unnoticed.
 * L4 A head is kept after the first entry, at the end of a transaction before which `headEntriesMax` or more came, and when a run ends.
 * L5 That a head was kept is told once it is on the disk, so that it can be written outside the database.
 * L6 Nothing is put on a broken end: it would be signed with it.
 */
import { DataError } from "../contracts/errors.ts";
import { genesisHash, type LedgerDraft, LedgerEntry, type LedgerHead } from "../contracts/ledger.ts";
import type { Clock } from "../contracts/ports.ts";
import { type Database, integer, text } from "./database.ts";
import { checkContract, encodeJson } from "./json.ts";
import { hashOfEntry, hashOfRow, lastLedgerRows, readLedgerTail } from "./ledger-rows.ts";
import { type LedgerSigner, verifyHead } from "./ledger-signature.ts";

export interface LedgerOptions {
  readonly database: Database;
  readonly signer: LedgerSigner;
  readonly clock: Pick<Clock, "nowMs">;
  /** L4 (`services.ledgerHeadEntriesMax`). */
  readonly headEntriesMax: number;
  /** L5: a head was kept. May not throw. */
  readonly onHead: () => void;
}

export interface Ledger {
  /** L1: inside the transaction of the caller. ContractError when a draft does not fit. */
  append(drafts: readonly LedgerDraft[]): void;
}

/** L6: the end is as it was signed, by this key. */
const checkEnd = (database: Database, signer: LedgerSigner): void => {
  const tail = readLedgerTail(database);
  const last = lastLedgerRows(database, {}, 1)[0];
  if (tail === undefined && last === undefined) return;
  const broken = (expected: string, found: string): DataError =>
    new DataError(
      `ledger in ${database.file}: expected ${expected}, found ${found}; \`esper ledger verify\` tells what is wrong; put a backup in its place, or set services.dataDir to another folder`,
      { file: database.file },
    );
  if (tail === undefined) throw broken("a signed end", "none");
  if (tail.publicKey !== signer.publicKey)
    throw broken(`an end signed by this node's key ${signer.fingerprint}`, "the signature of another key");
  if (!verifyHead("tail", tail)) throw broken("a signed end", "a signature that does not fit it");
  if (last?.index !== tail.index) throw broken(`entry ${tail.index} to be the last`, last ? `entry ${last.index}` : "no entry");
  if (last.hash !== tail.hash || hashOfRow(last) !== tail.hash) throw broken(`entry ${tail.index} as it was signed`, "another");
};

/** In place of a signature, within a transaction alone. */
const unsigned = "";

/** Opens the ledger of a database. Throws DataError when its end is not as it was signed (L6). */
export const createLedger = ({ database, signer, clock, headEntriesMax, onHead }: LedgerOptions): Ledger => {
  checkEnd(database, signer);
  const sql = {
    selectEnd: database.prepare("SELECT entry_index, hash, at_ms, signature FROM ledger_tail WHERE id = 1"),
    selectFinish: database.prepare("SELECT 1 AS found FROM ledger WHERE entry_index > ? AND kind = 'run_finished' LIMIT 1"),
    selectHead: database.prepare("SELECT entry_index FROM ledger_heads ORDER BY entry_index DESC LIMIT 1"),
    insertEntry: database.prepare("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    insertHead: database.prepare("INSERT INTO ledger_heads VALUES (?, ?, ?, ?, ?)"),
    replaceTail: database.prepare("INSERT OR REPLACE INTO ledger_tail VALUES (1, ?, ?, ?, ?, ?)"),
  };

  const columns = ({ index, hash, atMs, publicKey, signature }: LedgerHead) => [index, hash, atMs, publicKey, signature] as const;

  const insert = (draft: LedgerDraft, atMs: number, index: number, previousHash: string): string => {
    const { actor, kind, subject, payload } = draft;
    const what = `ledger entry ${index}`;
    const json = encodeJson(payload, what);
    const hash = hashOfEntry({ ...draft, index, atMs, previousHash }, json);
    checkContract({ index, atMs, actor, subject, kind, payload, previousHash, hash }, LedgerEntry, what);
    const { runId = null, seedId = null, site = null } = subject;
    sql.insertEntry.run(index, atMs, actor, kind, runId, seedId, site, json, previousHash, hash);
    return hash;
  };

  /** L3, L4. The end as the transaction leaves it; a work in it that was undone took its entries and its end along. */
  const signEnd = (): void => {
    const end = sql.selectEnd.get();
    if (end === undefined || text(end, "signature") !== unsigned) return;
    const head = { index: integer(end, "entry_index"), hash: text(end, "hash"), atMs: integer(end, "at_ms") };
    sql.replaceTail.run(...columns(signer.sign("tail", head)));
    const row = sql.selectHead.get();
    const keptIndex = row === undefined ? 0 : integer(row, "entry_index");
    const isDue = row === undefined || head.index - keptIndex >= headEntriesMax;
    if (!isDue && sql.selectFinish.get(keptIndex) === undefined) return;
    sql.insertHead.run(...columns(signer.sign("head", head)));
    database.afterCommit(onHead); // L5
  };

  return {
    append: (drafts) =>
      database.transaction(() => {
        if (drafts.length === 0) return;
        const end = sql.selectEnd.get();
        let index = end === undefined ? 0 : integer(end, "entry_index");
        let hash = end === undefined ? genesisHash : text(end, "hash");
        const atMs = Math.round(clock.nowMs());
        for (const draft of drafts) hash = insert(draft, atMs, ++index, hash); // L2
        sql.replaceTail.run(index, hash, atMs, signer.publicKey, unsigned);
        database.beforeCommit(signEnd);
      }),
  };
};
