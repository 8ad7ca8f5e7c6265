/**
 * Files named by the SHA-256 of their bytes: `<folder>/ab/cdef…`.
 *
 * C1 A name that is there holds a complete file: it is written under another name, synced and renamed.
 * C2 Every read is checked against its name; a difference is a DataError, never bytes.
 * C3 `put` may be repeated: the same bytes give the same name, and a damaged file is replaced.
 * C4 No file is larger than `fileBytesMax`.
 */
import { join } from "node:path";
import { ContractError, DataError } from "../contracts/errors.ts";
import type { ContentHash } from "../contracts/ids.ts";
import { ContentHash as ContentHashSchema } from "../contracts/ids.ts";
import { ensureFolder, errorCode, type FileSystem, guardDisk, writeDurably } from "./file-system.ts";
import { sha256 } from "./json.ts";

export interface ContentStoreOptions {
  readonly fileSystem: FileSystem;
  readonly folder: string;
  readonly fileBytesMax: number;
}

/** Failures of the disk are a ServiceError that names the file. */
export interface ContentReader {
  /** Undefined when there is no such file; DataError when it is damaged. */
  get(hash: ContentHash): Promise<Uint8Array | undefined>;
  /** Whether the file is there; it is not read. */
  has(hash: ContentHash): Promise<boolean>;
  /** Where the file lies, or would. */
  pathOf(hash: ContentHash): string;
}

export interface ContentStore extends ContentReader {
  /** Stores the bytes and gives their hash; they are durable when it resolves. Throws ContractError above `fileBytesMax`. */
  put(bytes: Uint8Array): Promise<ContentHash>;
}

const guarded = <T>(path: string, work: () => Promise<T>): Promise<T> => guardDisk("content store", path, work);

const pathIn = (folder: string, hash: ContentHash): string => {
  if (!ContentHashSchema.safeParse(hash).success) {
    throw new ContractError(`content store: expected a SHA-256 of 64 hexadecimal digits, found ${JSON.stringify(hash)}`);
  }
  return join(folder, hash.slice(0, 2), hash.slice(2));
};

/** The bytes if they are what the name says, else what was found instead. */
const readChecked = async (
  { fileSystem, fileBytesMax }: ContentStoreOptions,
  hash: ContentHash,
  path: string,
): Promise<Uint8Array | { readonly found: string } | undefined> => {
  const stat = await fileSystem.stat(path);
  if (stat === undefined) return undefined;
  if (stat.bytes > fileBytesMax) return { found: `${stat.bytes} bytes where at most ${fileBytesMax} are allowed` }; // C4
  let bytes: Uint8Array;
  try {
    bytes = await fileSystem.read(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  const actual = sha256(bytes);
  return actual === hash ? bytes : { found: `SHA-256 ${actual} over ${bytes.length} bytes` }; // C2
};

/** Reads what a store wrote, and changes nothing. */
export const readContent = (options: ContentStoreOptions): ContentReader => {
  const { fileSystem, folder } = options;
  const pathOf = (hash: ContentHash): string => pathIn(folder, hash);
  return {
    pathOf,
    get: async (hash) => {
      const path = pathOf(hash);
      return guarded(path, async () => {
        const present = await readChecked(options, hash, path);
        if (present === undefined || present instanceof Uint8Array) return present;
        throw new DataError(
          `asset file ${path}: expected SHA-256 ${hash}, found ${present.found}; the file is damaged: delete it and store the asset again`,
          { file: path },
        );
      });
    },
    has: async (hash) => {
      const path = pathOf(hash);
      return guarded(path, async () => (await fileSystem.stat(path))?.kind === "file");
    },
  };
};

/** Opens the store and clears what a crash left half-written. */
export const openContentStore = async (options: ContentStoreOptions): Promise<ContentStore> => {
  const { fileSystem, folder, fileBytesMax } = options;
  const temporaryFolder = join(folder, "tmp");
  const readyFolders = new Set<string>();
  let temporaries = 0;

  await guarded(folder, async () => {
    await fileSystem.remove(temporaryFolder);
    await ensureFolder(fileSystem, temporaryFolder);
  });

  return {
    ...readContent(options),

    put: async (bytes) => {
      if (bytes.length > fileBytesMax) {
        throw new ContractError(
          `content store: expected at most ${fileBytesMax} bytes in one file, found ${bytes.length}; raise the bound`,
        ); // C4
      }
      const hash = sha256(bytes);
      const path = pathIn(folder, hash);
      const parent = join(folder, hash.slice(0, 2));
      return guarded(path, async () => {
        if (!readyFolders.has(parent)) {
          await ensureFolder(fileSystem, parent);
          await fileSystem.sync(folder);
          readyFolders.add(parent);
        }
        const present = await readChecked(options, hash, path);
        if (present instanceof Uint8Array) {
          // Another call may have renamed the file and not yet synced the folder.
          await fileSystem.sync(parent);
          return hash;
        }
        temporaries++;
        await writeDurably(fileSystem, path, bytes, join(temporaryFolder, `${hash}.${temporaries}`)); // C1, C3
        return hash;
      });
    },
  };
};
