/** `esper ledger` through the program: what it prints, and how it ends. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommandLine } from "../../src/cli/program.ts";
import { LedgerEntry, LedgerHead, ledgerKinds } from "../../src/contracts/ledger.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { openNodeLedger } from "../../src/node/ledger.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { migrations } from "../../src/store/migrations.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { transition } from "../store/support.ts";
import { createTestContext } from "./context.ts";

const root = mkdtempSync(join(tmpdir(), "esper-cli-ledger-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const esper = async (...args: readonly string[]) => {
  const under = createTestContext(async () => {
    throw new Error("no node is started here");
  });
  const exitCode = await runCommandLine(["ledger", ...args], under.context);
  return { exitCode, out: under.out.text(), err: under.err.text() };
};

const open = (dataDir: string): Database => openDatabase({ file: dataPaths(dataDir).database, migrations, busyTimeoutMs: 50 });

/** Two runs, one with a germination that was asked for, and one command that was refused. */
const write = async (dataDir: string): Promise<void> => {
  const database = open(dataDir);
  let nowMs = Date.parse("2026-01-01T00:00:00Z");
  const { ledger, close } = await openNodeLedger({
    database,
    fileSystem: nodeFileSystem,
    paths: dataPaths(dataDir).ledger,
    headEntriesMax: 4,
    clock: { nowMs: () => (nowMs += 60_000), monotonicMs: () => 0, schedule: () => () => undefined },
    log: silentLog,
  });
  const store = createRunStore({ database, ledger, idempotencyMs: 1e6, outboxMessagesMax: 10, boundariesMax: 4 });
  const told = { sender: "operator", runId: "r-1", pending: false, nowMs: 1, outbox: [] };
  const transitions = [transition(1, "DORMANT", "GERMINATED", { reason: "h1 loses information" })];
  store.createRun({ runId: "r-1", arm: "grown", nowMs: 1 });
  store.recordCommand({
    ...told,
    command: { requestId: "q1", kind: "germinate", seedId: "seed:h1", reason: "looks narrow" },
    receipt: { kind: "accepted", requestId: "q1", runId: "r-1", appliesAtEpoch: 1, detail: "" },
    pending: true,
  });
  store.recordCommand({
    ...told,
    command: { requestId: "q2", kind: "cull", seedId: "seed:h2", reason: "too slow" },
    receipt: { kind: "refused", requestId: "q2", code: "illegal_transition", reason: "seed:h2 is DORMANT" },
  });
  store.recordBoundary({
    runId: "r-1",
    epoch: 1,
    reply: { kind: "stop", reason: "x" },
    snapshots: null,
    transitions,
    appliedCommands: ["q1"],
    refusals: [],
    budget: [],
    escalations: [],
    outbox: [],
  });
  store.createRun({ runId: "r-2", arm: "healthy", nowMs: 1 });
  store.finishRun("r-1", { kind: "done", reason: "budget used" }, []);
  await close();
  database.close();
};

const damaged = (name: string, sql: string): Promise<string> =>
  made(name).then((dataDir) => {
    const database = open(dataDir);
    database.prepare(sql).run();
    database.close();
    return dataDir;
  });
const made = async (name: string): Promise<string> => {
  const dataDir = join(root, name);
  await nodeFileSystem.makeFolder(dataDir);
  await write(dataDir);
  return dataDir;
};

let dataDir = "";
beforeAll(async () => {
  dataDir = await made("whole");
});

describe("verify", () => {
  test("a whole ledger: 0, and what it was held against", async () => {
    const { exitCode, out } = await esper("verify", "--data-dir", dataDir);
    expect(exitCode).toBe(0);
    const fingerprint = readFileSync(dataPaths(dataDir).ledger.fingerprint, "utf8").trim();
    expect(out).toMatch(/^ledger {3}.*esper\.db\nentries {2}7\nheads {4}3, up to entry 7\n/);
    expect(out).toContain(`key      ${fingerprint}\n`);
    expect(out).toMatch(/\nreplay {3}2 runs, 1 seeds, [0-9a-f]{64}\nintact\n$/);
    const json = JSON.parse((await esper("verify", "--data-dir", dataDir, "--json", "--fingerprint", fingerprint)).out);
    expect(json).toMatchObject({ intact: true, entries: 7, heads: 3, signedUpTo: 7, problems: [], problemCount: 0, fingerprint });
    expect(json.replay).toMatchObject({ runs: 2, seeds: 1, differences: [] });
  });

  test.each<[string, string, RegExp, { readonly kind: string; readonly index: number }]>([
    [
      "an edit",
      "UPDATE ledger SET actor = 'somebody' WHERE entry_index = 3",
      /\b3 +. entry_changed/,
      { kind: "entry_changed", index: 3 },
    ],
    ["a deletion", "DELETE FROM ledger WHERE entry_index = 2", /\b2 +. entry_missing/, { kind: "entry_missing", index: 2 }],
    ["a cut", "DELETE FROM ledger WHERE entry_index > 6", /\b7 +. cut/, { kind: "cut", index: 7 }],
  ])("%s: 4, with the place", async (name, sql, line, problem) => {
    const broken = await damaged(name.replaceAll(" ", "-"), sql);
    const { exitCode, out } = await esper("verify", "--data-dir", broken);
    expect(exitCode).toBe(4);
    expect(out).toMatch(line);
    expect(out).toMatch(/\nbroken\n$/);
    const json = await esper("verify", "--data-dir", broken, "--json");
    expect(json.exitCode).toBe(4);
    expect(JSON.parse(json.out).problems[0]).toMatchObject(problem);
    expect(JSON.parse(json.out).intact).toBe(false);
  });

  test("another key than the noted one: 4", async () => {
    const { exitCode, out } = await esper("verify", "--data-dir", dataDir, "--fingerprint", "0".repeat(64));
    expect([exitCode, out]).toEqual([4, expect.stringContaining("key_changed")]);
  });

  test("tables that tell something else: 4", async () => {
    const broken = await damaged("tables", "UPDATE seed_transitions SET state = 'CULLED'");
    const { exitCode, out } = await esper("verify", "--data-dir", broken);
    expect([exitCode, out]).toEqual([4, expect.stringContaining("run r-1, seed:h1: the ledger says")]);
  });

  test("no node's folder: 4, and what to do", async () => {
    const { exitCode, err } = await esper("verify", "--data-dir", join(root, "none"));
    expect([exitCode, err]).toEqual([4, expect.stringContaining("name its data directory")]);
  });
});

