/** `esper machines`: the statecharts, from their definitions. */
import type { Command } from "commander";
import type { AnyStateMachine } from "xstate";
import { didYouMean } from "../../config/problems.ts";
import { InputError } from "../../contracts/errors.ts";
import { describeMachine, type MachineDescription, machines } from "../../machines/catalogue.ts";
import { supervisorMachine } from "../../supervision/lifecycle.ts";
import { type CommandScope, writeLines } from "../context.ts";

const catalogue: Readonly<Record<string, AnyStateMachine>> = { ...machines, supervisor: supervisorMachine };

const find = (name: string): MachineDescription => {
  const machine = Object.hasOwn(catalogue, name) ? catalogue[name] : undefined;
  if (machine) return describeMachine(name, machine);
  const names = Object.keys(catalogue);
  const meant = didYouMean(name, names);
  throw new InputError(
    `expected one of ${names.join(", ")}, got "${name}"${meant === undefined ? "" : `; did you mean ${meant}?`}`,
  );
};

const textOf = ({ name, description, initial, states, anywhere }: MachineDescription): string[] => [
  `${name}: ${description}`,
  `  begins in ${initial}`,
  ...[
    ...states,
    ...(anywhere.length > 0 ? [{ name: "in any state", description: "", final: false, transitions: anywhere }] : []),
  ].flatMap((state) => [
    `  ${state.name}${state.final ? " (final)" : ""}${state.description ? `: ${state.description}` : ""}`,
    ...state.transitions.map(
      ({ event, target, guard }) => `    ${event}${guard === undefined ? "" : ` [${guard}]`} → ${target ?? "stays"}`,
    ),
  ]),
];

export const addMachines = (program: Command, { context }: CommandScope): void => {
  program
    .command("machines")
    .argument("[name]", `${Object.keys(catalogue).join(", ")}; left out, all of them`)
    .description("The state machines as they are defined: states, events, gates.")
    .option("--format <form>", "text or json", "text")
    .addHelpText("after", "\nExamples:\n  esper machines seed\n  esper machines seed --format json")
    .action((name: string | undefined, options: { readonly format: string }) => {
      if (options.format !== "text" && options.format !== "json")
        throw new InputError(`expected --format text or json, got "${options.format}"`);
      const found = name === undefined ? Object.keys(catalogue).map(find) : [find(name)];
      const json = name === undefined ? found : found[0];
      writeLines(context, options.format === "json" ? [JSON.stringify(json, null, 2)] : found.flatMap(textOf));
    });
};
