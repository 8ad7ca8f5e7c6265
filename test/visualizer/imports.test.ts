/** The page's JSX files, which the import table's reader cannot read, keep to the same rules: the folder's own, contracts, view, drawings. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync } from "@swc/core";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

const folders = ["src/visualizer/", "src/contracts/", "src/view/", "src/machines/drawing/"];
const packages = ["preact", "preact/hooks", "@preact/signals", "uplot", "uplot/dist/uPlot.min.css"];

/** Sources of the import statements of a file. */
const importsOf = (text: string): string[] =>
  parseSync(text, { syntax: "typescript", tsx: true }).body.flatMap((item) => {
    switch (item.type) {
      case "ImportDeclaration":
      case "ExportAllDeclaration":
        return [item.source.value];
      case "ExportNamedDeclaration":
        return item.source ? [item.source.value] : [];
      default:
        return [];
    }
  });

const violations = (path: string, text: string): string[] =>
  importsOf(text).flatMap((source) => {
    if (!source.startsWith(".")) return packages.includes(source) ? [] : [`${path}: ${source}`];
    const target = normalize(join(dirname(path), source))
      .split(sep)
      .join("/");
    return folders.some((folder) => target.startsWith(folder)) ? [] : [`${path}: ${target}`];
  });

const files = readdirSync(join(root, "src/visualizer"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".tsx"))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));

describe("imports of the page", () => {
  test("every JSX file keeps to the page's own folders and packages", () => {
    expect(files.length).toBeGreaterThan(15);
    expect(files.flatMap((path) => violations(path, readFileSync(join(root, path), "utf8")))).toEqual([]);
  });

  test.each([
    ['import { Database } from "../store/database.ts";', "src/store/database.ts"],
    ['import { z } from "zod";', "zod"],
    ['import { readFileSync } from "node:fs";', "node:fs"],
    ['export * from "../http/server.ts";', "src/http/server.ts"],
  ])("%s is caught", (text, named) => {
    expect(violations("src/visualizer/planted.tsx", text)).toEqual([`src/visualizer/planted.tsx: ${named}`]);
  });
});
