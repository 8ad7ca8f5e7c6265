/**
 * Urza's store: blueprints, hosts and kernels as canonical JSON under their hash, with an index, kernels' tags and the field reports in SQLite.
 *
 * L1 An asset's identity is the SHA-256 of its canonical JSON; storing it again changes nothing, its first provenance stays.
 * L2 Only what fits its contract is stored, and what is read is checked again: its signed provenance, its hash, then its contract.
 * L3 Tables and index name an asset only after its file and its signed provenance are durable.
 * L4 A kernel key leads to the first kernel stored for it whose file is still there. It does so by the signed index; what the tables
 *    alone say of a key counts only when the kernel itself says the same.
 * L5 A field report is stored once per message, however often it is delivered.
 * L6 What a kernel was measured to be is kept once for each machine; the newest measurement counts.
 * L7 What the tables say of an asset is what was signed, or the asset is refused.
 * L8 A policy's name leads to the policy that was stored last under it, by the signed index.
 */
import {
  type AssetKind,
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
import { Policy } from "../contracts/policy.ts";
import type { ArtifactIndexFile } from "./artifact-index-file.ts";
import { type AssetRecord, assetRows, assetWriter, type LineageEntry, lineageOf } from "./asset-rows.ts";
import type { ContentStore } from "./content-store.ts";
import { type Database, text } from "./database.ts";
import { checkContract, decodeJson, encodeJson, hashJson, type Schema, sameJson } from "./json.ts";
import { ArtifactError } from "./provenance.ts";
import type { ProvenanceStore } from "./provenance-store.ts";

interface AssetByKind {
  readonly blueprint: BlueprintIR;
  readonly host: HostAsset;
  readonly kernel: CompiledKernelArtifact;
  readonly policy: Policy;
}
export type AssetOf<K extends AssetKind> = AssetByKind[K];

const schemas: { readonly [K in AssetKind]: Schema<AssetOf<K>> } = {
  blueprint: BlueprintIR,
  host: HostAsset,
  kernel: CompiledKernelArtifact,
  policy: Policy,
};

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
    readonly source: string;
    readonly producer: string;
    readonly createdAtMs: number;
    readonly confidence?: number | undefined;
    readonly commandHash?: ContentHash | undefined;
  }): Promise<{ readonly hash: ContentHash; readonly existed: boolean }>;
  /** Undefined when the library has no such asset of this kind; DataError when it is lost, damaged, or not what was signed. */
  get<K extends AssetKind>(kind: K, hash: ContentHash): Promise<AssetOf<K> | undefined>;
  /** The bytes that the hash is of: the asset's canonical JSON. Throws as `get` does. */
  bytes(hash: ContentHash): Promise<Uint8Array | undefined>;
  describe(hash: ContentHash): AssetRecord | undefined;
  /** The newest assets of a kind first. */
  list(kind: AssetKind, limit: number): readonly AssetRecord[];
  /** L4. `keyHash` is `kernelKeyHash` of the key. Throws ArtifactError past the end of the index. */
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
  readonly provenance: ProvenanceStore;
  readonly index: ArtifactIndexFile;
  /** Written into every asset's provenance, for example `esper 0.1.0`. */
  readonly toolchain: string;
}

export const createLibrary = ({ database, content, provenance, index, toolchain }: LibraryOptions): Library => {
  const rows = assetRows(database);
  const write = assetWriter(database);
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

  const { describe } = rows;

  const bytesOf = async (kind: AssetKind, hash: ContentHash): Promise<Uint8Array | undefined> => {
    const described = describe(hash);
    if (described?.kind !== kind) return undefined;
    const { artifact } = await provenance.get(hash, kind);
    if (!sameJson(artifact, described)) {
      throw new ArtifactError(
        "other_provenance",
        `${kind} ${hash}: expected the table of assets to say what was signed, found another provenance; put the data directory back from a backup, or store the asset again`,
        database.file,
      ); // L7
    }
    const bytes = await content.get(hash); // L2
    if (bytes === undefined) {
      throw new DataError(`library: expected the file of ${kind} ${hash}, found it missing; store the asset again`);
    }
    return bytes;
  };

  const get = async <K extends AssetKind>(kind: K, hash: ContentHash): Promise<AssetOf<K> | undefined> => {
    const bytes = await bytesOf(kind, hash);
    if (bytes === undefined) return undefined;
    return decodeJson<AssetOf<K>>(new TextDecoder().decode(bytes), schemas[kind], `${kind} ${hash}`);
  };

  /** L4: whether a kernel of the tables may be believed to be the key's. */
  const isKernelOf = async (keyHash: ContentHash, hash: ContentHash): Promise<boolean> => {
    try {
      const kernel = await get("kernel", hash);
      return kernel !== undefined && kernelKeyHash(kernel.key) === keyHash;
    } catch (error) {
      if (error instanceof DataError) return false;
      throw error;
    }
  };

  return {
    put: async ({ kind, asset, inputs, source, producer, createdAtMs, confidence, commandHash }) => {
      const checked = checkContract<AssetOf<AssetKind>>(asset, schemas[kind], `library ${kind}`); // L2
      const bytes = new TextEncoder().encode(encodeJson(checked, kind));
      const hash = await content.put(bytes); // L1, L3
      const told: Provenance = {
        source,
        producer,
        createdAtMs: Math.round(createdAtMs),
        inputs: [...inputs],
        toolchain,
        ...(confidence === undefined ? {} : { confidence }),
        ...(commandHash === undefined ? {} : { commandHash }),
      };
      const { artifact } = await provenance.put({ hash, kind, bytes: bytes.length, provenance: told }); // L1, L3
      const keyHash = "key" in checked ? kernelKeyHash(checked.key) : null;
      const known = describe(hash);
      if (known === undefined || !sameJson(known, artifact)) write(artifact, keyHash); // L7
      if (keyHash !== null) {
        const entry = index.standing("kernel", keyHash);
        if (entry === undefined || !(await content.has(entry.hash)))
          await index.set({ kind: "kernel", name: keyHash, hash, createdAtMs: artifact.provenance.createdAtMs }); // L4
      }
      if (kind === "policy" && "trigger" in checked)
        await index.set({ kind, name: checked.name, hash, createdAtMs: artifact.provenance.createdAtMs }); // L8
      return { hash, existed: known !== undefined };
    },

    get,
    bytes: async (hash) => {
      const kind = describe(hash)?.kind;
      return kind === undefined ? undefined : bytesOf(kind, hash);
    },
    describe,
    list: (kind, limit) => rows.list(kind, limit),

    findKernel: async (keyHash) => {
      const entry = index.find("kernel", keyHash);
      if (entry !== undefined && (await content.has(entry.hash))) return entry.hash; // L4
      for (const hash of rows.byKey(keyHash)) {
        if (!(await isKernelOf(keyHash, hash))) continue;
        await index.set({ kind: "kernel", name: keyHash, hash, createdAtMs: describe(hash)?.provenance.createdAtMs ?? 0 }); // L4
        return hash;
      }
      return undefined;
    },

    lineage: (hash, limit) => lineageOf(database, [hash], limit),

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
