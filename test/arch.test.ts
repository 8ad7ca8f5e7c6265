/** The rules of the tree, and the proof that each of them catches what it forbids. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importCycles } from "./support/cycles.ts";
import {
  ambientNames,
  ambientUses,
  fileLinesMax,
  longFiles,
  type SourceFile,
  unwantedNames,
  unwantedText,
} from "./support/style.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);

interface CruiseResult {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly totalCruised: number;
    readonly violations: readonly { readonly from: string; readonly rule: { readonly name: string } }[];
  };
}

/** Runs the same command as `npm run arch`, for its JSON. */
const cruise = async (folder: string): Promise<CruiseResult> => {
  const bin = join(root, "node_modules", "dependency-cruiser", "bin", "dependency-cruise.mjs");
  const args = [bin, "src", "--config", ".dependency-cruiser.cjs", "--output-type", "json"];
  const { stdout } = await run(process.execPath, args, { cwd: folder, maxBuffer: 256 * 1024 * 1024 }).catch((error: unknown) => {
    // A run that finds violations exits with their number.
    if (error instanceof Error && "stdout" in error && typeof error.stdout === "string" && error.stdout !== "")
      return { stdout: error.stdout };
    throw error;
  });
  return JSON.parse(stdout) as CruiseResult;
};

const sourcesUnder = (folder: string, extensions: readonly string[]): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && extensions.some((extension) => entry.name.endsWith(extension)))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));

const read = (path: string): SourceFile => ({ path, text: readFileSync(join(root, path), "utf8") });

