/** Artifacts, their signatures and the index against whoever may write into the data directory and lacks the key. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SignedArtifact } from "../../src/contracts/artifact.ts";
import { DataError } from "../../src/contracts/errors.ts";
import { createRandom } from "../../src/graph/random.ts";
import { readIndex } from "../../src/store/artifact-index-read.ts";
import { openDatabase } from "../../src/store/database.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { anything, encodeJson, sha256 } from "../../src/store/json.ts";
import { keyRing, ledgerSigner } from "../../src/store/ledger-signature.ts";
import { migrations } from "../../src/store/migrations.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { ArtifactError, openSigned, signArtifact } from "../../src/store/provenance.ts";
import { signedPath } from "../../src/store/provenance-store.ts";
import { createSimulatedDisk, type SimulatedDisk } from "../support/simulated-disk.ts";
import {
  blueprint,
  hashOf,
  host,
  kernel,
  type TestArtifacts,
  temporaryDatabase,
  temporaryFolder,
  testArtifacts,
  testRing,
  testSigner,
} from "./support.ts";

const bitFlips = 10_000;
const paths = dataPaths("/data");
const stranger = ledgerSigner(generateSigningKey());

/** How a refusal reads: its fault, or `DataError` where bytes alone are wrong; undefined when nothing was refused. */
const refusalOf = async (work: () => Promise<unknown>): Promise<string | undefined> => {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof ArtifactError) return error.fault;
    if (error instanceof DataError) return "DataError";
    throw error;
  }
};

const fileOf = (hash: string): string => `/data/assets/${hash.slice(0, 2)}/${hash.slice(2)}`;

/** One of each kind, and two checkpoints. */
const fill = async ({ library, checkpoints }: Pick<TestArtifacts, "library" | "checkpoints">) => {
  const made = { source: "run r-1", producer: "tezzeret", createdAtMs: 1_000 };
  const { hash: hostHash } = await library.put({ kind: "host", asset: host, inputs: [], ...made });
  const { hash: planHash } = await library.put({ kind: "blueprint", asset: blueprint(), inputs: [], ...made });
  const inputs = [hostHash, planHash];
  const { hash: kernelHash } = await library.put({ kind: "kernel", asset: kernel(), inputs, confidence: 0.5, ...made });
  for (const epoch of [1, 2]) {
    const tensors = { "host/w": { dtype: "float32", shape: [2], data: Float32Array.of(epoch, -epoch) } } as const;
    await checkpoints.save({ runId: "r-1", epoch, tensors, state: { step: epoch }, inputs: [kernelHash] });
  }
  return { host: hostHash, blueprint: planHash, kernel: kernelHash } as const;
};

describe("any bit of any file", () => {
  let disk: SimulatedDisk;
  let artifacts: TestArtifacts;
  /** Each file with what reads it. */
  const readers = new Map<string, () => Promise<unknown>>();
  const database = openDatabase({ file: ":memory:", migrations, busyTimeoutMs: 1_000 });

  beforeAll(async () => {
    disk = createSimulatedDisk();
    artifacts = await testArtifacts({ fileSystem: disk, database });
    const hashes = await fill(artifacts);
    for (const kind of ["host", "blueprint", "kernel"] as const) {
      const read = () => artifacts.library.get(kind, hashes[kind]);
      readers.set(fileOf(hashes[kind]), read);
      readers.set(signedPath(paths.assets, hashes[kind]), read);
    }
    for (const epoch of [1, 2]) {
      const folder = `/data/checkpoints/r-1/${epoch}`;
      for (const name of ["tensors.safetensors", "state.json", "manifest.json", "provenance.json"])
        readers.set(`${folder}/${name}`, () => artifacts.checkpoints.load(folder, anything));
    }
    const index = { fileSystem: disk, paths: paths.artifacts, ring: testRing, database };
    for (const file of Object.values(paths.artifacts)) readers.set(file, () => readIndex(index));
  });
  afterAll(async () => {
    await artifacts.close();
    database.close();
  });

  /** Flips one bit, reads, and puts the file back. */
  const flipped = async (file: string, byte: number, bit: number): Promise<string | undefined> => {
    const read = readers.get(file)!;
    const whole = await disk.read(file);
    disk.damage(file, (bytes) => bytes.with(byte, bytes[byte]! ^ (1 << bit)));
    const refusal = await refusalOf(read);
    disk.damage(file, () => whole);
    return refusal;
  };

  test("covers every file there is, and each reads well as it was written", async () => {
    expect(disk.files().map((file) => file.split(" ")[0])).toEqual([...readers.keys()].sort());
    expect(readers.size).toBe(16);
    for (const read of readers.values()) expect(await refusalOf(read)).toBeUndefined();
  });

  test("every byte of every signature, manifest, head and tensor header: all refused", async () => {
    let flips = 0;
    const passed: string[] = [];
    for (const file of readers.keys()) {
      const isHeader = /\.signed$|\.json$/.test(file) && !file.endsWith("state.json");
      const length = isHeader ? (await disk.read(file)).length : file.endsWith(".safetensors") ? 200 : 0;
      const bytes = Math.min(length, (await disk.read(file)).length);
      for (let byte = 0; byte < bytes; byte++) {
        flips++;
        if ((await flipped(file, byte, byte % 8)) === undefined) passed.push(`${file} byte ${byte}`);
      }
    }
    expect(passed).toEqual([]);
    expect(flips).toBeGreaterThan(5_000);
  });

  test(`${bitFlips} random bits: all refused`, async () => {
    const random = createRandom(4);
    const files = [...readers.keys()];
    const passed: string[] = [];
    for (let i = 0; i < bitFlips; i++) {
      const file = files[random.integer(files.length)]!;
      const byte = random.integer((await disk.read(file)).length);
      const bit = random.integer(8);
      if ((await flipped(file, byte, bit)) === undefined) passed.push(`${file} byte ${byte} bit ${bit}`);
    }
    expect(passed).toEqual([]);
    for (const read of readers.values()) expect(await refusalOf(read)).toBeUndefined();
  });
});

