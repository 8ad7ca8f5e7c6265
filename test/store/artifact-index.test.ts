/** The signed index: the four attacks, its end, its bound, crashes amid its writes, and how it comes about (X1 to X5, I1 to I6, O1 to O3). */
import { describe, expect, test } from "vitest";
import { EsperError } from "../../src/contracts/errors.ts";
import type { Log } from "../../src/contracts/ports.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { buildIndex, signEntry } from "../../src/store/artifact-index.ts";
import { openArtifactIndex } from "../../src/store/artifact-index-file.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { anything, encodeJson } from "../../src/store/json.ts";
import { ledgerSigner } from "../../src/store/ledger-signature.ts";
import { survivals } from "../support/simulated-disk.ts";
import {
  checkpoint,
  copyOf,
  dayMs,
  faultOf,
  keyOf,
  paths,
  putBack,
  putKernel,
  readIndexFile,
  world,
  writeIndexFile,
} from "./artifact-world.ts";
import { hashOf, temporaryDatabase, testArtifacts, testReindex, testRing, testSigner } from "./support.ts";

describe("an attack on the index of a node that is not running", () => {
  /** Three kernels and two checkpoints; the index's earlier versions are at hand. */
  const attacked = async () => {
    const under = world();
    const { fileSystem: disk } = under;
    const first = await testArtifacts(under);
    await putKernel(first, "seed:h1");
    await putKernel(first, "seed:h2");
    await checkpoint(first, 1);
    const older = await readIndexFile(disk);
    const olderSeen = await copyOf(disk, paths.artifacts.seen);
    await under.clock.advance(10);
    await checkpoint(first, 2);
    await putKernel(first, "seed:h3");
    await first.close();
    const newest = await readIndexFile(disk);
    return { under, disk, older, olderSeen, newest, start: () => faultOf(async () => (await testArtifacts(under)).close()) };
  };

  test("left alone it opens", async () => {
    const { start } = await attacked();
    expect(await start()).toBeUndefined();
  });

  test("swap: an entry that points at another artifact, or stands under another's name", async () => {
    const { disk, newest, start } = await attacked();
    const [a, b] = newest.entries.filter(({ entry }) => entry.kind === "kernel");
    const others = newest.entries.filter((each) => each !== a && each !== b);
    const swaps = [
      [{ ...a!, entry: { ...a!.entry, hash: b!.entry.hash } }, b!],
      [
        { ...a!, entry: { ...a!.entry, hash: b!.entry.hash } },
        { ...b!, entry: { ...b!.entry, hash: a!.entry.hash } },
      ],
      [{ ...b!, entry: { ...b!.entry, name: a!.entry.name } }, b!],
      [{ ...a!, signature: b!.signature }, b!],
    ];
    for (const [x, y] of swaps) {
      const entries = newest.entries.map((each) => (each === a ? x! : each === b ? y! : each));
      expect(others).toHaveLength(entries.length - 2);
      writeIndexFile(disk, { ...newest, entries });
      expect(await start()).toBe("swap");
    }
  });

  test("rollback: an older signed index, also when one of the two notes of its version is put back with it", async () => {
    const { disk, older, olderSeen, start } = await attacked();
    writeIndexFile(disk, older);
    expect(await start()).toBe("rollback");
    putBack(disk, olderSeen);
    expect(await start()).toBe("rollback");
  });

  test("rollback: the file beside the database tells it when the database was put back", async () => {
    const { under, disk, older, start } = await attacked();
    writeIndexFile(disk, older);
    under.database.prepare("UPDATE artifact_index_seen SET head = ?").run(encodeJson(older.signed, "head"));
    expect(await start()).toBe("rollback");
    under.database.prepare("DELETE FROM artifact_index_seen").run();
    expect(await start()).toBe("rollback");
  });

  test("rollback: one entry in its older signed version", async () => {
    const { disk, older, newest, start } = await attacked();
    const old = older.entries.find(({ entry }) => entry.kind === "checkpoint");
    const entries = newest.entries.map((each) => (each.entry.kind === "checkpoint" ? old! : each));
    writeIndexFile(disk, { ...newest, entries });
    expect(await start()).toBe("rollback");
  });

  test("mix and match: entries that were never together", async () => {
    const { disk, older, newest, start } = await attacked();
    const mixtures = [
      older.entries,
      newest.entries.slice(1),
      [
        ...older.entries.filter(({ entry }) => entry.kind === "kernel"),
        ...newest.entries.filter(({ entry }) => entry.kind === "checkpoint"),
      ],
    ].map((entries) =>
      entries.toSorted((x, y) => (`${x.entry.kind} ${x.entry.name}` < `${y.entry.kind} ${y.entry.name}` ? -1 : 1)),
    );
    for (const entries of mixtures) {
      writeIndexFile(disk, { ...newest, entries });
      expect(await start()).toBe("mix_and_match");
    }
  });

  test("freeze: past its end it is refused where its version is not known as the highest", async () => {
    const { under, disk, olderSeen, start } = await attacked();
    await under.clock.advance(8 * dayMs);
    putBack(disk, olderSeen);
    expect(await start()).toBe("freeze");
  });

  test("I4: a node that was stopped for long goes on from its own index", async () => {
    const { under, start, disk, newest } = await attacked();
    await under.clock.advance(80 * dayMs);
    expect(await start()).toBeUndefined();
    expect((await readIndexFile(disk)).signed.head.version).toBe(newest.signed.head.version + 1);
  });

  test("I1: an index that is gone is not made up", async () => {
    const { disk, start } = await attacked();
    await disk.remove(paths.artifacts.index);
    expect(await start()).toBe("missing");
    await disk.remove(paths.artifacts.seen);
    expect(await start()).toBe("missing");
  });

  test("I1: nor where every note of it was removed as well: the ledger tells that there was one", async () => {
    const { under, disk, start } = await attacked();
    for (const file of [paths.artifacts.index, paths.artifacts.seen, "/data/checkpoints/r-1/2/provenance.json"])
      await disk.remove(file);
    under.database.prepare("DELETE FROM artifact_index_seen").run();
    expect(await start()).toBe("missing");
    expect((await testReindex(under)).leftOut).toBe(1);
    const again = await testArtifacts(under);
    expect(await faultOf(() => again.checkpoints.load("/data/checkpoints/r-1/2", anything))).toBe("unsigned");
    await again.close();
  });

  test("X2: one signed throughout by another key is refused, and so is a whole directory's under another key", async () => {
    const { under, disk, newest, start } = await attacked();
    const stranger = ledgerSigner(generateSigningKey());
    const entries = newest.entries.map(({ entry }) => signEntry(stranger, entry));
    writeIndexFile(disk, buildIndex(stranger, entries, { version: 99, createdAtMs: 1, expiresAtMs: 1e15 }));
    expect(await start()).toBe("foreign_key");
    writeIndexFile(disk, newest);
    expect(await faultOf(() => testArtifacts({ ...under, database: temporaryDatabase(":memory:"), signer: stranger }))).toBe(
      "foreign_key",
    );
    expect(await start()).toBeUndefined();
  });

  test("every refusal says what to do, and `reindex` builds it anew of what is signed, above every version that was", async () => {
    const { under, disk, older, newest, start } = await attacked();
    writeIndexFile(disk, older);
    await expect(testArtifacts(under)).rejects.toThrow(
      /put the data directory back from a backup, or run `esper artifacts reindex`/,
    );
    const { version, entries, leftOut } = await testReindex(under);
    expect([version, entries, leftOut]).toEqual([newest.signed.head.version + 1, 4, 0]);
    expect(await start()).toBeUndefined();
    const again = await testArtifacts(under);
    for (const { entry } of newest.entries) expect(again.index.find(entry.kind, entry.name)?.hash).toBe(entry.hash);
    await again.close();
  });
});

