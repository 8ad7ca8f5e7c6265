/** What an older Esper left unsigned is signed once, as its hashes prove (O1 to O3). */
import { describe, expect, test } from "vitest";
import type { Log } from "../../src/contracts/ports.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { anything } from "../../src/store/json.ts";
import { checkpoint, faultOf, keyOf, putKernel, world } from "./artifact-world.ts";
import { host, testArtifacts, testReindex } from "./support.ts";

describe("a data directory of an older Esper", () => {
  /** As it was left: files, rows and checkpoints, and nothing signed. */
  const older = async (log: Log = silentLog) => {
    const under = world({ log });
    const { fileSystem: disk, database } = under;
    const opened = await testArtifacts(under);
    const first = await putKernel(opened, "seed:h1", 3, 1_000);
    const second = await putKernel(opened, "seed:h1", 4, 2_000);
    await opened.library.put({ kind: "host", asset: host, inputs: [], source: "x", producer: "tolaria", createdAtMs: 500 });
    await checkpoint(opened, 1);
    await under.clock.advance(10);
    await checkpoint(opened, 2);
    await opened.close();
    for (const file of disk.files().map((each) => each.split(" ")[0]!))
      if (/\.signed$|provenance\.json$|index.*\.json$/.test(file)) await disk.remove(file);
    database.prepare("DELETE FROM artifact_index_seen").run();
    database.prepare("DELETE FROM artifact_index_names").run();
    for (const name of ["ledger", "ledger_heads", "ledger_tail"]) database.prepare(`DELETE FROM ${name}`).run();
    database.prepare("UPDATE assets SET source = 'an older Esper'").run();
    return { under, first, second };
  };

  test("O1: is signed once, as its hashes prove, and the log tells it; its names lead where they led", async () => {
    const told: unknown[] = [];
    const log: Log = { ...silentLog, info: (text, fields) => void told.push([text, fields]), child: () => log };
    const { under, first } = await older(log);
    const opened = await testArtifacts(under);
    expect(told).toEqual([["what an older Esper left is signed as its hashes prove", { assets: 3, checkpoints: 2, leftOut: 0 }]]);
    expect(await opened.library.findKernel(keyOf("seed:h1"))).toBe(first.hash);
    expect(await opened.library.get("kernel", first.hash)).toBeDefined();
    expect(opened.library.describe(first.hash)?.provenance).toMatchObject({ source: "an older Esper", producer: "tezzeret" });
    expect((await opened.checkpoints.load("/data/checkpoints/r-1", anything)).epoch).toBe(2);
    await opened.close();
    await (await testArtifacts(under)).close();
    expect(told).toHaveLength(1);
  });

  test("O1: what is damaged is left out and told; O2: later nothing unsigned is signed", async () => {
    const warned: string[] = [];
    const log: Log = { ...silentLog, warn: (_, fields) => void warned.push(String(fields?.["reason"])), child: () => log };
    const { under, first, second } = await older(log);
    under.fileSystem.damage(`/data/assets/${first.hash.slice(0, 2)}/${first.hash.slice(2)}`, (bytes) => bytes.with(3, 0));
    under.fileSystem.damage("/data/checkpoints/r-1/2/tensors.safetensors", (bytes) => bytes.with(0, 1));
    const opened = await testArtifacts(under);
    expect(warned).toHaveLength(2);
    expect(warned.join()).toMatch(/expected SHA-256 .*tensors\.safetensors: expected/s);
    expect(await opened.library.findKernel(keyOf("seed:h1"))).toBe(second.hash);
    expect(await faultOf(() => opened.checkpoints.load("/data/checkpoints/r-1", anything))).toBe("unsigned");
    await opened.close();
    await under.fileSystem.remove("/data/checkpoints/r-1/1/provenance.json");
    const again = await testArtifacts(under);
    expect(await faultOf(() => again.checkpoints.load("/data/checkpoints/r-1/1", anything))).toBe("unsigned");
    await again.close();
    await testReindex(under);
    const reindexed = await testArtifacts(under);
    expect(await faultOf(() => reindexed.checkpoints.load("/data/checkpoints/r-1/1", anything))).toBe("unsigned");
    await reindexed.close();
  });

  test("O3: at whatever operation the power goes amid it, the next start does the rest", async () => {
    for (const at of Array.from({ length: 24 }, (_, i) => 3 * i)) {
      const { under, first } = await older();
      under.fileSystem.losePowerAt(under.fileSystem.operations() + at);
      await testArtifacts(under).then(
        (opened) => opened.close(),
        () => undefined,
      );
      under.fileSystem.restart("torn");
      const opened = await testArtifacts(under);
      expect(await opened.library.findKernel(keyOf("seed:h1"))).toBe(first.hash);
      expect((await opened.checkpoints.load("/data/checkpoints/r-1", anything)).epoch).toBe(2);
      await opened.close();
    }
  });
});
