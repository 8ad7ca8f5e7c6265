/**
 * Where the signed index lies, and how it is read: `index.json`, and apart from it the highest version that was seen, in a file of its own and in SQLite.
 *
 * R1 Where a version was ever seen and the index is gone, nothing is made up in its place.
 * R2 A note of a version is a signed head itself: no bit of it can change unnoticed.
 */
import { type SignedIndexEntry, SignedIndexHead } from "../contracts/artifact.ts";
import { expectSignedHead, indexBytesMax, openIndex, type SeenIndex } from "./artifact-index.ts";
import { type DatabaseReader, integer, text } from "./database.ts";
import { type FileSystem, guardDisk } from "./file-system.ts";
import type { KeyRing } from "./ledger-signature.ts";
import { ArtifactError, decodeCanonical } from "./provenance.ts";

export interface IndexPaths {
  readonly index: string;
  /** The signed head of the highest version that was seen; its owner alone may read it. */
  readonly seen: string;
}

const seenBytesMax = 4_096;

export interface ReadIndexOptions {
  readonly fileSystem: FileSystem;
  readonly paths: IndexPaths;
  readonly ring: KeyRing;
  readonly database: Pick<DatabaseReader, "prepare">;
}

const readBounded = async (
  fileSystem: FileSystem,
  file: string,
  bytesMax: number,
  what: string,
): Promise<Uint8Array | undefined> => {
  const stat = await fileSystem.stat(file);
  if (stat === undefined) return undefined;
  if (stat.bytes > bytesMax)
    throw new ArtifactError("damaged", `${what} ${file}: expected at most ${bytesMax} bytes, found ${stat.bytes}`, file);
  return fileSystem.read(file);
};

const noted = (bytes: Uint8Array, what: string, file: string, ring: KeyRing): SignedIndexHead => {
  const signed = decodeCanonical(bytes, SignedIndexHead, what, file);
  expectSignedHead(signed, ring, what, file); // R2
  return signed;
};

/** The version as SQLite notes it. */
const seenInDatabase = ({ database, ring, paths }: ReadIndexOptions): SeenIndex | undefined => {
  const row = database.prepare("SELECT head FROM artifact_index_seen WHERE id = 1").get();
  if (row === undefined) return undefined;
  const rows = database.prepare("SELECT key, version FROM artifact_index_names").all();
  return {
    signed: noted(Buffer.from(text(row, "head")), "version of the index in SQLite", paths.index, ring),
    versions: new Map(rows.map((each) => [text(each, "key"), integer(each, "version")])),
  };
};

/** The version as the file beside the index notes it. */
const seenInFile = async ({ fileSystem, paths, ring }: ReadIndexOptions): Promise<SeenIndex | undefined> => {
  const bytes = await readBounded(fileSystem, paths.seen, seenBytesMax, "version of the index");
  return bytes === undefined ? undefined : { signed: noted(bytes, `version of the index ${paths.seen}`, paths.seen, ring) };
};

const newerOf = (a: SeenIndex | undefined, b: SeenIndex | undefined): SeenIndex | undefined => {
  if (a === undefined || b === undefined) return a ?? b;
  return b.signed.head.version > a.signed.head.version ? b : a;
};

export interface ReadIndex {
  readonly signed: SignedIndexHead;
  readonly entries: readonly SignedIndexEntry[];
  /** Both notes know this version as the highest. */
  readonly isNoted: boolean;
}

/**
 * Reads the index and holds it against the notes; whether it is past its end is for the caller. Undefined where there never was one.
 * Throws ArtifactError.
 */
export const readIndex = (options: ReadIndexOptions): Promise<ReadIndex | undefined> => {
  const { fileSystem, paths, ring } = options;
  return guardDisk("index of artifacts", paths.index, async () => {
    // The notes first: a node that works meanwhile writes them after the index.
    const [inDatabase, inFile] = [seenInDatabase(options), await seenInFile(options)];
    const seen = newerOf(inDatabase, inFile);
    const bytes = await readBounded(fileSystem, paths.index, indexBytesMax, "index");
    if (bytes === undefined) {
      if (seen === undefined) return undefined;
      throw new ArtifactError(
        "missing",
        `index ${paths.index}: expected version ${seen.signed.head.version} or a later one, found nothing there; put it back from a backup, or run \`esper artifacts reindex\` to build it anew from what is signed`,
        paths.index,
      ); // R1
    }
    const { signed, entries } = openIndex(bytes, { ring, seen, file: paths.index });
    const { version } = signed.head;
    const isNoted = inDatabase?.signed.head.version === version && inFile?.signed.head.version === version;
    return { signed, entries, isNoted };
  });
};

/** The highest version that anything still tells of, whatever else is broken; 0 when nothing does. */
export const highestVersion = async (options: ReadIndexOptions): Promise<number> => {
  const told = await Promise.all(
    [
      async () => seenInDatabase(options),
      () => seenInFile(options),
      async () => {
        const bytes = await readBounded(options.fileSystem, options.paths.index, indexBytesMax, "index");
        return bytes === undefined
          ? undefined
          : openIndex(bytes, { ring: options.ring, seen: undefined, file: options.paths.index });
      },
    ].map(async (read) => {
      try {
        return (await read())?.signed.head.version ?? 0;
      } catch (error) {
        if (error instanceof ArtifactError) return 0;
        throw error;
      }
    }),
  );
  return Math.max(...told);
};