describe("the last checkpoint of a run", () => {
  test("K6: an older one is not taken for it; by its own folder it can be had", async () => {
    const under = world();
    const opened = await testArtifacts(under);
    await checkpoint(opened, 1);
    await under.clock.advance(10);
    await checkpoint(opened, 2);
    expect((await opened.checkpoints.load("/data/checkpoints/r-1", anything)).epoch).toBe(2);
    await under.fileSystem.remove("/data/checkpoints/r-1/2");
    expect(await faultOf(() => opened.checkpoints.load("/data/checkpoints/r-1", anything))).toBe("rollback");
    expect((await opened.checkpoints.load("/data/checkpoints/r-1/1", anything)).epoch).toBe(1);
    await opened.close();
  });

  test("K6: the same window's earlier checkpoint put back is refused; one newer than the index knows is taken", async () => {
    const under = world();
    const opened = await testArtifacts(under);
    await checkpoint(opened, 1);
    const first = await copyOf(under.fileSystem, "/data/checkpoints");
    await under.clock.advance(10);
    await opened.checkpoints.save({ runId: "r-1", epoch: 1, tensors: {}, state: { epoch: 1, tested: true } });
    const second = await copyOf(under.fileSystem, "/data/checkpoints");
    putBack(under.fileSystem, first);
    expect(await faultOf(() => opened.checkpoints.load("/data/checkpoints/r-1", anything))).toBe("rollback");
    putBack(under.fileSystem, second);
    const { hash } = (await opened.checkpoints.verify("/data/checkpoints/r-1")).signed.artifact;
    await opened.index.set({ kind: "checkpoint", name: "r-1", hash: hashOf("1"), createdAtMs: 1 });
    expect((await opened.checkpoints.load("/data/checkpoints/r-1", anything)).hash).toBe(hash);
    await opened.close();
  });

  test("K7: one in the place of another window or run is a swap", async () => {
    const under = world();
    const opened = await testArtifacts(under);
    for (const [epoch, runId] of [
      [1, "r-1"],
      [2, "r-1"],
      [1, "r-2"],
    ] as const)
      await checkpoint(opened, epoch, runId);
    const moved = async (from: string, to: string): Promise<void> => {
      for (const [file, bytes] of await copyOf(under.fileSystem, from))
        under.fileSystem.damage(file.replace(from, to), () => bytes);
    };
    await moved("/data/checkpoints/r-1/1", "/data/checkpoints/r-1/2");
    expect(await faultOf(() => opened.checkpoints.load("/data/checkpoints/r-1/2", anything))).toBe("swap");
    await moved("/data/checkpoints/r-1/1", "/data/checkpoints/r-2/1");
    expect(await faultOf(() => opened.checkpoints.load("/data/checkpoints/r-2", anything))).toBe("swap");
    await opened.close();
  });

  test("of another node is refused until its key is trusted", async () => {
    const mine = world();
    const theirs = { ...mine, dataDir: "/theirs", database: temporaryDatabase(), signer: ledgerSigner(generateSigningKey()) };
    const [a, b] = [await testArtifacts(mine), await testArtifacts(theirs)];
    await checkpoint(b, 3, "r-9");
    const path = "/theirs/checkpoints/r-9/3";
    expect(await faultOf(() => a.checkpoints.load(path, anything))).toBe("foreign_key");
    await a.close();
    const trusting = await testArtifacts({ ...mine, artifacts: { trustedKeys: [theirs.signer.fingerprint] } });
    expect((await trusting.checkpoints.load(path, anything)).epoch).toBe(3);
    await trusting.close();
    await b.close();
  });
});

