/** Records boundaries until it is killed and prints the epoch of each that was recorded. */
import { openDatabase } from "../../src/store/database.ts";
import { createLedger } from "../../src/store/ledger.ts";
import { ledgerSigner } from "../../src/store/ledger-signature.ts";
import { migrations } from "../../src/store/migrations.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";

const file = process.argv[2] ?? "";
const database = openDatabase({ file, migrations, busyTimeoutMs: 1000 });
const store = createRunStore({
  database,
  ledger: createLedger({
    database,
    signer: ledgerSigner(process.argv[3] ?? ""),
    clock: { nowMs: () => 1 },
    headEntriesMax: 4,
    onHead: () => undefined,
  }),
  idempotencyMs: 1000,
  outboxMessagesMax: 1_000_000,
  boundariesMax: 5,
});
store.createRun({ runId: "r-1", arm: "grown", nowMs: 1 });
for (let epoch = 1; epoch <= 100_000; epoch++) {
  const [from, to] = epoch % 2 === 1 ? (["DORMANT", "GERMINATED"] as const) : (["GERMINATED", "DORMANT"] as const);
  store.recordBoundary({
    runId: "r-1",
    epoch,
    reply: {
      kind: "run",
      plan: { runId: "r-1", epoch, before: [], work: { kind: "host", steps: 1 }, measureSignal: false },
    },
    snapshots: { epoch },
    transitions: [{ runId: "r-1", seedId: "seed:h1", sequence: epoch, from, to, epoch, reason: "test", evidence: {} }],
    appliedCommands: [],
    refusals: [],
    budget: [],
    escalations: [],
    outbox: [{ subject: "system.events.seed", payload: { epoch } }],
  });
  process.stdout.write(`${epoch}\n`);
}
