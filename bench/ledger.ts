/** The ledger beside the plain write, and how fast it is checked and replayed. `tsx bench/ledger.ts [--json]` */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LedgerHead } from "../src/contracts/ledger.ts";
import { createSystemClock } from "../src/ports/system.ts";
import { type Database, openDatabase } from "../src/store/database.ts";
import { generateSigningKey } from "../src/store/ed25519.ts";
import { createLedger, type Ledger } from "../src/store/ledger.ts";
import { LedgerReplay } from "../src/store/ledger-replay.ts";
import { entryOfRow, readLedgerHeads, readLedgerRows } from "../src/store/ledger-rows.ts";
import { ledgerSigner } from "../src/store/ledger-signature.ts";
import { verifyLedger } from "../src/store/ledger-verify.ts";
import { migrations } from "../src/store/migrations.ts";
import { createRunStore } from "../src/store/sqlite-run-store.ts";
import { isMain, median, print, table } from "./support.ts";

export interface LedgerBench {
  readonly commands: number;
  /** Commands with their receipts a second, all of a round in one commit: without the ledger's part, and with it. */
  readonly plainPerSecond: number;
  readonly toldPerSecond: number;
  /** Time of the second over the first, the median of the rounds. */
  readonly ratio: number;
  readonly entries: number;
  readonly verifiedPerSecond: number;
  readonly replayedPerSecond: number;
}

const nothing: Ledger = { append: () => undefined };
const signer = ledgerSigner(generateSigningKey());
const clock = createSystemClock();

const ledgerOn = (database: Database): Ledger =>
  createLedger({ database, signer, clock, headEntriesMax: 256, onHead: () => undefined });

/** Records `count` refused commands, numbered from `from`, in one commit; milliseconds until they are on the disk. */
const recordCommands = async (database: Database, ledger: Ledger, from: number, count: number): Promise<number> => {
  const store = createRunStore({ database, ledger, idempotencyMs: 300_000, outboxMessagesMax: 1_000_000, boundariesMax: 4 });
  const startMs = clock.monotonicMs();
  for (let i = from; i < from + count; i++) {
    const requestId = `bench-${i}`;
    store.recordCommand({
      command: { requestId, kind: "germinate", seedId: "seed:h2", reason: "asked by the operator" },
      receipt: { kind: "refused", requestId, code: "embargo", reason: "the site is under embargo until window 12; now 7" },
      sender: "operator",
      runId: "r-bench",
      pending: false,
      nowMs: 1,
      outbox: [],
    });
  }
  await store.settled();
  return clock.monotonicMs() - startMs;
};

/** Entries in great number: many to a transaction, so that the disk is not what is timed. */
const fill = (database: Database, entries: number): void => {
  const ledger = ledgerOn(database);
  const perAppend = 64;
  for (let from = 0; from < entries; from += perAppend) {
    ledger.append(
      Array.from({ length: Math.min(perAppend, entries - from) }, (_, i) => {
        const sequence = from + i + 1;
        const [before, after] = sequence % 2 === 1 ? (["DORMANT", "GERMINATED"] as const) : (["GERMINATED", "DORMANT"] as const);
        const payload = {
          runId: "r-1",
          seedId: "seed:h2",
          sequence,
          from: before,
          to: after,
          epoch: sequence,
          reason: "gate 0: reserved 8320 of 100000 parameters and 1.2e+9 of 4e+10 FLOPs",
          evidence: { parameters: 8_320, flops: 1.2e9, lock: "free", siteKnown: true },
        };
        return { actor: "kasmina", subject: { runId: "r-1", seedId: "seed:h2" }, kind: "transition" as const, payload };
      }),
    );
  }
};

async function* inOrder(heads: Iterable<LedgerHead>): AsyncGenerator<LedgerHead> {
  yield* heads;
}

export const benchLedger = async ({ commands = 500, rounds = 7, entries = 20_000 } = {}): Promise<LedgerBench> => {
  const folder = await mkdtemp(join(tmpdir(), "esper-bench-ledger-"));
  const open = (name: string): Database => openDatabase({ file: join(folder, name), migrations, busyTimeoutMs: 1_000 });
  const [plain, told, full] = [open("plain.db"), open("told.db"), open("full.db")];
  try {
    const ledger = ledgerOn(told);
    const times: { readonly plainMs: number; readonly toldMs: number }[] = [];
    // In turn, so that both meet the same disk. The first round warms up.
    for (let round = 0; round <= rounds; round++) {
      const plainMs = await recordCommands(plain, nothing, round * commands, commands);
      const toldMs = await recordCommands(told, ledger, round * commands, commands);
      if (round > 0) times.push({ plainMs, toldMs });
    }
    const perSecond = (milliseconds: readonly number[]): number => (1_000 * commands) / median(milliseconds);

    ledgerOn(full).append([{ actor: "node", subject: { runId: "r-1" }, kind: "run_started", payload: { arm: "grown" } }]);
    fill(full, entries);
    const { fingerprint } = signer;
    const verifyStartMs = clock.monotonicMs();
    const verdict = await verifyLedger({
      database: full,
      fileHeads: inOrder(readLedgerHeads(full)),
      fingerprint,
      problemsMax: 1,
    });
    const verifyMs = clock.monotonicMs() - verifyStartMs;
    if (verdict.problemCount > 0) throw new Error(`expected a whole ledger, found ${JSON.stringify(verdict.problems)}`);
    const replayStartMs = clock.monotonicMs();
    const replay = new LedgerReplay();
    for (const row of readLedgerRows(full)) replay.take(entryOfRow(row));
    const replayMs = clock.monotonicMs() - replayStartMs;
    return {
      commands,
      plainPerSecond: perSecond(times.map(({ plainMs }) => plainMs)),
      toldPerSecond: perSecond(times.map(({ toldMs }) => toldMs)),
      ratio: median(times.map(({ plainMs, toldMs }) => toldMs / plainMs)),
      entries: verdict.entries,
      verifiedPerSecond: (1_000 * verdict.entries) / verifyMs,
      replayedPerSecond: (1_000 * verdict.entries) / replayMs,
    };
  } finally {
    for (const database of [plain, told, full]) database.close();
    await rm(folder, { recursive: true, force: true });
  }
};

export const ledgerTable = (bench: LedgerBench): string =>
  table(
    ["ledger", "measured"],
    [
      [`commands with receipts, ${bench.commands} to a commit, without the ledger`, `${Math.round(bench.plainPerSecond)}/s`],
      ["the same, told in the ledger in the same transaction", `${Math.round(bench.toldPerSecond)}/s`],
      ["time of a command with the ledger over without", `${bench.ratio.toFixed(2)} ×`],
      [`entries verified (of ${bench.entries})`, `${Math.round(bench.verifiedPerSecond)}/s`],
      ["entries replayed", `${Math.round(bench.replayedPerSecond)}/s`],
    ],
  );

if (isMain(import.meta.url)) {
  const bench = await benchLedger();
  print(bench, ledgerTable(bench));
}
