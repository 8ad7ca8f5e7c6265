/** The ledger of real runs: whole while the node runs and after it, and the state of every seed and budget rebuilt from it alone. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectOperator } from "../../src/bus/create.ts";
import type { LedgerEntry } from "../../src/contracts/ledger.ts";
import { auditLedger, openLedgerReader } from "../../src/node/ledger-audit.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { entryOfRow, readLedgerRows } from "../../src/store/ledger-rows.ts";
import { silentLog, smallConfig, startNode, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let dataDir = "";
beforeAll(async () => {
  folder = await temporaryFolder();
  dataDir = join(folder.path, "node");
});
afterAll(() => folder.remove());

const clock = createSystemClock();
const audit = () => auditLedger(dataDir, { clock, problemsMax: 9 });
const entries = (): readonly LedgerEntry[] => {
  const database = openLedgerReader(dataDir);
  try {
    return [...readLedgerRows(database)].map(entryOfRow);
  } finally {
    database.close();
  }
};
const config = () => smallConfig(dataDir, { services: { dataDir, ledgerHeadEntriesMax: 16 } });
const whole = { verdict: { problems: [], problemCount: 0 }, replayed: { differences: [] }, intact: true };

test("a run that repairs itself and is steered: every command, transition and budget is told, and rebuilt to the same hash", async () => {
  const node = startNode(config());
  await node.until("system.events.seed", ({ to }) => to === "TRAINING");
  const bus = await connectOperator(dataDir, { clock, entropy: createSystemEntropy(), log: silentLog });
  const refused = await bus.request("control.kasmina.commands", { requestId: "mine", kind: "cull", seedId: "seed:h0" });
  expect(refused).toMatchObject({ kind: "reply", value: { kind: "refused" } });
  expect(await audit()).toMatchObject(whole);
  await bus.close();
  await node.done;

  const after = await audit();
  expect(after).toMatchObject(whole);
  expect(after.replayed).toMatchObject({ runs: 1, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(after.verdict.signedUpTo).toBe(after.verdict.entries);

  const told = entries();
  const seeds = told.flatMap((entry) => (entry.kind === "transition" ? [entry.payload] : []));
  expect(seeds).toEqual(node.payloads("system.events.seed"));
  expect(seeds.some(({ to }) => to === "FOSSILIZED" || to === "CULLED")).toBe(true);
  const moves = told.flatMap((entry) => (entry.kind === "budget" ? [entry.payload.move] : []));
  expect(moves[0]).toBe("open");
  expect(moves.filter((move) => move === "reserve").length).toBeGreaterThan(0);
  const trials = seeds.filter(({ to }) => to === "GERMINATED").length;
  expect(moves.filter((move) => move === "commit" || move === "release")).toHaveLength(trials);
  const commands = told.flatMap((entry) => (entry.kind === "command" ? [{ actor: entry.actor, ...entry.payload }] : []));
  expect(commands).toContainEqual(
    expect.objectContaining({ actor: "operator", receipt: expect.objectContaining({ kind: "refused", requestId: "mine" }) }),
  );
  expect(commands.map(({ receipt }) => receipt.requestId).sort()).toEqual(
    node
      .payloads("system.events.command")
      .map(({ receipt }) => receipt.requestId)
      .sort(),
  );
  expect(told.at(-1)).toMatchObject({ kind: "run_finished", payload: { outcome: "done" } });
}, 300_000);

test("a run resumed from a checkpoint stands where the checkpoint and what followed say", async () => {
  const first = entries().find(({ kind }) => kind === "run_started");
  const checkpoints = join(dataDir, "checkpoints", first?.subject.runId ?? "");
  const epoch = Math.min(...(await readdir(checkpoints)).map(Number));
  const before = entries().length;
  const node = startNode(config(), { resume: join(checkpoints, String(epoch)) });
  await node.done;
  expect(await audit()).toMatchObject(whole);
  const [started, rewound] = entries().slice(before);
  expect([started?.kind, rewound?.kind]).toEqual(["run_started", "rewind"]);
  expect(rewound).toMatchObject({ payload: { epoch } });
}, 300_000);
