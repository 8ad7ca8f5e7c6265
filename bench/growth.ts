/**
 * The figures of growth, with their controls: `npm run bench:growth [-- --only NAME …] [--quick] [--lanes 2] [--out DIR] [--write]`.
 * Resumable: results of finished jobs stay in the folder and are not run again. `--cifar10-dir` (or CIFAR10_DIR) and `--text FILE` name data.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ExperimentConfig } from "../src/contracts/experiment.ts";
import { runExperiment } from "../src/experiment/run-experiment.ts";
import { createSystemClock } from "../src/ports/system.ts";
import { type FigureRow, type Suite, type SuiteSources, suites } from "./growth-suites.ts";
import { writePart } from "./results-file.ts";
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

/** The repository's own pages: words that everybody who runs the bench has. */
const ownText = (out: string): string => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const names = readdirSync(root).filter((name) => name.endsWith(".md"));
  const file = join(out, "text.txt");
  mkdirSync(out, { recursive: true });
  writeFileSync(
    file,
    names
      .sort()
      .map((name) => readFileSync(join(root, name), "utf8"))
      .join("\n"),
  );
  return file;
};

const chosen = (only: readonly string[]): readonly Suite[] => {
  const unknown = only.find((name) => !suites.some((suite) => suite.name === name));
  if (unknown !== undefined) throw new Error(`expected one of ${suites.map(({ name }) => name).join(", ")}, got ${unknown}`);
  return only.length === 0 ? suites : suites.filter(({ name }) => only.includes(name));
};

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
  return {
    suite,
    rows: suite.rows(outcome.analysis),
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

/** One table over all suites, the misses named under it. */
export const growthTable = (outcomes: readonly SuiteOutcome[]): string => {
  const rows = outcomes.flatMap(({ suite, rows: own }) =>
    own.map(({ what, reach, measured, met }) => [what, reach, measured, metText(met), suite.name]),
  );
  const missed = outcomes.flatMap(({ rows: own }) => own.filter(({ met }) => met === false).map(({ what }) => what));
  const failed = outcomes.flatMap((outcome) => outcome.failed.map(({ label, reason }) => `- ${label}: ${reason}`));
  return [
    table(["what", "reach", "measured, % [95 % interval]", "reached", "suite"], rows),
    missed.length === 0 ? "Nothing was missed." : `Missed: ${missed.join("; ")}.`,
    outcomes
      .map(({ suite, seconds }) => `- \`${suite.name}\`: ${suite.title} (${Math.round(seconds)} s in the last run)`)
      .join("\n"),
    ...(failed.length === 0 ? [] : [`Jobs that failed:\n\n${failed.join("\n")}`]),
  ].join("\n\n");
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
  else if (values.write)
    writePart("growth", `## Growth\n\nWritten by \`npm run bench:growth -- --write\` on ${machineLine()}.\n\n${text}`);
}
