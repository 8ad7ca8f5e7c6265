/** Streams that are deleted under a node that trains: what the database keeps is sent again, what is missing for good is told. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "nats";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { findNatsServer } from "../../src/bus/find-server.ts";
import { systemProcesses } from "../../src/bus/server-process.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import { esper } from "./cli.ts";
import { payloadsOf, readLog, smallConfig, startNode, type TestNode, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

/** A server of somebody else's, who may delete what is on it; in the node's own server nobody may. */
const startServer = async (): Promise<string> => {
  const { path } = await findNatsServer({ folders: [], processes: systemProcesses });
  const own = ["-a", "127.0.0.1", "-p", "-1", "-js", "-sd", join(folder.path, "js"), "--ports_file_dir", folder.path];
  const server = spawn(path, own);
  const exited = once(server, "exit");
  onTestFinished(async () => {
    server.kill("SIGINT");
    await exited;
  });
  const portsFile = async (): Promise<string> => {
    const [file] = (await readdir(folder.path)).filter((name) => name.endsWith(".ports"));
    return file === undefined ? "" : readFile(join(folder.path, file), "utf8");
  };
  await expect.poll(portsFile, { timeout: 10_000 }).not.toBe("");
  return (JSON.parse(await portsFile()) as { nats: string[] }).nats[0]!;
};

const deleteStreams = async (url: string, names: readonly string[]): Promise<void> => {
  const connection = await connect({ servers: url });
  const manager = await connection.jetstreamManager();
  for (const name of names) await manager.streams.delete(name);
  await connection.close();
};

const losses = (node: TestNode) => node.payloads("system.events.supervision").filter(({ kind }) => kind === "stream_lost");

describe("a stream that is gone", () => {
  it("every transition of every seed is in the log, in order, however often the streams are deleted", async () => {
    const url = await startServer();
    const dataDir = join(folder.path, "deleted");
    const services = { dataDir, nats: { mode: "external", url }, delivery: { healthMs: 100 } };
    const node = startNode(smallConfig(dataDir, { services, optimization: { epochs: 80, epochSteps: 47 } }));
    for (const state of ["GERMINATED", "TRAINING", "GRAFTING"] as const) {
      await node.until("system.events.seed", ({ to }) => to === state);
      const before = losses(node).length;
      await deleteStreams(url, ["EVENTS", "COMPILATION"]);
      await expect.poll(() => losses(node).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + 2);
    }
    const { report } = await node.done;
    const [arm] = report.arms;
    expect(arm?.outcome).toBe("done");
    const events = await readLog(arm!.eventLog);
    const states = await replaySeeds(events);
    expect(Object.fromEntries(states)).toEqual(Object.fromEntries(arm!.seeds.map(({ id, outcome }) => [id, outcome])));
    expect(states.get("seed:h2")).toBe("FOSSILIZED");
    for (const { id, history } of arm!.seeds)
      expect(
        payloadsOf(events, "system.events.seed")
          .filter(({ seedId }) => seedId === id)
          .map(({ to }) => to),
      ).toEqual(history.map(({ state }) => state));
    // Consumers drop what they had: nothing stands in the log twice.
    const ids = events.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(losses(node)[0]?.detail).toMatch(/^(EVENTS|COMPILATION): it was gone; \d+ messages are sent again/);
  });

  it("a store that went while the node was down is filled from the database, and the loss is told", async () => {
    const dataDir = join(folder.path, "store");
    const config = () => smallConfig(dataDir, { optimization: { epochs: 24, epochSteps: 47 }, services: { dataDir } });
    const first = startNode(config());
    await first.until("system.events.seed", ({ to }) => to === "TRAINING");
    first.interrupt();
    const arm = (await first.done).report.arms[0]!;
    expect(losses(first)).toEqual([]);
    await rm(join(dataDir, "nats", "store"), { recursive: true });
    const second = startNode(config(), { resume: arm.checkpoint! });
    const told = await second.until("system.events.supervision", ({ kind }) => kind === "stream_lost");
    expect(told.detail).toMatch(/^\w+: it was gone; \d+ messages are sent again/);
    const resumed = (await second.done).report.arms[0]!;
    expect(resumed.outcome).toBe("done");
    await replaySeeds(await readLog(resumed.eventLog));
    expect((await esper(["ledger", "verify", "--data-dir", dataDir])).exitCode).toBe(0);
  });
});