describe("while a node works", () => {
  test("I5: the index is signed anew at half of its time, and its names stay good", async () => {
    const under = world({ artifacts: { indexExpiryMs: 100_000 } });
    const opened = await testArtifacts(under);
    await putKernel(opened, "seed:h1");
    const { version } = (await readIndexFile(under.fileSystem)).signed.head;
    await under.clock.advance(500_000);
    expect((await readIndexFile(under.fileSystem)).signed.head.version).toBe(version + 10);
    expect(opened.index.find("kernel", keyOf("seed:h1"))).toBeDefined();
    await opened.close();
    expect(under.clock.pending()).toBe(0);
  });

  test("X5, I3: where it cannot be signed anew it ends, kernels are no longer found by it, and it recovers with the disk", async () => {
    const errors: string[] = [];
    const log: Log = { ...silentLog, error: (text) => void errors.push(text), child: () => log };
    const under = world({ artifacts: { indexExpiryMs: 100_000 }, log });
    const { fileSystem: disk, clock } = under;
    const opened = await testArtifacts(under);
    await putKernel(opened, "seed:h1");
    const { version } = (await readIndexFile(disk)).signed.head;
    disk.fillAt(disk.operations());
    await clock.advance(160_000);
    expect(errors.length).toBeGreaterThanOrEqual(3);
    expect(await faultOf(() => opened.library.findKernel(keyOf("seed:h1")))).toBe("freeze");
    disk.free();
    await clock.advance(50_000);
    expect(opened.index.find("kernel", keyOf("seed:h1"))).toBeDefined();
    expect((await readIndexFile(disk)).signed.head.version).toBeGreaterThan(version + errors.length);
    await opened.close();
  });

  test("I2: a change that the disk refuses is known to the node, and goes out with the next one", async () => {
    const under = world();
    const { fileSystem: disk } = under;
    const opened = await testArtifacts(under);
    disk.fillAt(disk.operations());
    await opened.index.set({ kind: "kernel", name: "a", hash: hashOf("1"), createdAtMs: 1 });
    expect(opened.index.find("kernel", "a")?.hash).toBe(hashOf("1"));
    expect((await readIndexFile(disk)).entries).toHaveLength(0);
    disk.free();
    await opened.index.set({ kind: "kernel", name: "b", hash: hashOf("2"), createdAtMs: 2 });
    expect((await readIndexFile(disk)).entries.map(({ entry }) => entry.name)).toEqual(["a", "b"]);
    await opened.close();
  });

  test("I6: past the bound the name set longest ago goes; its kernel is found again all the same", async () => {
    const under = world({ artifacts: { indexEntriesMax: 2 } });
    const opened = await testArtifacts(under);
    const { hash } = await putKernel(opened, "seed:h1");
    await putKernel(opened, "seed:h2");
    await putKernel(opened, "seed:h3");
    expect(opened.index.entries()).toHaveLength(2);
    expect(opened.index.find("kernel", keyOf("seed:h1"))).toBeUndefined();
    expect(await opened.library.findKernel(keyOf("seed:h1"))).toBe(hash);
    expect(opened.index.find("kernel", keyOf("seed:h2"))).toBeUndefined();
    await opened.close();
    expect(await faultOf(async () => (await testArtifacts(under)).close())).toBeUndefined();
  });

  test("changes asked for at once come one after the other, each with a version of its own", async () => {
    const under = world();
    const opened = await testArtifacts(under);
    await Promise.all(
      Array.from({ length: 8 }, (_, i) => opened.index.set({ kind: "kernel", name: `k${i}`, hash: hashOf("1"), createdAtMs: i })),
    );
    const versions = opened.index.entries().map(({ version }) => version);
    expect(new Set(versions).size).toBe(8);
    const before = opened.index.version();
    await opened.index.set({ kind: "kernel", name: "k0", hash: hashOf("1"), createdAtMs: 0 });
    expect(opened.index.version()).toBe(before);
    await opened.close();
  });
});

