/** Checks on source text that no import table can express. Pure: text in, violations out. */
import { parseSync } from "@swc/core";

export interface SourceFile {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** What reaches for the outside world, and the only files that may. */
const ambient: readonly { readonly name: string; readonly allowedIn: RegExp }[] = [
  { name: "Date.now", allowedIn: /^src\/(ports\/|visualizer\/lib\/clock\.ts$)/ },
  { name: "new Date()", allowedIn: /^src\/ports\// },
  { name: "Math.random", allowedIn: /^src\/ports\// },
  { name: "performance.now", allowedIn: /^src\/ports\/|\.worker\.ts$/ },
  { name: "process.hrtime", allowedIn: /^src\/ports\// },
  { name: "setTimeout()", allowedIn: /^src\/(ports\/|visualizer\/lib\/clock\.ts$)/ },
  { name: "setInterval()", allowedIn: /^src\/ports\// },
  { name: "node:timers", allowedIn: /^src\/ports\// },
  { name: "process.env", allowedIn: /^src\/(main|bus\/server-process)\.ts$/ },
  { name: "process.exit", allowedIn: /^src\/(main|ports\/end-process)\.ts$/ },
];

export const ambientNames: readonly string[] = ambient.map(({ name }) => name);

/** `path: name` for each use of the outside world in a file that may not. */
export const ambientUses = ({ path, text }: SourceFile): string[] => {
  const used = new Set<string>();
  walk(parseSync(text, { syntax: "typescript" }), (node) => {
    const name = ambientName(node);
    if (name !== undefined) used.add(name);
  });
  return ambient.filter(({ name, allowedIn }) => used.has(name) && !allowedIn.test(path)).map(({ name }) => `${path}: ${name}`);
};

type AstNode = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is AstNode => typeof value === "object" && value !== null;

const walk = (value: unknown, visit: (node: AstNode) => void): void => {
  if (Array.isArray(value)) for (const item of value) walk(item, visit);
  else if (isNode(value)) {
    visit(value);
    for (const child of Object.values(value)) walk(child, visit);
  }
};

const identifier = (value: unknown): string | undefined => {
  if (!isNode(value)) return undefined;
  if (value["type"] === "Identifier" && typeof value["value"] === "string") return value["value"];
  if (value["type"] === "Computed" && isNode(value["expression"]) && typeof value["expression"]["value"] === "string")
    return value["expression"]["value"];
  return undefined;
};

const ambientName = (node: AstNode): string | undefined => {
  switch (node["type"]) {
    case "MemberExpression": {
      const [object, property] = [identifier(node["object"]), identifier(node["property"])];
      if (object === "globalThis" && (property === "setTimeout" || property === "setInterval")) return `${property}()`;
      return `${object}.${property}`;
    }
    case "CallExpression": {
      const callee = identifier(node["callee"]);
      return callee === undefined ? undefined : `${callee}()`;
    }
    case "NewExpression": {
      const bare = !Array.isArray(node["arguments"]) || node["arguments"].length === 0;
      return identifier(node["callee"]) === "Date" && bare ? "new Date()" : undefined;
    }
    case "ImportDeclaration": {
      const source = isNode(node["source"]) ? node["source"]["value"] : undefined;
      return typeof source === "string" && /^(node:)?timers(\/|$)/.test(source) ? "node:timers" : undefined;
    }
    default:
      return undefined;
  }
};

export const fileLinesMax = 500;

export const longFiles = ({ path, text }: SourceFile): string[] => {
  const lines = text.split("\n").length - 1;
  return lines > fileLinesMax ? [`${path}: ${lines} lines, at most ${fileLinesMax}`] : [];
};

/** Words are put together here, so that this file does not find itself. */
const unwanted: readonly { readonly name: string; readonly pattern: RegExp }[] = [
  { name: "open end", pattern: new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X"].join("|")})\\b`) },
  {
    name: "silenced compiler",
    pattern: new RegExp(["@ts-" + "ignore", "@ts-" + "nocheck", "as " + "any\\b", "as unknown " + "as\\b"].join("|")),
  },
  {
    name: "test left out",
    pattern: new RegExp(`\\b(test|it|describe)\\.(${["ski" + "p", "onl" + "y", "tod" + "o"].join("|")})\\(`),
  },
];

export const unwantedNames: readonly string[] = unwanted.map(({ name }) => name);

export const unwantedText = ({ path, text }: SourceFile): string[] =>
  text
    .split("\n")
    .flatMap((line, index) =>
      unwanted.filter(({ pattern }) => pattern.test(line)).map(({ name }) => `${path}:${index + 1}: ${name}: ${line.trim()}`),
    );
