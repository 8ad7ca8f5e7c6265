/** Checkpoints: complete or not there, verified on load, safe from a loss of power and a full disk. */
import { expect, test } from "vitest";
import { z } from "zod";
import type { IndexEntry, IndexKind } from "../../src/contracts/artifact.ts";
import { ContractError, DataError, ServiceError } from "../../src/contracts/errors.ts";
import type { ArtifactIndexFile } from "../../src/store/artifact-index-file.ts";
import { type Checkpoints, type CheckpointsOptions, openCheckpoints } from "../../src/store/checkpoints.ts";
import { type FileSystem, nodeFileSystem } from "../../src/store/file-system.ts";
import type { TensorRecord } from "../../src/store/safetensors.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { createSimulatedDisk, survivals } from "../support/simulated-disk.ts";
import { temporaryFolder, testRing, testSigner } from "./support.ts";

const stateSchema = z.strictObject({ step: z.int(), note: z.string() });
const tensorsOf = (value: number): TensorRecord => ({
  "host/w": { dtype: "float32", shape: [2, 2], data: Float32Array.of(value, -value, 0.1, Number.NaN) },
  ids: { dtype: "int32", shape: [1], data: Int32Array.of(value) },
});
const index = (): ArtifactIndexFile => {
  const entries = new Map<string, IndexEntry>();
  const find = (kind: IndexKind, name: string): IndexEntry | undefined => entries.get(`${kind} ${name}`);
  return {
    find,
    standing: find,
    set: async (entry) => void entries.set(`${entry.kind} ${entry.name}`, { ...entry, version: 1 }),
    version: () => 1,
    entries: () => [...entries.values()],
    close: async () => undefined,
  };
};
const open = (disk: FileSystem, over: Partial<CheckpointsOptions> = {}): Promise<Checkpoints> =>
  openCheckpoints({
    fileSystem: disk,
    folder: "/data/checkpoints",
    clock: createSimulatedClock({ startMs: 500 }),
    fileBytesMax: 10_000,
    headerBytesMax: 5_000,
    ring: testRing,
    signer: testSigner,
    index: index(),
    toolchain: "esper test",
    ...over,
  });
const save = (checkpoints: Checkpoints, epoch: number, value = epoch, runId = "r-1") =>
  checkpoints.save({ runId, epoch, tensors: tensorsOf(value), state: { step: value, note: "é" } });
const epochs = async (checkpoints: Checkpoints): Promise<number[]> => (await checkpoints.list("r-1")).map(({ epoch }) => epoch);
const stepAt = async (checkpoints: Checkpoints, epoch: number): Promise<number> => {
  const { state, tensors } = await checkpoints.load(`/data/checkpoints/r-1/${epoch}`, stateSchema);
  expect(tensors["ids"]!.data[0]).toBe(state.step);
  return state.step;
};
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test("what was saved is loaded, bit for bit; a run's folder stands for its last checkpoint", async () => {
  const checkpoints = await open(createSimulatedDisk());
  await save(checkpoints, 9);
  const saved = await save(checkpoints, 10);
  expect(saved).toMatchObject({ runId: "r-1", epoch: 10, path: "/data/checkpoints/r-1/10" });
  const loaded = await checkpoints.load("/data/checkpoints/r-1", stateSchema);
  expect(loaded).toMatchObject({ runId: "r-1", epoch: 10, createdAtMs: 500, path: saved.path, state: { step: 10, note: "é" } });
  expect(loaded.tensors).toEqual(tensorsOf(10));
  expect(await epochs(checkpoints)).toEqual([9, 10]);
  expect(await checkpoints.list("r-2")).toEqual([]);
});

test("the real disk takes them too", async () => {
  const folder = temporaryFolder();
  const checkpoints = await open(nodeFileSystem, { folder: `${folder}/checkpoints` });
  for (const value of [1, 2]) await save(checkpoints, 4, value);
  await save(checkpoints, 5);
  expect(await nodeFileSystem.list(`${folder}/checkpoints/r-1`)).toEqual(["4", "5"]);
  expect((await checkpoints.load(`${folder}/checkpoints/r-1/4`, stateSchema)).state.step).toBe(2);
  expect(await checkpoints.prune("r-1", 1)).toEqual([`${folder}/checkpoints/r-1/4`]);
  expect(await nodeFileSystem.list(`${folder}/checkpoints/r-1`)).toEqual(["5"]);
});

test("K2: any changed byte of any file, a missing file or a cut one is a DataError that names the file", async () => {
  const folder = "/data/checkpoints/r-1/1";
  for (const name of ["tensors.safetensors", "state.json", "manifest.json"]) {
    const disk = createSimulatedDisk();
    const checkpoints = await open(disk);
    await save(checkpoints, 1);
    const whole = await disk.read(`${folder}/${name}`);
    const damages = [
      ...Array.from(whole, (byte, at) => whole.with(at, byte ^ 1)),
      whole.subarray(0, whole.length - 1),
      new Uint8Array(),
    ];
    for (const damaged of damages) {
      disk.damage(`${folder}/${name}`, () => damaged);
      const error = await failure(checkpoints.load(folder, stateSchema));
      expect(error).toBeInstanceOf(DataError);
      expect(String(error)).toMatch(/\/data\/checkpoints\/r-1\/1.*expected .+, found/s);
    }
    await disk.remove(`${folder}/${name}`);
    expect(await failure(checkpoints.load(folder, stateSchema))).toBeInstanceOf(DataError);
  }
});

