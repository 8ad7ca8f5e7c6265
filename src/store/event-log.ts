/**
 * The event log of a run: one envelope a line (JSON Lines), only ever appended to.
 *
 * E1 What `append` has answered is on the disk. Calls that come during a write share the next write and its sync.
 * E2 A line that a crash or a full disk left torn is dropped at the next start or append; every line before it stays.
 * E3 An envelope whose id is among the last `recentIdsMax` is not written again, across restarts too as far as `tailBytes` reach.
 * E4 The file never exceeds `bytesMax`: its last line then says that it was cut, and nothing follows.
 */
import { dirname } from "node:path";
import { Envelope, schemaVersion } from "../contracts/envelope.ts";
import { ContractError, DataError } from "../contracts/errors.ts";
import { diskError, ensureFolder, type FileSystem, guardDisk } from "./file-system.ts";
import { checkContract, encodeJson } from "./json.ts";

export interface EventLogOptions {
  readonly fileSystem: FileSystem;
  readonly file: string;
  /** E4; at least 1024. */
  readonly bytesMax: number;
  /** E3. */
  readonly recentIdsMax: number;
  /** Read back at the start, to find a torn line and the recent ids. */
  readonly tailBytes: number;
  /** `batch` syncs every write; `close` leaves it to the system until `sync` or `close` (then E1 holds for those only). */
  readonly syncPolicy: "batch" | "close";
}

export interface AppendOutcome {
  readonly written: number;
  /** E3. */
  readonly duplicates: number;
  /** E4: envelopes that found no room. */
  readonly cut: number;
}

export interface EventLog {
  readonly file: string;
  /** Bytes of a torn line that opening dropped (E2). */
  readonly tornBytes: number;
  /** E1. Throws ServiceError when the disk refuses, and nothing of the call counts as written. */
  append(envelopes: readonly Envelope[]): Promise<AppendOutcome>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Subject of the line that ends a log which reached its bound. */
export const cutSubject = "log.cut";

const newline = 0x0a;
/** Room kept for the line that says the log was cut. */
const cutLineBytes = 512;

const cutLine = (bytesMax: number, sentAtMs: number): Envelope => ({
  id: "log-cut",
  subject: cutSubject,
  sender: "event-log",
  sentAtMs,
  traceId: "0".repeat(32),
  schemaVersion,
  payload: { bytesMax, reason: "the log reached logging.eventLogBytesMax; later events are not in it" },
});

const encodeLine = (envelope: Envelope): Uint8Array => new TextEncoder().encode(`${encodeJson(envelope, "event")}\n`);

/** Undefined when the line is not an envelope. */
const parseLine = (line: Uint8Array): Envelope | undefined => {
  try {
    const parsed = Envelope.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line)));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
};

