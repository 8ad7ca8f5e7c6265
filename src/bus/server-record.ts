/**
 * The record of the nats-server that works on a data directory: one server a directory, and none left behind by a crash.
 *
 * R1 A record is claimed before a server starts; a second node that tries meanwhile is refused.
 * R2 A process is signalled only when it is a nats-server that runs our own configuration file.
 * R3 A server whose node still lives is never touched; one whose node is gone is stopped before another starts.
 * R4 A record without its process is stale and goes.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { describeError, ServiceError } from "../contracts/errors.ts";
import { type Clock, delay, type Log } from "../contracts/ports.ts";
import { privateMode, writePrivateFile } from "./private-file.ts";
import type { Processes, ProcessInfo } from "./server-process.ts";

const ServerRecord = z.object({
  /** 0 while the server is being started. */
  pid: z.int().min(0),
  ownerPid: z.int().min(1),
  configFile: z.string(),
  atMs: z.number(),
});
type ServerRecord = z.infer<typeof ServerRecord>;

export interface RecordOptions {
  readonly file: string;
  readonly configFile: string;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  /** A claim without a server is stale after this. */
  readonly startMsMax: number;
  /** Time for an orphan to end by itself before it is killed, and again to die. */
  readonly stopMsMax: number;
}

const pollMs = 20;

const read = async (file: string): Promise<ServerRecord | undefined> => {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const parsed = ServerRecord.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
};

const isOurs = (info: ProcessInfo, configFile: string): boolean =>
  (info.command[0] ?? "").includes("nats-server") && info.command.join(" ").includes(configFile); // R2

const waitGone = async (pid: number, { processes, clock, configFile, stopMsMax }: RecordOptions): Promise<boolean> => {
  const untilMs = clock.monotonicMs() + stopMsMax;
  for (;;) {
    const info = await processes.inspect(pid);
    if (!info || !isOurs(info, configFile)) return true;
    if (clock.monotonicMs() >= untilMs) return false;
    await delay(clock, pollMs);
  }
};

const inUse = (options: RecordOptions, ownerPid: number): ServiceError =>
  new ServiceError(
    `expected the data directory ${dirname(dirname(options.file))} to be free, it is used by the node with process id ${ownerPid}. Stop that node or set another \`services.dataDir\`.`,
    { path: "services.dataDir", file: options.file },
  );

/** Makes sure that no server works on the folder. Returns the process id of an orphan that was stopped. */
export const reapOrphan = async (options: RecordOptions): Promise<number | undefined> => {
  const { file, processes, clock, log } = options;
  const record = await read(file);
  if (!record) return void (await rm(file, { force: true }));
  if (record.pid === 0) {
    const owner = await processes.inspect(record.ownerPid);
    const fresh = clock.nowMs() - record.atMs < 2 * options.startMsMax;
    if (owner && fresh && record.ownerPid !== processes.ownPid) throw inUse(options, record.ownerPid); // R1
    return void (await rm(file, { force: true }));
  }
  const info = await processes.inspect(record.pid);
  if (!info || !isOurs(info, record.configFile)) return void (await rm(file, { force: true })); // R4
  if (info.parentPid === record.ownerPid && record.ownerPid !== processes.ownPid) throw inUse(options, record.ownerPid); // R3
  log.warn("a nats-server of a node that is gone still runs: stopping it", { pid: record.pid });
  processes.signal(record.pid, "SIGINT");
  if (!(await waitGone(record.pid, options))) {
    processes.signal(record.pid, "SIGKILL");
    if (!(await waitGone(record.pid, options)))
      throw new ServiceError(
        `expected the orphaned nats-server ${record.pid} to end, it still runs. End it by hand: kill -9 ${record.pid}.`,
      );
  }
  await rm(file, { force: true });
  return record.pid;
};

/** R1. @throws ServiceError when another node was faster */
export const claimRecord = async (options: RecordOptions): Promise<void> => {
  const { file, configFile, processes, clock } = options;
  const record: ServerRecord = { pid: 0, ownerPid: processes.ownPid, configFile, atMs: clock.nowMs() };
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, JSON.stringify(record), { flag: "wx", mode: privateMode });
  } catch (error) {
    const other = await read(file);
    if (other) throw inUse(options, other.ownerPid);
    throw new ServiceError(
      `expected to write ${file}: ${describeError(error)}. Check the disk and the rights on the data directory.`,
      { file },
    );
  }
};

export const completeRecord = ({ file, configFile, processes, clock }: RecordOptions, pid: number): Promise<void> => {
  const record: ServerRecord = { pid, ownerPid: processes.ownPid, configFile, atMs: clock.nowMs() };
  return writePrivateFile(file, JSON.stringify(record));
};

export const dropRecord = ({ file }: RecordOptions): Promise<void> => rm(file, { force: true });
