/**
 * Urza's store: blueprints, hosts and kernels as canonical JSON under their hash, with an index, kernels' tags and the field reports in SQLite.
 *
 * L1 An asset's identity is the SHA-256 of its canonical JSON; storing it again changes nothing, its first provenance stays.
 * L2 Only what fits its contract is stored, and what is read is checked again: by hash, then by contract.
 * L3 The index names an asset only after its file is durable.
 * L4 A kernel key leads to the first kernel stored for it whose file is still there.
 * L5 A field report is stored once per message, however often it is delivered.
 * L6 What a kernel was measured to be is kept once for each machine; the newest measurement counts.
 */
import {
  AssetKind,
  BlueprintIR,
  CompiledKernelArtifact,
  FieldReport,
  HostAsset,
  KernelKey,
  type Provenance,
} from "../contracts/assets.ts";
import type { BlueprintKind } from "../contracts/blueprint-kinds.ts";
import { KernelTags } from "../contracts/characterization.ts";
import { DataError } from "../contracts/errors.ts";
import type { ContentHash } from "../contracts/ids.ts";
import type { ContentStore } from "./content-store.ts";
import { type Database, integer, type SqlRow, text } from "./database.ts";
import { checkContract, decodeJson, encodeJson, hashJson, type Schema } from "./json.ts";

interface AssetByKind {
  readonly blueprint: BlueprintIR;
  readonly host: HostAsset;
  readonly kernel: CompiledKernelArtifact;
}
export type AssetOf<K extends AssetKind> = AssetByKind[K];

const schemas: { readonly [K in AssetKind]: Schema<AssetOf<K>> } = {
  blueprint: BlueprintIR,
  host: HostAsset,
  kernel: CompiledKernelArtifact,
};

export interface AssetRecord {
  readonly hash: ContentHash;
  readonly kind: AssetKind;
  readonly bytes: number;
  readonly provenance: Provenance;
}

/** An asset's place in the history of another; `record` is missing when only its hash is known. */
export interface LineageEntry {
  readonly hash: ContentHash;
  /** 0 is the asset itself, 1 its inputs. */
  readonly depth: number;
  readonly record?: AssetRecord;
}

export interface TagsQuery {
  readonly kernelHash?: string | undefined;
  readonly machine?: string | undefined;
  readonly kind?: BlueprintKind | undefined;
  readonly tags: readonly string[];
}

/** Answers to one query. */
export const tagsMax = 256;

export interface Library {
  /** Throws ContractError when the asset does not fit its kind. */
  put(asset: {
    readonly kind: AssetKind;
    readonly asset: unknown;
    readonly inputs: readonly ContentHash[];
    readonly producer: string;
    readonly createdAtMs: number;
  }): Promise<{ readonly hash: ContentHash; readonly existed: boolean }>;
  /** Undefined when the library has no such asset of this kind; DataError when its file is lost or damaged. */
  get<K extends AssetKind>(kind: K, hash: ContentHash): Promise<AssetOf<K> | undefined>;
  describe(hash: ContentHash): AssetRecord | undefined;
  /** The newest assets of a kind first. */
  list(kind: AssetKind, limit: number): readonly AssetRecord[];
  /** L4. `keyHash` is `kernelKeyHash` of the key. */
  findKernel(keyHash: ContentHash): Promise<ContentHash | undefined>;
  /** The asset and all it was made from, nearest first. */
  lineage(hash: ContentHash, limit: number): readonly LineageEntry[];
  /** L5. */
  putFieldReport(messageId: string, report: FieldReport, receivedAtMs: number): void;
  /** L6. */
  putTags(tags: KernelTags, measuredAtMs: number): void;
  /** The newest first, at most `tagsMax`; `tags` must all be there. */
  findTags(query: TagsQuery): KernelTags[];
  /** The newest reports first; of one run, or of all. */
  fieldReports(limit: number, runId?: string): readonly FieldReport[];
}

export const kernelKeyHash = (key: KernelKey): ContentHash => hashJson(checkContract(key, KernelKey, "kernel key"), "kernel key");

export interface LibraryOptions {
  readonly database: Database;
  readonly content: ContentStore;
  /** Written into every asset's provenance, for example `esper 0.1.0`. */
  readonly toolchain: string;
}

