/** The command line: arguments in, exit code out. */
import { Command, CommanderError } from "commander";
import { addAdapters } from "./commands/adapters.ts";
import { addArtifacts } from "./commands/artifacts.ts";
import { addCheckServices } from "./commands/check-services.ts";
import { addCompletion } from "./commands/completion.ts";
import { addControl } from "./commands/ctl.ts";
import { addDeadLetters } from "./commands/dlq.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExperiment } from "./commands/experiment.ts";
import { addExport } from "./commands/export.ts";
import { addLedger } from "./commands/ledger.ts";
import { addMachines } from "./commands/machines.ts";
import { addOpenApi } from "./commands/openapi.ts";
import { addPerformance } from "./commands/performance.ts";
import { addServices } from "./commands/services.ts";
import { addStart } from "./commands/start.ts";
import { addStatus } from "./commands/status.ts";
import { addTables } from "./commands/tables.ts";
import { addToken } from "./commands/token.ts";
import { addTrain } from "./commands/train.ts";
import { addVisualize } from "./commands/visualize.ts";
import type { CliContext, CommandScope } from "./context.ts";
import { exitCodeHelp, exitCodeOf, formatError } from "./exit-codes.ts";

const examples = `
Examples:
  esper start --config configs/quickstart.yaml       a damaged network repairs itself
  esper train --model mlp --dataset mnist --epochs 3
  esper train --dataset table.csv --task regression  data of your own
  esper doctor                                       what this machine can use
  esper ctl germinate --seed seed:h2                 steer a run from a second terminal
  esper status --json`;

const helpGroups = (program: Command): void => {
  program
    .name("esper")
    .description("Grows neural networks while they train: finds the layer that holds a network back and repairs it.")
    .version("0.1.0", "--version", "print the version")
    .option("-v, --verbose", "tell also what is routine")
    .option("--debug", "write debug logs, and print stacks with errors")
    .option("--data-dir <dir>", "everything the node writes; IDX files lying in it are used (default: .esper)")
    .option("--no-color", "no colour; NO_COLOR does the same")
    .helpOption("-h, --help", "print help")
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showSuggestionAfterError(true)
    .addHelpText("after", `${examples}\n${exitCodeHelp}`);
};

const createProgram = (scope: CommandScope): Command => {
  const { stdout, stderr } = scope.context;
  const program = new Command().exitOverride().configureOutput({
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    getOutHelpWidth: () => stdout.columns ?? 100,
    getErrHelpWidth: () => stderr.columns ?? 100,
    outputError: (text, write) => write(text.replace(/^error: /, "error (input): ")),
  });
  helpGroups(program);
  for (const add of [
    addStart,
    addTrain,
    addExperiment,
    addExport,
    addAdapters,
    addCheckServices,
    addDoctor,
    addStatus,
    addVisualize,
    addControl,
    addTables,
    addDeadLetters,
    addPerformance,
    addServices,
    addToken,
    addOpenApi,
    addLedger,
    addArtifacts,
    addMachines,
    addCompletion,
  ])
    add(program, scope);
  return program;
};

/** Options that only training has: with them, `train` may be left out. */
const trainOnly = /^--(model|dataset|target|task|epochs|no-morphogenetic|damage|arms|random-seed)(=|$)/;

/** Puts the command's name where a person may leave it out. */
export const withCommand = (args: readonly string[], commands: readonly string[]): readonly string[] => {
  const alias = args.indexOf("--check-services");
  if (alias >= 0) return ["check-services", ...args.slice(0, alias), ...args.slice(alias + 1)];
  // A first word that is no option is meant as a command, if a misspelt one.
  if (!args[0]?.startsWith("-") || args.some((arg) => commands.includes(arg)) || !args.some((arg) => trainOnly.test(arg)))
    return args;
  return ["train", ...args];
};

/** Runs one command line (without the names of Node and of the script). Never throws. */
export const runCommandLine = async (args: readonly string[], context: CliContext): Promise<number> => {
  let exitCode = 0;
  const program = createProgram({
    context,
    setExitCode: (code) => {
      exitCode = code;
    },
  });
  const debug = args.includes("--debug");
  try {
    if (args.length === 0) {
      program.outputHelp();
      return 0;
    }
    const names = [...program.commands.map((command) => command.name()), "help"];
    await program.parseAsync(withCommand(args, names), { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has told its own errors already; help and version end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    context.stderr.write(`${formatError(error, debug)}\n`);
    return exitCodeOf(error);
  }
};
