/** Everything durable of a node, opened in one place and closed in one place. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { EsperConfig } from "../contracts/config.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import type { CapabilityAuthority } from "../store/capability-token.ts";
import type { Checkpoints } from "../store/checkpoints.ts";
import { openDatabase } from "../store/database.ts";
import { createDeadLetterStore, type DeadLetterStore } from "../store/dead-letters.ts";
import { createDecisionStore, type DecisionStore } from "../store/decision-store.ts";
import { createExperienceStore, type ExperienceStore } from "../store/experience-store.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import { createGateStore, type GateStore } from "../store/gate-store.ts";
import { createKernelStatusStore, type KernelStatusStore } from "../store/kernel-status.ts";
import type { Library } from "../store/library.ts";
import { migrations } from "../store/migrations.ts";
import { lockDataDir, type NodeLock } from "../store/node-lock.ts";
import { type DataPaths, dataPaths } from "../store/paths.ts";
import type { RunStore } from "../store/run-store.ts";
import { createRunStore } from "../store/sqlite-run-store.ts";
import { createWaitingRunStore, type WaitingRunStore } from "../store/waiting-runs.ts";
import { createWardenStore, type WardenStore } from "../store/warden-store.ts";
import { openArtifacts } from "./artifacts.ts";
import { openCapabilityKey } from "./capability-key.ts";
import { createEventSink, type NodeEventSink } from "./event-sink.ts";
import { openNodeLedger } from "./ledger.ts";

/** Only the last boundary is ever asked for again; a few more help a person who looks into the database. */
const boundariesMax = 16;
const busyTimeoutMs = 5_000;

export interface Stores {
  readonly paths: DataPaths;
  readonly library: Library;
  readonly runs: RunStore;
  /** The commands of each login in its present minute. */
  readonly windows: GateStore;
  readonly warden: WardenStore;
  readonly deadLetters: DeadLetterStore;
  readonly decisions: DecisionStore;
  readonly experiences: ExperienceStore;
  readonly kernelStatuses: KernelStatusStore;
  readonly waitingRuns: WaitingRunStore;
  readonly checkpoints: Checkpoints;
  /** Signs and reads what forges may do in the library. */
  readonly capabilities: CapabilityAuthority;
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
  const {
    ledger,
    signer,
    close: closeLedger,
  } = await openNodeLedger({
    database,
    fileSystem,
    paths: paths.ledger,
    headEntriesMax: services.ledgerHeadEntriesMax,
    clock,
    log: log.child({ actor: "ledger" }),
  });
  const artifacts = await openArtifacts({
    database,
    fileSystem,
    paths,
    signer,
    ledger,
    clock,
    toolchain,
    log,
    services,
    checkpoint,
  });
  const events = createEventSink(fileSystem, paths, dataDir, logging.eventLogBytesMax);
  return {
    paths,
    library: artifacts.library,
    runs: createRunStore({
      database,
      ledger,
      idempotencyMs: services.idempotencyMs,
      outboxMessagesMax: services.outboxMessagesMax,
      boundariesMax,
    }),
    warden: createWardenStore({ database }),
    windows: createGateStore({ database, loginsMax: config.control.loginsMax }),
    decisions: createDecisionStore(database),
    experiences: createExperienceStore(database),
    kernelStatuses: createKernelStatusStore(database),
    waitingRuns: createWaitingRunStore(database),
    deadLetters: createDeadLetterStore({ database, lettersMax: services.deadLetters.lettersMax }),
    checkpoints: artifacts.checkpoints,
    capabilities: await openCapabilityKey(paths.capabilityKey),
    events,
    close: async () => {
      await events.close();
      await artifacts.close();
      await closeLedger();
      database.close();
      lock.release();
    },
  };
};
