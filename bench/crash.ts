/**
 * `kill -9` of the node, of its nats-server, and of both, again and again under load: no acknowledged command is lost and none acts twice.
 * `node --import tsx bench/crash.ts [--kills 200] [--json]`. Needs a build (`npm run bench` makes one); takes some three seconds a kill.
 *
 * Several senders set limits of the run's budget, each under a request id of its own, and ask again under the same id until there is a receipt.
 * Afterwards the ledger must hold every receipt that was given, once, and be whole.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Bus } from "../src/bus/bus.ts";
import { connectOperator } from "../src/bus/create.ts";
import { describeError } from "../src/contracts/errors.ts";
import { delay, silentLog } from "../src/contracts/ports.ts";
import { createRandom } from "../src/graph/random.ts";
import { auditLedger, openLedgerReader } from "../src/node/ledger-audit.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import { entryOfRow, readLedgerRows } from "../src/store/ledger-rows.ts";
import { isMain, median, print, quantile, table } from "./support.ts";

const victims = ["node", "nats-server", "both"] as const;
type Victim = (typeof victims)[number];

export interface CrashBench {
  readonly kills: Readonly<Record<Victim, number>>;
  /** Commands with a receipt, and those that were asked more than once for it. */
  readonly acknowledged: number;
  readonly askedAgain: number;
  /** Acknowledged, and not in the ledger with that receipt. */
  readonly lost: number;
  /** More than one entry, or carried out more than once. */
  readonly twice: number;
  readonly ledgerWhole: boolean;
  readonly ledgerEntries: number;
  /** From the kill to the next receipt. */
  readonly recoveryP50Ms: number;
  readonly recoveryP99Ms: number;
}

const program = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const senders = 4;
/** Commands that must be acknowledged between two kills. */
const commandsBetween = 8;
const recoveryMsMax = 60_000;

const configText = (dataDir: string): string => `
arms: [grown]
model: { name: mlp, widths: [16, 16] }
dataset: { name: mnist, batchSize: 64, validationSamples: 500, trainSamplesMax: 1000 }
optimization: { epochs: 10000, epochSteps: 20 }
morphogenetic: { signal: { samples: 256 } }
control: { commandsPerMinuteMax: { operator: 1000000 } }
services: { dataDir: ${JSON.stringify(dataDir)} }
`;

const serverPid = async (dataDir: string): Promise<number | undefined> => {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes("nats-server") && command.includes(`${dataDir}/`)) return Number(pid);
  }
  return undefined;
};

const killNow = (pid: number | undefined): void => {
  if (pid === undefined) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
};

