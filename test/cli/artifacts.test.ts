/** `esper artifacts` through the program: what it prints, and how it ends. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommandLine } from "../../src/cli/program.ts";
import { SignedArtifact } from "../../src/contracts/artifact.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import { type Clock, silentLog } from "../../src/contracts/ports.ts";
import { openArtifacts } from "../../src/node/artifacts.ts";
import { openNodeLedger } from "../../src/node/ledger.ts";
import { openDatabase } from "../../src/store/database.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { migrations } from "../../src/store/migrations.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { signedPath } from "../../src/store/provenance-store.ts";
import { blueprint, host, kernel } from "../store/support.ts";
import { createTestContext } from "./context.ts";

const root = mkdtempSync(join(tmpdir(), "esper-cli-artifacts-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const esper = async (dataDir: string, args: readonly string[], clock?: Partial<Clock>) => {
  const under = createTestContext(async () => {
    throw new Error("no node is started here");
  });
  const context = clock === undefined ? under.context : { ...under.context, clock: { ...under.context.clock, ...clock } };
  const exitCode = await runCommandLine(["artifacts", ...args, "--data-dir", dataDir], context);
  return { exitCode, out: under.out.text(), err: under.err.text() };
};

/** A data directory as a node leaves it; `work` is done while it has it open. */
const node = async (dataDir: string, work: (opened: Awaited<ReturnType<typeof openArtifacts>>) => Promise<unknown>) => {
  const paths = dataPaths(dataDir);
  const database = openDatabase({ file: paths.database, migrations, busyTimeoutMs: 1_000 });
  let nowMs = Date.now();
  const clock = { nowMs: () => (nowMs += 10), monotonicMs: () => 0, schedule: () => () => undefined };
  const common = { database, fileSystem: nodeFileSystem, clock, log: silentLog };
  const { ledger, signer, close } = await openNodeLedger({ ...common, paths: paths.ledger, headEntriesMax: 9 });
  const { services, checkpoint } = EsperConfig.parse({});
  const opened = await openArtifacts({ ...common, paths, signer, ledger, toolchain: "esper test", services, checkpoint });
  await work(opened);
  await opened.close();
  await close();
  database.close();
};

const hashes: Record<string, string> = {};
const dataDir = join(root, "node");

beforeAll(async () => {
  await nodeFileSystem.makeFolder(dataDir);
  await node(dataDir, async ({ library, checkpoints }) => {
    const made = { source: "run r-1 seed:h1", producer: "tezzeret", createdAtMs: Date.parse("2026-01-01T00:00:00Z") };
    const stored = async (kind: "host" | "blueprint" | "kernel", asset: unknown, inputs: string[] = [], over = {}) =>
      (await library.put({ kind, asset, inputs, ...made, ...over })).hash;
    hashes["host"] = await stored("host", host);
    hashes["blueprint"] = await stored("blueprint", blueprint());
    const caused = { confidence: 0.875, commandHash: "c".repeat(64) };
    hashes["kernel"] = await stored("kernel", kernel(), [hashes["host"], hashes["blueprint"]], caused);
    for (const epoch of [1, 2])
      await checkpoints.save({ runId: "r-1", epoch, tensors: {}, state: { epoch }, inputs: [hashes["kernel"]] });
  });
});

const copy = (name: string): string => {
  const target = join(root, name);
  cpSync(dataDir, target, { recursive: true });
  return target;
};

test("list shows what was made, the newest first, as a table and as JSON", async () => {
  const { out, exitCode } = await esper(dataDir, ["list"]);
  expect(exitCode).toBe(0);
  expect(
    out
      .split("\n")
      .map((line) => /checkpoint|kernel|host|blueprint/.exec(line)?.[0])
      .filter(Boolean),
  ).toEqual(expect.arrayContaining(["checkpoint", "kernel", "host", "blueprint"]));
  expect(out).toContain("run r-1 seed:h1");
  const json = await esper(dataDir, ["list", "--json", "--last", "3"]);
  const listed = json.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(listed.map(({ artifact }) => artifact.kind).slice(0, 2)).toEqual(["checkpoint", "checkpoint"]);
  expect(listed).toHaveLength(3);
  const kernels = await esper(dataDir, ["list", "--kind", "kernel", "--json"]);
  expect(JSON.parse(kernels.out).artifact.hash).toBe(hashes["kernel"]);
  expect((await esper(dataDir, ["list", "--kind", "checkpoint", "--json"])).out.trim().split("\n")).toHaveLength(2);
});

test("show tells one artifact's provenance, of what it was made and which names lead to it", async () => {
  const { out, exitCode } = await esper(dataDir, ["show", hashes["kernel"]!.slice(0, 8)]);
  expect(exitCode).toBe(0);
  for (const text of [
    `hash        ${hashes["kernel"]}`,
    "source      run r-1 seed:h1",
    "producer    tezzeret",
    "confidence  87.5 %",
    `command     ${"c".repeat(64)}`,
    "signature   holds",
    "since version",
    `${hashes["host"]} host by tezzeret`,
    `${hashes["blueprint"]} blueprint by tezzeret`,
  ])
    expect(out).toContain(text);
  const listed = (await esper(dataDir, ["list", "--kind", "checkpoint", "--json"])).out.split("\n")[0]!;
  const newest = JSON.parse(listed).artifact.hash;
  const shown = JSON.parse((await esper(dataDir, ["show", newest, "--json"])).out);
  expect(SignedArtifact.parse(shown.signed).artifact).toMatchObject({
    kind: "checkpoint",
    provenance: { inputs: [hashes["kernel"]] },
  });
  expect(shown.names).toMatchObject([{ kind: "checkpoint", name: "r-1" }]);
  expect(shown.lineage.map(({ hash }: { hash: string }) => hash)).toContain(hashes["host"]);
});

