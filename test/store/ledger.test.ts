/** The ledger: L1 to L6, W1 to W3, and whatever is done to it from outside is found. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ContractError, DataError, ServiceError } from "../../src/contracts/errors.ts";
import { genesisHash, type LedgerDraft, type LedgerEntry } from "../../src/contracts/ledger.ts";
import type { Database } from "../../src/store/database.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { hashJson } from "../../src/store/json.ts";
import { differences, hashOfStandings, LedgerReplay, readStandings } from "../../src/store/ledger-replay.ts";
import { entryOfRow, lastLedgerRows, readLedgerRows, readLedgerTail } from "../../src/store/ledger-rows.ts";
import { ledgerSigner } from "../../src/store/ledger-signature.ts";
import { budgetOf, History, headsOf, type Step, steps, verify } from "./ledger-history.ts";
import { temporaryDatabase, testLedger, testSigner, transition } from "./support.ts";

fc.configureGlobal({ seed: 4, numRuns: 25 });

const started = (runId = "r-1"): LedgerDraft => ({
  actor: "node",
  subject: { runId },
  kind: "run_started",
  payload: { arm: "grown" },
});
const finished: LedgerDraft = {
  actor: "node",
  subject: { runId: "r-1" },
  kind: "run_finished",
  payload: { outcome: "done", reason: "budget used" },
};
const entriesOf = (database: Database): LedgerEntry[] => [...readLedgerRows(database)].map(entryOfRow);

test("L2: indices from 1, each entry bound to the one before by the hash of its canonical JSON", () => {
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  ledger.append([started("r-1"), started("r-2")]);
  ledger.append([finished]);
  const entries = entriesOf(database);
  expect(entries.map(({ index }) => index)).toEqual([1, 2, 3]);
  expect(entries.map(({ previousHash }) => previousHash)).toEqual([genesisHash, entries[0]!.hash, entries[1]!.hash]);
  for (const { hash, ...rest } of entries) expect(hashJson(rest, "entry")).toBe(hash);
  expect(entries[2]).toMatchObject({ ...finished, atMs: 1_700_000_000_000 });
});

test("L1: what is rolled back is not told, and the next entry takes its place", async () => {
  const database = temporaryDatabase();
  const ledger = testLedger(database, { headEntriesMax: 1 });
  ledger.append([started("r-1")]);
  const before = [entriesOf(database), headsOf(database), readLedgerTail(database)];
  expect(() =>
    database.transaction(() => {
      ledger.append([started("r-2")]);
      expect(entriesOf(database)).toHaveLength(2);
      throw new Error("after all not");
    }),
  ).toThrow("after all not");
  expect([entriesOf(database), headsOf(database), readLedgerTail(database)]).toEqual(before);
  ledger.append([started("r-3")]);
  expect(entriesOf(database).map(({ index, subject }) => [index, subject.runId])).toEqual([
    [1, "r-1"],
    [2, "r-3"],
  ]);
  expect((await verify(database, headsOf(database))).problems).toEqual([]);
});

test("L1: a record that the store refuses leaves no entry", () => {
  const database = temporaryDatabase();
  const { store } = new History(database).tell([{ kind: "boundary", run: 1, choices: [], amount: 2 }]);
  const before = entriesOf(database).length;
  const base = { runId: "r-1", snapshots: null, appliedCommands: [], refusals: [], budget: [], escalations: [], outbox: [] };
  const stop = { kind: "stop", reason: "x" } as const;
  const transitions = [transition(1, "DORMANT", "TRAINING")];
  expect(() => store.recordBoundary({ ...base, epoch: 2, reply: stop, transitions })).toThrow(ContractError);
  const outbox = Array.from({ length: 10_001 }, () => ({ subject: "s", payload: 1 }));
  expect(() => store.recordBoundary({ ...base, epoch: 2, reply: stop, transitions: [], outbox })).toThrow(ServiceError);
  expect(() => store.finishRun("r-9", { kind: "done", reason: "" }, [])).toThrow(ContractError);
  expect(() => store.finishRun("r-1", { kind: "done", reason: "" }, outbox)).toThrow(ServiceError);
  expect(entriesOf(database)).toHaveLength(before);
});

test("R9: the same thing recorded again is told once", () => {
  const database = temporaryDatabase();
  const { store } = new History(database);
  const again = <T>(work: () => T): void => {
    const counts = [0, 1].map(() => {
      work();
      return entriesOf(database).length;
    });
    expect(counts[0]).toBe(counts[1]);
  };
  again(() => store.createRun({ runId: "r-1", arm: "grown", nowMs: 1 }));
  again(() =>
    store.recordCommand({
      command: { requestId: "q", kind: "pause" },
      receipt: { kind: "accepted", requestId: "q", runId: "r-1", appliesAtEpoch: 1, detail: "" },
      sender: "operator",
      runId: "r-1",
      pending: false,
      nowMs: 1,
      outbox: [],
    }),
  );
  again(() =>
    store.recordBoundary({
      runId: "r-1",
      epoch: 1,
      reply: { kind: "stop", reason: "x" },
      snapshots: null,
      transitions: [transition(1, "DORMANT", "GERMINATED")],
      appliedCommands: [],
      refusals: [],
      budget: [{ move: "charge", used: { flops: 1 } }],
      escalations: [],
      outbox: [],
    }),
  );
  expect(entriesOf(database).map(({ kind, actor }) => `${kind} by ${actor}`)).toEqual([
    "run_started by node",
    "command by operator",
    "transition by kasmina",
    "budget by kasmina",
  ]);
});

test("R9: an accepted command is told with what became of it at its boundary", () => {
  const database = temporaryDatabase();
  new History(database).tell([
    { kind: "command", run: 1, what: 0, accepted: true },
    { kind: "command", run: 1, what: 1, accepted: true },
    { kind: "command", run: 1, what: 1, accepted: false },
    { kind: "boundary", run: 1, choices: [], amount: 1 },
  ]);
  const told = entriesOf(database).flatMap((entry) => (entry.kind === "decision" ? [[entry.subject, entry.payload]] : []));
  expect(told).toEqual([
    [
      { runId: "r-1", seedId: "seed:h1" },
      { requestId: "q-1", command: "germinate", outcome: "refused", code: "embargo", reason: "too early" },
    ],
    [
      { runId: "r-1", seedId: "seed:h2" },
      { requestId: "q-2", command: "cull", outcome: "applied", reason: "" },
    ],
  ]);
});

test("L2: an entry that does not fit is refused and leaves nothing", () => {
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  expect(() => ledger.append([started(), { ...started(), actor: "" }])).toThrow(ContractError);
  expect(() => ledger.append([started(), { ...started(), subject: { runId: "" } }])).toThrow(ContractError);
  expect(entriesOf(database)).toEqual([]);
});

test("L4, L5: a head after the first entry, after the bound, and at a run's end; each told after its commit", () => {
  const database = temporaryDatabase();
  const told: (number | undefined)[] = [];
  const ledger = testLedger(database, { headEntriesMax: 3, onHead: () => told.push(headsOf(database).at(-1)?.index) });
  for (let i = 1; i <= 5; i++) ledger.append([started(`r-${i}`)]);
  expect(headsOf(database).map(({ index }) => index)).toEqual([1, 4]);
  ledger.append([finished]);
  expect(headsOf(database).map(({ index }) => index)).toEqual([1, 4, 6]);
  ledger.append([started("a"), started("b"), started("c"), started("d")]);
  expect(told).toEqual([1, 4, 6, 10]);
  expect(() =>
    database.transaction(() => {
      ledger.append([finished]);
      throw new Error("no");
    }),
  ).toThrow("no");
  expect(told).toEqual([1, 4, 6, 10]);
});

describe("L6: nothing is put on an end that is not as it was signed", () => {
  test.each<[string, string, RegExp]>([
    ["its last entry is gone", "DELETE FROM ledger WHERE entry_index = 3", /expected entry 3 to be the last, found entry 2/],
    [
      "an entry was put behind it",
      "INSERT INTO ledger SELECT 4, at_ms, actor, kind, run_id, seed_id, site, payload, previous_hash, hash FROM ledger WHERE entry_index = 3",
      /expected entry 3 to be the last, found entry 4/,
    ],
    ["its last entry was changed", "UPDATE ledger SET actor = 'x' WHERE entry_index = 3", /expected entry 3 as it was signed/],
    ["its signature is gone", "DELETE FROM ledger_tail", /expected a signed end, found none/],
    ["its signature was changed", "UPDATE ledger_tail SET at_ms = at_ms + 1", /a signature that does not fit/],
    ["all entries are gone", "DELETE FROM ledger", /expected entry 3 to be the last, found no entry/],
  ])("%s", (_, sql, message) => {
    const database = temporaryDatabase();
    testLedger(database).append([started("a"), started("b"), started("c")]);
    testLedger(database);
    database.prepare(sql).run();
    expect(() => testLedger(database)).toThrow(DataError);
    expect(() => testLedger(database)).toThrow(message);
  });

  test("it was signed with another key", () => {
    const database = temporaryDatabase();
    testLedger(database, { signer: ledgerSigner(generateSigningKey()) }).append([started()]);
    expect(() => testLedger(database)).toThrow(/found the signature of another key/);
  });
});

describe("replay", () => {
  const replayed = (entries: Iterable<LedgerEntry>) => {
    const replay = new LedgerReplay();
    for (const entry of entries) replay.take(entry);
    return replay.standings();
  };

  test("W2, W3: any history told through the store is rebuilt from its entries alone, to the same hash as the tables", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const database = temporaryDatabase();
        new History(database).tell(history);
        const [told, stored] = [replayed(entriesOf(database)), readStandings(database, budgetOf)];
        expect(differences(told, stored)).toEqual([]);
        expect(hashOfStandings(told)).toBe(hashOfStandings(stored));
        expect((await verify(database, headsOf(database))).problems).toEqual([]);
        database.close();
      }),
    );
  }, 60_000);

  const story: readonly Step[] = [
    { kind: "boundary", run: 1, choices: [0, 1, 1], amount: 5 },
    { kind: "command", run: 1, what: 2, accepted: true },
  ];

  test.each<[string, string, RegExp]>([
    [
      "a state",
      "UPDATE seed_transitions SET state = 'CULLED' WHERE seed_id = 'seed:h1' AND sequence = 2",
      /r-1, seed:h1: .*the tables .*CULLED/,
    ],
    [
      "a transition that is gone",
      "DELETE FROM seed_transitions WHERE seed_id = 'seed:h0'",
      /r-1, seed:h0: .* the tables undefined/,
    ],
    ["a budget", "UPDATE boundaries SET snapshots = replace(snapshots, '\"flops\":5', '\"flops\":4')", /r-1, budget/],
    ["a run", "INSERT INTO runs (run_id, arm, created_at_ms) VALUES ('r-7', 'grown', 1)", /r-7: the ledger does not tell of it/],
    ["whether it is paused", "UPDATE runs SET paused = 0", /r-1, paused/],
    ["how it ended", "UPDATE runs SET outcome = 'done', reason = ''", /r-1, outcome/],
  ])("W3: %s changed in the tables alone shows", (_, sql, message) => {
    const database = temporaryDatabase();
    new History(database).tell(story);
    const told = replayed(entriesOf(database));
    const before = hashOfStandings(readStandings(database, budgetOf));
    expect(hashOfStandings(told)).toBe(before);
    expect(database.prepare(sql).run()).toBeGreaterThan(0);
    const stored = readStandings(database, budgetOf);
    expect(hashOfStandings(stored)).not.toBe(before);
    expect(differences(told, stored).join("\n")).toMatch(message);
  });

  test("W1: a transition left out, or of a run that never began, is a DataError", () => {
    const database = temporaryDatabase();
    new History(database).tell(story);
    const entries = entriesOf(database);
    const first = entries.findIndex(({ kind }) => kind === "transition");
    const gap = entries.filter((_, index) => index !== first + 1);
    expect(() => replayed(gap)).toThrow(/expected transition 1, found a gap/);
    expect(() => replayed(entries.slice(1))).toThrow(/expected a run that the ledger saw begin, found r-1/);
  });
});

test("the last rows that fit come out in order, by every filter", () => {
  const database = temporaryDatabase();
  new History(database).tell([
    { kind: "boundary", run: 1, choices: [1, 2], amount: 1 },
    { kind: "boundary", run: 2, choices: [1], amount: 1 },
  ]);
  const all = [...readLedgerRows(database)];
  const last = (filter: Parameters<typeof lastLedgerRows>[1], limit = 99) => lastLedgerRows(database, filter, limit);
  expect(last({}, 3)).toEqual(all.slice(-3));
  expect(last({ runId: "r-1" })).toEqual(all.filter(({ runId }) => runId === "r-1"));
  expect(last({ seedId: "seed:h1", kind: "transition" }).map(({ runId }) => runId)).toEqual(["r-1", "r-2"]);
  expect(last({ sinceMs: 1_700_000_000_001 })).toEqual([]);
  expect([...readLedgerRows(database, { kind: "run_started" })]).toHaveLength(2);
});

test("L3: entries of works that share a commit are signed once, at its end; a work that is undone leaves no gap", async () => {
  const turns: (() => void)[] = [];
  const database = temporaryDatabase(undefined, { nextTurn: (work) => void turns.push(work) });
  let signed = 0;
  const counting: typeof testSigner = {
    ...testSigner,
    sign: (purpose, head) => {
      if (purpose === "tail") signed += 1;
      return testSigner.sign(purpose, head);
    },
  };
  const ledger = testLedger(database, { signer: counting });
  for (const runId of ["r-1", "r-2", "r-3"]) database.grouped(() => ledger.append([started(runId)]));
  expect(() =>
    database.grouped(() => {
      ledger.append([started("r-lost")]);
      throw new Error("mine");
    }),
  ).toThrow("mine");
  database.grouped(() => ledger.append([finished]));
  expect(signed).toBe(0);
  for (const work of turns.splice(0)) work();
  expect(signed).toBe(1);
  expect(entriesOf(database).map(({ index, subject }) => `${index} ${subject.runId}`)).toEqual([
    "1 r-1",
    "2 r-2",
    "3 r-3",
    "4 r-1",
  ]);
  expect((await verify(database, headsOf(database))).problems).toEqual([]);
});
