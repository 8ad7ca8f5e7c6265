/**
 * Sends what waits in an outbox, as Kasmina, and kills itself with -9 in the worst moment: a message is in its stream, and not yet
 * marked as sent. Arguments: database, ledger key, server, password, the message that it dies at (0 for none).
 */
import { createOutbox } from "../../src/actors/outbox.ts";
import { createNatsBus } from "../../src/bus/nats-bus.ts";
import { openConnection } from "../../src/bus/nats-client.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { openDatabase } from "../../src/store/database.ts";
import { createLedger } from "../../src/store/ledger.ts";
import { ledgerSigner } from "../../src/store/ledger-signature.ts";
import { migrations } from "../../src/store/migrations.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";

const [file = "", key = "", url = "", password = "", dieAt = "0"] = process.argv.slice(2);
const clock = createSystemClock();
const database = openDatabase({ file, migrations, busyTimeoutMs: 1_000 });
const runs = createRunStore({
  database,
  ledger: createLedger({ database, signer: ledgerSigner(key), clock, headEntriesMax: 256, onHead: () => undefined }),
  idempotencyMs: 1_000,
  outboxMessagesMax: 1_000,
  boundariesMax: 4,
});
const inboxPrefix = "_INBOX.kasmina";
const limits = { connectMsMax: 10_000, reconnectAttemptsMax: 10, reconnectWaitMs: 50 };
const bus = await createNatsBus({
  connection: await openConnection({ url, user: "kasmina", password, name: "kasmina", inboxPrefix, ...limits }),
  principal: "kasmina",
  payloadBytesMax: 65_536,
  mailboxMessagesMax: 100,
  requestTimeoutMs: 10_000,
  closeMsMax: 1_000,
  durable: { ackWaitMs: 30_000, deliveriesMax: 5, handlerMsMax: 1_000, retryMsMin: 10, retryMsMax: 20, pullMs: 500 },
  clock,
  entropy: createSystemEntropy(),
  log: silentLog,
  onDeadLetter: () => undefined,
  onConsumer: () => undefined,
});
let sent = 0;
const dying = {
  ...runs,
  markSent: (ids: readonly number[], nowMs: number): void => {
    if (++sent === Number(dieAt)) process.kill(process.pid, "SIGKILL");
    runs.markSent(ids, nowMs);
  },
};
await createOutbox(bus, dying, clock, silentLog).flush();
await bus.close();
database.close();
