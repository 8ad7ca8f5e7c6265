/** A data directory's artifacts looked at from outside, also while its node runs: is each what was signed, and does the index lead to it? */
import { resolve } from "node:path";
import type { ArtifactFault, ArtifactStatement, IndexEntry } from "../contracts/artifact.ts";
import { DataError, describeError } from "../contracts/errors.ts";
import type { Clock } from "../contracts/ports.ts";
import { everyAsset, nameOfAsset } from "../store/adopt-artifacts.ts";
import { expectFresh, indexKey } from "../store/artifact-index.ts";
import type { ArtifactNames } from "../store/artifact-index-file.ts";
import { type ReadIndex, readIndex } from "../store/artifact-index-read.ts";
import { type AssetRecord, assetRows } from "../store/asset-rows.ts";
import { type CheckpointReader, readCheckpoints } from "../store/checkpoint-reader.ts";
import { type ContentReader, readContent } from "../store/content-store.ts";
import type { DatabaseReader } from "../store/database.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import { sameJson } from "../store/json.ts";
import { type KeyRing, keyRing } from "../store/ledger-signature.ts";
import { type DataPaths, dataPaths } from "../store/paths.ts";
import { ArtifactError } from "../store/provenance.ts";
import { type ProvenanceReader, readProvenance } from "../store/provenance-store.ts";
import { headerBytesMax } from "./artifacts.ts";
import { notedFingerprint, openLedgerReader } from "./ledger-audit.ts";

/** Whatever a configuration allows: what is read here was written under one. */
const assetBytesMax = 1_073_741_824;
const checkpointBytesMax = 1_099_511_627_776;

export interface ArtifactProblem {
  /** The file or folder. */
  readonly place: string;
  /** `data` where bytes alone are wrong. */
  readonly fault: ArtifactFault | "data";
  readonly detail: string;
}

export interface ArtifactProgress {
  readonly artifacts: number;
  readonly bytes: number;
}

export interface ArtifactAudit extends ArtifactProgress {
  readonly assets: number;
  readonly checkpoints: number;
  readonly index: { readonly version: number; readonly entries: number; readonly expiresAtMs: number } | undefined;
  /** Names whose checkpoints were removed with their run's folder. */
  readonly gone: number;
  /** What the signatures were held against. */
  readonly fingerprint: string;
  readonly problems: readonly ArtifactProblem[];
  readonly intact: boolean;
}

/** Everything of a data directory that can be read of its artifacts. */
export interface ArtifactSources {
  readonly dataDir: string;
  readonly paths: DataPaths;
  readonly ring: KeyRing;
  readonly database: DatabaseReader;
  readonly content: ContentReader;
  readonly provenance: ProvenanceReader;
  checkpoints(index?: ArtifactNames): CheckpointReader;
  index(): Promise<ReadIndex | undefined>;
  close(): void;
}

/** Opens a data directory to read. `fingerprint` is one that was noted elsewhere; left out, the one beside the database. */
export const openArtifactSources = async (folder: string, fingerprint?: string): Promise<ArtifactSources> => {
  const dataDir = resolve(folder);
  const paths = dataPaths(dataDir);
  const database = openLedgerReader(dataDir);
  try {
    const own = fingerprint ?? (await notedFingerprint(dataDir));
    if (own === undefined) {
      throw new DataError(
        `artifacts of ${dataDir}: expected the fingerprint of its key in ${paths.ledger.fingerprint}, found nothing there; name the one that you noted by --fingerprint`,
        { file: paths.ledger.fingerprint },
      );
    }
    const ring = keyRing(own);
    const fileSystem = nodeFileSystem;
    const checkpointFiles = { fileSystem, folder: paths.checkpoints, ring, fileBytesMax: checkpointBytesMax, headerBytesMax };
    return {
      dataDir,
      paths,
      ring,
      database,
      content: readContent({ fileSystem, folder: paths.assets, fileBytesMax: assetBytesMax }),
      provenance: readProvenance({ fileSystem, folder: paths.assets, ring }),
      checkpoints: (index) => readCheckpoints({ ...checkpointFiles, ...(index === undefined ? {} : { index }) }),
      index: () => readIndex({ fileSystem, paths: paths.artifacts, ring, database }),
      close: () => database.close(),
    };
  } catch (error) {
    database.close();
    throw error;
  }
};

