/** Everything durable of a node, opened in one place and closed in one place. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { EsperConfig } from "../contracts/config.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import { type Checkpoints, openCheckpoints } from "../store/checkpoints.ts";
import { openContentStore } from "../store/content-store.ts";
import { openDatabase } from "../store/database.ts";
import { createDeadLetterStore, type DeadLetterStore } from "../store/dead-letters.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import { createGateStore, type GateStore } from "../store/gate-store.ts";
import { createLibrary, type Library } from "../store/library.ts";
import { migrations } from "../store/migrations.ts";
import { lockDataDir, type NodeLock } from "../store/node-lock.ts";
import { type DataPaths, dataPaths } from "../store/paths.ts";
import type { RunStore } from "../store/run-store.ts";
import { createRunStore } from "../store/sqlite-run-store.ts";
import { createWardenStore, type WardenStore } from "../store/warden-store.ts";
import { createEventSink, type NodeEventSink } from "./event-sink.ts";
import { openNodeLedger } from "./ledger.ts";

/** Only the last boundary is ever asked for again; a few more help a person who looks into the database. */
const boundariesMax = 16;
const busyTimeoutMs = 5_000;
const headerBytesMax = 16_777_216;

export interface Stores {
  readonly paths: DataPaths;
  readonly library: Library;
  readonly runs: RunStore;
  /** The commands of each login in its present minute. */
  readonly windows: GateStore;
  readonly warden: WardenStore;
  readonly deadLetters: DeadLetterStore;
  readonly checkpoints: Checkpoints;
  readonly events: NodeEventSink;
  close(): Promise<void>;
}

export const openStores = async (
  dataDir: string,
  config: EsperConfig,
  clock: Clock,
  toolchain: string,
  log: Log,
): Promise<Stores> => {
  const paths = dataPaths(dataDir);
  await mkdir(dirname(paths.database), { recursive: true, mode: 0o700 });
  const lock = lockDataDir(dataDir, paths.lock, process.pid);
  try {
    return await openLocked({ paths, dataDir, config, clock, toolchain, log, lock });
  } catch (error) {
    lock.release();
    throw error;
  }
};

interface Locked {
  readonly paths: DataPaths;
  readonly dataDir: string;
  readonly config: EsperConfig;
  readonly clock: Clock;
  readonly toolchain: string;
  readonly log: Log;
  readonly lock: NodeLock;
}

const openLocked = async ({ paths, dataDir, config, clock, toolchain, log, lock }: Locked): Promise<Stores> => {
  const fileSystem = nodeFileSystem;
  const { services, checkpoint, logging } = config;
  const database = openDatabase({ file: paths.database, migrations, busyTimeoutMs });
  const { ledger, close: closeLedger } = await openNodeLedger({
    database,
    fileSystem,
    paths: paths.ledger,
    headEntriesMax: services.ledgerHeadEntriesMax,
    clock,
    log: log.child({ actor: "ledger" }),
  });
  const content = await openContentStore({ fileSystem, folder: paths.assets, fileBytesMax: services.assetBytesMax });
  const events = createEventSink(fileSystem, paths, dataDir, logging.eventLogBytesMax);
  return {
    paths,
    library: createLibrary({ database, content, toolchain }),
    runs: createRunStore({
      database,
      ledger,
      idempotencyMs: services.idempotencyMs,
      outboxMessagesMax: services.outboxMessagesMax,
      boundariesMax,
    }),
    warden: createWardenStore({ database }),
    windows: createGateStore({ database, loginsMax: config.control.loginsMax }),
    deadLetters: createDeadLetterStore({ database, lettersMax: services.deadLetters.lettersMax }),
    checkpoints: await openCheckpoints({
      fileSystem,
      folder: paths.checkpoints,
      clock,
      fileBytesMax: checkpoint.bytesMax,
      headerBytesMax,
    }),
    events,
    close: async () => {
      await events.close();
      await closeLedger();
      database.close();
      lock.release();
    },
  };
};
