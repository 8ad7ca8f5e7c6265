/** `esper performance`: breakers and queues of a running node. */
import { type Command, Option } from "commander";
import { type PersonRole, personRoles } from "../../contracts/roles.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { askNode } from "../operator.ts";
import { formatPerformance } from "../view/format-performance.ts";

interface PerformanceOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly connection?: string;
  readonly as: PersonRole;
}

const timeoutMs = 5_000;

export const addPerformance = (program: Command, { context }: CommandScope): void => {
  program
    .command("performance")
    .description("How a running node does: circuit breakers with counts and latencies, actors with their queues.")
    .option("--json", "one JSON object")
    .option("--connection <file>", "the node's operator.json (default: in the data directory)")
    .addOption(new Option("--as <role>", "whose login is used").choices(personRoles).default("operator"))
    .addHelpText("after", "\nExamples:\n  esper performance\n  esper performance --json --data-dir /tmp/node")
    .action(async (_: unknown, command: Command) => {
      const { json, connection, dataDir, as: role } = command.optsWithGlobals<PerformanceOptions>();
      const node = { path: connection ?? dataDir ?? ".esper", timeoutMs, role };
      const performance = await askNode(context, node, "query.performance", {});
      writeLines(context, json ? [JSON.stringify(performance)] : formatPerformance(performance));
    });
};