/** Whether a row, its signed provenance and its file agree; the file's bytes. Throws DataError. */
const verifyAsset = async (
  { provenance, content, database }: ArtifactSources,
  record: AssetRecord,
): Promise<{ readonly artifact: ArtifactStatement; readonly bytes: Uint8Array }> => {
  const { artifact } = await provenance.get(record.hash, record.kind);
  if (!sameJson(artifact, record)) {
    throw new ArtifactError(
      "other_provenance",
      `${record.kind} ${record.hash}: expected the table of assets to say what was signed, found another provenance`,
      database.file,
    );
  }
  const bytes = await content.get(record.hash);
  if (bytes === undefined || bytes.length !== artifact.bytes) {
    throw new ArtifactError(
      bytes === undefined ? "missing" : "other_bytes",
      `${record.kind} ${record.hash}: expected its file with ${artifact.bytes} bytes, found ${bytes?.length ?? "nothing"}`,
      content.pathOf(record.hash),
    );
  }
  return { artifact, bytes };
};

export interface AuditOptions {
  readonly clock: Pick<Clock, "nowMs">;
  readonly problemsMax: number;
  readonly fingerprint?: string;
  /** After each artifact. */
  readonly onProgress?: (progress: ArtifactProgress) => void;
}

class Audit {
  readonly #sources: ArtifactSources;
  readonly #options: AuditOptions;
  readonly problems: ArtifactProblem[] = [];
  /** The name of each kernel and policy that holds. */
  readonly #names = new Map<string, string>();
  assets = 0;
  checkpoints = 0;
  bytes = 0;
  gone = 0;

  constructor(sources: ArtifactSources, options: AuditOptions) {
    this.#sources = sources;
    this.#options = options;
  }

  get isOver(): boolean {
    return this.problems.length >= this.#options.problemsMax;
  }

  async #look<T>(place: string, work: () => Promise<T> | T): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      const fault = error instanceof ArtifactError ? error.fault : "data";
      this.problems.push({ place: error.place.file ?? place, fault, detail: describeError(error) });
      return undefined;
    }
  }

  #passed(bytes: number): void {
    this.bytes += bytes;
    this.#options.onProgress?.({ artifacts: this.assets + this.checkpoints, bytes: this.bytes });
  }

  async index(): Promise<ReadIndex | undefined> {
    const { paths } = this.#sources;
    const found = await this.#look(paths.artifacts.index, async () => {
      const read = await this.#sources.index();
      if (read !== undefined) return read;
      throw new ArtifactError(
        "missing",
        `index ${paths.artifacts.index}: expected a signed index, found none; a node makes it when it first starts here`,
        paths.artifacts.index,
      );
    });
    if (found !== undefined)
      await this.#look(paths.artifacts.index, () =>
        expectFresh(found.signed, this.#options.clock.nowMs(), paths.artifacts.index),
      );
    return found;
  }

  async everyAsset(): Promise<void> {
    const { database, content } = this.#sources;
    for (const record of everyAsset(assetRows(database))) {
      if (this.isOver) return;
      await this.#look(content.pathOf(record.hash), async () => {
        const { bytes } = await verifyAsset(this.#sources, record);
        const named = nameOfAsset(record, bytes);
        if (named !== undefined) this.#names.set(record.hash, indexKey(named.kind, named.name));
      });
      this.assets++;
      this.#passed(record.bytes);
    }
  }

  /** Every checkpoint, and of each run that the index knows the last one. */
  async everyCheckpoint(names: ArtifactNames): Promise<ReadonlySet<string>> {
    const reader = this.#sources.checkpoints(names);
    const runs = new Set<string>();
    for (const runId of await reader.runs()) {
      const listed = await reader.list(runId);
      const last = listed.at(-1);
      if (last !== undefined) runs.add(runId);
      for (const { path } of listed) {
        if (this.isOver) return runs;
        const asked = path === last?.path && names.find("checkpoint", runId) !== undefined ? resolve(path, "..") : path;
        const verified = await this.#look(path, async () => {
          try {
            return await reader.verify(asked);
          } catch (error) {
            // A node that works here has removed it meanwhile.
            if ((await nodeFileSystem.stat(path)) === undefined) return undefined;
            throw error;
          }
        });
        if (verified === undefined) continue;
        this.checkpoints++;
        const { files } = verified.manifest;
        this.#passed(files["tensors.safetensors"].bytes + files["state.json"].bytes);
      }
    }
    return runs;
  }

  /** Whether each name leads to an artifact that holds, and that is its own. */
  async everyName(entries: readonly IndexEntry[], runs: ReadonlySet<string>): Promise<void> {
    const { paths } = this.#sources;
    for (const { kind, name, hash } of entries) {
      if (kind === "checkpoint") {
        if (!runs.has(name)) this.gone++;
        continue;
      }
      const own = this.#names.get(hash);
      if (own === indexKey(kind, name)) continue;
      const found = own === undefined ? "nothing that holds" : `the artifact of ${own}`;
      await this.#look(paths.artifacts.index, () => {
        throw new ArtifactError(
          own === undefined ? "missing" : "swap",
          `index ${paths.artifacts.index}: expected ${kind} ${name} to lead to its own, found it leading to ${hash}, ${found}`,
          paths.artifacts.index,
        );
      });
    }
  }
}

