/** `esper ctl`: commands to a running node, from any terminal. */
import { type Command, Option } from "commander";
import { InputError } from "../../contracts/errors.ts";
import { type PersonRole, personRoles } from "../../contracts/roles.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { type ControlKind, controlKinds, type Given, type OptionKind } from "../control/kinds.ts";
import { integerFrom } from "../control/parse.ts";
import { exitCodeHelp, exitCodeRefused } from "../exit-codes.ts";
import { buildCommand, sendCommand } from "../operator.ts";
import { formatAnswer } from "../view/format-control.ts";

/** Options that every question to a node takes. */
export interface NodeOptions extends GlobalOptions {
  readonly connection?: string;
  readonly run?: string;
  readonly timeoutMs: number;
  readonly json?: boolean;
  readonly as: PersonRole;
}

interface ControlOptions extends NodeOptions {
  readonly requestId?: string;
}

export const addOption = (command: Command, { flags, about, required, parse, choices }: OptionKind): void => {
  const option = new Option(flags, about);
  if (parse !== undefined) option.argParser(parse);
  if (choices !== undefined) option.choices([...choices]);
  command.addOption(option.makeOptionMandatory(required === true));
};

export const addNodeOptions = (command: Command, role: PersonRole = "operator"): Command =>
  command
    .option("--connection <file>", "the node's operator.json (default: in the data directory)")
    .addOption(new Option("--as <role>", "whose login is used").choices(personRoles).default(role))
    .option("--run <id>", "only if this run is going on")
    .option("--timeout-ms <ms>", "wait for the answer", integerFrom(1), 5_000)
    .option("--json", "print the receipt as JSON");

const addOne = (parent: Command, { context, setExitCode }: CommandScope, one: ControlKind): void => {
  const { kind, about, example, options = [], fields = (): Given => ({}) } = one;
  const command = parent.command(kind).description(about);
  for (const option of options) addOption(command, option);
  addNodeOptions(command)
    .option("--request-id <id>", "the same id within five minutes gets the first receipt again")
    .addHelpText("after", `\nExample:\n  ${example}\n${exitCodeHelp}`)
    .action(async (_: unknown, self: Command) => {
      const given = self.optsWithGlobals<ControlOptions & Given>();
      const asked = { kind, runId: given.run, requestId: given.requestId, ...fields(given, context.environment) };
      const receipt = await sendCommand(
        context,
        given.connection ?? given.dataDir ?? ".esper",
        buildCommand(asked, () => `cli-${context.entropy.token(8)}`),
        given.timeoutMs,
        given.as,
      );
      writeLines(context, given.json ? [JSON.stringify(receipt)] : formatAnswer(receipt));
      setExitCode(receipt.kind === "refused" ? exitCodeRefused : 0);
    });
};

export const addControl = (program: Command, scope: CommandScope): void => {
  const parent = program
    .command("ctl")
    .description("Command a running node over NATS. A change takes effect at the next window.")
    .addHelpText(
      "after",
      `\nExamples:\n  esper ctl germinate --seed h2\n  esper ctl pause\n  esper ctl stop --data-dir /tmp/node\n${exitCodeHelp}`,
    )
    .action(() => {
      throw new InputError(
        `expected one of ${controlKinds.map(({ kind }) => kind).join(", ")} after ctl, got nothing; see \`esper ctl --help\``,
      );
    });
  for (const one of controlKinds) addOne(parent, scope, one);
};
