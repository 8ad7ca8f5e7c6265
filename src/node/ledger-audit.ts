/** A data directory's ledger looked at from outside, also while its node runs: is it whole, and does it tell what the tables hold? */
import { readFile } from "node:fs/promises";
import { DataError, describeError } from "../contracts/errors.ts";
import type { LedgerEntry } from "../contracts/ledger.ts";
import { type Clock, delay } from "../contracts/ports.ts";
import type { KasminaRunState } from "../machines/kasmina-state.ts";
import { wholeStanding } from "../machines/run-budget.ts";
import { type DatabaseReader, openDatabaseReader } from "../store/database.ts";
import { diskError, errorCode, nodeFileSystem } from "../store/file-system.ts";
import { readHeadsFile } from "../store/ledger-heads.ts";
import { differences, hashOfStandings, LedgerReplay, readStandings } from "../store/ledger-replay.ts";
import { entryOfRow, readLedgerRows } from "../store/ledger-rows.ts";
import { type LedgerVerdict, verifyLedger } from "../store/ledger-verify.ts";
import { migrations } from "../store/migrations.ts";
import { dataPaths } from "../store/paths.ts";

const busyTimeoutMs = 5_000;
/** A head is in the database for a moment before it is in the file: a node that runs is given this long. */
const headsWaitMs = 100;
const headsWaitsMax = 10;
const differencesMax = 64;

export interface LedgerReplayed {
  /** The hash of what the entries rebuild; absent when they cannot be followed. */
  readonly hash?: string;
  readonly runs: number;
  readonly seeds: number;
  /** Where tables and entries tell different things; at most 64. */
  readonly differences: readonly string[];
}

export interface LedgerAudit {
  readonly verdict: LedgerVerdict;
  /** What the signatures were held against. */
  readonly fingerprint: string | undefined;
  readonly replayed: LedgerReplayed;
  readonly intact: boolean;
}

export const openLedgerReader = (dataDir: string): DatabaseReader =>
  openDatabaseReader({ file: dataPaths(dataDir).database, migrations, busyTimeoutMs });

/** The noted fingerprint; undefined when none is noted. */
export const notedFingerprint = async (dataDir: string): Promise<string | undefined> => {
  const file = dataPaths(dataDir).ledger.fingerprint;
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw diskError("fingerprint of the ledger's key", file, error);
  }
};

function* entriesOf(database: DatabaseReader): Generator<LedgerEntry> {
  for (const row of readLedgerRows(database)) yield entryOfRow(row);
}

/** Rebuilds seeds and budgets from the entries and holds them against the tables of the same moment. */
const replay = (database: DatabaseReader): LedgerReplayed => {
  try {
    const rebuilt = new LedgerReplay();
    for (const entry of entriesOf(database)) rebuilt.take(entry);
    const told = rebuilt.standings();
    const stored = readStandings(database, (snapshots) => wholeStanding(snapshots as KasminaRunState));
    const seeds = [...told.values()].reduce((sum, run) => sum + Object.keys(run.seeds).length, 0);
    return {
      hash: hashOfStandings(told),
      runs: told.size,
      seeds,
      differences: differences(told, stored).slice(0, differencesMax),
    };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { runs: 0, seeds: 0, differences: [describeError(error)] };
  }
};

/**
 * Reads the data directory of a node. `fingerprint` is one that was noted elsewhere; left out, the one beside the database.
 * Throws DataError when there is no database.
 */
export const auditLedger = async (
  dataDir: string,
  {
    clock,
    problemsMax,
    fingerprint: given,
  }: { readonly clock: Clock; readonly problemsMax: number; readonly fingerprint?: string },
): Promise<LedgerAudit> => {
  const { heads } = dataPaths(dataDir).ledger;
  const database = openLedgerReader(dataDir);
  try {
    const fingerprint = given ?? (await notedFingerprint(dataDir));
    for (let waits = 0; ; waits++) {
      // The size comes first: what the file has by now is in the database, as it is seen after.
      const size = (await nodeFileSystem.stat(heads))?.bytes;
      database.refresh();
      const fileHeads = size === undefined ? undefined : readHeadsFile(nodeFileSystem, heads, size);
      const verdict = await verifyLedger({ database, fileHeads, fingerprint, problemsMax });
      const isLate = verdict.problemCount > 0 && verdict.problems.every(({ kind }) => kind === "head_not_in_file");
      if (isLate && waits < headsWaitsMax) {
        await delay(clock, headsWaitMs);
        continue;
      }
      const replayed = replay(database);
      const intact = verdict.problemCount === 0 && replayed.differences.length === 0;
      return { verdict, fingerprint, replayed, intact };
    }
  } finally {
    database.close();
  }
};
