/** What a bench keeps of finished hosts: found again, the last of a key, and nothing of a line that a crash cut off. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { openKept } from "../../bench/kept.ts";

const folder = (): string => mkdtempSync(join(tmpdir(), "esper-kept-"));

test("values are found again by another opening of the file, the last of a key", () => {
  const root = folder();
  try {
    const file = join(root, "deep", "hosts.jsonl");
    const kept = openKept(file, z.number());
    expect(kept.get("a")).toBeUndefined();
    kept.put("a", 1);
    kept.put("b", 2);
    kept.put("a", 3);
    expect(kept.get("a")).toBe(3);
    const again = openKept(file, z.number());
    expect([again.get("a"), again.get("b"), again.get("c")]).toEqual([3, 2, undefined]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("a line that was cut off is taken away, and the next one stands on its own", () => {
  const root = folder();
  try {
    const file = join(root, "hosts.jsonl");
    openKept(file, z.number()).put("a", 1);
    appendFileSync(file, '{"key":"b","val');
    const kept = openKept(file, z.number());
    expect([kept.get("a"), kept.get("b")]).toEqual([1, undefined]);
    kept.put("c", 4);
    expect(readFileSync(file, "utf8").split("\n")).toHaveLength(3);
    expect(openKept(file, z.number()).get("c")).toBe(4);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("a value of another form is refused", () => {
  const root = folder();
  try {
    const file = join(root, "hosts.jsonl");
    writeFileSync(file, '{"key":"a","value":"one"}\n');
    expect(() => openKept(file, z.number())).toThrow(/expected number/);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
