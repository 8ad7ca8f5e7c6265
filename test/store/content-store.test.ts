/** Content-addressed files: identity, corruption, loss of power, bounds. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ContractError, DataError, ServiceError } from "../../src/contracts/errors.ts";
import { openContentStore } from "../../src/store/content-store.ts";
import { sha256 } from "../../src/store/json.ts";
import { createSimulatedDisk, type SimulatedDisk, survivals } from "../support/simulated-disk.ts";

fc.configureGlobal({ seed: 20, numRuns: 100 });

const open = (disk: SimulatedDisk, fileBytesMax = 1000) =>
  openContentStore({ fileSystem: disk, folder: "/data/assets", fileBytesMax });
const pathOf = (hash: string): string => `/data/assets/${hash.slice(0, 2)}/${hash.slice(2)}`;
const payload = (text: string): Uint8Array => new TextEncoder().encode(text);

test("C3: bytes come back under their SHA-256, and putting them again changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 6 }), async (contents) => {
      const disk = createSimulatedDisk();
      const store = await open(disk);
      const hashes = await Promise.all(contents.map((bytes) => store.put(bytes)));
      const files = disk.files();
      expect(hashes).toEqual(contents.map((bytes) => sha256(bytes)));
      expect(files).toHaveLength(new Set(hashes).size);
      const again = await open(disk);
      for (const [index, hash] of hashes.entries()) {
        expect(await again.put(contents[index]!)).toBe(hash);
        expect(await again.has(hash)).toBe(true);
        expect([...((await again.get(hash)) ?? [])]).toEqual([...contents[index]!]);
      }
      expect(disk.files()).toEqual(files);
    }),
  );
});

test("C3: the same bytes put by several at once make one file", async () => {
  const disk = createSimulatedDisk();
  const store = await open(disk);
  const hashes = await Promise.all([1, 2, 3, 4].map(() => store.put(payload("same"))));
  expect(new Set(hashes).size).toBe(1);
  expect(disk.files()).toEqual([`${pathOf(hashes[0]!)} 4`]);
});

test("C2: any changed byte, cut or addition is a DataError that names the file and both hashes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (bytes, at, flip) => {
        const place = at % bytes.length;
        const changes = [
          (old: Uint8Array) => old.with(place, old[place]! ^ flip),
          (old: Uint8Array) => old.slice(0, place),
          (old: Uint8Array) => Uint8Array.from([...old, flip]),
        ];
        for (const change of changes) {
          const disk = createSimulatedDisk();
          const store = await open(disk);
          const hash = await store.put(bytes);
          disk.damage(pathOf(hash), change);
          const found = sha256(await disk.read(pathOf(hash)));
          const result = await store.get(hash).catch((error: unknown) => error);
          expect(result).toBeInstanceOf(DataError);
          expect(String(result)).toContain(`asset file ${pathOf(hash)}: expected SHA-256 ${hash}, found SHA-256 ${found}`);
          await store.put(bytes); // C3
          expect([...((await store.get(hash)) ?? [])]).toEqual([...bytes]);
        }
      },
    ),
  );
});

test("C1: at whatever operation the power goes, a name holds whole bytes or is not there, and what was told is there", async () => {
  for (const survival of survivals) {
    let finished = false;
    for (let at = 0; !finished; at++) {
      const disk = createSimulatedDisk();
      const first = await (await open(disk)).put(payload("the first asset"));
      const store = await open(disk);
      disk.losePowerAt(disk.operations() + at);
      const put = await store.put(payload("the second asset")).catch(() => undefined);
      disk.restart(survival);
      const again = await open(disk);
      expect(await again.get(first)).toEqual(payload("the first asset"));
      const second = await again.get(sha256("the second asset"));
      if (put !== undefined || second !== undefined) expect(second).toEqual(payload("the second asset"));
      expect(await again.put(payload("the second asset"))).toBe(sha256("the second asset"));
      expect(disk.files()).toHaveLength(2);
      finished = put !== undefined;
    }
  }
});

test("a full disk is a ServiceError; what was there stays and nothing half-written is left", async () => {
  for (let at = 0; at < 12; at++) {
    const disk = createSimulatedDisk();
    const store = await open(disk);
    const first = await store.put(payload("the first asset"));
    const files = disk.files();
    disk.fillAt(disk.operations() + at);
    const result = await store.put(payload("the second asset")).catch((error: unknown) => error);
    if (typeof result === "string") continue;
    expect(result).toBeInstanceOf(ServiceError);
    expect(String(result)).toMatch(/expected room on the disk, found it full/);
    expect(disk.files()).toEqual(files);
    expect(await store.get(first)).toEqual(payload("the first asset"));
    disk.free();
    expect(await store.get(await store.put(payload("the second asset")))).toEqual(payload("the second asset"));
  }
});

test("C4: the bound holds for writing and for reading", async () => {
  const disk = createSimulatedDisk();
  const store = await open(disk, 10);
  const hash = await store.put(new Uint8Array(10));
  await expect(store.put(new Uint8Array(11))).rejects.toThrow(ContractError);
  await expect(store.put(new Uint8Array(11))).rejects.toThrow("expected at most 10 bytes in one file, found 11");
  await expect((await open(disk, 9)).get(hash)).rejects.toThrow("10 bytes where at most 9 are allowed");
});

test("what is not there is undefined, and what is no hash is refused", async () => {
  const store = await open(createSimulatedDisk());
  expect(await store.get("0".repeat(64))).toBeUndefined();
  expect(await store.has("0".repeat(64))).toBe(false);
  await expect(store.get("../../etc/passwd")).rejects.toThrow(ContractError);
});
