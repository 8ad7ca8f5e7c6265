/** `esper services`: who on the bus offers what, node by node. */
import { type Command, Option } from "commander";
import { listServices } from "../../bus/service-list.ts";
import { silentLog } from "../../contracts/ports.ts";
import { type PersonRole, personRoles } from "../../contracts/roles.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { formatServices } from "../view/format-services.ts";

interface ServicesOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly connection?: string;
  readonly as: PersonRole;
}

const waitMs = 1_000;

export const addServices = (program: Command, { context }: CommandScope): void => {
  program
    .command("services")
    .description("Who on the bus offers what: every actor of this node and of its forges, with subjects, tags and cost.")
    .option("--json", "one JSON array, with the JSON Schema of every subject")
    .option("--connection <file>", "the node's operator.json (default: in the data directory)")
    .addOption(new Option("--as <role>", "whose login is used").choices(personRoles).default("operator"))
    .addHelpText("after", "\nExamples:\n  esper services\n  esper services --json --data-dir /tmp/node")
    .action(async (_: unknown, command: Command) => {
      const { json, connection, dataDir, as: role } = command.optsWithGlobals<ServicesOptions>();
      const { clock, entropy } = context;
      const found = await listServices(connection ?? dataDir ?? ".esper", { clock, entropy, log: silentLog }, { waitMs, role });
      writeLines(context, json ? [JSON.stringify(found)] : formatServices(found));
    });
};