test("show of none ends with 4, of something else than a hash with 2", async () => {
  const none = await esper(dataDir, ["show", "000000"]);
  expect([none.exitCode, none.err]).toEqual([
    4,
    expect.stringMatching(/expected one whose hash begins with 000000, found none; `esper artifacts list`/),
  ]);
  expect((await esper(dataDir, ["show", "nothing"])).exitCode).toBe(2);
  expect((await esper(join(root, "nowhere"), ["list"])).exitCode).toBe(4);
});

describe("verify", () => {
  test("of a whole directory ends with 0, also while a node has it open", async () => {
    const { out, err, exitCode } = await esper(dataDir, ["verify"]);
    expect([exitCode, err]).toEqual([0, ""]);
    expect(out).toMatch(/artifacts {2}3 in the library, 2 checkpoints/);
    expect(out).toMatch(/index {6}version \d+, 2 names, good until 20/);
    expect(out.trim().endsWith("intact")).toBe(true);
    const live = copy("live");
    await node(live, async ({ library }) => {
      await library.put({
        kind: "blueprint",
        asset: blueprint("second"),
        inputs: [],
        source: "x",
        producer: "x",
        createdAtMs: 1,
      });
      expect((await esper(live, ["verify"])).exitCode).toBe(0);
    });
  });

  test("tells how far it is when it takes longer than two seconds", async () => {
    let nowMs = 0;
    const { err } = await esper(dataDir, ["verify"], { monotonicMs: () => (nowMs += 700) });
    expect(err).toMatch(/^checked \d artifacts, [\d.]+ ?[kMG]?B$/m);
  });

  const damaged: readonly (readonly [string, string, (folder: string) => void])[] = [
    [
      "false_signature",
      "a signature",
      (folder) => flip(signedPath(dataPaths(folder).assets, hashes["kernel"]!), /"signature":"(..)/),
    ],
    ["unsigned", "a missing signature", (folder) => rmSync(signedPath(dataPaths(folder).assets, hashes["host"]!))],
    [
      "data",
      "an asset's bytes",
      (folder) => flip(signedPath(dataPaths(folder).assets, hashes["host"]!).replace(".signed", ""), /"mlp()/),
    ],
    ["rollback", "the last checkpoint", (folder) => rmSync(join(dataPaths(folder).checkpoints, "r-1", "2"), { recursive: true })],
    ["swap", "an entry of the index", (folder) => flip(dataPaths(folder).artifacts.index, /"kind":"kernel","name":"(..)/)],
    ["missing", "the index", (folder) => rmSync(dataPaths(folder).artifacts.index)],
  ];
  const flip = (file: string, place: RegExp): void => {
    const text = readFileSync(file, "utf8");
    const { index, 0: whole } = place.exec(text)!;
    const at = index + whole.length - 1;
    writeFileSync(file, `${text.slice(0, at)}${text[at] === "a" ? "b" : "a"}${text.slice(at + 1)}`);
  };

  test.each(damaged)("finds %s in %s, tells the place and ends with 4", async (fault, what, damage) => {
    const folder = copy(`damaged-${what.replaceAll(/[^a-z]/g, "-")}`);
    damage(folder);
    const { out, exitCode } = await esper(folder, ["verify", "--json"]);
    const audit = JSON.parse(out);
    expect([exitCode, audit.intact, audit.problems[0].fault]).toEqual([4, false, fault]);
    expect(audit.problems[0].place.startsWith(folder)).toBe(true);
    const table = await esper(folder, ["verify"]);
    expect([table.exitCode, table.out.trim().split("\n").at(-1)]).toEqual([4, "broken"]);
  });

  test("an index past its end is a freeze; a key that was noted elsewhere tells a directory signed anew", async () => {
    const late = await esper(dataDir, ["verify", "--json"], { nowMs: () => Date.now() + 30 * 86_400_000 });
    expect([late.exitCode, JSON.parse(late.out).problems.map(({ fault }: { fault: string }) => fault)]).toEqual([4, ["freeze"]]);
    const other = await esper(dataDir, ["verify", "--json", "--fingerprint", "a".repeat(64)]);
    expect(JSON.parse(other.out).problems[0].fault).toBe("foreign_key");
  });
});

test("reindex makes a lost index anew; the directory verifies and opens again", async () => {
  const folder = copy("reindexed");
  rmSync(dataPaths(folder).artifacts.index);
  await expect(node(folder, async () => undefined)).rejects.toThrow(/run `esper artifacts reindex`/);
  const { out, exitCode } = await esper(folder, ["reindex"]);
  expect([exitCode, out]).toEqual([0, expect.stringMatching(/^version \d+ of the index, 2 names\n$/)]);
  expect((await esper(folder, ["verify"])).exitCode).toBe(0);
  await node(folder, async ({ library }) => expect(await library.get("kernel", hashes["kernel"]!)).toBeDefined());
  expect((await esper(join(root, "empty"), ["reindex"])).exitCode).toBe(4);
});
