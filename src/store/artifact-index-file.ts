/**
 * The signed index as the node keeps it: read once, changed and renewed from then on.
 *
 * I1 The index is made once, of what is there to adopt; later starts take it as it was left, or not at all.
 * I2 A change is durable when it is told: first the index, then both notes of its version, each in one step.
 *    After a crash amid them the index is newer than a note, never older. A change that the disk refuses is told in the log, known to
 *    this node, and goes out with the next one.
 * I3 Every change and every renewal has a version that no other had, also after one that failed.
 * I4 At the start an index past its end is taken only when both notes know its version as the highest; while the node works, never.
 * I5 The index is signed anew at the start and whenever half of its time is over.
 * I6 There are at most `entriesMax` names; the one that was set longest ago goes first.
 */
import { dirname } from "node:path";
import type { ArtifactIndex, IndexEntry, IndexKind, SignedIndexEntry } from "../contracts/artifact.ts";
import { describeError } from "../contracts/errors.ts";
import type { Cancel, Clock, Log } from "../contracts/ports.ts";
import { buildIndex, expectFresh, indexKey, signEntry } from "./artifact-index.ts";
import { highestVersion, type ReadIndexOptions, readIndex } from "./artifact-index-read.ts";
import type { Database } from "./database.ts";
import { ensureFolder, guardDisk, writeDurably } from "./file-system.ts";
import { encodeJson } from "./json.ts";
import type { LedgerSigner } from "./ledger-signature.ts";

const privateMode = 0o600;

/** A name's new artifact. */
export type NewEntry = Pick<IndexEntry, "kind" | "name" | "hash" | "createdAtMs">;

export interface ArtifactNames {
  /** What a name leads to. Throws ArtifactError `freeze` past the index's end. */
  find(kind: IndexKind, name: string): IndexEntry | undefined;
}

export interface ArtifactIndexFile extends ArtifactNames {
  /** The same, whether or not the index has ended: for who is about to change it. */
  standing(kind: IndexKind, name: string): IndexEntry | undefined;
  /** I2. What stands in the index as it is asked for changes nothing. */
  set(entry: NewEntry): Promise<void>;
  version(): number;
  entries(): readonly IndexEntry[];
  /** What was begun is on the disk; nothing is signed any more. */
  close(): Promise<void>;
}

export interface ArtifactIndexOptions extends ReadIndexOptions {
  readonly database: Database;
  readonly signer: LedgerSigner;
  readonly clock: Clock;
  readonly log: Log;
  /** I6 (`services.artifacts.indexEntriesMax`). */
  readonly entriesMax: number;
  /** `services.artifacts.indexExpiryMs`. */
  readonly expiryMs: number;
}

class IndexKeeper implements ArtifactIndexFile {
  readonly #options: ArtifactIndexOptions;
  readonly #sql;
  /** In the order in which they were set. */
  #entries: ReadonlyMap<string, SignedIndexEntry>;
  #signed: ArtifactIndex["signed"] | undefined;
  #highest: number;
  #writing: Promise<void> = Promise.resolve();
  #cancel: Cancel = () => undefined;
  #closed = false;

