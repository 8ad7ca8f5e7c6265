/** What SQLite says of the assets: rows of `assets` and `asset_inputs`, read and written. */
import type { ArtifactStatement } from "../contracts/artifact.ts";
import { AssetKind, type Provenance } from "../contracts/assets.ts";
import type { ContentHash } from "../contracts/ids.ts";
import { type Database, type DatabaseReader, integer, optional, type SqlRow, text } from "./database.ts";
import { checkContract } from "./json.ts";

export interface AssetRecord {
  readonly hash: ContentHash;
  readonly kind: AssetKind;
  readonly bytes: number;
  readonly provenance: Provenance;
}

const columns = "hash, kind, created_at_ms, producer, toolchain, bytes, source, confidence, command_hash";

const real = (row: SqlRow, column: string): number => Number(row[column]);

/** The record of a row of `assets`. */
const recordOf = (row: SqlRow, inputs: readonly SqlRow[]): AssetRecord => {
  const confidence = optional(row, "confidence", real);
  const commandHash = optional(row, "command_hash", text);
  return {
    hash: text(row, "hash"),
    kind: checkContract(text(row, "kind"), AssetKind, "asset kind"),
    bytes: integer(row, "bytes"),
    provenance: {
      source: text(row, "source"),
      producer: text(row, "producer"),
      createdAtMs: integer(row, "created_at_ms"),
      inputs: inputs.map((input) => text(input, "input")),
      toolchain: text(row, "toolchain"),
      ...(confidence === undefined ? {} : { confidence }),
      ...(commandHash === undefined ? {} : { commandHash }),
    },
  };
};

export interface AssetRows {
  describe(hash: ContentHash): AssetRecord | undefined;
  /** The newest first; of one kind, or of all. */
  list(kind: AssetKind | undefined, limit: number): readonly AssetRecord[];
  /** In the order of their hashes, after this one. */
  after(hash: string, limit: number): readonly AssetRecord[];
  /** Assets whose hash begins so. */
  beginning(prefix: string, limit: number): readonly AssetRecord[];
  count(): number;
  /** Kernels that were stored for a key, the first first. */
  byKey(keyHash: ContentHash): readonly ContentHash[];
}

export const assetRows = (database: Pick<DatabaseReader, "prepare">): AssetRows => {
  const selectAsset = database.prepare(`SELECT ${columns} FROM assets WHERE hash = ?`);
  const selectAll = database.prepare(
    `SELECT ${columns} FROM assets WHERE kind = COALESCE(?, kind) ORDER BY created_at_ms DESC, hash LIMIT ?`,
  );
  const selectAfter = database.prepare(`SELECT ${columns} FROM assets WHERE hash > ? ORDER BY hash LIMIT ?`);
  const selectBeginning = database.prepare(`SELECT ${columns} FROM assets WHERE hash >= ? AND hash < ? ORDER BY hash LIMIT ?`);
  const selectCount = database.prepare("SELECT COUNT(*) AS assets FROM assets");
  const selectInputs = database.prepare("SELECT input FROM asset_inputs WHERE hash = ? ORDER BY position");
  const selectByKey = database.prepare("SELECT hash FROM assets WHERE key_hash = ? ORDER BY created_at_ms, hash");
  const record = (row: SqlRow): AssetRecord => recordOf(row, selectInputs.all(text(row, "hash")));
  return {
    describe: (hash) => {
      const row = selectAsset.get(hash);
      return row === undefined ? undefined : record(row);
    },
    list: (kind, limit) => selectAll.all(kind ?? null, limit).map(record),
    after: (hash, limit) => selectAfter.all(hash, limit).map(record),
    beginning: (prefix, limit) => selectBeginning.all(prefix, `${prefix}g`, limit).map(record),
    count: () => integer(selectCount.get() ?? {}, "assets"),
    byKey: (keyHash) => selectByKey.all(keyHash).map((row) => text(row, "hash")),
  };
};

/** Writes the rows of an asset as its statement says; true when there was none before. */
export const assetWriter = (database: Database): ((artifact: ArtifactStatement, keyHash: string | null) => boolean) => {
  const remove = database.prepare("DELETE FROM assets WHERE hash = ?");
  const removeInputs = database.prepare("DELETE FROM asset_inputs WHERE hash = ?");
  const insert = database.prepare(`INSERT INTO assets (${columns}, key_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const insertInput = database.prepare("INSERT INTO asset_inputs (hash, position, input) VALUES (?, ?, ?)");
  return ({ hash, kind, bytes, provenance }, keyHash) =>
    database.transaction(() => {
      const { source, producer, createdAtMs, inputs, toolchain, confidence = null, commandHash = null } = provenance;
      removeInputs.run(hash);
      const isNew = remove.run(hash) === 0;
      insert.run(hash, kind, createdAtMs, producer, toolchain, bytes, source, confidence, commandHash, keyHash);
      for (const [position, input] of inputs.entries()) insertInput.run(hash, position, input);
      return isNew;
    });
};

/** An asset's place in the history of another; `record` is missing when only its hash is known. */
export interface LineageEntry {
  readonly hash: ContentHash;
  /** 0 is the asset itself, 1 its inputs. */
  readonly depth: number;
  readonly record?: AssetRecord;
}

/** These assets and all they were made from, nearest first. */
export const lineageOf = (
  database: Pick<DatabaseReader, "prepare">,
  hashes: readonly ContentHash[],
  limit: number,
): readonly LineageEntry[] => {
  const { describe } = assetRows(database);
  const rows = database
    .prepare(`
    WITH RECURSIVE ancestors (hash, depth) AS (
      SELECT value, 0 FROM json_each(?) UNION SELECT input, depth + 1 FROM asset_inputs JOIN ancestors USING (hash) WHERE depth < ?
    )
    SELECT hash, MIN(depth) AS depth FROM ancestors GROUP BY hash ORDER BY depth, hash LIMIT ?`)
    .all(JSON.stringify(hashes), limit, limit);
  return rows.map((row) => {
    const entry = { hash: text(row, "hash"), depth: integer(row, "depth") };
    const known = describe(entry.hash);
    return known === undefined ? entry : { ...entry, record: known };
  });
};
