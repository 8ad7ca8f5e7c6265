/** `esper performance`: breakers and queues of a running node, or of an experiment. */
import { join } from "node:path";
import { type Command, Option } from "commander";
import { describeError, InputError } from "../../contracts/errors.ts";
import { Performance } from "../../contracts/performance.ts";
import { type PersonRole, personRoles } from "../../contracts/roles.ts";
import { performanceFile } from "../../experiment/performance.ts";
import { nodeFileSystem } from "../../store/file-system.ts";
import { decodeJson } from "../../store/json.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { askNode } from "../operator.ts";
import { formatPerformance } from "../view/format-performance.ts";

interface PerformanceOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly connection?: string;
  readonly experiment?: string;
  readonly as: PersonRole;
}

const timeoutMs = 5_000;

/** As the experiment last told it. Throws InputError where none did, DataError for a damaged file. */
const ofExperiment = async (folder: string): Promise<Performance> => {
  const file = join(folder, performanceFile);
  const bytes = await nodeFileSystem.read(file).catch((error: unknown) => {
    throw new InputError(`expected the folder of an experiment, found no ${performanceFile} in it: ${describeError(error)}`, {
      file: folder,
    });
  });
  return decodeJson(Buffer.from(bytes).toString("utf8"), Performance, file, file);
};

export const addPerformance = (program: Command, { context }: CommandScope): void => {
  program
    .command("performance")
    .description("How a running node does: circuit breakers with counts and latencies, actors with their queues.")
    .option("--json", "one JSON object")
    .option("--connection <file>", "the node's operator.json (default: in the data directory)")
    .option("--experiment <dir>", "the lanes of an experiment instead, from its folder")
    .addOption(new Option("--as <role>", "whose login is used").choices(personRoles).default("operator"))
    .addHelpText(
      "after",
      "\nExamples:\n  esper performance\n  esper performance --json --data-dir /tmp/node\n  esper performance --experiment out/repair",
    )
    .action(async (_: unknown, command: Command) => {
      const { json, connection, dataDir, experiment, as: role } = command.optsWithGlobals<PerformanceOptions>();
      const node = { path: connection ?? dataDir ?? ".esper", timeoutMs, role };
      const performance =
        experiment === undefined ? await askNode(context, node, "query.performance", {}) : await ofExperiment(experiment);
      writeLines(context, json ? [JSON.stringify(performance)] : formatPerformance(performance));
    });
};
