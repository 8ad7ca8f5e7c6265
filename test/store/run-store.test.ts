/** The durable truth about runs: R1 to R8, also when the process is killed. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import type { CommandReceipt, KasminaControlCommand } from "../../src/contracts/commands.ts";
import { ContractError, ServiceError } from "../../src/contracts/errors.ts";
import type { Database } from "../../src/store/database.ts";
import { entryOfRow, readLedgerRows } from "../../src/store/ledger-rows.ts";
import type { BoundaryRecord, CommandRecord, RunStore } from "../../src/store/run-store.ts";
import { createRunStore, type RunStoreOptions } from "../../src/store/sqlite-run-store.ts";
import { headsOf, verify } from "./ledger-history.ts";
import { plan, temporaryDatabase, temporaryFolder, testKey, testLedger, transition } from "./support.ts";

const idempotencyMs = 300_000;
const storeOn = (database: Database, over: Partial<RunStoreOptions> = {}): RunStore =>
  createRunStore({ database, ledger: testLedger(database), idempotencyMs, outboxMessagesMax: 1000, boundariesMax: 50, ...over });
const setUp = (over: Partial<RunStoreOptions> = {}): RunStore => {
  const store = storeOn(temporaryDatabase(), over);
  store.createRun({ runId: "r-1", arm: "grown", nowMs: 5 });
  return store;
};
const boundary = (epoch: number, over: Partial<BoundaryRecord> = {}): BoundaryRecord => ({
  runId: "r-1",
  epoch,
  reply: { kind: "run", plan: plan(epoch) },
  snapshots: { epoch },
  transitions: [],
  appliedCommands: [],
  refusals: [],
  budget: [],
  escalations: [],
  outbox: [],
  ...over,
});
const germinate = (requestId: string): KasminaControlCommand => ({
  requestId,
  kind: "germinate",
  seedId: "seed:h1",
  reason: "test",
});
const accepted = (requestId: string): CommandReceipt => ({
  kind: "accepted",
  requestId,
  runId: "r-1",
  appliesAtEpoch: 2,
  detail: "",
});
const command = (requestId: string, over: Partial<CommandRecord> = {}): CommandRecord => ({
  command: germinate(requestId),
  receipt: accepted(requestId),
  sender: "operator",
  runId: "r-1",
  pending: true,
  nowMs: 1000,
  outbox: [],
  ...over,
});
const message = (text: string) => ({ subject: "system.events.seed", payload: { text } });
const waiting = (store: RunStore): unknown[] => store.pendingOutbox(100).map(({ payload }) => payload);

test("a run is made once and told as it stands", () => {
  const store = setUp();
  store.createRun({ runId: "r-1", arm: "healthy", nowMs: 9 });
  store.createRun({ runId: "r-2", arm: "healthy", nowMs: 9 });
  expect(store.loadRun("r-1")).toEqual({
    runId: "r-1",
    arm: "grown",
    createdAtMs: 5,
    paused: false,
    lastEpoch: 0,
    snapshots: null,
  });
  expect(store.loadRun("r-9")).toBeUndefined();
  store.finishRun("r-1", { kind: "done", reason: "budget used" }, [message("finished")]);
  expect(store.listRuns(9).map(({ runId, outcome }) => [runId, outcome])).toEqual([
    ["r-2", undefined],
    ["r-1", { kind: "done", reason: "budget used" }],
  ]);
  expect(waiting(store)).toEqual([{ text: "finished" }]);
});

test("R1: a boundary stores reply, snapshots, transitions and messages together", () => {
  const store = setUp();
  const moved = transition(1, "DORMANT", "GERMINATED");
  const { reply, repeated } = store.recordBoundary(boundary(1, { transitions: [moved], outbox: [message("a"), message("b")] }));
  expect([reply, repeated]).toEqual([{ kind: "run", plan: plan(1) }, false]);
  expect(store.loadRun("r-1")).toMatchObject({ lastEpoch: 1, snapshots: { epoch: 1 }, reply: { kind: "run", plan: plan(1) } });
  expect(store.transitions("r-1")).toEqual([moved]);
  expect(waiting(store)).toEqual([{ text: "a" }, { text: "b" }]);
});

test.each<[string, Partial<BoundaryRecord>]>([
  ["an illegal transition", { transitions: [transition(1, "DORMANT", "TRAINING")] }],
  ["a message that is no JSON", { outbox: [message("first"), { subject: "s", payload: { value: Number.NaN } }] }],
  ["snapshots that are no JSON", { snapshots: { value: Number.POSITIVE_INFINITY } }],
  ["a plan for another window", { reply: { kind: "run", plan: plan(7) } }],
  ["a plan for another run", { reply: { kind: "run", plan: plan(1, "r-2") } }],
  ["more messages than the outbox holds", { outbox: Array.from({ length: 4 }, (_, index) => message(`${index}`)) }],
  ["a run that was never made", { runId: "r-9", reply: { kind: "stop", reason: "x" } }],
])("R1: %s leaves nothing of the boundary", (_, over) => {
  const store = setUp({ outboxMessagesMax: 3 });
  store.recordCommand(command("q1"));
  const before = [store.loadRun("r-1"), store.transitions("r-1"), waiting(store), store.pendingCommands("r-1")];
  expect(before[3]).toHaveLength(1);
  const record = boundary(1, {
    transitions: [transition(1, "DORMANT", "GERMINATED")],
    appliedCommands: ["q1"],
    outbox: [message("a")],
    ...over,
  });
  expect(() => store.recordBoundary(record)).toThrow(/expected/);
  expect([store.loadRun("r-1"), store.transitions("r-1"), waiting(store), store.pendingCommands("r-1")]).toEqual(before);
});

test("R2: asked again, the first reply comes back and nothing else changes", () => {
  const store = setUp();
  store.recordBoundary(boundary(1, { transitions: [transition(1, "DORMANT", "GERMINATED")], outbox: [message("a")] }));
  const again = store.recordBoundary(
    boundary(1, {
      reply: { kind: "stop", reason: "other" },
      snapshots: { other: true },
      transitions: [transition(2, "GERMINATED", "LOADING")],
      outbox: [message("b")],
    }),
  );
  expect(again).toEqual({ reply: { kind: "run", plan: plan(1) }, repeated: true });
  expect(store.findReply("r-1", 1)).toEqual(again.reply);
  expect(store.findReply("r-1", 2)).toBeUndefined();
  expect(store.loadRun("r-1")?.snapshots).toEqual({ epoch: 1 });
  expect(store.transitions("r-1")).toHaveLength(1);
  expect(waiting(store)).toEqual([{ text: "a" }]);
  store.recordBoundary(boundary(3));
  expect(() => store.recordBoundary(boundary(2))).toThrow("expected an epoch after 3, found 2; rewind the run first");
});

test("R3: a seed's transitions are legal, connected and without a gap", () => {
  const store = setUp();
  store.recordBoundary(
    boundary(1, { transitions: [transition(1, "DORMANT", "GERMINATED"), transition(2, "GERMINATED", "LOADING")] }),
  );
  const tell = (each: ReturnType<typeof transition>) => () => store.recordBoundary(boundary(2, { transitions: [each] }));
  expect(tell(transition(4, "LOADING", "TRAINING"))).toThrow("expected sequence 3, found 4; none may be left out");
  expect(tell(transition(2, "LOADING", "TRAINING"))).toThrow(ContractError);
  expect(tell(transition(3, "TRAINING", "GRAFTING"))).toThrow("expected to start from LOADING, found TRAINING");
  expect(tell(transition(3, "LOADING", "FOSSILIZED"))).toThrow(
    "expected one of TRAINING, GRAFTING, CULLED after LOADING, found FOSSILIZED",
  );
  expect(tell(transition(3, "LOADING", "TRAINING", { runId: "r-2" }))).toThrow("expected one of this run, found one of r-2");
  tell(transition(3, "LOADING", "TRAINING"))();
  store.recordBoundary(boundary(3, { transitions: [transition(1, "DORMANT", "GERMINATED", { seedId: "seed:h0" })] }));
  expect(store.transitions("r-1").map(({ seedId, sequence }) => [seedId, sequence])).toEqual([
    ["seed:h0", 1],
    ["seed:h1", 1],
    ["seed:h1", 2],
    ["seed:h1", 3],
  ]);
  expect(store.transitions("r-1", "seed:h0")).toHaveLength(1);
});

test("R4: the same request id gives the first receipt until it expires, and its messages once", () => {
  const store = setUp();
  const first = store.recordCommand(command("q1", { pending: false, outbox: [message("a")] }));
  const refused: CommandReceipt = { kind: "refused", requestId: "q1", code: "limit", reason: "no" };
  const again = store.recordCommand(
    command("q1", { pending: false, receipt: refused, nowMs: 1000 + idempotencyMs - 1, outbox: [message("b")] }),
  );
  expect(first).toMatchObject({ receipt: accepted("q1"), repeated: false });
  expect(again).toMatchObject({ receipt: accepted("q1"), repeated: true });
  expect(waiting(store)).toEqual([{ text: "a" }]);
  expect(store.findReceipt("q1", 1000 + idempotencyMs - 1)).toEqual(accepted("q1"));
  expect(store.findReceipt("q1", 1000 + idempotencyMs)).toBeUndefined();
  expect(store.recordCommand(command("q1", { pending: false, receipt: refused, nowMs: 1000 + idempotencyMs })).receipt).toEqual(
    refused,
  );
});

test("R4: pausing is one transaction with its receipt and messages", () => {
  const store = setUp({ outboxMessagesMax: 1 });
  const pause = (requestId: string, paused: boolean, outbox = [message(requestId)]) =>
    store.recordCommand(
      command(requestId, { command: { requestId, kind: paused ? "pause" : "resume" }, pending: false, paused, outbox }),
    );
  pause("q1", true);
  expect(store.loadRun("r-1")?.paused).toBe(true);
  expect(() => pause("q2", false)).toThrow(ServiceError);
  expect(store.loadRun("r-1")?.paused).toBe(true);
  expect(store.findReceipt("q2", 1000)).toBeUndefined();
  pause("q3", false, []);
  expect(store.loadRun("r-1")?.paused).toBe(false);
  const { runId: _, ...nowhere } = command("q4", { paused: true });
  expect(() => store.recordCommand(nowhere)).toThrow("expected a run to pause or resume, found none");
});

test("R5: a waiting command stays until a boundary applies it, whatever its age", () => {
  const store = setUp();
  for (const requestId of ["q2", "q1", "q3"]) store.recordCommand(command(requestId));
  const later = 1000 + 10 * idempotencyMs;
  expect(store.prune(later)).toBe(0);
  expect(store.findReceipt("q1", later)).toEqual(accepted("q1"));
  expect(store.pendingCommands("r-1")).toEqual(["q2", "q1", "q3"].map(germinate));
  store.recordBoundary(boundary(1, { appliedCommands: ["q2", "q3"] }));
  expect(store.pendingCommands("r-1")).toEqual([germinate("q1")]);
  expect(store.prune(later)).toBe(2);
  expect(store.findReceipt("q2", 1000)).toBeUndefined();
});

test("R6: messages come out in the order written, until they are marked as sent; their ids are never used again", () => {
  const store = setUp();
  store.recordBoundary(boundary(1, { outbox: [message("a"), message("b")] }));
  store.recordCommand(command("q1", { outbox: [message("c")] }));
  store.enqueue([message("d")]);
  const first = store.pendingOutbox(3);
  expect(first.map(({ payload }) => payload)).toEqual([{ text: "a" }, { text: "b" }, { text: "c" }]);
  store.markSent([first[0]!.id, first[2]!.id], 2000);
  expect(waiting(store)).toEqual([{ text: "b" }, { text: "d" }]);
  const ids = store.pendingOutbox(9).map(({ id }) => id);
  store.markSent(ids, 2000);
  expect(store.prune(2000 + idempotencyMs - 1)).toBe(0);
  expect(store.prune(2000 + idempotencyMs)).toBe(4);
  store.enqueue([message("e")]);
  expect(store.pendingOutbox(9)[0]!.id).toBeGreaterThan(Math.max(...ids));
});

test("R7: a pause and a wait are not recorded as a boundary", () => {
  const store = setUp();
  const pause: unknown = { kind: "pause", askAgainMs: 5 };
  const wait: unknown = { kind: "wait", seedId: "seed:h1", outstanding: "compilation", askAgainMs: 5 };
  const recording = (reply: unknown) => () => store.recordBoundary(Object.assign(boundary(1), { reply }));
  expect(recording(pause)).toThrow("expected a plan or a stop, found a pause; answer it without recording");
  expect(recording(wait)).toThrow("expected a plan or a stop, found a wait; answer it without recording");
  store.recordBoundary(boundary(1));
});

test("R8: only the newest boundaries are kept, and the outbox is bounded", () => {
  const store = setUp({ boundariesMax: 3, outboxMessagesMax: 2 });
  for (let epoch = 1; epoch <= 5; epoch++) store.recordBoundary(boundary(epoch));
  expect([1, 2, 3, 4, 5].map((epoch) => store.findReply("r-1", epoch) !== undefined)).toEqual([false, false, true, true, true]);
  store.enqueue([message("a"), message("b")]);
  expect(() => store.enqueue([message("c")])).toThrow(ServiceError);
  expect(() => store.enqueue([message("c")])).toThrow(
    "expected at most 2 unsent messages, found 2 and 1 more; the bus does not take them: check NATS",
  );
  store.markSent([store.pendingOutbox(1)[0]!.id], 1);
  store.enqueue([message("c")]);
});

test("a run resumed from a checkpoint goes on from there, with the checkpoint's transitions", () => {
  const store = setUp();
  const early = transition(1, "DORMANT", "GERMINATED");
  store.recordBoundary(boundary(1, { transitions: [early] }));
  store.recordBoundary(boundary(2, { transitions: [transition(2, "GERMINATED", "LOADING")] }));
  store.recordBoundary(boundary(3, { reply: { kind: "stop", reason: "asked" } }));
  store.finishRun("r-1", { kind: "stopped", reason: "asked" }, []);
  store.rewindRun({ runId: "r-1", epoch: 1, snapshots: { restored: true }, transitions: [early] });
  expect(store.loadRun("r-1")).toEqual({
    runId: "r-1",
    arm: "grown",
    createdAtMs: 5,
    paused: false,
    lastEpoch: 1,
    snapshots: { restored: true },
  });
  expect(store.transitions("r-1")).toEqual([early]);
  const other = transition(2, "GERMINATED", "DORMANT");
  expect(store.recordBoundary(boundary(2, { transitions: [other] })).repeated).toBe(false);
  expect(store.transitions("r-1")).toEqual([early, other]);
});

test("R1: a process killed at any moment leaves whole boundaries and loses none that it told", async () => {
  const file = join(temporaryFolder(), "esper.db");
  temporaryDatabase(file).close();
  const script = fileURLToPath(new URL("./record-boundaries.ts", import.meta.url));
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const child = spawn(process.execPath, ["--import", tsx, script, file, testKey], { stdio: ["ignore", "pipe", "inherit"] });
  let told = 0;
  let rest = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    told = Number(lines.at(-1) ?? told);
    if (told >= 25) child.kill("SIGKILL");
  }
  expect(told).toBeGreaterThanOrEqual(25);
  const store = storeOn(temporaryDatabase(file));
  const { lastEpoch, snapshots } = store.loadRun("r-1")!;
  expect(lastEpoch).toBeGreaterThanOrEqual(told);
  expect(snapshots).toEqual({ epoch: lastEpoch });
  const expected = Array.from({ length: lastEpoch }, (_, index) => index + 1);
  expect(store.transitions("r-1").map(({ sequence }) => sequence)).toEqual(expected);
  expect(store.pendingOutbox(1_000_000).map(({ payload }) => payload)).toEqual(expected.map((epoch) => ({ epoch })));
  // R9: the ledger tells exactly these boundaries, and is whole.
  const database = temporaryDatabase(file);
  const transitions = [...readLedgerRows(database, { kind: "transition" })].map(entryOfRow);
  expect(transitions.map((entry) => (entry.kind === "transition" ? entry.payload.sequence : 0))).toEqual(expected);
  expect((await verify(database, headsOf(database))).problems).toEqual([]);
}, 120_000);
