/** Circles among the imports that are left when types are erased. dependency-cruiser's swc reader cannot tell types from values. Pure. */
import { posix } from "node:path";
import { type ModuleItem, parseSync } from "@swc/core";
import type { SourceFile } from "./style.ts";

const specifierOf = (item: ModuleItem): string | undefined => {
  switch (item.type) {
    case "ImportDeclaration": {
      const onlyTypes =
        item.typeOnly ||
        (item.specifiers.length > 0 && item.specifiers.every((one) => one.type === "ImportSpecifier" && one.isTypeOnly));
      return onlyTypes ? undefined : item.source.value;
    }
    case "ExportAllDeclaration":
      return item.source.value;
    case "ExportNamedDeclaration":
      return "typeOnly" in item && item.typeOnly ? undefined : item.source?.value;
    default:
      return undefined;
  }
};

/** The files that a file loads before itself. */
const loads = ({ path, text }: SourceFile): string[] =>
  parseSync(text, { syntax: "typescript" })
    .body.map(specifierOf)
    .filter((specifier) => specifier?.startsWith("."))
    .map((specifier) => posix.join(posix.dirname(path), specifier ?? ""));

/** Each circle once, as `a → b → a`, by depth-first search. */
export const importCycles = (files: readonly SourceFile[]): string[] => {
  const graph = new Map(files.map((file) => [file.path, loads(file)]));
  const done = new Set<string>();
  const way: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string): void => {
    const at = way.indexOf(path);
    if (at >= 0) cycles.push([...way.slice(at), path].join(" → "));
    if (at >= 0 || done.has(path)) return;
    way.push(path);
    for (const next of graph.get(path) ?? []) visit(next);
    way.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return cycles;
};