/** For each rule, a file that breaks it. The import alone decides. */
const planted: Readonly<Record<string, readonly { readonly file: string; readonly text: string }[]>> = {
  "contracts-src": [{ file: "contracts/planted-a.ts", text: 'import "../graph/bind.ts";' }],
  "contracts-npm": [{ file: "contracts/planted-b.ts", text: 'import "xstate";' }],
  "contracts-core": [{ file: "contracts/planted-c.ts", text: 'import "node:fs";' }],
  "machines-src": [{ file: "machines/planted-a.ts", text: 'import "../supervision/spec.ts";' }],
  "machines-npm": [{ file: "machines/planted-b.ts", text: 'import "pino";' }],
  "machines-core": [{ file: "machines/planted-c.ts", text: 'import "node:crypto";' }],
  "policy-src": [{ file: "policy/planted-a.ts", text: 'import "../graph/bind.ts";' }],
  "policy-npm": [{ file: "policy/planted-b.ts", text: 'import "xstate";' }],
  "policy-core": [{ file: "policy/planted-c.ts", text: 'import "node:path";' }],
  "supervision-src": [{ file: "supervision/planted-a.ts", text: 'import "../bus/bus.ts";' }],
  "supervision-npm": [{ file: "supervision/planted-b.ts", text: 'import "pino";' }],
  "supervision-core": [{ file: "supervision/planted-c.ts", text: 'import "node:child_process";' }],
  "graph-src": [{ file: "graph/planted-a.ts", text: 'import "../engine/engine.ts";' }],
  "graph-npm": [{ file: "graph/planted-b.ts", text: 'import "ml-matrix";' }],
  "graph-core": [{ file: "graph/planted-c.ts", text: 'import "node:fs";' }],
  "growth-src": [{ file: "growth/planted-a.ts", text: 'import "../graph/bind.ts";' }],
  "growth-npm": [{ file: "growth/planted-b.ts", text: 'import "yaml";' }],
  "growth-core": [{ file: "growth/planted-c.ts", text: 'import "node:fs";' }],
  "engine-src": [
    { file: "engine/planted-a.ts", text: 'import "../growth/planted-d.ts";' },
    { file: "growth/planted-d.ts", text: "" },
  ],
  "engine-npm": [{ file: "engine/planted-b.ts", text: 'import "pino";' }],
  "data-src": [{ file: "data/planted-a.ts", text: 'import "../graph/bind.ts";' }],
  "data-npm": [{ file: "data/planted-b.ts", text: 'import "yaml";' }],
  "solo-src": [{ file: "solo/planted-a.ts", text: 'import "../bus/bus.ts";' }],
  "solo-npm": [{ file: "solo/planted-b.ts", text: 'import "pino";' }],
  "solo-core": [{ file: "solo/planted-c.ts", text: 'import "node:fs";' }],
  "interchange-src": [{ file: "interchange/planted-a.ts", text: 'import "../bus/bus.ts";' }],
  "interchange-npm": [{ file: "interchange/planted-b.ts", text: 'import "pino";' }],
  "library-src": [{ file: "library/planted-a.ts", text: 'import "../bus/bus.ts";' }],
  "library-npm": [{ file: "library/planted-b.ts", text: 'import "pino";' }],
  "experiment-src": [{ file: "experiment/planted-a.ts", text: 'import "../bus/bus.ts";' }],
  "experiment-npm": [{ file: "experiment/planted-b.ts", text: 'import "pino";' }],
  "resilience-src": [{ file: "resilience/planted-a.ts", text: 'import "../bus/create.ts";' }],
  "resilience-npm": [{ file: "resilience/planted-b.ts", text: 'import "zod";' }],
  "resilience-core": [{ file: "resilience/planted-c.ts", text: 'import "node:net";' }],
  "bus-src": [{ file: "bus/planted-a.ts", text: 'import "../supervision/spec.ts";' }],
  "bus-npm": [{ file: "bus/planted-b.ts", text: 'import "pino";' }],
  "store-src": [{ file: "store/planted-a.ts", text: 'import "../bus/bus.ts";' }],
  "store-npm": [{ file: "store/planted-b.ts", text: 'import "yaml";' }],
  "config-src": [{ file: "config/planted-a.ts", text: 'import "../graph/bind.ts";' }],
  "config-npm": [{ file: "config/planted-b.ts", text: 'import "pino";' }],
  "config-core": [{ file: "config/planted-c.ts", text: 'import "node:net";' }],
  "ports-src": [{ file: "ports/planted-a.ts", text: 'import "../bus/bus.ts";' }],
  "ports-npm": [{ file: "ports/planted-b.ts", text: 'import "yaml";' }],
  "view-src": [{ file: "view/planted-a.ts", text: 'import "../store/database.ts";' }],
  "view-npm": [{ file: "view/planted-b.ts", text: 'import "zod";' }],
  "view-core": [{ file: "view/planted-c.ts", text: 'import "node:fs";' }],
  "visualizer-src": [{ file: "visualizer/planted-a.ts", text: 'import "../store/database.ts";' }],
  "visualizer-npm": [{ file: "visualizer/planted-b.ts", text: 'import "zod";' }],
  "visualizer-core": [{ file: "visualizer/planted-c.ts", text: 'import "node:fs";' }],
  "http-src": [{ file: "http/planted-a.ts", text: 'import "../store/database.ts";' }],
  "http-npm": [{ file: "http/planted-b.ts", text: 'import "pino";' }],
  "actors-src": [{ file: "actors/planted-a.ts", text: 'import "../engine/engine.ts";' }],
  "actors-npm": [{ file: "actors/planted-b.ts", text: 'import "pino";' }],
  "actors-core": [{ file: "actors/planted-c.ts", text: 'import "node:net";' }],
  "workers-src": [{ file: "workers/planted-a.ts", text: 'import "../engine/engine.ts";' }],
  "workers-npm": [{ file: "workers/planted-b.ts", text: 'import "lru-cache";' }],
  "session-src": [{ file: "workers/planted.worker.ts", text: 'import "../bus/bus.ts";' }],
  "session-npm": [{ file: "workers/session/planted-b.ts", text: 'import "pino";' }],
  "no-actor-to-actor": [{ file: "actors/karn.ts", text: 'import "./urza.ts";' }],
  "one-nats-importer": [{ file: "bus/planted-d.ts", text: 'import "nats";' }],
  "one-libsql-importer": [{ file: "store/planted-d.ts", text: 'import "libsql";' }],
  "engine-owns-backends": [{ file: "workers/session/planted-d.ts", text: 'import "onnxruntime-node";' }],
  "lanes-own-piscina": [{ file: "cli/planted-d.ts", text: 'import "piscina";' }],
  "nothing-imports-the-shell": [{ file: "index-planted.ts", text: 'import "./cli/context.ts";' }],
  "no-unresolved": [{ file: "graph/planted-z.ts", text: 'import "./nowhere.ts";' }],
  "no-dev-dependency": [{ file: "cli/planted-e.ts", text: 'import "fast-check";' }],
};

const config = createRequire(import.meta.url)("../.dependency-cruiser.cjs") as { forbidden: { name: string }[] };

describe("import rules", () => {
  let copy = "";
  let found: CruiseResult;

  beforeAll(async () => {
    copy = mkdtempSync(join(tmpdir(), "esper-arch-"));
    cpSync(join(root, "src"), join(copy, "src"), { recursive: true });
    for (const file of [".dependency-cruiser.cjs", "package.json"]) cpSync(join(root, file), join(copy, file));
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "dir");
    for (const { file, text } of Object.values(planted).flat()) {
      mkdirSync(dirname(join(copy, "src", file)), { recursive: true });
      writeFileSync(join(copy, "src", file), `${text}\nexport {};\n`);
    }
    found = await cruise(copy);
  });

  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  test("the tree keeps every rule, and was really read", async () => {
    const { summary, modules } = await cruise(root);
    const sources = sourcesUnder("src", [".ts"]);
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.filter((path) => !modules.some((module) => module.source === path))).toEqual([]);
    expect(summary.violations.map(({ from, rule }) => `${rule.name}: ${from}`)).toEqual([]);
  });

  test("every rule has a planted violation", () => {
    expect(Object.keys(planted).sort()).toEqual(config.forbidden.map(({ name }) => name).sort());
  });

  test.each(Object.entries(planted))("%s is caught", (name, [first]) => {
    const from = found.summary.violations.filter(({ rule }) => rule.name === name).map((violation) => violation.from);
    expect(from).toContain(`src/${first?.file}`);
  });
});

