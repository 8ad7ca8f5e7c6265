/**
 * Recorded runs for the page: the logs under a data directory, or one log that somebody names, as changes of the view.
 *
 * R1 An answer holds at most `chunkEventsMax` events and begins where the one before ended; `from` and `next` are places in the file.
 * R2 What an event says is read by those before it: whoever asks for a chunk in the middle is answered as if all before had been asked for.
 * R3 No piece of an answer keeps the thread for long: between two, others have their turn.
 * R4 A line that is torn or no event gives nothing; it never hides those after it.
 * R5 What the node's own log tells of the time of the run stands between the run's events where it happened; what it told before comes first.
 * R6 At most `recordedReadersMax` answers are made at once, and as many readers are kept between answers; whoever comes meanwhile waits.
 */
import { basename, join } from "node:path";
import type { ViewConfig } from "../contracts/config-view.ts";
import type { Envelope } from "../contracts/envelope.ts";
import type { Clock } from "../contracts/ports.ts";
import type { RecordedCheckpoints, RecordedRun } from "../contracts/view.ts";
import type { Replayed } from "../http/view-feed.ts";
import type { RecordedRuns } from "../http/view-ports.ts";
import type { FileSystem } from "../store/file-system.ts";
import type { ViewReader } from "../view/read-event.ts";
import { linesFrom, takingTurns } from "./log-lines.ts";
import { openStory, type Story } from "./recorded-story.ts";
import { createTurnstile } from "./turnstile.ts";

const runsMax = 1_000;

/** The log of a run from a place to its end so far as changes, through a reader that goes on with what comes next. */
export async function* replayLog(
  fileSystem: FileSystem,
  clock: Clock,
  file: string,
  from: number,
  reader: ViewReader,
): AsyncGenerator<Replayed> {
  if ((await fileSystem.stat(file)) === undefined) return;
  const turn = takingTurns(clock);
  for await (const { envelope, end } of linesFrom(fileSystem, file, from)) {
    if (envelope !== undefined) yield { changes: reader.read(envelope), end };
    await turn();
  }
}

/** The window that an event is about; undefined when it says none. */
const epochIn = ({ payload }: Envelope): number | undefined => {
  if (typeof payload !== "object" || payload === null) return undefined;
  if ("epoch" in payload && typeof payload.epoch === "number") return payload.epoch;
  const result = "result" in payload ? payload.result : undefined;
  return typeof result === "object" && result !== null && "epoch" in result && typeof result.epoch === "number"
    ? result.epoch
    : undefined;
};

export interface RecordedOptions {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly config: Pick<ViewConfig, "chunkEventsMax" | "chunkBytesMax" | "recordedReadersMax">;
  /** Where the log of a run lies; undefined where there is no such run. */
  readonly logOf: (runId: string) => Promise<string | undefined>;
  readonly list: () => Promise<readonly RecordedRun[]>;
  /** The node's own log; undefined where there is none. R5 */
  readonly nodeLog: string | undefined;
  /** Folder of checkpoints; undefined where there is none. */
  readonly checkpoints: string | undefined;
}

/** A reader that stands at a place of a log. */
interface Ready {
  readonly story: Story;
  readonly epoch: number;
}