export const createLibrary = ({ database, content, toolchain }: LibraryOptions): Library => {
  const columns = "hash, kind, created_at_ms, producer, toolchain, bytes";
  const insertAsset = database.prepare(
    `INSERT INTO assets (${columns}, key_hash) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
  );
  const insertInput = database.prepare("INSERT INTO asset_inputs (hash, position, input) VALUES (?, ?, ?)");
  const selectAsset = database.prepare(`SELECT ${columns} FROM assets WHERE hash = ?`);
  const selectKind = database.prepare(`SELECT ${columns} FROM assets WHERE kind = ? ORDER BY created_at_ms DESC, hash LIMIT ?`);
  const selectInputs = database.prepare("SELECT input FROM asset_inputs WHERE hash = ? ORDER BY position");
  const selectByKey = database.prepare("SELECT hash FROM assets WHERE key_hash = ? ORDER BY created_at_ms, hash");
  const selectLineage = database.prepare(`
    WITH RECURSIVE ancestors (hash, depth) AS (
      SELECT ?, 0 UNION SELECT input, depth + 1 FROM asset_inputs JOIN ancestors USING (hash) WHERE depth < ?
    )
    SELECT hash, MIN(depth) AS depth FROM ancestors GROUP BY hash ORDER BY depth, hash LIMIT ?`);
  const insertReport = database.prepare(
    "INSERT INTO field_reports (message_id, run_id, received_at_ms, report) VALUES (?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING",
  );
  const selectReports = database.prepare("SELECT report FROM field_reports ORDER BY id DESC LIMIT ?");
  const selectRunReports = database.prepare("SELECT report FROM field_reports WHERE run_id = ? ORDER BY id DESC LIMIT ?");

  const insertTags = database.prepare(
    `INSERT INTO kernel_tags (kernel_hash, machine, kind, measured_at_ms, tags) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (kernel_hash, machine) DO UPDATE SET measured_at_ms = excluded.measured_at_ms, tags = excluded.tags`,
  );
  const selectTags = database.prepare(`
    WITH query (kernel_hash, machine, kind, tags) AS (SELECT ?, ?, ?, ?)
    SELECT known.tags AS tags FROM kernel_tags AS known, query
    WHERE (query.kernel_hash IS NULL OR known.kernel_hash = query.kernel_hash)
      AND (query.machine IS NULL OR known.machine = query.machine)
      AND (query.kind IS NULL OR known.kind = query.kind)
      AND NOT EXISTS (
        SELECT 1 FROM json_each(query.tags) AS wanted
        WHERE wanted.value NOT IN (SELECT value FROM json_each(known.tags, '$.tags'))
      )
    ORDER BY known.measured_at_ms DESC, known.kernel_hash LIMIT ${tagsMax}`);

  const record = (row: SqlRow): AssetRecord => ({
    hash: text(row, "hash"),
    kind: checkContract(text(row, "kind"), AssetKind, "asset kind"),
    bytes: integer(row, "bytes"),
    provenance: {
      producer: text(row, "producer"),
      createdAtMs: integer(row, "created_at_ms"),
      inputs: selectInputs.all(text(row, "hash")).map((input) => text(input, "input")),
      toolchain: text(row, "toolchain"),
    },
  });
  const describe = (hash: ContentHash): AssetRecord | undefined => {
    const row = selectAsset.get(hash);
    return row === undefined ? undefined : record(row);
  };

  return {
    put: async ({ kind, asset, inputs, producer, createdAtMs }) => {
      const checked = checkContract<AssetOf<AssetKind>>(asset, schemas[kind], `library ${kind}`); // L2
      const bytes = new TextEncoder().encode(encodeJson(checked, kind));
      const hash = await content.put(bytes); // L1, L3
      const keyHash = "key" in checked ? kernelKeyHash(checked.key) : null;
      const created = database.transaction(() => {
        const inserted = insertAsset.run(hash, kind, Math.round(createdAtMs), producer, toolchain, bytes.length, keyHash) === 1;
        if (inserted) for (const [position, input] of inputs.entries()) insertInput.run(hash, position, input);
        return inserted;
      });
      return { hash, existed: !created };
    },

    get: async <K extends AssetKind>(kind: K, hash: ContentHash): Promise<AssetOf<K> | undefined> => {
      if (describe(hash)?.kind !== kind) return undefined;
      const bytes = await content.get(hash);
      if (bytes === undefined) {
        throw new DataError(`library: expected the file of ${kind} ${hash}, found it missing; store the asset again`);
      }
      return decodeJson<AssetOf<K>>(new TextDecoder().decode(bytes), schemas[kind], `${kind} ${hash}`);
    },

    describe,
    list: (kind, limit) => selectKind.all(kind, limit).map(record),

    findKernel: async (keyHash) => {
      for (const row of selectByKey.all(keyHash)) {
        const hash = text(row, "hash");
        if (await content.has(hash)) return hash; // L4
      }
      return undefined;
    },

    lineage: (hash, limit) =>
      selectLineage.all(hash, limit, limit).map((row) => {
        const entry = { hash: text(row, "hash"), depth: integer(row, "depth") };
        const known = describe(entry.hash);
        return known === undefined ? entry : { ...entry, record: known };
      }),

    putFieldReport: (messageId, report, receivedAtMs) => {
      const json = encodeJson(checkContract(report, FieldReport, "field report"), "field report");
      insertReport.run(messageId, report.runId, Math.round(receivedAtMs), json); // L5
    },

    putTags: (tags, measuredAtMs) => {
      const checked = checkContract(tags, KernelTags, "kernel tags"); // L2
      const { kernelHash, machine, blueprint } = checked;
      insertTags.run(kernelHash, machine, blueprint.kind, Math.round(measuredAtMs), encodeJson(checked, "kernel tags")); // L6
    },

    findTags: ({ kernelHash, machine, kind, tags }) =>
      selectTags
        .all(kernelHash ?? null, machine ?? null, kind ?? null, JSON.stringify(tags))
        .map((row) => decodeJson(text(row, "tags"), KernelTags, "kernel tags")),

    fieldReports: (limit, runId) =>
      (runId === undefined ? selectReports.all(limit) : selectRunReports.all(runId, limit)).map((row) =>
        decodeJson(text(row, "report"), FieldReport, "field report"),
      ),
  };
};
