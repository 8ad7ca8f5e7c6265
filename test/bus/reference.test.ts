/** The tables of subjects and commands for the README. */
import { describe, expect, it } from "vitest";
import { commandReference, subjectReference, withTables } from "../../src/bus/reference.ts";
import { commandKinds, mayCommand, roles } from "../../src/contracts/roles.ts";
import { subjectNames } from "../../src/contracts/subjects.ts";

const cells = (line: string): string[] =>
  line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

describe("the references", () => {
  it("name every subject once, with as many cells in each row", () => {
    const [head, , ...rows] = subjectReference().split("\n");
    expect(rows).toHaveLength(subjectNames.length);
    for (const line of rows) expect(cells(line)).toHaveLength(cells(head ?? "").length);
    for (const name of subjectNames)
      expect(rows.filter((line) => line.startsWith(`| \`${name}\``) || line.startsWith(`| \`${name}.<`))).toHaveLength(1);
  });

  it("say of every role and command what the table of roles says", () => {
    const [head, , ...rows] = commandReference().split("\n");
    const columns = cells(head ?? "");
    for (const [index, kind] of commandKinds.entries()) {
      const row = cells(rows[index] ?? "");
      expect(row[0]).toBe(`\`${kind}\``);
      for (const role of roles)
        expect([kind, role, row[columns.indexOf(role)] === "yes"]).toEqual([kind, role, mayCommand(role, kind)]);
    }
  });

  it("are put between their markers, twice the same; a text without markers is told which", () => {
    const text = "a\n<!-- subjects:begin -->stale text<!-- subjects:end -->\nb\n<!-- commands:begin --><!-- commands:end -->\nc";
    const once = withTables(text);
    if (once.kind !== "written") throw new Error(once.markers.join());
    expect(once.text).toContain("control.kasmina.commands");
    expect(once.text).not.toContain("stale text");
    expect(withTables(once.text)).toEqual(once);
    expect(withTables("nothing")).toMatchObject({ kind: "missing", markers: { length: 4 } });
  });
});