test("on a real disk too: a flipped bit of any file is refused, and the note of the version is its owner's alone", async () => {
  const dataDir = temporaryFolder();
  const real = dataPaths(dataDir);
  const database = temporaryDatabase();
  const artifacts = await testArtifacts({ fileSystem: nodeFileSystem, database, dataDir });
  const hashes = await fill(artifacts);
  expect(statSync(real.artifacts.seen).mode & 0o777).toBe(0o600);
  const index = { fileSystem: nodeFileSystem, paths: real.artifacts, ring: testRing, database };
  const cases: readonly (readonly [string, () => Promise<unknown>])[] = [
    [signedPath(real.assets, hashes.kernel), () => artifacts.library.get("kernel", hashes.kernel)],
    [`${real.checkpoints}/r-1/2/provenance.json`, () => artifacts.checkpoints.load(`${real.checkpoints}/r-1`, anything)],
    [real.artifacts.index, () => readIndex(index)],
    [real.artifacts.seen, () => readIndex(index)],
  ];
  for (const [file, read] of cases) {
    expect(await refusalOf(read)).toBeUndefined();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.with(50, bytes[50]! ^ 4));
    expect(await refusalOf(read)).toBeDefined();
    writeFileSync(file, bytes);
  }
  await artifacts.close();
});

describe("a signed statement", () => {
  const bytes = new TextEncoder().encode("{}");
  const provenance = { source: "run r-1", producer: "tezzeret", createdAtMs: 1, inputs: [], toolchain: "esper test" };
  const statement = { hash: sha256(bytes), kind: "host" as const, bytes: bytes.length, provenance };
  const encoded = (signed: unknown): Uint8Array => new TextEncoder().encode(encodeJson(signed, "signed"));
  const open = (signed: unknown, over: { hash?: string; kind?: "host" | "kernel"; bytes?: number } = {}) =>
    refusalOf(async () => openSigned(encoded(signed), { ...statement, ...over }, testRing, "x.signed"));

  test.each<readonly [string | undefined, string, (signed: SignedArtifact) => unknown]>([
    [undefined, "as it was signed", (signed) => signed],
    [
      "false_signature",
      "another provenance",
      (signed) => ({ ...signed, artifact: { ...signed.artifact, provenance: { ...provenance, producer: "somebody" } } }),
    ],
    [
      "false_signature",
      "a higher confidence",
      (signed) => ({ ...signed, artifact: { ...signed.artifact, provenance: { ...provenance, confidence: 1 } } }),
    ],
    ["false_signature", "another kind", (signed) => ({ ...signed, artifact: { ...signed.artifact, kind: "kernel" } })],
    ["false_signature", "another hash", (signed) => ({ ...signed, artifact: { ...signed.artifact, hash: hashOf("1") } })],
    ["foreign_key", "another's signature", (signed) => signArtifact(stranger, signed.artifact)],
    ["foreign_key", "another's name under this signature", (signed) => ({ ...signed, publicKey: stranger.publicKey })],
    [
      "false_signature",
      "this key's name under another's signature",
      (signed) => ({ ...signArtifact(stranger, signed.artifact), publicKey: signed.publicKey }),
    ],
    ["damaged", "no signature", ({ artifact, publicKey }) => ({ artifact, publicKey })],
    ["damaged", "something more", (signed) => ({ ...signed, note: "trust me" })],
    [
      "false_signature",
      "a signature made for an entry of the index",
      (signed) => ({ ...signed, ...testSigner.signValue("index-entry", signed.artifact) }),
    ],
  ])("%s: %s", async (fault, _, change) => {
    expect(await open(change(signArtifact(testSigner, statement)))).toBe(fault);
  });

  test("is about these bytes, of this number and kind", async () => {
    const signed = signArtifact(testSigner, statement);
    expect(await open(signed, { hash: hashOf("2") })).toBe("other_bytes");
    expect(await open(signed, { bytes: 3 })).toBe("other_bytes");
    expect(await open(signed, { kind: "kernel" })).toBe("other_kind");
    const spaced = new TextEncoder().encode(JSON.stringify(signed, undefined, 1));
    expect(await refusalOf(async () => openSigned(spaced, statement, testRing, "x.signed"))).toBe("damaged");
  });

  test("of another node counts when its key was trusted", () => {
    const ring = keyRing(testSigner.fingerprint, [stranger.fingerprint]);
    const signed = signArtifact(stranger, statement);
    expect(openSigned(encoded(signed), statement, ring, "x.signed")).toEqual(signed);
  });
});