export const createRecordedRuns = (options: RecordedOptions): RecordedRuns => {
  const { fileSystem, clock, config, logOf, list } = options;
  const ready = new Map<string, Ready>();
  const drop = async (key: string): Promise<void> => {
    const standing = ready.get(key);
    ready.delete(key);
    await standing?.story.close();
  };
  /** R6 */
  const keep = async (key: string, standing: Ready): Promise<void> => {
    await drop(key);
    ready.set(key, standing);
    for (const oldest of [...ready.keys()].slice(0, Math.max(0, ready.size - config.recordedReadersMax))) await drop(oldest);
  };
  const turnstile = createTurnstile(config.recordedReadersMax);
  /** R2 */
  const readerAt = async (file: string, from: number): Promise<Ready> => {
    const key = `${file} ${from}`;
    const known = ready.get(key);
    if (known !== undefined) {
      ready.delete(key);
      known.story.goOn();
      return known;
    }
    const story = await openStory(fileSystem, clock, options.nodeLog);
    let epoch = 0;
    if (from === 0) return { story, epoch };
    try {
      const turn = takingTurns(clock);
      for await (const { envelope, end } of linesFrom(fileSystem, file, 0)) {
        if (end > from) break;
        if (envelope !== undefined) {
          await story.read(envelope);
          epoch = epochIn(envelope) ?? epoch;
        }
        await turn();
      }
    } catch (error) {
      await story.close();
      throw error;
    }
    return { story, epoch };
  };

  /** R1 */
  async function* pieces(runId: string, file: string, from: number): AsyncGenerator<string> {
    const leave = await turnstile.enter(); // R6
    let story: Story | undefined;
    try {
      // Whoever went away while he waited is found out here, before his log is read.
      yield `{"runId":${JSON.stringify(runId)},"from":${from},"changes":[`;
      const standing = await readerAt(file, from);
      story = standing.story;
      const epochs: number[] = [];
      const at: number[] = [];
      let { epoch } = standing;
      let next: number | null = null;
      const turn = takingTurns(clock);
      for await (const { envelope, end } of linesFrom(fileSystem, file, from)) {
        const changes = envelope === undefined ? [] : await story.read(envelope);
        if (envelope !== undefined && changes.length > 0) {
          epoch = epochIn(envelope) ?? epoch;
          yield `${epochs.length === 0 ? "" : ","}${JSON.stringify(changes)}`;
          epochs.push(epoch);
          at.push(envelope.sentAtMs);
        }
        if (epochs.length >= config.chunkEventsMax || end - from >= config.chunkBytesMax) {
          next = end;
          await keep(`${file} ${end}`, { story, epoch });
          story = undefined;
          break;
        }
        await turn();
      }
      yield `],"epochs":${JSON.stringify(epochs)},"at":${JSON.stringify(at)},"next":${JSON.stringify(next)},"total":${next === null && from === 0 ? epochs.length : null}}`;
    } finally {
      await story?.close();
      leave();
    }
  }

  return {
    list,
    events: async (runId, from) => {
      const file = await logOf(runId);
      return file === undefined ? undefined : pieces(runId, file, from);
    },
    checkpoints: async (runId) => {
      if ((await logOf(runId)) === undefined) return undefined;
      return checkpointsOf(fileSystem, options.checkpoints, runId);
    },
  };
};

const checkpointsOf = async (fileSystem: FileSystem, folder: string | undefined, runId: string): Promise<RecordedCheckpoints> => {
  const found: { epoch: number; file: string; bytes: number }[] = [];
  for (const name of folder === undefined ? [] : await fileSystem.list(join(folder, runId))) {
    // Complete ones alone are named by a window.
    if (folder === undefined || !/^\d{1,15}$/.test(name)) continue;
    const file = join(folder, runId, name);
    const tensors = await fileSystem.stat(join(file, "tensors.safetensors"));
    found.push({ epoch: Number(name), file, bytes: tensors?.bytes ?? 0 });
  }
  return { runId, checkpoints: found.sort((a, b) => a.epoch - b.epoch) };
};

/** All runs of a data directory. `live`: those that a node trains now. */
export const recordedIn = (
  dataDir: string,
  given: Pick<RecordedOptions, "fileSystem" | "clock" | "config">,
  live: () => readonly string[],
): RecordedRuns => {
  const { fileSystem } = given;
  const folder = join(dataDir, "runs");
  const fileOf = (runId: string): string => join(folder, runId, "events.jsonl");
  return createRecordedRuns({
    ...given,
    nodeLog: join(dataDir, "events.jsonl"),
    checkpoints: join(dataDir, "checkpoints"),
    logOf: async (runId) => ((await fileSystem.stat(fileOf(runId)))?.kind === "file" ? fileOf(runId) : undefined),
    list: async () => {
      const running = new Set(live());
      const runs: RecordedRun[] = [];
      // Names begin with the time of the run.
      for (const runId of [...(await fileSystem.list(folder))].sort().reverse().slice(0, runsMax)) {
        const stat = await fileSystem.stat(fileOf(runId));
        if (stat?.kind === "file") runs.push({ runId, bytes: stat.bytes, live: running.has(runId) });
      }
      return runs;
    },
  });
};

/** One log that somebody names, under the name of its run or else of its file. */
export const recordedFile = async (
  file: string,
  given: Pick<RecordedOptions, "fileSystem" | "clock" | "config">,
): Promise<RecordedRuns> => {
  const { fileSystem } = given;
  const runId = (await runIn(fileSystem, file)) ?? basename(file).replace(/[^\w.-]/g, "-");
  return createRecordedRuns({
    ...given,
    nodeLog: undefined,
    checkpoints: undefined,
    logOf: async (wanted) => (wanted === runId ? file : undefined),
    list: async () => [{ runId, bytes: (await fileSystem.stat(file))?.bytes ?? 0, live: false }],
  });
};

/** The run that the first events of a log are of. */
const runIn = async (fileSystem: FileSystem, file: string): Promise<string | undefined> => {
  let looked = 0;
  for await (const { envelope } of linesFrom(fileSystem, file, 0)) {
    const payload = envelope?.payload;
    if (typeof payload === "object" && payload !== null && "runId" in payload && typeof payload.runId === "string")
      return payload.runId;
    looked += 1;
    if (looked > 100) return undefined;
  }
  return undefined;
};