  constructor(options: ArtifactIndexOptions, version: number, entries: readonly SignedIndexEntry[]) {
    const { database } = options;
    this.#options = options;
    this.#highest = version;
    const inOrder = entries.toSorted((a, b) => a.entry.version - b.entry.version);
    this.#entries = new Map(inOrder.map((each) => [indexKey(each.entry.kind, each.entry.name), each]));
    this.#sql = {
      head: database.prepare("INSERT OR REPLACE INTO artifact_index_seen (id, head) VALUES (1, ?)"),
      name: database.prepare("INSERT OR REPLACE INTO artifact_index_names (key, version) VALUES (?, ?)"),
      forget: database.prepare("DELETE FROM artifact_index_names WHERE key = ?"),
      names: database.prepare("SELECT key, version FROM artifact_index_names"),
    };
  }

  find(kind: IndexKind, name: string): IndexEntry | undefined {
    const { clock, paths } = this.#options;
    if (this.#signed !== undefined) expectFresh(this.#signed, clock.nowMs(), paths.index); // I4
    return this.standing(kind, name);
  }

  standing(kind: IndexKind, name: string): IndexEntry | undefined {
    return this.#entries.get(indexKey(kind, name))?.entry;
  }

  set(entry: NewEntry): Promise<void> {
    const known = this.standing(entry.kind, entry.name);
    if (known?.hash === entry.hash && known.createdAtMs === entry.createdAtMs) return this.#writing.catch(() => undefined);
    return this.write([entry]).catch((error: unknown) => this.#failed(error)); // I2
  }

  version(): number {
    return this.#signed?.head.version ?? 0;
  }

  entries(): readonly IndexEntry[] {
    return [...this.#entries.values()].map(({ entry }) => entry);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#writing.catch(() => undefined); // Whoever asked for it was told.
  }

  /** Changes some entries, or none: then the index is only signed anew. One write after the other. */
  write(changes: readonly NewEntry[]): Promise<void> {
    const done = this.#writing.catch(() => undefined).then(() => this.#write(changes));
    this.#writing = done;
    return done;
  }

  /** I5 */
  renewLater(): void {
    const { clock, expiryMs } = this.#options;
    this.#cancel = clock.schedule(expiryMs / 2, () => {
      this.write([])
        .catch((error: unknown) => this.#failed(error))
        .finally(() => {
          if (!this.#closed) this.renewLater();
        });
    });
  }

  #failed(error: unknown): void {
    const { log, paths } = this.#options;
    log.error("the index of artifacts could not be written", { file: paths.index, error: describeError(error) });
  }

  async #write(changes: readonly NewEntry[]): Promise<void> {
    const { fileSystem, paths, signer, clock, expiryMs, entriesMax } = this.#options;
    this.#highest += 1; // I3
    const version = this.#highest;
    const entries = new Map(this.#entries);
    for (const change of changes) {
      const key = indexKey(change.kind, change.name);
      entries.delete(key);
      entries.set(key, signEntry(signer, { ...change, version }));
    }
    for (const key of [...entries.keys()].slice(0, Math.max(0, entries.size - entriesMax))) entries.delete(key); // I6
    this.#entries = entries; // I2
    const createdAtMs = Math.round(clock.nowMs());
    const index = buildIndex(signer, [...entries.values()], { version, createdAtMs, expiresAtMs: createdAtMs + expiryMs });
    await guardDisk("index of artifacts", paths.index, async () => {
      for (const file of [paths.index, paths.seen]) await ensureFolder(fileSystem, dirname(file));
      await writeDurably(fileSystem, paths.index, Buffer.from(encodeJson(index, "index"))); // I2
      const head = encodeJson(index.signed, "head of the index");
      await writeDurably(fileSystem, paths.seen, Buffer.from(head), `${paths.seen}.new`, privateMode);
      this.#note(head, entries);
    });
    this.#signed = index.signed;
  }

  #note(head: string, entries: ReadonlyMap<string, SignedIndexEntry>): void {
    this.#options.database.transaction(() => {
      const noted = new Map(this.#sql.names.all().map(({ key, version }) => [key, version]));
      for (const [key, { entry }] of entries) if (noted.get(key) !== entry.version) this.#sql.name.run(key, entry.version);
      for (const key of noted.keys()) if (typeof key === "string" && !entries.has(key)) this.#sql.forget.run(key);
      this.#sql.head.run(head);
    });
  }
}

/** Opens the index, or makes it of what `adopt` gives where there never was one (I1). Throws ArtifactError when it is not what was seen last. */
export const openArtifactIndex = async (
  options: ArtifactIndexOptions,
  adopt: () => Promise<readonly NewEntry[]>,
): Promise<ArtifactIndexFile> => {
  const { clock, log, paths, expiryMs } = options;
  const found = await readIndex(options);
  if (found !== undefined) {
    if (!found.isNoted) expectFresh(found.signed, clock.nowMs(), paths.index); // I4
    const lateMs = clock.nowMs() - found.signed.head.expiresAtMs;
    if (lateMs > 0) log.info("the index of artifacts had ended while no node worked; it is signed anew", { lateMs, expiryMs });
  }
  const keeper = new IndexKeeper(options, found?.signed.head.version ?? 0, found?.entries ?? []);
  await keeper.write(found === undefined ? await adopt() : []); // I1, I5
  keeper.renewLater();
  return keeper;
};

/** Makes the index anew of these entries, whatever became of the one before; its version is above all that anything tells of. */
export const rebuildArtifactIndex = async (
  options: ArtifactIndexOptions,
  entries: readonly NewEntry[],
): Promise<ArtifactIndexFile> => {
  const keeper = new IndexKeeper(options, await highestVersion(options), []);
  await keeper.write(entries);
  return keeper;
};