test("I2: at whatever operation the power goes, the directory opens, and what was told is there and holds", async () => {
  let points = 0;
  for (const survival of survivals) {
    let done = false;
    for (let at = 0; !done; at++) {
      const under = world();
      const { fileSystem: disk } = under;
      const before = await testArtifacts(under);
      const kept = await putKernel(before, "seed:h1");
      await checkpoint(before, 1);
      await under.clock.advance(10);
      const powerEndsAt = disk.operations() + at;
      disk.losePowerAt(powerEndsAt);
      const told = { kernel: false, checkpoint: false };
      try {
        await putKernel(before, "seed:h2");
        told.kernel = true;
        await checkpoint(before, 2);
        told.checkpoint = true;
      } catch (error) {
        expect(error).toBeInstanceOf(EsperError);
      }
      await before.close();
      done = disk.operations() <= powerEndsAt;
      if (!done) points++;
      disk.restart(survival);
      const after = await testArtifacts(under);
      expect(await after.library.findKernel(keyOf("seed:h1"))).toBe(kept.hash);
      const second = await after.library.findKernel(keyOf("seed:h2"));
      if (told.kernel) expect(second).toBeDefined();
      if (second !== undefined) expect(await after.library.get("kernel", second)).toBeDefined();
      const { epoch } = await after.checkpoints.load("/data/checkpoints/r-1", anything);
      if (told.checkpoint) expect(epoch).toBe(2);
      const { hash } = await putKernel(after, "seed:h2");
      expect(await after.library.findKernel(keyOf("seed:h2"))).toBe(hash);
      await after.close();
      await (await testArtifacts(under)).close();
    }
  }
  expect(points).toBeGreaterThan(60);
});

test("I1: a new directory has an index from the first start on", async () => {
  const under = world();
  const { fileSystem, database, clock } = under;
  const options = { fileSystem, database, clock, paths: paths.artifacts, ring: testRing, signer: testSigner, log: silentLog };
  let adopted = 0;
  for (const expected of [1, 2]) {
    const index = await openArtifactIndex({ ...options, entriesMax: 9, expiryMs: dayMs }, async () => {
      adopted++;
      return [{ kind: "kernel", name: "k", hash: hashOf("1"), createdAtMs: 1 }];
    });
    expect([index.version(), adopted, index.entries().length]).toEqual([expected, 1, 1]);
    await index.close();
  }
});
