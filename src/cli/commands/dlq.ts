/** `esper dlq`: messages that no actor could handle; listed, shown, sent again, dropped. */
import { type Command, Option } from "commander";
import { InputError } from "../../contracts/errors.ts";
import { type PersonRole, personRoles } from "../../contracts/roles.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { integerFrom } from "../control/parse.ts";
import { exitCodeRefused } from "../exit-codes.ts";
import { askNode, buildCommand } from "../operator.ts";
import { formatLetter, formatLetterReceipt, formatLetters } from "../view/format-letters.ts";

interface AskOptions extends GlobalOptions {
  readonly connection?: string;
  readonly as: PersonRole;
  readonly timeoutMs: number;
  readonly json?: boolean;
}

interface ListOptions extends AskOptions {
  readonly subject?: string;
  readonly for?: string;
  readonly after: number;
  readonly limit: number;
}

const limitMax = 500;
const lettersPerCallMax = 1_000;

const idOf = integerFrom(1);
const idsOf = (text: string, before: readonly number[] | undefined): readonly number[] => [...(before ?? []), idOf(text)];

const withNode = (command: Command): Command =>
  command
    .option("--connection <file>", "the node's operator.json (default: in the data directory)")
    .addOption(new Option("--as <role>", "whose login is used").choices(personRoles).default("operator"))
    .option("--timeout-ms <ms>", "wait for the answer", integerFrom(1), 5_000)
    .option("--json", "JSON in place of a table");

const nodeOf = ({ connection, dataDir, as, timeoutMs }: AskOptions) => ({
  path: connection ?? dataDir ?? ".esper",
  role: as,
  timeoutMs,
});

const addList = (parent: Command, { context }: CommandScope): void => {
  withNode(parent.command("list"))
    .description("Dead letters in the order in which they died.")
    .option("--subject <name>", "only of this subject")
    .option("--for <actor>", "only those that this actor could not handle")
    .option("--after <id>", "only those after this one", integerFrom(0), 0)
    .option("--limit <letters>", "at most so many", integerFrom(1, limitMax), 100)
    .addHelpText("after", "\nExamples:\n  esper dlq list\n  esper dlq list --for nissa --json --data-dir /tmp/node")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      const { subject, for: principal, after: afterId, limit } = options;
      const asked = { ...(subject === undefined ? {} : { subject }), ...(principal === undefined ? {} : { principal }) };
      const query = { kind: "list", afterId, limit, ...asked } as const;
      const answer = await askNode(context, nodeOf(options), "query.dead_letters", query);
      if (answer.kind !== "letters") throw new InputError(`expected a list of dead letters, got ${answer.kind}`);
      writeLines(context, options.json ? [JSON.stringify(answer)] : formatLetters(answer.letters, answer.kept));
    });
};

const addShow = (parent: Command, { context, setExitCode }: CommandScope): void => {
  withNode(parent.command("show"))
    .argument("<id>", "the letter's id", idOf)
    .description("One dead letter with its message.")
    .addHelpText("after", "\nExample:\n  esper dlq show 3")
    .action(async (id: number, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<AskOptions>();
      const answer = await askNode(context, nodeOf(options), "query.dead_letters", { kind: "show", id });
      if (answer.kind !== "letter") setExitCode(exitCodeRefused);
      if (options.json) writeLines(context, [JSON.stringify(answer)]);
      else if (answer.kind === "letter") writeLines(context, formatLetter(answer));
      else writeLines(context, [answer.kind === "unknown" ? answer.reason : `expected a letter, got ${answer.kind}`]);
    });
};

const addOrder = (parent: Command, { context, setExitCode }: CommandScope, kind: "retry" | "drop", about: string): void => {
  withNode(parent.command(kind))
    .argument("<ids...>", "the letters' ids", idsOf)
    .description(about)
    .addHelpText("after", `\nExample:\n  esper dlq ${kind} 3 4`)
    .action(async (ids: readonly number[], _: unknown, command: Command) => {
      if (ids.length > lettersPerCallMax)
        throw new InputError(`expected at most ${lettersPerCallMax} ids, got ${ids.length}; call again with the rest`);
      const options = command.optsWithGlobals<AskOptions>();
      for (const id of ids) {
        const command = buildCommand({ kind: "dead_letter", action: kind, id }, () => `cli-${context.entropy.token(8)}`);
        const receipt = await askNode(context, nodeOf(options), "control.kasmina.commands", command);
        writeLines(context, [options.json ? JSON.stringify(receipt) : formatLetterReceipt(receipt, id)]);
        if (receipt.kind === "refused") setExitCode(exitCodeRefused);
      }
    });
};

export const addDeadLetters = (program: Command, scope: CommandScope): void => {
  const parent = program
    .command("dlq")
    .description("Dead letters of a running node: messages that no actor could handle.")
    .addHelpText("after", "\nExamples:\n  esper dlq list\n  esper dlq show 3\n  esper dlq retry 3\n  esper dlq drop 3")
    .action(() => {
      throw new InputError("expected one of list, show, retry, drop after dlq, got nothing; see `esper dlq --help`");
    });
  addList(parent, scope);
  addShow(parent, scope);
  addOrder(
    parent,
    scope,
    "retry",
    "Put letters on their subjects again, with the ids that they had: who handled one before does nothing.",
  );
  addOrder(parent, scope, "drop", "Forget letters for good.");
};
