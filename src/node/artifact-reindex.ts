/** The index of artifacts made anew in a data directory that no node works on. */
import { EsperConfig } from "../contracts/config.ts";
import { DataError } from "../contracts/errors.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import { openDatabase } from "../store/database.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import { migrations } from "../store/migrations.ts";
import { lockDataDir } from "../store/node-lock.ts";
import { dataPaths } from "../store/paths.ts";
import { type Reindexed, reindexArtifacts } from "./artifacts.ts";
import { openNodeLedger } from "./ledger.ts";

const busyTimeoutMs = 5_000;

export interface ReindexOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly toolchain: string;
}

/** Throws ServiceError while a node works on the directory, DataError when its ledger is not as it was left. */
export const reindexDataDir = async (dataDir: string, { clock, log, toolchain }: ReindexOptions): Promise<Reindexed> => {
  const paths = dataPaths(dataDir);
  if ((await nodeFileSystem.stat(paths.database)) === undefined)
    throw new DataError(
      `database ${paths.database}: expected the database of a node, found nothing there; name its data directory`,
      {
        file: paths.database,
      },
    );
  const { services, checkpoint } = EsperConfig.parse({});
  const lock = lockDataDir(dataDir, paths.lock, process.pid);
  try {
    const database = openDatabase({ file: paths.database, migrations, busyTimeoutMs });
    try {
      const common = { database, fileSystem: nodeFileSystem, clock, log };
      const { ledger, signer, close } = await openNodeLedger({
        ...common,
        paths: paths.ledger,
        headEntriesMax: services.ledgerHeadEntriesMax,
      });
      const made = await reindexArtifacts({ ...common, paths, signer, ledger, toolchain, services, checkpoint });
      await close();
      return made;
    } finally {
      database.close();
    }
  } finally {
    lock.release();
  }
};
