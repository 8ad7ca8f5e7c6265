/**
 * The lines of an event log that may be long, without keeping the thread or the memory.
 *
 * L1 A line that is torn or no event gives nothing; it never hides those after it.
 * L2 No piece of the work keeps the thread for long: between two, others have their turn.
 */
import { Envelope } from "../contracts/envelope.ts";
import type { Clock } from "../contracts/ports.ts";
import type { FileSystem } from "../store/file-system.ts";

/** Work between two turns of others. */
const turnMs = 6;
const readBytes = 1_048_576;
/** A line that is longer is no event of ours: it is passed over. */
const lineBytesMax = 67_108_864;
const newline = 0x0a;

export interface Line {
  readonly envelope: Envelope | undefined;
  /** Place of the line after it. */
  readonly end: number;
}

const parseLine = (bytes: Uint8Array): Envelope | undefined => {
  try {
    const parsed = Envelope.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined; // L1
  }
};

/** The whole lines of a file from a place on. */
export async function* linesFrom(fileSystem: FileSystem, file: string, from: number): AsyncGenerator<Line> {
  let rest: Uint8Array = new Uint8Array();
  let place = from;
  for (let offset = from; ; ) {
    const chunk = await fileSystem.read(file, offset, readBytes);
    if (chunk.length === 0) return;
    offset += chunk.length;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let stop = bytes.indexOf(newline); stop >= 0; stop = bytes.indexOf(newline, start)) {
      place += stop + 1 - start;
      yield { envelope: parseLine(bytes.subarray(start, stop)), end: place };
      start = stop + 1;
    }
    rest = bytes.length - start > lineBytesMax ? new Uint8Array() : bytes.subarray(start);
  }
}

/** L2: waits for the next turn when this one has lasted long enough. */
export const takingTurns = (clock: Clock): (() => Promise<void> | undefined) => {
  let since = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - since < turnMs) return undefined;
    return new Promise<void>((resolve) => clock.schedule(0, resolve)).then(() => {
      since = clock.monotonicMs();
    });
  };
};
