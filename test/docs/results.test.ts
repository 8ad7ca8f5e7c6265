/** README.md shows the figures of growth as bench/RESULTS.md has them: one run wrote both. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { partOf } from "../../bench/results-file.ts";

const read = (name: string): string => readFileSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)), "utf8");

/** Cells of the table's rows, head and rule left out. */
const rowsOf = (part: string): string[][] =>
  part
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

it("each row of README's results stands in bench/RESULTS.md, and no miss is left out", () => {
  const shown = rowsOf(partOf(read("README.md"), "growth") ?? "");
  const written = rowsOf(partOf(read("bench/RESULTS.md"), "growth") ?? "").map((cells) => cells.slice(0, 4));
  expect(shown.length).toBeGreaterThan(5);
  for (const row of shown) expect(written).toContainEqual(row);
  const misses = written.filter(([what, , , reached]) => reached === "**missed**" && !what?.startsWith("—"));
  for (const miss of misses) expect(shown).toContainEqual(miss);
});
