/** Where everything lies under the data directory. */
import { join } from "node:path";

export interface DataPaths {
  readonly database: string;
  /** Held by the node that works here. */
  readonly lock: string;
  readonly assets: string;
  readonly checkpoints: string;
  readonly datasets: string;
  readonly ledger: LedgerPaths;
  /** The private key that signs the capabilities of tasks, in PEM; its owner alone may read it. */
  readonly capabilityKey: string;
  /** The signed index of artifacts, and apart from it the highest version of it that was seen. */
  readonly artifacts: { readonly index: string; readonly seen: string };
  eventLog(runId: string): string;
}

/** What is kept beside the database, so that the database alone cannot be cut or signed anew unnoticed. */
export interface LedgerPaths {
  /** The private key in PEM; its owner alone may read it. */
  readonly key: string;
  /** SHA-256 of the public key, hexadecimal. */
  readonly fingerprint: string;
  /** Signed heads, one in JSON a line. */
  readonly heads: string;
}

export const dataPaths = (dataDir: string): DataPaths => ({
  database: join(dataDir, "esper.db"),
  lock: join(dataDir, "node.lock"),
  assets: join(dataDir, "assets"),
  checkpoints: join(dataDir, "checkpoints"),
  datasets: join(dataDir, "datasets"),
  ledger: {
    key: join(dataDir, "ledger", "key.pem"),
    fingerprint: join(dataDir, "ledger", "fingerprint"),
    heads: join(dataDir, "ledger", "heads.jsonl"),
  },
  artifacts: { index: join(dataDir, "assets", "index.json"), seen: join(dataDir, "ledger", "index-seen.json") },
  capabilityKey: join(dataDir, "forge", "capability-key.pem"),
  eventLog: (runId) => join(dataDir, "runs", runId, "events.jsonl"),
});
