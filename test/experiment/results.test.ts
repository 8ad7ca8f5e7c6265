/** The folder of an experiment, on the real disk. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, InputError } from "../../src/contracts/errors.ts";
import { openResultFolder } from "../../src/experiment/results.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { resultOf } from "./fixture.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "esper-experiment-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const open = (resume: boolean) => openResultFolder(nodeFileSystem, join(root, "deep", "er"), resume);
const file = () => join(root, "deep", "er", "results.jsonl");

describe("results", () => {
  test("O1 what was appended is there again, and a line that was cut off is taken away", async () => {
    const folder = await open(false);
    await folder.append(resultOf("a", 0.5));
    await folder.append(resultOf("b", 0.6));
    appendFileSync(file(), '{"version":1,"key":"c');
    const again = await open(true);
    expect([...again.results.values()].map(({ label }) => label)).toEqual(["a", "b"]);
    await again.append(resultOf("c", 0.7));
    expect(readFileSync(file(), "utf8").trimEnd().split("\n")).toHaveLength(3);
    expect((await open(true)).results.size).toBe(3);
  });

  test("O2 the last line of a key wins, and a failed job is not done", async () => {
    const folder = await open(false);
    await folder.append(resultOf("a", 0.5, { outcome: "failed" }));
    await folder.append(resultOf("b", 0.6));
    await folder.append(resultOf("b", 0.6, { outcome: "failed" }));
    await folder.append(resultOf("c", 0.1, { outcome: "failed" }));
    await folder.append(resultOf("c", 0.7));
    expect([...(await open(true)).results.values()].map(({ label }) => label)).toEqual(["c"]);
  });

  test("a folder with results is not written to unless asked to go on", async () => {
    const folder = await open(false);
    await folder.append(resultOf("a", 0.5));
    await expect(open(false)).rejects.toThrow(InputError);
    await expect(open(false)).rejects.toThrow(/found 1 results .*--resume.*--out/);
  });

  test("a damaged line is told with its number", async () => {
    const folder = await open(false);
    await folder.append(resultOf("a", 0.5));
    appendFileSync(file(), '{"version":1}\n');
    await expect(open(true)).rejects.toThrow(/results\.jsonl line 2: expected a job's result, found key/);
    writeFileSync(file(), "not json\n");
    await expect(open(true)).rejects.toThrow(DataError);
  });

  test("hosts: absent, damaged", async () => {
    const folder = await open(false);
    expect(await folder.loadHost("k")).toBeUndefined();
    writeFileSync(join(root, "deep", "er", "hosts", "k.json"), '{"name":');
    await expect(folder.loadHost("k")).rejects.toThrow(/expected a host, found/);
  });
});
