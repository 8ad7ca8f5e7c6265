/**
 * The file of signed heads beside the database: it tells when the database alone was cut, put back, or signed anew.
 *
 * H1 One head in canonical JSON a line, in the order of their index, only ever appended to; a head is handed in once it is in the database.
 * H2 What a crash left out is written when the node starts, and the ledger tells of it. A head that only the file has stops the start.
 * H3 A torn last line counts as not written.
 * H4 A failed write loses no head: what is missing goes out with the next one, or at the next start.
 */
import { dirname } from "node:path";
import { DataError, describeError } from "../contracts/errors.ts";
import { LedgerHead } from "../contracts/ledger.ts";
import type { Log } from "../contracts/ports.ts";
import type { Database } from "./database.ts";
import { ensureFolder, type FileSystem, guardDisk } from "./file-system.ts";
import { decodeJson, encodeJson } from "./json.ts";
import { readLedgerHeads } from "./ledger-rows.ts";

const newline = 0x0a;
const chunkBytes = 65_536;
/** Far above the length of a head: a longer line is none. */
const lineBytesMax = 4_096;
const headsAtOnce = 256;

const firstOf = <T>(all: Iterable<T>, count: number): readonly T[] => {
  const some: T[] = [];
  for (const each of all) if (some.push(each) === count) break;
  return some;
};

/** A whole line of the file and where the next one begins. */
interface HeadLine {
  readonly line: number;
  readonly text: string;
  readonly endsAt: number;
}

/** Whole lines up to a byte of the file, read in pieces (H3). */
async function* readLines(fileSystem: FileSystem, file: string, untilByte: number): AsyncGenerator<HeadLine> {
  let rest: Uint8Array = new Uint8Array();
  let line = 0;
  for (let offset = 0; offset < untilByte; ) {
    const chunk = await fileSystem.read(file, offset, Math.min(chunkBytes, untilByte - offset));
    if (chunk.length === 0) return;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const begins = offset - rest.length;
    offset += chunk.length;
    let start = 0;
    for (let stop = bytes.indexOf(newline); stop >= 0; stop = bytes.indexOf(newline, start)) {
      line++;
      yield { line, text: new TextDecoder().decode(bytes.subarray(start, stop)), endsAt: begins + stop + 1 };
      start = stop + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > lineBytesMax)
      throw new DataError(
        `heads of the ledger ${file}, line ${line + 1}: expected a head, found a line of more than ${lineBytesMax} bytes`,
        { file },
      );
  }
}

/** The heads in the file, as it was when `untilByte` was its size. DataError for a line that is none. */
export async function* readHeadsFile(fileSystem: FileSystem, file: string, untilByte: number): AsyncGenerator<LedgerHead> {
  for await (const { line, text } of readLines(fileSystem, file, untilByte))
    yield decodeJson(text, LedgerHead, `heads of the ledger ${file}, line ${line}`, file);
}

export interface HeadsFile {
  /** H1, H4: writes what the database has and the file has not. */
  write(): void;
  /** What `write` began is on the disk, or was told as an error. */
  settled(): Promise<void>;
}

export interface HeadsFileOptions {
  readonly fileSystem: FileSystem;
  readonly file: string;
  readonly database: Database;
  readonly log: Log;
}

export interface OpenedHeads {
  readonly heads: HeadsFile;
  /** H2: heads that the database had and the file lacked. */
  readonly restored: { readonly heads: number; readonly fromIndex: number } | undefined;
}

/** Opens the file and brings it to where the database stands (H2). */
export const openHeadsFile = async ({ fileSystem, file, database, log }: HeadsFileOptions): Promise<OpenedHeads> => {
  const guarded = <T>(work: () => Promise<T>): Promise<T> => guardDisk("heads of the ledger", file, work);
  /** Index of the last head in the file, and the bytes of its whole lines. */
  let lastIndex = 0;
  let bytes = 0;
  /** The file may hold half a line: a write that failed. */
  let torn = false;

  /** Everything that the database has and the file has not, in pieces. */
  const writeMissing = async (): Promise<{ readonly heads: number; readonly fromIndex: number } | undefined> => {
    let fromIndex: number | undefined;
    let heads = 0;
    for (;;) {
      const missing = firstOf(readLedgerHeads(database, lastIndex), headsAtOnce);
      const [first, last] = [missing[0], missing.at(-1)];
      if (first === undefined || last === undefined) return fromIndex === undefined ? undefined : { heads, fromIndex };
      if (torn) await fileSystem.truncate(file, bytes); // H3
      torn = true;
      const lines = new TextEncoder().encode(missing.map((head) => `${encodeJson(head, "head")}\n`).join(""));
      await fileSystem.append(file, lines);
      await fileSystem.sync(file);
      torn = false;
      lastIndex = last.index;
      bytes += lines.length;
      fromIndex ??= first.index;
      heads += missing.length;
    }
  };

  const restored = await guarded(async () => {
    await ensureFolder(fileSystem, dirname(file));
    const stat = await fileSystem.stat(file);
    if (stat === undefined) {
      await fileSystem.write(file, new Uint8Array());
      await fileSystem.sync(file);
      await fileSystem.sync(dirname(file));
    }
    const own = readLedgerHeads(database);
    for await (const { line, text, endsAt } of readLines(fileSystem, file, stat?.bytes ?? 0)) {
      const known = own.next();
      if (known.done || encodeJson(known.value, "head") !== text)
        throw new DataError(
          `heads of the ledger ${file}, line ${line}: expected ${known.done ? "no further head" : `the head of entry ${known.value.index}`} as in ${database.file}, found another; \`esper ledger verify\` tells what is wrong; put the backup of both back, or set services.dataDir to another folder`,
          { file },
        ); // H2
      lastIndex = known.value.index;
      bytes = endsAt;
    }
    if ((stat?.bytes ?? 0) > bytes) await fileSystem.truncate(file, bytes); // H3
    return writeMissing(); // H2
  });

  let writing: Promise<void> | undefined;
  let again = false;
  const drain = async (): Promise<void> => {
    do {
      again = false;
      try {
        await writeMissing();
      } catch (error) {
        log.error("a signed head of the ledger could not be written beside the database", { file, error: describeError(error) }); // H4
      }
    } while (again);
    writing = undefined;
  };

  return {
    heads: {
      write: () => {
        again = true;
        writing ??= drain();
      },
      settled: async () => {
        await writing;
      },
    },
    restored,
  };
};