test("K2: hashes, a state of another shape and a wrong path are told with what to do", async () => {
  const disk = createSimulatedDisk();
  const checkpoints = await open(disk);
  await save(checkpoints, 1);
  const folder = "/data/checkpoints/r-1/1";
  await expect(checkpoints.load(folder, z.strictObject({ other: z.int() }))).rejects.toThrow(
    /state\.json: expected it to fit its schema/,
  );
  await expect(checkpoints.load("/elsewhere", stateSchema)).rejects.toThrow(
    "checkpoint /elsewhere: expected the folder of a complete checkpoint, found nothing there; name a folder <data directory>/checkpoints/<run>/<epoch>",
  );
  disk.damage(`${folder}/state.json`, (bytes) => bytes.with(3, 0x41));
  await expect(checkpoints.load(folder, stateSchema)).rejects.toThrow(
    /state\.json: expected \d+ bytes with SHA-256 [0-9a-f]{64}, found \d+ bytes with [0-9a-f]{64}; the file is damaged: use an older checkpoint/,
  );
});

test("K1, K4: at whatever operation the power goes, all that is listed loads, and what was told is there", async () => {
  for (const survival of survivals) {
    for (const epoch of [2, 1]) {
      let told = false;
      for (let at = 0; !told; at++) {
        const disk = createSimulatedDisk();
        const checkpoints = await open(disk);
        await save(checkpoints, 1);
        disk.losePowerAt(disk.operations() + at);
        told = (await failure(save(checkpoints, epoch, 7))) === undefined;
        disk.restart(survival);
        const again = await open(disk);
        const listed = await epochs(again);
        expect(listed[0]).toBe(1);
        const steps = await Promise.all(listed.map((each) => stepAt(again, each)));
        expect(epoch === 2 ? [[1], [1, 7]] : [[1], [7]]).toContainEqual(steps);
        if (told) expect(steps.at(-1)).toBe(7);
        expect(disk.files()).toHaveLength(4 * listed.length);
      }
    }
  }
});

test("K1: at whatever operation the power goes while pruning, all that is listed loads", async () => {
  for (const survival of survivals) {
    let pruned = false;
    for (let at = 0; !pruned; at++) {
      const disk = createSimulatedDisk();
      const checkpoints = await open(disk);
      for (const epoch of [1, 2, 10]) await save(checkpoints, epoch);
      disk.losePowerAt(disk.operations() + at);
      pruned = (await failure(checkpoints.prune("r-1", 1))) === undefined;
      disk.restart(survival);
      const again = await open(disk);
      const listed = await epochs(again);
      expect(listed.at(-1)).toBe(10);
      expect(await Promise.all(listed.map((epoch) => stepAt(again, epoch)))).toEqual(listed);
      if (pruned) expect(listed).toEqual([10]);
    }
  }
});

test("K3: a full disk is a ServiceError, leaves no half checkpoint and the one before it intact", async () => {
  let refused = 0;
  for (let at = 0; at < 14; at++) {
    const disk = createSimulatedDisk();
    const checkpoints = await open(disk);
    await save(checkpoints, 1);
    const files = disk.files();
    disk.fillAt(disk.operations() + at);
    const error = await failure(save(checkpoints, 2));
    if (error === undefined) continue;
    refused++;
    expect(error).toBeInstanceOf(ServiceError);
    expect(String(error)).toMatch(
      /checkpoint of window 2 \(\/data\/checkpoints\/r-1\/2\): expected room on the disk, found it full \(ENOSPC\); free some space/,
    );
    expect(disk.files()).toEqual(files);
    expect(await disk.list("/data/checkpoints/r-1")).toEqual(["1"]);
    expect(await stepAt(checkpoints, 1)).toBe(1);
    disk.free();
    await save(checkpoints, 2);
    expect(await stepAt(checkpoints, 2)).toBe(2);
  }
  expect(refused).toBeGreaterThan(3);
});

test("K5: the bounds of files and headers hold, and what JSON cannot hold is refused", async () => {
  const disk = createSimulatedDisk();
  await save(await open(disk), 1);
  const tight = await open(disk, { fileBytesMax: 100 });
  expect(await failure(save(tight, 2))).toBeInstanceOf(ContractError);
  await expect(save(tight, 2)).rejects.toThrow(/expected at most 100 bytes, found \d+/);
  await expect(tight.load("/data/checkpoints/r-1/1", stateSchema)).rejects.toThrow(/expected at most 100 bytes/);
  await expect((await open(disk, { headerBytesMax: 16 })).load("/data/checkpoints/r-1/1", stateSchema)).rejects.toThrow(
    /header length: expected at most 16/,
  );
  await expect((await open(disk)).save({ runId: "r-1", epoch: 3, tensors: {}, state: { loss: Number.NaN } })).rejects.toThrow(
    ContractError,
  );
  await expect((await open(disk)).save({ runId: "../x", epoch: 3, tensors: {}, state: 1 })).rejects.toThrow(ContractError);
  expect(disk.files()).toHaveLength(4);
});

test("the newest `keep` stay", async () => {
  const checkpoints = await open(createSimulatedDisk());
  for (const epoch of [2, 10, 1, 30]) await save(checkpoints, epoch);
  expect(await checkpoints.prune("r-1", 2)).toEqual(["/data/checkpoints/r-1/1", "/data/checkpoints/r-1/2"]);
  expect(await epochs(checkpoints)).toEqual([10, 30]);
  expect(await checkpoints.prune("r-1", 2)).toEqual([]);
});
