/** What goes wrong at a person's hands: the text, the exit code, and that nothing is lost. What units cover already is not repeated. */
import { readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { esper } from "./cli.ts";
import { hostConfig, payloadsOf, readCheckpoint, readLog, startNode, temporaryFolder } from "./support.ts";

/** The real disk, which a test may fill up for checkpoints. */
const disk = vi.hoisted(() => ({ full: false }));
vi.mock("../../src/store/file-system.ts", async (load) => {
  const real = await load<typeof import("../../src/store/file-system.ts")>();
  const write: typeof real.nodeFileSystem.write = async (path, bytes) => {
    if (disk.full && path.includes("/checkpoints/"))
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    return real.nodeFileSystem.write(path, bytes);
  };
  return { ...real, nodeFileSystem: { ...real.nodeFileSystem, write } };
});

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let file: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  file = join(folder.path, "small.yaml");
  const { services: _, ...rest } = hostConfig(folder.path);
  await writeFile(file, JSON.stringify({ ...rest, optimization: { epochs: 0.3, epochSteps: 10 } }));
});
afterAll(() => folder.remove());

const start = (name: string, args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) =>
  esper(["start", "--config", file, "--data-dir", join(folder.path, name), ...args], environment);

describe("esper start", () => {
  it.each<{ what: string; environment: Record<string, string>; args?: string[]; code: number; text: RegExp }>([
    {
      what: "a damaged layer that does not exist",
      environment: { ESPER_DAMAGE__SITE: "h9" },
      code: 2,
      text: /expected.*h1.*h2.*h9/s,
    },
    { what: "no data", environment: { ESPER_DATASET__DATA_DIR: "/nowhere/data" }, code: 4, text: /\/nowhere\/data/ },
    {
      what: "no nats-server",
      environment: { ESPER_SERVICES__NATS__BINARY: "/nowhere/nats" },
      code: 5,
      text: /nats-server.*\/nowhere\/nats/s,
    },
    {
      what: "no checkpoint",
      environment: {},
      args: ["--resume", "/nowhere/5"],
      code: 4,
      text: /expected the folder of a complete checkpoint/,
    },
  ])("$what: exit code $code", async ({ environment, args, code, text }) => {
    const { exitCode, err } = await start("refused", args, environment);
    expect(err).toMatch(text);
    expect(err).not.toMatch(/\(bug\)|\n {4}at /);
    expect(exitCode).toBe(code);
  });

  it("a port that is taken: exit code 5, and the port is named", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { exitCode, err } = await start("port", [], { ESPER_SERVICES__NATS__PORT: String(port) });
    server.close();
    expect(err).toContain(String(port));
    expect(exitCode).toBe(5);
  });

  it("a report that cannot be written: the run's checkpoint and log are there all the same", async () => {
    await writeFile(join(folder.path, "plain"), "a file");
    const { exitCode, err } = await start("report", ["--report", join(folder.path, "plain", "report.json")]);
    expect(err).toMatch(/plain/);
    expect(exitCode).toBeGreaterThan(0);
    const [run] = await readdir(join(folder.path, "report", "runs"));
    const events = await readLog(join(folder.path, "report", "runs", run!, "events.jsonl"));
    expect(payloadsOf(events, "system.events.run").at(-1)).toMatchObject({ kind: "finished", outcome: "done" });
  });
});

describe("beside a running node", () => {
  it("a second node in its data directory is refused, and the first goes on to its end", async () => {
    const dataDir = join(folder.path, "shared");
    const first = startNode(hostConfig(dataDir, { optimization: { epochs: 400, epochSteps: 20 } }));
    await first.until("system.events.epoch", ({ result }) => result.epoch === 1);
    const second = await start("shared");
    expect(second.err).toContain(String(process.pid));
    expect(second.exitCode).toBe(5);
    first.interrupt();
    const arm = (await first.done).report.arms[0]!;
    expect(arm.outcome).toBe("stopped");
    expect((await readCheckpoint(arm.checkpoint!)).epoch).toBeGreaterThan(0);
  });

  it("a full disk at a checkpoint is told and costs nothing: the run is done, the checkpoint before it stays", async () => {
    const node = startNode(hostConfig(join(folder.path, "full"), { checkpoint: { everyEpochs: 3, keep: 9 } }));
    const saved = await node.until("system.events.run", ({ kind }) => kind === "checkpoint");
    disk.full = true;
    const { report, exitCode } = await node.done;
    disk.full = false;
    const arm = report.arms[0]!;
    expect([arm.outcome, exitCode]).toEqual(["done", 0]);
    const failures = payloadsOf(await readLog(arm.eventLog), "system.events.run").filter(
      ({ kind }) => kind === "checkpoint_failed",
    );
    expect(failures.at(-1)).toMatchObject({ reason: expect.stringMatching(/checkpoint of window \d+.*(full|space)/is) });
    if (saved.kind !== "checkpoint") throw new Error(saved.kind);
    expect((await readCheckpoint(saved.file)).epoch).toBe(saved.epoch);
    expect(arm.checkpoint).toBeDefined();
    expect((await readdir(join(saved.file, ".."))).every((name) => /^\d+$/.test(name))).toBe(true);
  });
});
