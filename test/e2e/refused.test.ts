/** What a node refuses to begin: a checkpoint that is not what was asked for, a finished run, a server that another node uses. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { findNatsServer } from "../../src/bus/find-server.ts";
import { systemProcesses } from "../../src/bus/server-process.ts";
import { hostConfig, startNode, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

describe("a checkpoint", () => {
  it("of another host, of other data, or of a finished run is refused by name, and stays usable", async () => {
    const { report } = await startNode(hostConfig(folder.path)).done;
    const [arm] = report.arms;
    const last = arm!.checkpoint!;
    const runFolder = join(last, "..");
    const first = join(runFolder, (await readdir(runFolder)).toSorted((a, b) => Number(a) - Number(b))[0]!);
    const resume = (path: string, asked: readonly { path: string; value: unknown }[] = []) =>
      startNode(hostConfig(folder.path), { resume: path, asked }).done;

    await expect(resume(first, [{ path: "model.name", value: "cnn" }])).rejects.toThrow(
      /checkpoint of another host or run: expected model\.name "cnn", .* holds "mlp"; leave that option away/,
    );
    await expect(resume(first, [{ path: "dataset.name", value: "fashion-mnist" }])).rejects.toThrow(/holds "mnist"/);
    await expect(resume(last)).rejects.toThrow(/is complete and has read its test data; resume one of its earlier checkpoints/);
    const again = await resume(first, [{ path: "model.name", value: "mlp" }]);
    expect(again.report.arms[0]).toMatchObject({ outcome: "done", testAccuracy: arm!.testAccuracy });
  });
});

describe("an external server", () => {
  it("serves one node; a second one is refused and the first goes on", async () => {
    const { path } = await findNatsServer({ folders: [], processes: systemProcesses });
    const ports = join(folder.path, "ports");
    const server = spawn(path, [
      "-a",
      "127.0.0.1",
      "-p",
      "-1",
      "-js",
      "-sd",
      join(folder.path, "js"),
      "--ports_file_dir",
      folder.path,
    ]);
    const exited = once(server, "exit");
    // Also when the test runs out of time, which no `finally` sees.
    onTestFinished(async () => {
      server.kill("SIGINT");
      await exited;
    });
    let url: string | undefined;
    for (let tries = 0; url === undefined; tries += 1) {
      expect(tries, `no ports file under ${ports}`).toBeLessThan(100);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const [file] = (await readdir(folder.path)).filter((name) => name.endsWith(".ports"));
      const text = file === undefined ? "" : await readFile(join(folder.path, file), "utf8");
      if (text !== "") url = (JSON.parse(text) as { nats: string[] }).nats[0];
    }
    const on = (name: string) =>
      hostConfig(join(folder.path, name), { services: { dataDir: join(folder.path, name), nats: { mode: "external", url } } });
    const one = startNode({ ...on("one"), optimization: { ...on("one").optimization, epochs: 2_000 } });
    await one.until("system.events.epoch", () => true);
    await expect(startNode(on("two")).done).rejects.toThrow(/to serve this node alone, another Esper node answers on it/);
    one.interrupt();
    expect((await one.done).report.arms[0]?.outcome).toBe("stopped");
  });
});