export const benchCrash = async ({ kills = 200, onKill = (_line: string): void => undefined } = {}): Promise<CrashBench> => {
  const root = await mkdtemp(join(tmpdir(), "esper-bench-crash-"));
  const dataDir = join(root, "node");
  const configFile = join(root, "node.yaml");
  await writeFile(configFile, configText(dataDir));
  const clock = createSystemClock();
  const entropy = createSystemEntropy();
  const random = createRandom(1).fork("kills");
  const receipts = new Map<string, string>();
  const recoveryMs: number[] = [];
  let askedAgain = 0;
  let killedAtMs: number | undefined;
  let node: ChildProcess | undefined;
  let ending = false;

  const start = (): void => {
    node = spawn(process.execPath, [program, "train", "--config", configFile], { stdio: "ignore" });
  };
  /** One connection for all senders, made again when it is lost. */
  let connection: Promise<Bus> | undefined;
  const connected = (): Promise<Bus> => {
    connection ??= connectOperator(dataDir, { clock, entropy, log: silentLog }, { requestTimeoutMs: 1_000 }).then((bus) => {
      void bus.closed.then(() => {
        connection = undefined;
      });
      return bus;
    });
    connection.catch(() => {
      connection = undefined;
    });
    return connection;
  };

  const acknowledge = async (requestId: string, max: number): Promise<void> => {
    for (let attempt = 0; !ending; attempt += 1) {
      if (attempt === 1) askedAgain += 1;
      try {
        const bus = await connected();
        const outcome = await bus.request("control.kasmina.commands", { kind: "limit", resource: "parameters", max, requestId });
        if (outcome.kind === "reply" && outcome.value.kind === "accepted") {
          receipts.set(requestId, JSON.stringify(outcome.value));
          if (killedAtMs !== undefined) recoveryMs.push(clock.monotonicMs() - killedAtMs);
          killedAtMs = undefined;
          return;
        }
        // A new server has another port and other passwords.
        if (outcome.kind === "unavailable") connection = undefined;
        if (outcome.kind === "unavailable") await bus.close();
      } catch {
        // The node is on its way up: ask again.
      }
      await delay(clock, 50);
    }
  };
  const send = async (sender: number): Promise<void> => {
    for (let i = 0; !ending; i += 1) await acknowledge(`crash-${sender}-${i}`, 1_000_000 + i);
  };

  const counts: Record<Victim, number> = { node: 0, "nats-server": 0, both: 0 };
  try {
    start();
    const sending = Array.from({ length: senders }, (_, sender) => send(sender));
    for (let kill = 0; kill < kills; kill += 1) {
      const wanted = receipts.size + commandsBetween;
      const sinceMs = clock.monotonicMs();
      while (receipts.size < wanted) {
        if (node?.exitCode !== null)
          throw new Error(`expected the node to come up after kill ${kill}, it ended with ${node?.exitCode}`);
        if (clock.monotonicMs() - sinceMs > recoveryMsMax)
          throw new Error(
            `expected receipts within ${recoveryMsMax} ms of kill ${kill}, got ${receipts.size - wanted + commandsBetween}`,
          );
        await delay(clock, 10);
      }
      await delay(clock, Math.floor(50 * random.uniform()));
      const victim = victims[kill % victims.length]!;
      counts[victim] += 1;
      killedAtMs = clock.monotonicMs();
      const server = victim === "node" ? undefined : await serverPid(dataDir);
      if (victim !== "nats-server") {
        const ended = new Promise((resolve) => node?.once("exit", resolve));
        killNow(node?.pid);
        killNow(server);
        await ended;
        start();
      } else killNow(server);
      if (kill % 10 === 9) onKill(`${kill + 1}/${kills} kills, ${receipts.size} commands acknowledged`);
    }
    ending = true;
    await Promise.all(sending);
  } finally {
    ending = true;
    await connection?.then((bus) => bus.close()).catch(() => undefined);
    const ended = new Promise((resolve) => (node?.exitCode === null ? node.once("exit", resolve) : resolve(undefined)));
    node?.kill("SIGINT");
    await ended;
    killNow(await serverPid(dataDir));
  }
  try {
    const told = new Map<string, string[]>();
    const applied = new Map<string, number>();
    let ledgerEntries = 0;
    const database = openLedgerReader(dataDir);
    try {
      for (const row of readLedgerRows(database)) {
        const entry = entryOfRow(row);
        ledgerEntries += 1;
        if (entry.kind === "command") {
          const { receipt } = entry.payload;
          told.set(receipt.requestId, [...(told.get(receipt.requestId) ?? []), JSON.stringify(receipt)]);
        }
        if (entry.kind === "decision" && entry.payload.outcome === "applied")
          applied.set(entry.payload.requestId, (applied.get(entry.payload.requestId) ?? 0) + 1);
      }
    } finally {
      database.close();
    }
    const audit = await auditLedger(dataDir, { clock, problemsMax: 9 });
    const same = (a: string, b: string): boolean =>
      JSON.stringify(sorted(JSON.parse(a))) === JSON.stringify(sorted(JSON.parse(b)));
    return {
      kills: counts,
      acknowledged: receipts.size,
      askedAgain,
      lost: [...receipts].filter(([id, receipt]) => !(told.get(id) ?? []).some((each) => same(each, receipt))).length,
      twice: [...told].filter(([id, all]) => all.length > 1 || (applied.get(id) ?? 0) > 1).length,
      ledgerWhole: audit.intact,
      ledgerEntries,
      recoveryP50Ms: median(recoveryMs),
      recoveryP99Ms: quantile(recoveryMs, 0.99),
    };
  } finally {
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  }
};

/** Keys in order, so that equal receipts have equal text. */
const sorted = (value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

export const crashTable = (bench: CrashBench): string =>
  table(
    ["kill -9 under load", "times"],
    [
      ...victims.map((victim) => [victim, String(bench.kills[victim])]),
      ["commands acknowledged (asked more than once)", `${bench.acknowledged} (${bench.askedAgain})`],
      ["acknowledged and lost", String(bench.lost)],
      ["told or carried out twice", String(bench.twice)],
      ["ledger afterwards", `${bench.ledgerEntries} entries, ${bench.ledgerWhole ? "whole" : "NOT whole"}`],
      ["kill → next receipt, p50 / p99", `${bench.recoveryP50Ms.toFixed(0)} / ${bench.recoveryP99Ms.toFixed(0)} ms`],
    ],
  );

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: { kills: { type: "string", default: "200" }, json: { type: "boolean", default: false } },
  });
  try {
    const bench = await benchCrash({ kills: Number(values.kills), onKill: (line) => console.error(line) });
    print(bench, crashTable(bench));
    process.exitCode = bench.lost + bench.twice === 0 && bench.ledgerWhole ? 0 : 1;
  } catch (error) {
    console.error(describeError(error));
    process.exitCode = 1;
  }
}
