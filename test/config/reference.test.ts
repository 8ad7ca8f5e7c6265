import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { configKeys, readKeys } from "../../src/config/keys.ts";
import { configReference, referenceBegin, referenceEnd, withReference } from "../../src/config/reference.ts";

test("README.md holds the reference that the schema gives (npm run docs)", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  expect(withReference(readme)).toBe(readme);
});

test("every key has a description", () => {
  expect(configKeys.keys.filter((key) => !key.group && key.description === "").map((key) => key.path.join("."))).toEqual([]);
});

test("a row names key, value, default and description", () => {
  const table = configReference();
  expect(table).toContain(
    "| `optimization.epochs` | number > 0 and ≤ 10000 | `5` | Passes over the training data that the FLOPs budget of every arm is worth. |",
  );
  expect(table).toContain(
    "| `services.nats.url` | text | none | Only with `mode: external`. For example nats://127.0.0.1:4222; left out, `connection` tells it. |",
  );
});

test("a text without markers is left alone", () => {
  expect(withReference("# README")).toBeUndefined();
  expect(withReference(`${referenceEnd}${referenceBegin}`)).toBeUndefined();
});

test("the key table of a schema of our own", () => {
  const schema = z.strictObject({
    a: z.int().min(1).max(3).default(2).describe("A."),
    b: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("x"), c: z.boolean() }),
      z.strictObject({ kind: z.literal("y") }),
    ]),
  });
  const { keys, unions, namesUnder } = readKeys(schema);
  expect(keys.map(({ path, expected, onlyWith }) => [path.join("."), expected, onlyWith])).toEqual([
    ["a", "integer 1 to 3", undefined],
    ["b", "group chosen by `kind`", undefined],
    ["b.kind", "`x` or `y`", undefined],
    ["b.c", "true or false", "kind: x"],
  ]);
  expect(unions).toEqual([{ path: ["b"], discriminator: "kind", fallback: undefined }]);
  expect([namesUnder([]), namesUnder(["b"])]).toEqual([
    ["a", "b"],
    ["kind", "c"],
  ]);
});
