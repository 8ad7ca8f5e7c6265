/** `esper machines`: the statecharts from their definitions, as text, data, pictures and the forms that other programs read. No node is needed. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { didYouMean } from "../../config/problems.ts";
import { InputError } from "../../contracts/errors.ts";
import type { Theme } from "../../contracts/state-style.ts";
import { describeMachine, type MachineDescription } from "../../machines/catalogue.ts";
import { drawings, toMermaid, toScxml, toStately, toSvg } from "../../machines/drawing/index.ts";
import { eventWords } from "../../machines/drawing/words.ts";
import { guardDisk, nodeFileSystem, saveDurably } from "../../store/file-system.ts";
import { type CommandScope, writeLines } from "../context.ts";
import { everyMachine } from "../every-machine.ts";
import { programTree, treeMermaid, treeText } from "../view/supervision-tree.ts";
import { treeSvg } from "../view/supervision-tree-svg.ts";

const names = Object.keys(everyMachine);
/** Not a machine, but drawn like one: who supervises whom. */
const topology = "topology";

const oneOf = (known: readonly string[], got: string, what = ""): InputError => {
  const meant = didYouMean(got, known);
  return new InputError(
    `expected ${what}one of ${known.join(", ")}, got "${got}"${meant === undefined ? "" : `; did you mean ${meant}?`}`,
  );
};

const find = (name: string): MachineDescription => {
  const machine = Object.hasOwn(everyMachine, name) ? everyMachine[name] : undefined;
  if (machine === undefined) throw oneOf([...names, topology], name);
  return describeMachine(name, machine);
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
      ({ event, target, guard, otherwise }) =>
        `    ${eventWords(event)}${guard === undefined ? "" : ` [${otherwise ? "else" : guard}]`} → ${target ?? "stays"}`,
    ),
  ]),
];

/** What each form makes of one machine. */
const forms = {
  text: (machine: MachineDescription) => `${textOf(machine).join("\n")}\n`,
  json: (machine: MachineDescription) => `${JSON.stringify(machine, null, 2)}\n`,
  svg: (machine: MachineDescription, theme: Theme) => toSvg(machine, drawings[machine.name]!.layout, { theme }),
  mermaid: toMermaid,
  scxml: toScxml,
  stately: (machine: MachineDescription) => `${JSON.stringify(toStately(machine), null, 2)}\n`,
} as const;
type Form = keyof typeof forms;

const formOf = (name: string): Form => {
  if (!Object.hasOwn(forms, name)) throw oneOf(Object.keys(forms), name, "--format ");
  return name as Form;
};

const topologyAs = (form: Form, theme: Theme): string => {
  const tree = programTree();
  switch (form) {
    case "text":
      return treeText(tree);
    case "json":
      return `${JSON.stringify(tree, null, 2)}\n`;
    case "svg":
      return treeSvg(tree, theme);
    case "mermaid":
      return treeMermaid(tree);
    default:
      throw new InputError(
        `expected --format text, json, svg or mermaid for the topology, which is no state machine, got ${form}`,
      );
  }
};

/** All machines at once, in the forms that can hold several. */
const allAs = (form: Form): string => {
  if (form === "text") return names.map((name) => forms.text(find(name))).join("");
  if (form === "json") return `${JSON.stringify(names.map(find), null, 2)}\n`;
  throw new InputError(`expected the name of a machine before --format ${form}, got none; one of ${names.join(", ")}`);
};

const textFor = (name: string | undefined, form: Form, theme: Theme): string => {
  if (name === undefined) return allAs(form);
  return name === topology ? topologyAs(form, theme) : forms[form](find(name), theme);
};

interface MachinesOptions {
  readonly format: string;
  readonly theme?: Theme;
  readonly out?: string;
}

export const addMachines = (program: Command, { context }: CommandScope): void => {
  program
    .command("machines")
    .argument("[name]", `${names.join(", ")}; left out, all of them; or ${topology}: who supervises whom`)
    .description("The state machines as they are defined: states, events, gates.")
    .option("--format <form>", `${Object.keys(forms).join(", ")} (for XState and Stately)`, "text")
    .addOption(new Option("--theme <theme>", "colours of --format svg (default: light)").choices(["light", "dark"]))
    .option("--out <file>", "a file in place of standard output")
    .addHelpText(
      "after",
      "\nExamples:\n  esper machines seed\n  esper machines topology\n  esper machines --format json\n  esper machines seed --format svg --theme dark --out seed.svg",
    )
    .action(async (name: string | undefined, { format, theme, out }: MachinesOptions) => {
      const form = formOf(format);
      if (theme !== undefined && form !== "svg")
        throw new InputError(`expected --theme with --format svg, got it with ${form}; leave it out`);
      const text = textFor(name, form, theme ?? "light");
      if (out === undefined) {
        context.stdout.write(text);
        return;
      }
      const path = resolve(out);
      await guardDisk(`the machine${name === undefined ? "s" : ""} as ${form}`, path, () =>
        saveDurably(nodeFileSystem, path, new TextEncoder().encode(text)),
      );
      writeLines(context, [`wrote ${path}`]);
    });
};
