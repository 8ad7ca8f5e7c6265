/** `esper seeds`, `layers`, `decisions`, `kernels`, `budget`, `escalations`: what a running node answers, as a table, once or again and again. */
import type { Command } from "commander";
import { createLogUpdate } from "log-update";
import type { CommandReceipt } from "../../contracts/commands.ts";
import { delay } from "../../contracts/ports.ts";
import type { CommandKind } from "../../contracts/roles.ts";
import { type CliContext, type CommandScope, writeLines } from "../context.ts";
import {
  decisionFilter,
  decisionFilterFields,
  type Given,
  kernelFilter,
  kernelFilterFields,
  type OptionKind,
  seedFilter,
  seedFilterFields,
} from "../control/kinds.ts";
import { integerFrom } from "../control/parse.ts";
import { exitCodeHelp, exitCodeInterrupted, exitCodeRefused } from "../exit-codes.ts";
import { buildCommand, withNode } from "../operator.ts";
import { formatAnswer } from "../view/format-control.ts";
import { addNodeOptions, addOption, type NodeOptions } from "./ctl.ts";

interface TableCommand {
  readonly kind: CommandKind;
  readonly about: string;
  readonly options?: readonly OptionKind[];
  readonly fields?: (given: Given) => Given;
}

interface TableOptions extends NodeOptions {
  readonly watch?: boolean;
  readonly everyMs: number;
}

/** Twice a second at most; the default keeps an operator within what a login may ask in a minute. */
const everyMsMin = 500;
const everyMsDefault = 2_000;

const tables: readonly TableCommand[] = [
  { kind: "seeds", about: "Seeds of the run that is going on.", options: seedFilter, fields: seedFilterFields },
  { kind: "layers", about: "Layers as the last signal saw them." },
  {
    kind: "decisions",
    about: "What Tamiyo and Emrakul decided, and why; of the last runs too.",
    options: decisionFilter,
    fields: decisionFilterFields,
  },
  { kind: "kernels", about: "Kernels that were measured, by their tags.", options: kernelFilter, fields: kernelFilterFields },
  { kind: "budget", about: "What the run's trials may use, have used, and hold back." },
  { kind: "escalations", about: "Juries that are split and wait for an answer." },
];

type Ask = () => Promise<CommandReceipt>;

/** Asks again and again until Ctrl-C: a terminal is redrawn, anything else gets new lines when something changed. */
const watch = async (
  context: CliContext,
  ask: Ask,
  show: (receipt: CommandReceipt) => string[],
  everyMs: number,
): Promise<number> => {
  const { stdout, clock } = context;
  const ending = new AbortController();
  const stopListening = context.onInterrupt(() => ending.abort(new Error("interrupted")));
  const update = stdout.isTTY === true ? createLogUpdate(stdout, { showCursor: true }) : undefined;
  let last = "";
  try {
    while (!ending.signal.aborted) {
      const text = show(await ask()).join("\n");
      if (update !== undefined) update(text);
      else if (text !== last) stdout.write(`${text}\n`);
      last = text;
      await delay(clock, everyMs, ending.signal).catch(() => undefined);
    }
  } finally {
    update?.done();
    stopListening();
  }
  return exitCodeInterrupted;
};

const addTable = (
  program: Command,
  { context, setExitCode }: CommandScope,
  { kind, about, options = [], fields }: TableCommand,
): void => {
  const command = program.command(kind).description(about);
  for (const option of options) addOption(command, option);
  addNodeOptions(command)
    .option("--watch", "again and again until Ctrl-C")
    .option("--every-ms <ms>", `between two looks with --watch, at least ${everyMsMin}`, integerFrom(everyMsMin), everyMsDefault)
    .addHelpText(
      "after",
      `\nExamples:\n  esper ${kind}\n  esper ${kind} --json --data-dir /tmp/node\n  esper ${kind} --watch\n${exitCodeHelp}`,
    )
    .action(async (_: unknown, self: Command) => {
      const given = self.optsWithGlobals<TableOptions & Given>();
      const node = { path: given.connection ?? given.dataDir ?? ".esper", timeoutMs: given.timeoutMs, role: given.as };
      const show = (receipt: CommandReceipt): string[] => (given.json ? [JSON.stringify(receipt)] : formatAnswer(receipt));
      await withNode(context, node, async (request) => {
        const ask: Ask = () =>
          request(
            "control.kasmina.commands",
            buildCommand({ kind, runId: given.run, ...fields?.(given) }, () => `cli-${context.entropy.token(8)}`),
          );
        if (given.watch === true) return setExitCode(await watch(context, ask, show, given.everyMs));
        const receipt = await ask();
        writeLines(context, show(receipt));
        setExitCode(receipt.kind === "refused" ? exitCodeRefused : 0);
      });
    });
};

export const addTables = (program: Command, scope: CommandScope): void => {
  for (const table of tables) addTable(program, scope, table);
};