describe("show", () => {
  const shown = async (...args: readonly string[]): Promise<LedgerEntry[]> => {
    const { exitCode, out } = await esper("show", "--data-dir", dataDir, "--json", ...args);
    expect(exitCode).toBe(0);
    return out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => LedgerEntry.parse(JSON.parse(line)));
  };
  const indices = async (...args: readonly string[]) => (await shown(...args)).map(({ index }) => index);

  test("a table of who did what, why, with what outcome", async () => {
    const { exitCode, out } = await esper("show", "--data-dir", dataDir);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/entry .* time .* actor .* kind .* run .* seed .* what/);
    expect(out).toMatch(
      /2 .*2026-01-01T00:02:00\.000Z.* operator .* command .* r-1 .* seed:h1 .* germinate: looks narrow → accepted/,
    );
    expect(out).toContain("cull: too slow → refused (illegal_transition): seed:h2 is DORMANT");
    expect(out).toContain("germinate applied: looks narrow");
    expect(out).toContain("DORMANT → GERMINATED at window 1: h1 loses information");
    expect(out).toContain("done: budget used");
  });

  test("filters narrow it down, together", async () => {
    expect(await indices()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await indices("--last", "2")).toEqual([6, 7]);
    expect(await indices("--run", "r-2")).toEqual([6]);
    expect(await indices("--seed", "h1")).toEqual([2, 4, 5]);
    expect(await indices("--seed", "seed:h2")).toEqual([3]);
    expect(await indices("--kind", "command", "--run", "r-1")).toEqual([2, 3]);
    expect(await indices("--since", "2026-01-01T00:04:00Z")).toEqual([4, 5, 6, 7]);
    expect(await indices("--since", "1s")).toEqual([]);
    expect((await esper("show", "--data-dir", dataDir, "--run", "r-9")).out).toBe("no entry\n");
  });

  test.each<[readonly string[], string]>([
    [["--kind", "x"], ledgerKinds.join(", ")],
    [["--since", "yesterday"], "expected a time such as"],
    [["--last", "0"], "expected an integer from 1 to"],
  ])("%s: 2", async (args, message) => {
    const { exitCode, err } = await esper("show", "--data-dir", dataDir, ...args);
    expect([exitCode, err]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe("export", () => {
  test("every entry, every head behind the entry it signs, the end last; the same in a file", async () => {
    const { exitCode, out } = await esper("export", "--data-dir", dataDir);
    expect(exitCode).toBe(0);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ kind: "ledger", version: 1, fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(lines.slice(1).map(({ kind, entry, head }) => `${kind} ${(entry ?? head).index}`)).toEqual([
      "entry 1",
      "head 1",
      "entry 2",
      "entry 3",
      "entry 4",
      "entry 5",
      "head 5",
      "entry 6",
      "entry 7",
      "head 7",
      "end 7",
    ]);
    for (const { entry, head } of lines.slice(1)) (entry === undefined ? LedgerHead : LedgerEntry).parse(entry ?? head);
    const file = join(root, "out", "ledger.jsonl");
    expect(await esper("export", "--data-dir", dataDir, "--out", file)).toMatchObject({ exitCode: 0, out: `${file}\n` });
    expect(readFileSync(file, "utf8")).toBe(out);
  });

  test("a file that cannot be written: 5", async () => {
    const { exitCode, err } = await esper("export", "--data-dir", dataDir, "--out", "/proc/none/ledger.jsonl");
    expect([exitCode, err]).not.toEqual([0, ""]);
    expect(err).toMatch(/^error \((service|data)\)/);
  });
});

test.each([["verify"], ["show"], ["export"]])("%s --help has an example", async (name) => {
  const { exitCode, out } = await esper(name, "--help");
  expect(exitCode).toBe(0);
  expect(out).toContain(`Examples:\n  esper ledger ${name}`);
});
