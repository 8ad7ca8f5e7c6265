/** A node's artifacts: library and checkpoints, everything signed by the node's one key, and the signed index that leads to them. */
import type { CheckpointConfig, ServicesConfig } from "../contracts/config.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import { adoptArtifacts, signedEntries } from "../store/adopt-artifacts.ts";
import {
  type ArtifactIndexFile,
  type ArtifactIndexOptions,
  openArtifactIndex,
  rebuildArtifactIndex,
} from "../store/artifact-index-file.ts";
import { readIndex } from "../store/artifact-index-read.ts";
import { readCheckpoints } from "../store/checkpoint-reader.ts";
import { type Checkpoints, openCheckpoints } from "../store/checkpoints.ts";
import { openContentStore } from "../store/content-store.ts";
import type { Database } from "../store/database.ts";
import type { FileSystem } from "../store/file-system.ts";
import type { Ledger } from "../store/ledger.ts";
import { keyRing, type LedgerSigner } from "../store/ledger-signature.ts";
import { createLibrary, type Library } from "../store/library.ts";
import type { DataPaths } from "../store/paths.ts";
import { ArtifactError } from "../store/provenance.ts";
import { createProvenanceStore } from "../store/provenance-store.ts";

export const headerBytesMax = 16_777_216;

export interface ArtifactsOptions {
  readonly database: Database;
  readonly fileSystem: FileSystem;
  readonly paths: DataPaths;
  readonly signer: LedgerSigner;
  /** It tells for good that there was an index. */
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly toolchain: string;
  readonly log: Log;
  readonly services: Pick<ServicesConfig, "assetBytesMax" | "artifacts">;
  readonly checkpoint: Pick<CheckpointConfig, "bytesMax">;
}

export interface Artifacts {
  readonly library: Library;
  readonly checkpoints: Checkpoints;
  readonly index: ArtifactIndexFile;
  close(): Promise<void>;
}

const openParts = async (options: ArtifactsOptions) => {
  const { database, fileSystem, paths, signer, clock, toolchain, services, checkpoint } = options;
  const log = options.log.child({ actor: "artifacts" });
  const ring = keyRing(signer.fingerprint);
  const files = { fileSystem, fileBytesMax: checkpoint.bytesMax, headerBytesMax };
  const content = await openContentStore({ fileSystem, folder: paths.assets, fileBytesMax: services.assetBytesMax });
  const provenance = createProvenanceStore({ fileSystem, folder: paths.assets, signer, ring });
  const index: ArtifactIndexOptions = {
    fileSystem,
    paths: paths.artifacts,
    database,
    signer,
    ring,
    clock,
    log,
    entriesMax: services.artifacts.indexEntriesMax,
    expiryMs: services.artifacts.indexExpiryMs,
  };
  const found = {
    ...files,
    database,
    content,
    provenance,
    checkpoints: readCheckpoints({ ...files, folder: paths.checkpoints, ring }),
    signer,
    toolchain,
    log,
  };
  return { files, content, provenance, index, found };
};

/** Whether the ledger tells of an index: who removes the index with all notes of it must not have the next start sign what lies there. */
const wasMade = (database: Database): boolean =>
  database.prepare("SELECT 1 FROM ledger WHERE kind = 'index_made' LIMIT 1").get() !== undefined;

const tellMade = ({ database, ledger }: ArtifactsOptions, index: ArtifactIndexFile): void => {
  if (wasMade(database)) return;
  const payload = { version: index.version(), entries: index.entries().length };
  ledger.append([{ actor: "node", subject: {}, kind: "index_made", payload }]);
};

/** Opens all of it. What an older Esper left is signed at the first start. Throws ArtifactError when the index is not what was seen last. */
export const openArtifacts = async (options: ArtifactsOptions): Promise<Artifacts> => {
  const { database, paths, signer, clock, toolchain, services } = options;
  const { files, content, provenance, index: indexOptions, found } = await openParts(options);
  const index = await openArtifactIndex(indexOptions, async () => {
    if (!wasMade(database)) return adoptArtifacts(found);
    throw new ArtifactError(
      "missing",
      `index ${paths.artifacts.index}: expected the index that the ledger tells of, found neither it nor a note of its version; put the data directory back from a backup, or run \`esper artifacts reindex\` to build it anew from what is signed`,
      paths.artifacts.index,
    );
  });
  tellMade(options, index);
  return {
    library: createLibrary({ database, content, provenance, index, toolchain }),
    checkpoints: await openCheckpoints({
      ...files,
      folder: paths.checkpoints,
      ring: keyRing(signer.fingerprint, services.artifacts.trustedKeys),
      index,
      clock,
      signer,
      toolchain,
    }),
    index,
    close: () => index.close(),
  };
};

export interface Reindexed {
  readonly version: number;
  readonly entries: number;
  /** Artifacts that are damaged, missing or not signed. */
  readonly leftOut: number;
}

/** Whether the index may be made of unsigned artifacts as well: where nothing tells of one before. */
const neverWas = async (index: ArtifactIndexOptions): Promise<boolean> => {
  try {
    return (await readIndex(index)) === undefined && !wasMade(index.database);
  } catch (error) {
    if (error instanceof ArtifactError) return false;
    throw error;
  }
};

/** Makes the index anew of what is signed; where there never was one, as a node's first start does. */
export const reindexArtifacts = async (options: ArtifactsOptions): Promise<Reindexed> => {
  const { index: indexOptions, found } = await openParts(options);
  if (await neverWas(indexOptions)) await adoptArtifacts(found);
  const { entries, leftOut } = await signedEntries(found);
  const index = await rebuildArtifactIndex(indexOptions, entries);
  tellMade(options, index);
  await index.close();
  return { version: index.version(), entries: index.entries().length, leftOut };
};
