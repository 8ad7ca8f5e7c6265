/**
 * What is there already and has to come into the index: unsigned artifacts of an older Esper, or signed ones whose index was lost.
 *
 * O1 Only what its hash proves is signed: a file that is missing or damaged is told and left.
 * O2 Unsigned artifacts are signed only where there never was an index; after that an unsigned artifact stays refused.
 * O3 Done again after a crash it comes to the same.
 */
import { join } from "node:path";
import { CompiledKernelArtifact } from "../contracts/assets.ts";
import { DataError, describeError } from "../contracts/errors.ts";
import { Policy } from "../contracts/policy.ts";
import type { Log } from "../contracts/ports.ts";
import { indexKey } from "./artifact-index.ts";
import type { NewEntry } from "./artifact-index-file.ts";
import { type AssetRecord, type AssetRows, assetRows } from "./asset-rows.ts";
import {
  type CheckpointReader,
  parseManifest,
  provenanceFile,
  readListed,
  readManifest,
  stateFile,
  tensorsFile,
} from "./checkpoint-reader.ts";
import type { ContentStore } from "./content-store.ts";
import type { DatabaseReader } from "./database.ts";
import { type FileSystem, guardDisk, writeDurably } from "./file-system.ts";
import { decodeJson, sha256 } from "./json.ts";
import type { LedgerSigner } from "./ledger-signature.ts";
import { kernelKeyHash } from "./library.ts";
import { encodeSigned, signArtifact } from "./provenance.ts";
import type { ProvenanceReader, ProvenanceStore } from "./provenance-store.ts";

export interface AdoptOptions {
  readonly fileSystem: FileSystem;
  readonly database: Pick<DatabaseReader, "prepare">;
  readonly content: ContentStore;
  readonly provenance: ProvenanceStore;
  readonly checkpoints: CheckpointReader;
  readonly signer: LedgerSigner;
  readonly toolchain: string;
  readonly log: Log;
  /** Of a checkpoint's tensors. */
  readonly fileBytesMax: number;
}

const rowsAtOnce = 256;
const older = "an older Esper";

/** Every asset that the tables name, in the order of the hashes. */
export function* everyAsset(rows: Pick<AssetRows, "after">): Generator<AssetRecord> {
  for (let last = ""; ; ) {
    const page = rows.after(last, rowsAtOnce);
    yield* page;
    const end = page.at(-1);
    if (end === undefined) return;
    last = end.hash;
  }
}

/** The name that the index knows an asset by; undefined for one that it does not. Throws DataError when the bytes do not fit their kind. */
export const nameOfAsset = (
  { hash, kind }: Pick<AssetRecord, "hash" | "kind">,
  bytes: Uint8Array,
): Pick<NewEntry, "kind" | "name"> | undefined => {
  const text = new TextDecoder().decode(bytes);
  if (kind === "kernel") return { kind, name: kernelKeyHash(decodeJson(text, CompiledKernelArtifact, `kernel ${hash}`).key) };
  return kind === "policy" ? { kind, name: decodeJson(text, Policy, `policy ${hash}`).name } : undefined;
};

/** Names of assets: a key leads to the first kernel that was stored for it, a policy's name to the last policy. */
class AssetNames {
  readonly #entries = new Map<string, NewEntry>();
  add(record: AssetRecord, bytes: Uint8Array): void {
    const named = nameOfAsset(record, bytes);
    if (named === undefined) return;
    const { createdAtMs } = record.provenance;
    const key = indexKey(named.kind, named.name);
    const known = this.#entries.get(key)?.createdAtMs;
    if (known === undefined || (named.kind === "kernel" ? createdAtMs < known : createdAtMs > known))
      this.#entries.set(key, { ...named, hash: record.hash, createdAtMs });
  }
  entries(): NewEntry[] {
    return [...this.#entries.values()];
  }
}

const contentOf = async (content: ContentStore, { hash, kind }: AssetRecord): Promise<Uint8Array> => {
  const bytes = await content.get(hash);
  if (bytes === undefined) throw new DataError(`${kind} ${hash}: expected its file, found nothing there`);
  return bytes;
};

/** Skips over what is damaged or missing, and tells of it. */
class Skipping {
  count = 0;
  readonly #log: Log;
  constructor(log: Log) {
    this.#log = log;
  }
  async try<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      this.count++;
      this.#log.warn("an artifact is left out of the index", { reason: describeError(error) }); // O1
      return undefined;
    }
  }
}

