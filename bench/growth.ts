/**
 * The figures of growth, with their controls: `npm run bench:growth [-- --only NAME …] [--quick] [--lanes 2] [--out DIR] [--write]`.
 * Resumable: results of finished jobs stay in the folder and are not run again. `--cifar10-dir` (or CIFAR10_DIR) and `--text FILE` name data.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ExperimentConfig } from "../src/contracts/experiment.ts";
import { runExperiment } from "../src/experiment/run-experiment.ts";
import { createSystemClock } from "../src/ports/system.ts";
import { type FigureRow, type Suite, type SuiteSources, suites } from "./growth-suites.ts";
import { writePart, writeReadmePart } from "./results-file.ts";
import { isMain, machineLine, table } from "./support.ts";

export interface GrowthOptions extends Omit<SuiteSources, "textFile"> {
  /** Names of suites. */
  readonly only: readonly string[];
  readonly lanes: number;
  readonly out: string;
  readonly textFile?: string;
  readonly datasetsFolder: string;
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

export interface SuiteOutcome {
  readonly suite: Suite;
  readonly rows: readonly FigureRow[];
  readonly failed: readonly { readonly label: string; readonly reason: string }[];
  readonly report: string | undefined;
  readonly seconds: number;
  readonly stopped: boolean;
}

const statistics = ExperimentConfig.pick({ hurtsMin: true, confidence: true, bootstrapDraws: true }).parse({});

/** Declarations with their comments, of a version that the lock file pins: a text that everybody who runs the bench has. */
const ownTextSources = ["fs.d.ts", "crypto.d.ts"].map((name) => new URL(`../node_modules/@types/node/${name}`, import.meta.url));

/** A folder keeps the text that it began with: a job's key tells the file's name and not what it says. */
const ownText = (out: string): string => {
  const file = join(out, "text.txt");
  if (existsSync(file)) return file;
  mkdirSync(out, { recursive: true });
  writeFileSync(file, ownTextSources.map((source) => readFileSync(source, "utf8")).join("\n"));
  return file;
};

const chosen = (only: readonly string[]): readonly Suite[] => {
  const unknown = only.find((name) => !suites.some((suite) => suite.name === name));
  if (unknown !== undefined) throw new Error(`expected one of ${suites.map(({ name }) => name).join(", ")}, got ${unknown}`);
  return only.length === 0 ? suites : suites.filter(({ name }) => only.includes(name));
};

/** A figure that jobs are missing from does not reach what it has to, whatever the rest of them show. */
export const heldToAllJobs = (rows: readonly FigureRow[], missing: number): readonly FigureRow[] =>
  missing === 0
    ? rows
    : rows.map((row) => ({
        ...row,
        measured: `${row.measured}; ${missing} jobs failed or were not run`,
        met: row.met === undefined ? undefined : false,
      }));

const runSuite = async (suite: Suite, sources: SuiteSources, options: GrowthOptions): Promise<SuiteOutcome> => {
  const startMs = performance.now();
  const cells = suite.cells(sources);
  if ("reason" in cells) {
    const row = { what: suite.title, reach: "see the suite", measured: `not measured: ${cells.reason}`, met: false };
    return { suite, rows: [row], failed: [], report: undefined, seconds: 0, stopped: false };
  }
  const { lanes, out, datasetsFolder, signal, onLine } = options;
  const outcome = await runExperiment({
    experiment: { name: suite.name, ...statistics },
    cells,
    device: "native",
    folder: join(out, sources.quick ? "quick" : "full", suite.name),
    lanes,
    resume: true,
    datasetsFolder,
    clock: createSystemClock(),
    machine: machineLine(),
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ finished, total, leftMs = 0, last }) =>
      onLine?.(
        `${suite.name} ${finished}/${total}, ${Math.round(leftMs / 1000)} s left: ${last.label} ${last.test?.accuracy.toFixed(4) ?? last.reason}`,
      ),
  });
  const { planned, done } = outcome.analysis.jobs;
  return {
    suite,
    rows: heldToAllJobs(suite.rows(outcome.analysis), planned - done),
    failed: outcome.failed,
    report: outcome.reportFile,
    seconds: (performance.now() - startMs) / 1000,
    stopped: outcome.outcome === "stopped",
  };
};

