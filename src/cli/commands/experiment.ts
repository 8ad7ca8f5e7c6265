/** `esper experiment`: hosts × damages × data sets × random seeds × arms, in parallel lanes, with a report. */
import { join } from "node:path";
import type { Command } from "commander";
import { loadExperiment } from "../../config/load-experiment.ts";
import { EsperConfig } from "../../contracts/config.ts";
import { InputError } from "../../contracts/errors.ts";
import { cellsOf } from "../../experiment/plan.ts";
import { missing } from "../../experiment/report/format.ts";
import { keyRows } from "../../experiment/report/tables.ts";
import type { ExperimentOutcome } from "../../experiment/run-experiment.ts";
import type { RunProgress } from "../../experiment/runner.ts";
import { describeMachine } from "../../node/machine.ts";
import { type CliContext, type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { exitCodeInterrupted } from "../exit-codes.ts";

interface ExperimentCommandOptions extends GlobalOptions {
  readonly config: string;
  readonly out?: string;
  readonly lanes?: string;
  readonly resume?: boolean;
  readonly json?: boolean;
}

const lanesMax = 64;
const lanesDefault = 2;
const exitCodeTraining = 6;

const lanesOf = (text: string | undefined): number => {
  const lanes = text === undefined ? lanesDefault : Number(text);
  if (Number.isInteger(lanes) && lanes >= 1 && lanes <= lanesMax) return lanes;
  throw new InputError(`expected --lanes from 1 to ${lanesMax}, found "${text}"; one for each core is a good number`, {
    path: "--lanes",
  });
};

const duration = (ms: number): string => {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
};

export const progressLine = ({ finished, failed, total, elapsedMs, leftMs, last }: RunProgress): string => {
  const accuracy = last.test === undefined ? last.outcome : `${(100 * last.test.accuracy).toFixed(2)} %`;
  const left = leftMs === undefined ? "" : `, ${duration(leftMs)} left`;
  return `${finished}/${total}${failed > 0 ? ` (${failed} failed)` : ""} after ${duration(elapsedMs)}${left}: ${last.label} ${accuracy}`;
};

/** A terminal shows the last line only; a pipe gets every one. */
const teller = ({ stderr }: CliContext) => {
  const live = stderr.isTTY === true;
  return {
    tell: (line: string): void => {
      const width = (stderr.columns ?? 100) - 1;
      stderr.write(live ? `\r\u001b[2K${line.slice(0, width)}` : `${line}\n`);
    },
    end: (): void => {
      if (live) stderr.write("\n");
    },
  };
};

const summaryLines = ({ analysis, failed, reportFile, jsonFile, outcome }: ExperimentOutcome): string[] => [
  `${analysis.name}: ${analysis.jobs.done} of ${analysis.jobs.planned} jobs${outcome === "stopped" ? ", interrupted" : ""}; figures in percent [interval]`,
  ...keyRows(analysis.overall.figures)
    .filter(([, text]) => text !== missing)
    .map(([what, text]) => `  ${what}: ${text}`),
  ...failed.map(({ label, reason }) => `  failed: ${label}: ${reason}`),
  `report ${reportFile}`,
  `data   ${jsonFile}`,
];

/** The first interrupt ends the jobs after their windows and writes the report; the second one ends the process at once. */
const interruptible = (context: CliContext, note: (line: string) => void) => {
  const controller = new AbortController();
  const stopListening = context.onInterrupt(() => {
    if (controller.signal.aborted) {
      context.exitNow(exitCodeInterrupted);
      return;
    }
    note("ending cleanly: finished jobs are kept, go on with --resume; press Ctrl-C again to end at once");
    controller.abort();
  });
  return { signal: controller.signal, stopListening };
};

export const addExperiment = (program: Command, { context, setExitCode }: CommandScope): void => {
  program
    .command("experiment")
    .description("Run an experiment in parallel lanes, with its controls at equal FLOPs, and write a report page.")
    .requiredOption("--config <file>", "YAML experiment, for example configs/experiment-repair.yaml")
    .option("--out <dir>", "results and report go here (else under the data directory)")
    .option("--lanes <n>", `jobs at a time, each on one thread (default: ${lanesDefault})`)
    .option("--resume", "go on from the results in the folder")
    .option("--json", "the analysis as JSON on standard output")
    .addHelpText(
      "after",
      "\nExamples:\n  esper experiment --config configs/experiment-repair.yaml --lanes 2\n  esper experiment --config configs/experiment-repair.yaml --out out/repair --resume",
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ExperimentCommandOptions>();
      const experiment = loadExperiment(options.config);
      const cells = cellsOf(experiment);
      const lanes = lanesOf(options.lanes);
      const defaults = EsperConfig.parse({});
      const dataDir = options.dataDir ?? defaults.services.dataDir;
      const { tell, end } = teller(context);
      const { signal, stopListening } = interruptible(context, tell);
      try {
        // Loaded only here, so that help is quick.
        const { runExperiment } = await import("../../experiment/run-experiment.ts");
        const outcome = await runExperiment({
          experiment,
          cells,
          device: cells[0]?.config.device ?? defaults.device,
          folder: options.out ?? join(dataDir, "experiments", experiment.name),
          lanes,
          resume: options.resume === true,
          datasetsFolder: join(dataDir, "datasets"),
          clock: context.clock,
          machine: machineText(),
          signal,
          onPlan: (plan, finished) =>
            tell(`${plan.cells.length} cells, ${plan.jobs.length} jobs, ${finished} of them finished before, ${lanes} lanes`),
          onProgress: (progress) => tell(progressLine(progress)),
        });
        end();
        writeLines(context, options.json ? [JSON.stringify(outcome.analysis)] : summaryLines(outcome));
        setExitCode(outcome.outcome === "stopped" ? exitCodeInterrupted : outcome.failed.length > 0 ? exitCodeTraining : 0);
      } finally {
        stopListening();
      }
    });
};

const machineText = (): string => {
  const { cpu, cores, node } = describeMachine();
  return `${cpu}, ${cores} cores, Node ${node}`;
};
