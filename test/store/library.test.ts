/** Urza's store: identity, validation, lineage, kernels by key, field reports. */
import { expect, test } from "vitest";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import { ContractError, DataError } from "../../src/contracts/errors.ts";
import { configuredPolicy, type Policy } from "../../src/contracts/policy.ts";
import { calibration } from "../../src/policy/calibration.ts";
import { encodeJson, hashJson, sha256 } from "../../src/store/json.ts";
import { kernelKeyHash, type Library } from "../../src/store/library.ts";
import { createSimulatedDisk, type SimulatedDisk } from "../support/simulated-disk.ts";
import { blueprint, fieldReport, hashOf, host, kernel, kernelKey, temporaryDatabase, testArtifacts } from "./support.ts";

const setUp = async (): Promise<{ library: Library; disk: SimulatedDisk }> => {
  const disk = createSimulatedDisk();
  const { library } = await testArtifacts({ fileSystem: disk, database: temporaryDatabase(), dataDir: "/" });
  return { disk, library };
};
const put = (
  library: Library,
  kind: "blueprint" | "host" | "kernel",
  asset: unknown,
  inputs: string[] = [],
  createdAtMs = 1000,
) => library.put({ kind, asset, inputs, source: "run r-1", producer: "tezzeret", createdAtMs });
/** Assets and their signed provenance. */
const assetFiles = (disk: SimulatedDisk): readonly string[] =>
  disk.files().filter((file) => /^\/assets\/[0-9a-f]{2}\//.test(file));
const pathOf = (hash: string): string => `/assets/${hash.slice(0, 2)}/${hash.slice(2)}`;

test("L1: an asset's hash is the SHA-256 of its canonical JSON; the first provenance stays", async () => {
  const { library, disk } = await setUp();
  const first = await put(library, "blueprint", blueprint(), [hashOf("c")]);
  expect(first).toEqual({ hash: sha256(encodeJson(blueprint(), "blueprint")), existed: false });
  const reordered = Object.fromEntries(Object.entries(blueprint()).reverse());
  expect(
    await library.put({ kind: "blueprint", asset: reordered, inputs: [], source: "x", producer: "karn", createdAtMs: 9 }),
  ).toEqual({
    hash: first.hash,
    existed: true,
  });
  expect(assetFiles(disk)).toHaveLength(2);
  expect(library.describe(first.hash)).toEqual({
    hash: first.hash,
    kind: "blueprint",
    bytes: encodeJson(blueprint(), "blueprint").length,
    provenance: {
      source: "run r-1",
      producer: "tezzeret",
      createdAtMs: 1000,
      inputs: [hashOf("c")],
      toolchain: "esper test",
    },
  });
  expect(await library.get("blueprint", first.hash)).toEqual(blueprint());
});

test("L2: what does not fit its contract is refused and not stored", async () => {
  const { library, disk } = await setUp();
  await expect(put(library, "blueprint", { ...blueprint(), extra: 1 })).rejects.toThrow(ContractError);
  await expect(put(library, "blueprint", { ...blueprint(), extra: 1 })).rejects.toThrow(
    /library blueprint: expected it to fit its contract, found/,
  );
  await expect(put(library, "kernel", host)).rejects.toThrow(ContractError);
  expect(assetFiles(disk)).toEqual([]);
  expect(library.list("blueprint", 10)).toEqual([]);
});

test("L2: a damaged or lost file is a DataError, another kind or an unknown hash is nothing", async () => {
  const { library, disk } = await setUp();
  const { hash } = await put(library, "host", host);
  expect(await library.get("kernel", hash)).toBeUndefined();
  expect(await library.get("host", hashOf("0"))).toBeUndefined();
  disk.damage(pathOf(hash), (bytes) => bytes.with(5, 0));
  await expect(library.get("host", hash)).rejects.toThrow(DataError);
  await disk.remove(pathOf(hash));
  await expect(library.get("host", hash)).rejects.toThrow(
    /expected the file of host .*, found it missing; store the asset again/,
  );
  await put(library, "host", host);
  expect(await library.get("host", hash)).toEqual(host);
});

test("L3: when the power goes before the file is durable, the index knows nothing of it", async () => {
  const { library, disk } = await setUp();
  disk.losePowerAt(disk.operations() + 4);
  await expect(put(library, "host", host)).rejects.toThrow(/content store|provenance/);
  expect(library.list("host", 10)).toEqual([]);
  disk.restart("synced");
  expect((await put(library, "host", host)).existed).toBe(false);
});

test("L4: a key leads to the first kernel stored for it whose file is there", async () => {
  const { library, disk } = await setUp();
  const keyHash = kernelKeyHash(kernelKey());
  expect(keyHash).toBe(hashJson(kernelKey(), "key"));
  expect(await library.findKernel(keyHash)).toBeUndefined();
  const first = await put(library, "kernel", kernel(), [], 1000);
  const second = await put(library, "kernel", kernel({ parameters: 4 }), [], 2000);
  await put(library, "kernel", kernel({ key: kernelKey("seed:h2") }), [], 500);
  expect(await library.findKernel(keyHash)).toBe(first.hash);
  await disk.remove(pathOf(first.hash));
  expect(await library.findKernel(keyHash)).toBe(second.hash);
  await disk.remove(pathOf(second.hash));
  expect(await library.findKernel(keyHash)).toBeUndefined();
});

test("lineage lists an asset and all it came from, nearest first, known or not, within its limit", async () => {
  const { library } = await setUp();
  const parent = await put(library, "host", host, [hashOf("e")]);
  const plan = await put(library, "blueprint", blueprint(), [parent.hash]);
  const child = await put(library, "kernel", kernel(), [parent.hash, plan.hash]);
  const lineage = library.lineage(child.hash, 100);
  expect(lineage.map(({ hash, depth }) => [hash, depth])).toEqual([
    [child.hash, 0],
    ...[parent.hash, plan.hash].sort().map((hash) => [hash, 1]),
    [hashOf("e"), 2],
  ]);
  expect(lineage.at(-1)).toEqual({ hash: hashOf("e"), depth: 2 });
  expect(lineage[0]?.record?.kind).toBe("kernel");
  expect(library.lineage(child.hash, 2)).toHaveLength(2);
});

test("the newest assets of a kind come first", async () => {
  const { library } = await setUp();
  for (const [index, name] of ["a", "b", "c"].entries()) await put(library, "blueprint", blueprint(name), [], 1000 + index);
  await put(library, "host", host);
  const names = await Promise.all(
    library.list("blueprint", 2).map(async ({ hash }) => (await library.get("blueprint", hash))?.name),
  );
  expect(names).toEqual(["c", "b"]);
});

test("L5: a field report is stored once per message", async () => {
  const { library } = await setUp();
  library.putFieldReport("m1", fieldReport("r-1", "first"), 1);
  library.putFieldReport("m1", fieldReport("r-1", "again"), 2);
  library.putFieldReport("m2", fieldReport("r-2", "second"), 3);
  expect(library.fieldReports(10).map(({ reason }) => reason)).toEqual(["second", "first"]);
  expect(library.fieldReports(10, "r-1")).toEqual([fieldReport("r-1", "first")]);
  expect(library.fieldReports(1)).toHaveLength(1);
  expect(() => library.putFieldReport("m3", { ...fieldReport(), trialFlops: -1 }, 4)).toThrow(ContractError);
});

test("L8: a policy's name leads to the policy that was stored last under it", async () => {
  const disk = createSimulatedDisk();
  const { library, index } = await testArtifacts({ fileSystem: disk, database: temporaryDatabase(), dataDir: "/" });
  const configured = configuredPolicy(MorphogeneticConfig.parse({}), calibration);
  const policy = (confidenceMin: number): Policy => ({
    ...configured,
    name: "careful",
    trigger: { ...configured.trigger, confidenceMin },
  });
  const store = (asset: Policy, createdAtMs: number) =>
    library.put({ kind: "policy", asset, inputs: [], source: "command q1", producer: "tamiyo", createdAtMs });
  const first = await store(policy(0.5), 1);
  const second = await store(policy(0.9), 2);
  expect(index.find("policy", "careful")?.hash).toBe(second.hash);
  expect(await library.get("policy", first.hash)).toEqual(policy(0.5));
  await store(policy(0.5), 3);
  expect(index.find("policy", "careful")?.hash).toBe(first.hash);
});