/** Walks over all artifacts and the index until `problemsMax` are found. Throws DataError when there is no database. */
export const auditArtifacts = async (dataDir: string, options: AuditOptions): Promise<ArtifactAudit> => {
  const sources = await openArtifactSources(dataDir, options.fingerprint);
  try {
    const audit = new Audit(sources, options);
    const index = await audit.index();
    const entries = index?.entries.map(({ entry }) => entry) ?? [];
    const byKey = new Map(entries.map((entry) => [indexKey(entry.kind, entry.name), entry]));
    const names: ArtifactNames = { find: (kind, name) => byKey.get(indexKey(kind, name)) };
    // What the index names by now is in the database, as it is seen from here on.
    sources.database.refresh();
    await audit.everyAsset();
    const runs = await audit.everyCheckpoint(names);
    if (!audit.isOver) await audit.everyName(entries, runs);
    const { assets, checkpoints, bytes, gone, problems } = audit;
    const head = index?.signed.head;
    return {
      artifacts: assets + checkpoints,
      assets,
      checkpoints,
      bytes,
      gone,
      index: head === undefined ? undefined : { version: head.version, entries: head.entries, expiresAtMs: head.expiresAtMs },
      fingerprint: sources.ring.own,
      problems: problems.slice(0, options.problemsMax),
      intact: problems.length === 0,
    };
  } finally {
    sources.close();
  }
};

/** What a checkpoint is known by; undefined when it does not hold. */
const hashAt = async (reader: CheckpointReader, path: string): Promise<string | undefined> => {
  try {
    return (await reader.describe(path)).signed.artifact.hash;
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
};

/** An asset or checkpoint whose hash begins so, verified. Throws DataError, also where none or several do. */
export const findArtifact = async (sources: ArtifactSources, prefix: string) => {
  const { database, dataDir, paths } = sources;
  const records = assetRows(database).beginning(prefix, 2);
  const reader = sources.checkpoints();
  const checkpoints: { readonly hash: string; readonly path: string }[] = [];
  for (const runId of await reader.runs()) {
    for (const { path } of await reader.list(runId)) {
      const hash = await hashAt(reader, path);
      if (hash?.startsWith(prefix)) checkpoints.push({ hash, path });
    }
  }
  if (records.length + checkpoints.length !== 1) {
    throw new DataError(
      `artifacts of ${dataDir}: expected one whose hash begins with ${prefix}, found ${records.length + checkpoints.length === 0 ? "none" : "several"}; \`esper artifacts list\` names them`,
      { file: paths.database },
    );
  }
  const [record] = records;
  if (record !== undefined) {
    await verifyAsset(sources, record);
    return { signed: await sources.provenance.get(record.hash, record.kind), path: sources.content.pathOf(record.hash) };
  }
  const { signed, path } = await reader.verify(checkpoints[0]!.path);
  return { signed, path };
};
