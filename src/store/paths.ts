/** Where everything lies under the data directory. */
import { join } from "node:path";

export interface DataPaths {
  readonly database: string;
  readonly assets: string;
  readonly checkpoints: string;
  readonly datasets: string;
  eventLog(runId: string): string;
}

export const dataPaths = (dataDir: string): DataPaths => ({
  database: join(dataDir, "esper.db"),
  assets: join(dataDir, "assets"),
  checkpoints: join(dataDir, "checkpoints"),
  datasets: join(dataDir, "datasets"),
  eventLog: (runId) => join(dataDir, "runs", runId, "events.jsonl"),
});