describe("an artifact in the library", () => {
  const setUp = async () => {
    const disk = createSimulatedDisk();
    const database = temporaryDatabase();
    const artifacts = await testArtifacts({ fileSystem: disk, database });
    return { disk, database, artifacts, hashes: await fill(artifacts) };
  };

  test("without its signature, or with that of another artifact, is refused; stored again it is signed again", async () => {
    const { disk, artifacts, hashes } = await setUp();
    const signed = signedPath(paths.assets, hashes.host);
    const other = await disk.read(signedPath(paths.assets, hashes.blueprint));
    disk.damage(signed, () => other);
    expect(await refusalOf(() => artifacts.library.get("host", hashes.host))).toBe("other_bytes");
    await disk.remove(signed);
    expect(await refusalOf(() => artifacts.library.get("host", hashes.host))).toBe("unsigned");
    const again = { source: "run r-2", producer: "tolaria", createdAtMs: 2_000, inputs: [] };
    expect(await artifacts.library.put({ kind: "host", asset: host, ...again })).toEqual({ hash: hashes.host, existed: true });
    expect(await artifacts.library.get("host", hashes.host)).toEqual(host);
    expect(artifacts.library.describe(hashes.host)?.provenance).toMatchObject(again);
  });

  test("L7: whose row tells another provenance than was signed is refused", async () => {
    const { database, artifacts, hashes } = await setUp();
    for (const change of [
      "producer = 'karn'",
      "source = 'run r-9'",
      "confidence = 0.99",
      "command_hash = 'x'",
      "bytes = 1",
      "created_at_ms = 5",
    ]) {
      database.prepare(`UPDATE assets SET ${change} WHERE hash = ?`).run(hashes.kernel);
      expect([change, await refusalOf(() => artifacts.library.get("kernel", hashes.kernel))]).toEqual([
        change,
        "other_provenance",
      ]);
      await artifacts.library.put({ kind: "kernel", asset: kernel(), inputs: [], source: "x", producer: "x", createdAtMs: 9 });
      expect(await artifacts.library.get("kernel", hashes.kernel)).toEqual(kernel());
    }
    database.prepare("DELETE FROM asset_inputs WHERE hash = ?").run(hashes.kernel);
    expect(await refusalOf(() => artifacts.library.get("kernel", hashes.kernel))).toBe("other_provenance");
  });

  test("L4: a kernel under the key of another is not found by it, whatever the tables say", async () => {
    const { database, disk, artifacts, hashes } = await setUp();
    const [entry] = artifacts.index.entries();
    const [keyHash, otherKey] = [entry!.name, hashOf("5")];
    expect(await artifacts.library.findKernel(keyHash)).toBe(hashes.kernel);
    database.prepare("UPDATE assets SET key_hash = ? WHERE hash = ?").run(otherKey, hashes.kernel);
    expect(await artifacts.library.findKernel(otherKey)).toBeUndefined();
    expect(await artifacts.library.findKernel(keyHash)).toBe(hashes.kernel);
    await disk.remove(fileOf(hashes.kernel));
    expect(await artifacts.library.findKernel(keyHash)).toBeUndefined();
  });
});