describe("style rules", () => {
  const source = sourcesUnder("src", [".ts"]).map(read);
  const everything = ["src", "test", "scripts", "bench"]
    .flatMap((folder) => sourcesUnder(folder, [".ts", ".mjs", ".cjs"]))
    .map(read);

  test("only ports and main reach for the clock, random numbers, timers and the process", () => {
    expect(source.length).toBeGreaterThan(50);
    expect(source.flatMap(ambientUses)).toEqual([]);
  });

  const reaching: Readonly<Record<string, string>> = {
    "Date.now": "export const a = () => Date.now();",
    "new Date()": "export const a = new Date();",
    "Math.random": "const { x } = { x: Math.random() }; export { x };",
    "performance.now": "export const a = performance.now();",
    "process.hrtime": "export const a = process.hrtime.bigint();",
    "setTimeout()": "export const a = () => globalThis.setTimeout;",
    "setInterval()": "setInterval(() => {}, 1); export {};",
    "node:timers": 'import { setTimeout as wait } from "node:timers/promises"; export const a = wait(1);',
    "process.env": 'export const a = process["env"];',
    "process.exit": "export const a = (): never => process.exit(1);",
  };

  test.each(ambientNames)("%s is caught", (name) => {
    const text = reaching[name] ?? "";
    expect(ambientUses({ path: "src/actors/planted.ts", text })).toEqual([`src/actors/planted.ts: ${name}`]);
  });

  test("a comment, a string and a date of a given time are no use of the clock", () => {
    const text = '// Date.now()\nexport const a = "Math.random()"; export const b = (ms: number) => new Date(ms);';
    expect(ambientUses({ path: "src/actors/planted.ts", text })).toEqual([]);
  });

  test("no circle of imports", () => {
    expect(importCycles(source)).toEqual([]);
  });

  test("a circle is caught, also one by way of an export; a circle of types is none", () => {
    const file = (path: string, text: string): SourceFile => ({ path, text });
    const circle = [
      file("src/a.ts", 'import { b } from "./x/b.ts"; b;'),
      file("src/x/b.ts", 'export * from "./c.ts";'),
      file("src/x/c.ts", 'export { a } from "../a.ts";'),
    ];
    expect(importCycles(circle)).toEqual(["src/a.ts → src/x/b.ts → src/x/c.ts → src/a.ts"]);
    expect(importCycles([file("src/a.ts", 'import "./a.ts";')])).toEqual(["src/a.ts → src/a.ts"]);
    const types = [
      file("src/a.ts", 'import type { B } from "./b.ts"; export type A = B;'),
      file("src/b.ts", 'import { type A } from "./a.ts"; export type B = A;'),
    ];
    expect(importCycles(types)).toEqual([]);
  });

  test("every folder of src has its rules", () => {
    const ruled = new Set(config.forbidden.map(({ name }) => name.replace(/-(src|npm|core)$/, "")));
    const wiring = ["cli", "node", "http", "visualizer"];
    const folders = new Set(source.map(({ path }) => path.split("/")[1] ?? "").filter((name) => !name.endsWith(".ts")));
    expect([...folders].filter((folder) => !ruled.has(folder) && !wiring.includes(folder))).toEqual([]);
  });

  test(`no file is longer than ${fileLinesMax} lines`, () => {
    expect(everything.flatMap(longFiles)).toEqual([]);
    expect(longFiles({ path: "a.ts", text: "x\n".repeat(fileLinesMax) })).toEqual([]);
    expect(longFiles({ path: "a.ts", text: "x\n".repeat(fileLinesMax + 1) })).toHaveLength(1);
  });

  test("no open ends, no silenced compiler, no tests left out", () => {
    expect(everything.flatMap(unwantedText)).toEqual([]);
  });

  const unwantedSamples: Readonly<Record<string, string>> = {
    "open end": `// ${"TO"}${"DO"}: later`,
    "silenced compiler": `const a = b as ${"any"};`,
    "test left out": `test.${"only"}("a", () => {});`,
  };

  test.each(unwantedNames)("%s is caught", (name) => {
    expect(unwantedText({ path: "a.ts", text: unwantedSamples[name] ?? "" })).toHaveLength(1);
  });
});
