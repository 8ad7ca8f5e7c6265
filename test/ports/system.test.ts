import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ServiceError } from "../../src/contracts/errors.ts";
import { createFileLog, createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "esper-ports-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const linesOf = (file: string): Record<string, unknown>[] =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("the log holds JSON lines at its level and no secret", () => {
  const file = join(folder, "deep", "node.log");
  const log = createFileLog({ file, level: "info" });
  log.debug("left out");
  log.child({ actor: "urza" }).info("connected", { url: "nats://127.0.0.1", password: "hunter2", nested: { token: "t0ken" } });
  log.close();
  expect(linesOf(file)).toMatchObject([
    { actor: "urza", msg: "connected", url: "nats://127.0.0.1", password: "[redacted]", nested: { token: "[redacted]" } },
  ]);
  expect(readFileSync(file, "utf8")).not.toMatch(/hunter2|t0ken/);
  expect(statSync(file).mode & 0o077).toBe(0);
});

test("user and password of a URL reach no line: in a message, in a field, in an error's words, at any depth", () => {
  const file = join(folder, "node.log");
  const log = createFileLog({ file, level: "debug" });
  const url = "nats://someone:hunter2/x@127.0.0.1:4222";
  log.warn(`lost ${url}`, { user: "someone", url, at: { a: { b: { c: [url, new Error(url).message] } } } });
  log.close();
  expect(readFileSync(file, "utf8")).not.toMatch(/hunter2|someone/);
  expect(linesOf(file)).toMatchObject([{ msg: "lost nats://[redacted]@127.0.0.1:4222", user: "[redacted]" }]);
});

test("a log past its bound keeps one older file", () => {
  const file = join(folder, "node.log");
  const log = createFileLog({ file, level: "info", bytesMax: 400 });
  for (let index = 0; index < 20; index++) log.info("line", { index });
  log.close();
  expect(statSync(file).size).toBeLessThanOrEqual(400);
  expect(statSync(`${file}.1`).size).toBeLessThanOrEqual(400);
  expect(linesOf(file).at(-1)).toMatchObject({ index: 19 });
  expect(log.lostLines()).toBe(0);
});

test("a closed log counts what it lost and does not throw", () => {
  const log = createFileLog({ file: join(folder, "node.log"), level: "info" });
  log.close();
  log.info("too late");
  expect(log.lostLines()).toBe(1);
});

test("a log that cannot be opened is a service error that names the file", () => {
  writeFileSync(join(folder, "file"), "");
  const file = join(folder, "file", "node.log");
  expect(() => createFileLog({ file, level: "info" })).toThrow(ServiceError);
  expect(() => createFileLog({ file, level: "info" })).toThrow(/expected to write the log .*; check the data directory/);
});

test("the clock's monotonic time never falls and a cancelled timer does not fire", async () => {
  const clock = createSystemClock();
  const fired: string[] = [];
  clock.schedule(0, () => fired.push("cancelled"))();
  const before = clock.monotonicMs();
  await new Promise<void>((resolve) => clock.schedule(1, resolve));
  expect(clock.monotonicMs()).toBeGreaterThanOrEqual(before);
  expect(fired).toEqual([]);
});

test("tokens have two letters a byte and differ", () => {
  const entropy = createSystemEntropy();
  expect(entropy.token(16)).toMatch(/^[0-9a-f]{32}$/);
  expect(entropy.token(16)).not.toBe(entropy.token(16));
});
