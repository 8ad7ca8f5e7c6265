/**
 * Commands over HTTP beside NATS, through the same Gate and on the same disk.
 * `node --import tsx bench/http.ts [--json]`
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startGate } from "../src/actors/gate.ts";
import { startHttp } from "../src/actors/http.ts";
import { startWarden } from "../src/actors/warden.ts";
import { startOona } from "../src/bus/create.ts";
import type { CommandReceipt } from "../src/contracts/commands.ts";
import { ControlConfig } from "../src/contracts/config.ts";
import { BreakerConfig, RetryConfig } from "../src/contracts/config-calls.ts";
import { HttpConfig } from "../src/contracts/config-http.ts";
import { silentLog } from "../src/contracts/ports.ts";
import { commandRules } from "../src/contracts/roles.ts";
import { openHttp } from "../src/http/open.ts";
import { readTokenKey, tokenKeyFile } from "../src/http/token-key.ts";
import { mintToken } from "../src/http/tokens.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import { createResilience } from "../src/resilience/resilience.ts";
import { openDatabase } from "../src/store/database.ts";
import { generateSigningKey } from "../src/store/ed25519.ts";
import { createGateStore } from "../src/store/gate-store.ts";
import { createLedger } from "../src/store/ledger.ts";
import { ledgerSigner } from "../src/store/ledger-signature.ts";
import { migrations } from "../src/store/migrations.ts";
import { createRunStore } from "../src/store/sqlite-run-store.ts";
import { createWardenStore } from "../src/store/warden-store.ts";
import { isMain, print, table } from "./support.ts";

interface Load {
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly statuses: Readonly<Record<string, number>>;
}

export interface HttpRow extends Load {
  readonly transport: "nats" | "http";
  readonly kind: "read" | "change";
  readonly perSecond: number;
}

export interface HttpBench {
  readonly rows: readonly HttpRow[];
}

const clock = createSystemClock();
const entropy = createSystemEntropy();
const many = 1_000_000;

/** Server, Gate, Warden and somebody who keeps the commands, as Kasmina does, on the disk. */
const startStack = async (dataDir: string) => {
  const log = silentLog;
  const nats = {
    mode: "embedded",
    host: "127.0.0.1",
    port: -1,
    memoryBytesMax: 67_108_864,
    storageBytesMax: 268_435_456,
  } as const;
  const oona = await startOona({ clock, entropy, log, config: nats, dataDir, payloadBytesMax: 8_388_608 });
  const database = openDatabase({ file: join(dataDir, "bench.db"), migrations, busyTimeoutMs: 5_000 });
  const signer = ledgerSigner(generateSigningKey());
  const ledger = createLedger({ database, signer, clock, headEntriesMax: 256, onHead: () => undefined });
  const runs = createRunStore({ database, ledger, idempotencyMs: 300_000, outboxMessagesMax: many, boundariesMax: 4 });
  runs.createRun({ runId: "r-1", arm: "grown", nowMs: clock.nowMs() });
  const each = { admin: many, operator: many, developer: many, observer: many, anonymous: many };
  const control = ControlConfig.parse({ commandsPerMinuteMax: each });
  const resilience = createResilience({
    breaker: BreakerConfig.parse({}),
    retry: RetryConfig.parse({}),
    clock,
    uniform: () => 0.5,
  });
  const ports = { connect: oona.connect, clock, log, mailboxMessagesMax: 10_000, resilience, onDeadLetter: () => undefined };
  const windows = createGateStore({ database, loginsMax: 1_000 });
  const gate = await startGate(ports, { runs, windows, control, requestTimeoutMs: 60_000 });
  const store = createWardenStore({ database });
  const warden = await startWarden(ports, { store, control, rememberedMs: 300_000, learnedAt: new Map() });
  const kasmina = await oona.connect("kasmina");
  await kasmina.respond(
    "control.kasmina.admitted",
    async ({ command, by }) => {
      const { requestId } = command;
      const receipt: CommandReceipt = { kind: "accepted", requestId, runId: "r-1", appliesAtEpoch: 2, detail: command.kind };
      if (commandRules[command.kind].access === "read") return receipt;
      const { stored } = runs.recordCommand({
        command,
        receipt,
        sender: by.principal,
        runId: "r-1",
        pending: false,
        nowMs: clock.nowMs(),
        outbox: [],
      });
      await stored;
      return receipt;
    },
    { atOnceMax: 64 },
  );
  let url = "";
  const http = await startHttp(ports, async (scope) => {
    const config = HttpConfig.parse({ port: 0, requestTimeoutMs: 60_000 });
    const door = await openHttp({ ...scope, entropy, config, dataDir, portBefore: undefined });
    url = door.url;
    return door;
  });
  return {
    url,
    stop: async () => {
      for (const child of [http, warden, gate]) await child.stop("the bench is done");
      await kasmina.close();
      await oona.stop();
      database.close();
    },
  };
};

const client = fileURLToPath(new URL("load-client.ts", import.meta.url));
const run = promisify(execFile);

export const benchHttp = async ({ commands = 20_000, concurrency = 64 } = {}): Promise<HttpBench> => {
  const dataDir = await mkdtemp(join(tmpdir(), "esper-bench-http-"));
  const stack = await startStack(dataDir);
  try {
    const key = await readTokenKey(tokenKeyFile(dataDir));
    const token = await mintToken(key, { principal: "bench", role: "operator", lifetimeMs: 3_600_000, nowMs: clock.nowMs() });
    const rows: HttpRow[] = [];
    for (const kind of ["read", "change"] as const)
      for (const transport of ["nats", "http"] as const) {
        const target = transport === "nats" ? dataDir : stack.url;
        const args = [
          "--import",
          "tsx",
          client,
          transport,
          target,
          token,
          kind,
          String(commands),
          String(concurrency),
          `${transport}-${kind}`,
        ];
        const { stdout } = await run(process.execPath, args);
        const load: Load = JSON.parse(stdout);
        rows.push({ transport, kind, perSecond: commands / load.seconds, ...load });
      }
    return { rows };
  } finally {
    await stack.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
};

export const httpTable = ({ rows }: HttpBench): string =>
  [
    table(
      ["command", "by", "a second", "p50", "p99", "against NATS"],
      rows.map(({ kind, transport, perSecond, p50Ms, p99Ms }) => {
        const nats = rows.find((row) => row.kind === kind && row.transport === "nats")?.perSecond ?? Number.NaN;
        return [
          kind === "read" ? "read (`status`)" : "change, committed (`cull`)",
          transport === "nats" ? "NATS" : "HTTP",
          perSecond.toFixed(0),
          `${p50Ms.toFixed(2)} ms`,
          `${p99Ms.toFixed(2)} ms`,
          `${(perSecond / nats).toFixed(2)} ×`,
        ];
      }),
    ),
  ].join("\n");

if (isMain(import.meta.url)) {
  const bench = await benchHttp();
  print(bench, httpTable(bench));
}
