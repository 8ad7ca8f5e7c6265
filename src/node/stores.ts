/** Everything durable of a node, opened in one place and closed in one place. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { EsperConfig } from "../contracts/config.ts";
import type { Clock } from "../contracts/ports.ts";
import { type Checkpoints, openCheckpoints } from "../store/checkpoints.ts";
import { openContentStore } from "../store/content-store.ts";
import { openDatabase } from "../store/database.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import { createLibrary, type Library } from "../store/library.ts";
import { migrations } from "../store/migrations.ts";
import { type DataPaths, dataPaths } from "../store/paths.ts";
import type { RunStore } from "../store/run-store.ts";
import { createRunStore } from "../store/sqlite-run-store.ts";
import { createEventSink, type NodeEventSink } from "./event-sink.ts";

/** Only the last boundary is ever asked for again; a few more help a person who looks into the database. */
const boundariesMax = 16;
const busyTimeoutMs = 5_000;
const headerBytesMax = 16_777_216;

export interface Stores {
  readonly paths: DataPaths;
  readonly library: Library;
  readonly runs: RunStore;
  readonly checkpoints: Checkpoints;
  readonly events: NodeEventSink;
  close(): Promise<void>;
}

export const openStores = async (dataDir: string, config: EsperConfig, clock: Clock, toolchain: string): Promise<Stores> => {
  const paths = dataPaths(dataDir);
  const fileSystem = nodeFileSystem;
  const { services, checkpoint, logging } = config;
  await mkdir(dirname(paths.database), { recursive: true, mode: 0o700 });
  const database = openDatabase({ file: paths.database, migrations, busyTimeoutMs });
  const content = await openContentStore({ fileSystem, folder: paths.assets, fileBytesMax: services.assetBytesMax });
  const events = createEventSink(fileSystem, paths, dataDir, logging.eventLogBytesMax);
  return {
    paths,
    library: createLibrary({ database, content, toolchain }),
    runs: createRunStore({
      database,
      idempotencyMs: services.idempotencyMs,
      outboxMessagesMax: services.outboxMessagesMax,
      boundariesMax,
    }),
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
      database.close();
    },
  };
};