/** The last ids put in, at most `max`. */
class RecentIds {
  readonly #ids = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }
  has(id: string): boolean {
    return this.#ids.has(id);
  }
  add(id: string): void {
    this.#ids.add(id);
    // A set remembers the order of insertion: the first is the oldest.
    if (this.#ids.size > this.#max) for (const oldest of this.#ids) return void this.#ids.delete(oldest);
  }
}

interface Tail {
  /** Bytes of the file up to the end of its last whole line. */
  readonly bytes: number;
  readonly envelopes: readonly Envelope[];
}

/** E2: reads backwards from the end until at least one whole envelope is found or the file is used up. */
const readTail = async (fileSystem: FileSystem, file: string, size: number, tailBytes: number): Promise<Tail> => {
  for (let window = Math.min(size, tailBytes); ; window = Math.min(size, 2 * window)) {
    const from = size - window;
    const chunk = await fileSystem.read(file, from, window);
    // Behind the first line break lines are whole; the chunk may begin in the middle of one.
    let start = from === 0 ? 0 : chunk.indexOf(newline) + 1;
    const envelopes: Envelope[] = [];
    let end = start;
    if (from === 0 || start > 0) {
      for (let stop = chunk.indexOf(newline, start); stop >= 0; stop = chunk.indexOf(newline, start)) {
        const envelope = parseLine(chunk.subarray(start, stop));
        start = stop + 1;
        if (envelope === undefined) continue;
        envelopes.push(envelope);
        end = start;
      }
    }
    // A broken line before a whole one is damage, not a torn end: it stays for the reader to report.
    if (envelopes.length > 0 || from === 0) return { bytes: from + end, envelopes };
  }
};

export const openEventLog = async (options: EventLogOptions): Promise<EventLog> => {
  const { fileSystem, file, bytesMax, tailBytes, syncPolicy } = options;
  if (bytesMax < 2 * cutLineBytes)
    throw new ContractError(`event log: expected a bound of at least ${2 * cutLineBytes} bytes, found ${bytesMax}`);
  const recent = new RecentIds(options.recentIdsMax);

  const guarded = <T>(work: () => Promise<T>): Promise<T> => guardDisk("event log", file, work);

  let size = 0;
  let isCut = false;
  /** True when the file may hold more than `size` bytes: a failed write. */
  let torn = false;
  let tornBytes = 0;

  await guarded(async () => {
    await ensureFolder(fileSystem, dirname(file));
    const stat = await fileSystem.stat(file);
    if (stat === undefined) {
      await fileSystem.write(file, new Uint8Array());
      await fileSystem.sync(file);
      await fileSystem.sync(dirname(file));
      return;
    }
    const tail = await readTail(fileSystem, file, stat.bytes, tailBytes);
    size = tail.bytes;
    tornBytes = stat.bytes - tail.bytes;
    for (const { id } of tail.envelopes) recent.add(id);
    isCut = tail.envelopes.at(-1)?.subject === cutSubject;
    if (tornBytes > 0) {
      await fileSystem.truncate(file, size); // E2
      await fileSystem.sync(file);
    }
  });

  /** One write for all the envelopes; ids are remembered only once it is done. */
  const write = async (envelopes: readonly Envelope[]): Promise<readonly ("written" | "duplicate" | "cut")[]> => {
    if (torn) {
      await fileSystem.truncate(file, size); // E2
      torn = false;
    }
    const fresh = new Set<string>();
    const lines: Uint8Array[] = [];
    let bytes = 0;
    let nowCut = isCut;
    const outcomes = envelopes.map((envelope) => {
      if (recent.has(envelope.id) || fresh.has(envelope.id)) return "duplicate"; // E3
      if (nowCut) return "cut";
      const line = encodeLine(envelope);
      if (size + bytes + line.length > bytesMax - cutLineBytes) {
        nowCut = true; // E4
        const last = encodeLine(cutLine(bytesMax, envelope.sentAtMs));
        lines.push(last);
        bytes += last.length;
        return "cut";
      }
      fresh.add(envelope.id);
      lines.push(line);
      bytes += line.length;
      return "written";
    });
    if (bytes > 0) {
      torn = true;
      await fileSystem.append(file, Buffer.concat(lines));
      if (syncPolicy === "batch") await fileSystem.sync(file); // E1
      torn = false;
      size += bytes;
      isCut = nowCut;
      for (const id of fresh) recent.add(id);
    }
    return outcomes;
  };

  interface Waiting {
    readonly envelopes: readonly Envelope[];
    readonly resolve: (outcome: AppendOutcome) => void;
    readonly reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;

  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      try {
        const outcomes = await guarded(() => write(group.flatMap(({ envelopes }) => envelopes)));
        let from = 0;
        for (const { envelopes, resolve } of group) {
          const own = outcomes.slice(from, from + envelopes.length);
          from += envelopes.length;
          const count = (kind: (typeof own)[number]): number => own.filter((each) => each === kind).length;
          resolve({ written: count("written"), duplicates: count("duplicate"), cut: count("cut") });
        }
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    writing = undefined;
  };

  let closed = false;
  const sync = async (): Promise<void> => {
    await writing;
    await guarded(() => fileSystem.sync(file));
  };

  return {
    file,
    tornBytes,
    append: async (envelopes) => {
      if (closed) throw new ContractError(`event log ${file}: expected an open log, found it closed; open it again`);
      const checked = envelopes.map((envelope) => checkContract(envelope, Envelope, "event"));
      return new Promise((resolve, reject) => {
        waiting.push({ envelopes: checked, resolve, reject });
        writing ??= drain();
      });
    },
    sync,
    close: async () => {
      if (closed) return;
      closed = true;
      await sync();
    },
  };
};

/**
 * The envelopes of a log in order. A torn last line is left out (E2); any other broken line is a DataError with its number.
 * `chunkBytes` are read at a time; a line may be longer.
 */
export async function* readEventLog(fileSystem: FileSystem, file: string, chunkBytes = 1_048_576): AsyncGenerator<Envelope> {
  let rest: Uint8Array = new Uint8Array();
  let line = 0;
  let broken: number | undefined;
  for (let offset = 0; ; ) {
    let chunk: Uint8Array;
    try {
      chunk = await fileSystem.read(file, offset, chunkBytes);
    } catch (error) {
      throw diskError("event log", file, error);
    }
    if (chunk.length === 0) return;
    offset += chunk.length;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let stop = bytes.indexOf(newline); stop >= 0; stop = bytes.indexOf(newline, start)) {
      line++;
      const envelope = parseLine(bytes.subarray(start, stop));
      start = stop + 1;
      if (envelope === undefined) {
        broken ??= line;
        continue;
      }
      if (broken !== undefined) {
        throw new DataError(
          `event log ${file}, line ${broken}: expected an envelope, found a line that is none; the log is damaged`,
          { file },
        );
      }
      yield envelope;
    }
    rest = bytes.subarray(start);
  }
}