/** O1: a checkpoint whose files are what its manifest says. The hash of the manifest and when it was written. */
const signCheckpoint = async (
  { fileSystem, signer, toolchain, fileBytesMax }: AdoptOptions,
  source: string,
): Promise<{ readonly hash: string; readonly createdAtMs: number }> => {
  const bytes = await readManifest(fileSystem, source);
  const { runId, createdAtMs, files } = parseManifest(bytes, join(source, "manifest.json"));
  for (const name of [stateFile, tensorsFile] as const)
    await readListed(fileSystem, join(source, name), files[name], fileBytesMax);
  const hash = sha256(bytes);
  const provenance = { source: `run ${runId}, by ${older}`, producer: "tolaria", createdAtMs, inputs: [], toolchain };
  const signed = signArtifact(signer, { hash, kind: "checkpoint", bytes: bytes.length, provenance });
  await writeDurably(fileSystem, join(source, provenanceFile), encodeSigned(signed));
  return { hash, createdAtMs };
};

/** Signs what an older Esper left, and gives the entries of the first index (O2). */
export const adoptArtifacts = async (options: AdoptOptions): Promise<readonly NewEntry[]> => {
  const { database, content, provenance, checkpoints, log } = options;
  const skipping = new Skipping(log);
  const names = new AssetNames();
  let assets = 0;
  for (const record of everyAsset(assetRows(database))) {
    await skipping.try(async () => {
      const bytes = await contentOf(content, record);
      if (bytes.length !== record.bytes)
        throw new DataError(`${record.kind} ${record.hash}: expected ${record.bytes} bytes, found ${bytes.length}`);
      names.add(record, bytes);
      await provenance.put(record); // O1, O3
      assets++;
    });
  }
  const last: NewEntry[] = [];
  let signedCheckpoints = 0;
  for (const runId of await checkpoints.runs()) {
    let newest: NewEntry | undefined;
    for (const { path } of await checkpoints.list(runId)) {
      const signed = await skipping.try(() => guardDisk("checkpoint", path, () => signCheckpoint(options, path)));
      if (signed === undefined) continue;
      signedCheckpoints++;
      newest = { kind: "checkpoint", name: runId, ...signed };
    }
    if (newest !== undefined) last.push(newest);
  }
  if (assets + signedCheckpoints + skipping.count > 0) {
    log.info("what an older Esper left is signed as its hashes prove", {
      assets,
      checkpoints: signedCheckpoints,
      leftOut: skipping.count,
    });
  }
  return [...names.entries(), ...last];
};

export type SignedOptions = Pick<AdoptOptions, "database" | "content" | "checkpoints" | "log"> & {
  readonly provenance: ProvenanceReader;
};

/** The entries of an index made anew, of signed artifacts alone (O2). */
export const signedEntries = async (
  options: SignedOptions,
): Promise<{ readonly entries: NewEntry[]; readonly leftOut: number }> => {
  const { database, content, provenance, checkpoints, log } = options;
  const skipping = new Skipping(log);
  const names = new AssetNames();
  for (const record of everyAsset(assetRows(database))) {
    if (record.kind !== "kernel" && record.kind !== "policy") continue;
    await skipping.try(async () => {
      await provenance.get(record.hash, record.kind);
      names.add(record, await contentOf(content, record));
    });
  }
  const last: NewEntry[] = [];
  for (const runId of await checkpoints.runs()) {
    for (const { path } of (await checkpoints.list(runId)).toReversed()) {
      const verified = await skipping.try(() => checkpoints.verify(path));
      if (verified === undefined) continue;
      const { hash, provenance: told } = verified.signed.artifact;
      last.push({ kind: "checkpoint", name: runId, hash, createdAtMs: told.createdAtMs });
      break;
    }
  }
  return { entries: [...names.entries(), ...last], leftOut: skipping.count };
};