export const benchGrowth = async (options: GrowthOptions): Promise<readonly SuiteOutcome[]> => {
  const sources = { quick: options.quick, cifar10Dir: options.cifar10Dir, textFile: options.textFile ?? ownText(options.out) };
  const outcomes: SuiteOutcome[] = [];
  for (const suite of chosen(options.only)) {
    const outcome = await runSuite(suite, sources, options);
    outcomes.push(outcome);
    if (outcome.stopped) break;
  }
  return outcomes;
};

const metText = (met: boolean | undefined): string => (met === undefined ? "" : met ? "yes" : "**missed**");

/** What was missed, and what was not run. */
const shortfalls = (outcomes: readonly SuiteOutcome[]): readonly string[] => {
  const missed = outcomes.flatMap(({ rows }) => rows.filter(({ met }) => met === false).map(({ what }) => what));
  const absent = suites.filter(({ name }) => !outcomes.some(({ suite }) => suite.name === name)).map(({ title }) => title);
  return [
    missed.length > 0 ? `Missed: ${missed.join("; ")}.` : absent.length === 0 ? "Nothing was missed." : "",
    absent.length === 0 ? "" : `Not run, and so not reached: ${absent.join("; ")}.`,
  ];
};

/** What README.md shows of it: without the suites, and without what only explains another row. */
export const readmeResults = (outcomes: readonly SuiteOutcome[]): string =>
  [
    table(
      ["what", "reach", "measured, % [95 % interval]", "reached"],
      outcomes.flatMap(({ rows }) =>
        rows
          .filter(({ what }) => !what.startsWith("—"))
          .map(({ what, reach, measured, met }) => [what, reach, measured, metText(met)]),
      ),
    ),
    ...shortfalls(outcomes),
  ]
    .filter((part) => part !== "")
    .join("\n\n");

/** One table over all suites, the misses named under it. */
export const growthTable = (outcomes: readonly SuiteOutcome[]): string => {
  const rows = outcomes.flatMap(({ suite, rows: own }) =>
    own.map(({ what, reach, measured, met }) => [what, reach, measured, metText(met), suite.name]),
  );
  const failed = outcomes.flatMap((outcome) => outcome.failed.map(({ label, reason }) => `- ${label}: ${reason}`));
  return [
    table(["what", "reach", "measured, % [95 % interval]", "reached", "suite"], rows),
    ...shortfalls(outcomes),
    outcomes
      .map(({ suite, seconds }) => `- \`${suite.name}\`: ${suite.title} (${Math.round(seconds)} s in the last run)`)
      .join("\n"),
    failed.length === 0 ? "" : `Jobs that failed:\n\n${failed.join("\n")}`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
};

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      lanes: { type: "string", default: "2" },
      out: { type: "string", default: ".esper/bench-growth" },
      fresh: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      text: { type: "string" },
      "cifar10-dir": { type: "string" },
    },
  });
  if (values.fresh) rmSync(values.out, { recursive: true, force: true });
  const controller = new AbortController();
  process.on("SIGINT", () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  });
  const outcomes = await benchGrowth({
    only: values.only,
    quick: values.quick,
    lanes: Number(values.lanes),
    out: values.out,
    cifar10Dir: values["cifar10-dir"] ?? process.env["CIFAR10_DIR"],
    ...(values.text === undefined ? {} : { textFile: values.text }),
    datasetsFolder: ".esper/datasets",
    signal: controller.signal,
    onLine: (line) => console.error(line),
  });
  const text = growthTable(outcomes);
  console.log(text);
  for (const { suite, report } of outcomes) if (report !== undefined) console.error(`${suite.name}: ${report}`);
  if (controller.signal.aborted) process.exitCode = 130;
  else if (values.write) {
    // A short run shows that the bench works, and nothing to put in a shop window.
    if (!values.quick) writeReadmePart("growth", readmeResults(outcomes));
    writePart(
      "growth",
      `## Growth\n\nWritten by \`npm run bench:growth -- --write${values.quick ? " --quick" : ""}\` on ${machineLine()}.${values.quick ? " Short runs of few hosts: no figure here counts." : ""}\n\n${text}`,
    );
  }
}
