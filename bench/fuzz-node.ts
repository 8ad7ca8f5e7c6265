/** A whole node whose run is paused at a boundary: every actor is there to be asked, and nothing changes by itself. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectOperator } from "../src/bus/create.ts";
import type { CommandReceipt } from "../src/contracts/commands.ts";
import { EsperConfig } from "../src/contracts/config.ts";
import { ServiceError } from "../src/contracts/errors.ts";
import { delay, type Log } from "../src/contracts/ports.ts";
import { personRoles } from "../src/contracts/roles.ts";
import { readTokenKey, tokenKeyFile } from "../src/http/token-key.ts";
import { mintToken } from "../src/http/tokens.ts";
import { runNode } from "../src/node/node.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import { integer, openDatabaseReader, text } from "../src/store/database.ts";
import { migrations } from "../src/store/migrations.ts";
import { dataPaths } from "../src/store/paths.ts";
import type { FuzzTarget } from "./fuzz-send.ts";

export interface FuzzNode {
  readonly target: FuzzTarget;
  /** Entries of the ledger, but those that tell of refusals. */
  changes(): number;
  /** Actors that ended, what a handler failed at, and lines of the log that are errors. */
  readonly trouble: readonly string[];
  /** The run and its seeds. */
  state(): Promise<CommandReceipt>;
  stop(): Promise<void>;
}

const clock = createSystemClock();
const entropy = createSystemEntropy();
const pauseMsMax = 60_000;
const troublesMax = 1_000;
const tokenLifetimeMs = 3_600_000;
/** Per minute: so high that the schemas are tried, and not the rate. */
const commandsMax = 1_000_000;

const loud = (trouble: string[]): Log => {
  const note = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
    if (trouble.length < troublesMax) trouble.push(`${message} ${JSON.stringify(fields ?? {}).slice(0, 500)}`);
  };
  const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: note, child: () => log };
  return log;
};

export const startFuzzNode = async (): Promise<FuzzNode> => {
  const folder = await mkdtemp(join(tmpdir(), "esper-bench-fuzz-"));
  const dataDir = join(folder, "node");
  const trouble: string[] = [];
  const controller = new AbortController();
  const commandsPerMinuteMax = Object.fromEntries(personRoles.map((role) => [role, commandsMax]));
  const config = EsperConfig.parse({
    arms: ["grown"],
    model: { name: "mlp", widths: [16, 16] },
    dataset: { name: "mnist", batchSize: 64, validationSamples: 200, trainSamplesMax: 2_000 },
    optimization: { epochs: 10_000, epochSteps: 20 },
    control: { commandsPerMinuteMax },
    services: { dataDir, http: { port: 0 } },
  });
  let paused: () => void = () => undefined;
  const isPaused = new Promise<void>((resolve) => {
    paused = resolve;
  });
  let trains: () => void = () => undefined;
  const isTraining = new Promise<void>((resolve) => {
    trains = resolve;
  });
  let watching = false;
  const view = {
    onMessage: ({ subject, payload }: { readonly subject: string; readonly payload: unknown }) => {
      if (subject === "system.events.epoch") trains();
      const kind = typeof payload === "object" && payload !== null && "kind" in payload ? payload.kind : undefined;
      if (subject === "system.events.run" && kind === "paused") paused();
      const ends = kind === "exited" || kind === "restarting" || kind === "escalated" || kind === "dead_letter";
      if (watching && subject === "system.events.supervision" && ends && trouble.length < troublesMax)
        trouble.push(JSON.stringify(payload).slice(0, 500));
    },
    note: () => undefined,
  };
  let url: string | undefined;
  const node = runNode({
    config,
    ports: { clock, entropy, log: loud(trouble) },
    view,
    signal: controller.signal,
    onUp: ({ httpUrl }) => {
      url = httpUrl();
    },
  });
  const ended = node.then(() => {
    throw new ServiceError("expected the node to go on until it is told to end, it ended");
  });
  ended.catch((error: unknown) => trouble.push(`the node ended: ${String(error)}`));
  const stop = async (): Promise<void> => {
    watching = false;
    controller.abort(new Error("the fuzz is done"));
    await node.catch(() => undefined);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await Promise.race([isTraining, ended]);
    const bus = await connectOperator(dataDir, { clock, entropy, log: loud(trouble) });
    const ask = async (command: { readonly kind: "pause" | "status"; readonly requestId: string }): Promise<CommandReceipt> => {
      const outcome = await bus.request("control.kasmina.commands", command);
      if (outcome.kind !== "reply") throw new ServiceError(`expected a receipt, got ${outcome.kind}: ${outcome.reason}`);
      return outcome.value;
    };
    await ask({ kind: "pause", requestId: "fuzz-pause" });
    await Promise.race([
      isPaused,
      ended,
      delay(clock, pauseMsMax).then(() => Promise.reject(new ServiceError("the run did not pause"))),
    ]);
    if (url === undefined) throw new ServiceError("expected the node to serve HTTP");
    const key = await readTokenKey(tokenKeyFile(dataDir));
    const minted = personRoles.map(
      async (role) =>
        [
          role,
          await mintToken(key, { principal: `fuzz-${role}`, role, lifetimeMs: tokenLifetimeMs, nowMs: clock.nowMs() }),
        ] as const,
    );
    const tokens = Object.fromEntries(await Promise.all(minted)) as FuzzTarget["tokens"];
    watching = true;
    const file = dataPaths(dataDir).database;
    return {
      target: { dataDir, url, tokens },
      changes: () => {
        const reader = openDatabaseReader({ file, migrations, busyTimeoutMs: 5_000 });
        try {
          const rows = reader.prepare("SELECT kind, COUNT(*) AS entries FROM ledger GROUP BY kind").all();
          return rows.reduce((sum, row) => sum + (text(row, "kind") === "refusals" ? 0 : integer(row, "entries")), 0);
        } finally {
          reader.close();
        }
      },
      trouble,
      state: () => ask({ kind: "status", requestId: "fuzz-state" }),
      stop: async () => {
        await bus.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
