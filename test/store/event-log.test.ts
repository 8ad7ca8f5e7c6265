/** The event log: what was told is on the disk, torn ends go, repeats are skipped, and the bound holds. */
import { expect, test } from "vitest";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { ContractError, DataError, ServiceError } from "../../src/contracts/errors.ts";
import { cutSubject, type EventLog, type EventLogOptions, openEventLog, readEventLog } from "../../src/store/event-log.ts";
import { createSimulatedDisk, type SimulatedDisk, survivals } from "../support/simulated-disk.ts";
import { envelope } from "./support.ts";

const file = "/data/runs/r-1/events.jsonl";
const open = (disk: SimulatedDisk, over: Partial<EventLogOptions> = {}): Promise<EventLog> =>
  openEventLog({ fileSystem: disk, file, bytesMax: 100_000, recentIdsMax: 100, tailBytes: 10_000, syncPolicy: "batch", ...over });
const readAll = async (disk: SimulatedDisk, chunkBytes?: number): Promise<Envelope[]> => {
  const all: Envelope[] = [];
  for await (const each of readEventLog(disk, file, chunkBytes)) all.push(each);
  return all;
};
const ids = async (disk: SimulatedDisk): Promise<string[]> => (await readAll(disk)).map(({ id }) => id);
const many = (count: number): Envelope[] =>
  Array.from({ length: count }, (_, index) => envelope(`e${index}`, { index, text: "ü".repeat(index) }));

test("envelopes come back in order, whatever the size of the chunks", async () => {
  const disk = createSimulatedDisk();
  const log = await open(disk);
  expect(await log.append(many(12))).toEqual({ written: 12, duplicates: 0, cut: 0 });
  await log.close();
  await expect(log.append(many(1))).rejects.toThrow("expected an open log, found it closed");
  for (const chunkBytes of [1, 7, 64, 1_000_000]) expect(await readAll(disk, chunkBytes)).toEqual(many(12));
  await expect(readAll(createSimulatedDisk())).rejects.toThrow(/event log .*: expected a file, found nothing there/);
});

test("E1: calls made during a write share the next one", async () => {
  const disk = createSimulatedDisk();
  const log = await open(disk);
  const before = disk.operations();
  const outcomes = await Promise.all(many(50).map((each) => log.append([each])));
  expect(outcomes.every(({ written }) => written === 1)).toBe(true);
  expect(disk.operations() - before).toBe(4);
  expect(await ids(disk)).toEqual(many(50).map(({ id }) => id));
});

test("E1, E2: at whatever operation the power goes, what was told is there, whole lines only, and the rest can be told again", async () => {
  for (const survival of survivals) {
    let finished = false;
    for (let at = 0; !finished; at++) {
      const disk = createSimulatedDisk();
      const log = await open(disk);
      await log.append(many(3));
      disk.losePowerAt(disk.operations() + at);
      let told = 3;
      for (const count of [5, 8]) {
        const outcome = await log.append(many(count)).catch(() => undefined);
        if (outcome === undefined) break;
        told = count;
      }
      disk.restart(survival);
      const again = await open(disk);
      const found = await ids(disk);
      expect(found).toEqual(many(found.length).map(({ id }) => id));
      expect(found.length).toBeGreaterThanOrEqual(told);
      expect((await again.append(many(8))).written).toBe(8 - found.length);
      expect(await readAll(disk)).toEqual(many(8));
      finished = told === 8;
    }
  }
});

test("E2: every cut inside the last line drops that line alone", async () => {
  const disk = createSimulatedDisk();
  await (await open(disk)).append(many(4));
  const whole = await disk.read(file);
  const lastStart = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
  for (let bytes = lastStart; bytes < whole.length; bytes++) {
    disk.damage(file, () => whole.slice(0, bytes));
    expect(await ids(disk)).toEqual(["e0", "e1", "e2"]);
    const log = await open(disk, { tailBytes: 16 });
    expect(log.tornBytes).toBe(bytes - lastStart);
    expect(await log.append([envelope("e2"), envelope("next")])).toEqual({ written: 1, duplicates: 1, cut: 0 });
    expect(await ids(disk)).toEqual(["e0", "e1", "e2", "next"]);
  }
});

test("E2: a broken line amid whole ones is damage: the reader names it, and opening drops nothing", async () => {
  const disk = createSimulatedDisk();
  await (await open(disk)).append(many(4));
  const second = (await disk.read(file)).indexOf(0x0a) + 5;
  disk.damage(file, (bytes) => bytes.with(second, 0));
  const { length } = await disk.read(file);
  expect((await open(disk)).tornBytes).toBe(0);
  expect(await disk.read(file)).toHaveLength(length);
  await expect(readAll(disk)).rejects.toThrow(DataError);
  await expect(readAll(disk)).rejects.toThrow(`event log ${file}, line 2: expected an envelope, found a line that is none`);
});

test("E2: after a full disk the next append begins where the last whole one ended", async () => {
  const disk = createSimulatedDisk();
  const log = await open(disk);
  await log.append(many(2));
  disk.fillAt(disk.operations());
  await expect(log.append(many(6))).rejects.toThrow(ServiceError);
  await expect(log.append(many(6))).rejects.toThrow(/expected room on the disk, found it full/);
  expect((await disk.read(file)).at(-1)).not.toBe(0x0a);
  disk.free();
  expect(await log.append(many(6))).toEqual({ written: 4, duplicates: 2, cut: 0 });
  expect(await readAll(disk)).toEqual(many(6));
});

test("E3: an id among the recent ones is not written again, across a restart too; memory is bounded", async () => {
  const disk = createSimulatedDisk();
  const log = await open(disk, { recentIdsMax: 3 });
  expect(await log.append([envelope("a"), envelope("b"), envelope("a")])).toEqual({ written: 2, duplicates: 1, cut: 0 });
  const again = await open(disk, { recentIdsMax: 3 });
  expect((await again.append([envelope("b"), envelope("c"), envelope("d")])).duplicates).toBe(1);
  expect((await again.append([envelope("b")])).duplicates).toBe(1);
  expect((await again.append([envelope("a")])).written).toBe(1);
});

test("E4: at its bound the log ends with a line that says so, and stays ended", async () => {
  const disk = createSimulatedDisk();
  const log = await open(disk, { bytesMax: 2048 });
  const outcome = await log.append(many(20));
  expect(outcome.written).toBeGreaterThan(2);
  expect(outcome.written + outcome.cut).toBe(20);
  const found = await readAll(disk);
  expect(found).toHaveLength(outcome.written + 1);
  expect(found.at(-1)).toMatchObject({ subject: cutSubject, payload: { bytesMax: 2048 } });
  const { length } = await disk.read(file);
  expect(length).toBeLessThanOrEqual(2048);
  expect(await log.append([envelope("late")])).toEqual({ written: 0, duplicates: 0, cut: 1 });
  expect(await (await open(disk, { bytesMax: 2048 })).append([envelope("later")])).toEqual({ written: 0, duplicates: 0, cut: 1 });
  expect(await disk.read(file)).toHaveLength(length);
  await expect(open(disk, { bytesMax: 1023 })).rejects.toThrow(ContractError);
});

test("without a sync for each batch the log is durable once closed", async () => {
  const disk = createSimulatedDisk();
  const log = await open(disk, { syncPolicy: "close" });
  await log.append(many(3));
  await log.close();
  disk.restart("synced");
  expect(await readAll(disk)).toEqual(many(3));
});

test("what is no envelope is refused", async () => {
  const log = await open(createSimulatedDisk());
  await expect(log.append([{ ...envelope("a"), traceId: "short" }])).rejects.toThrow(ContractError);
});
