/** A machine as a Mermaid state diagram (mermaid.js.org, stateDiagram-v2). */
import type { MachineDescription, StateDescription } from "../catalogue.ts";
import { anywhereOf, arrowsOf, labelsOf, staysOf } from "./words.ts";

/** Words that Mermaid would read as its own at the beginning of a line. */
const reserved = /^(end|state|note|direction|default|style|class|classdef|click|as|root)$/i;

/** Mermaid takes letters, digits and underscores as a name; the rest is written by its code. */
const idOf = (path: string): string => {
  const id = path.replaceAll(/[^A-Za-z0-9_]/g, (character) => `_${character.codePointAt(0)!.toString(16)}_`);
  return reserved.test(id) ? `${id}_` : id;
};

/** Characters that end a statement or begin markup are written as Mermaid's entities. */
const escaped = (text: string): string =>
  text.replaceAll(/\s+/g, " ").replaceAll(/[#;:<>"{}&%`\\]/g, (character) => `#${character.codePointAt(0)};`);

const keyOf = (path: string): string => path.slice(path.lastIndexOf(".") + 1);

const note = (state: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`note right of ${idOf(state)}`, ...lines.map((line) => `    ${escaped(line)}`), "end note"];

const linesOf = (description: MachineDescription, parent: string | undefined): string[] => {
  const inside = description.states.filter((state) => state.parent === parent);
  const holder = description.states.find(({ name }) => name === parent);
  const initial = parent === undefined ? description.initial : (holder?.initial ?? "");
  const isParallel = parent === undefined ? initial === "" : holder?.parallel === true;
  return [
    ...(initial === "" ? [] : [`[*] --> ${idOf(initial)}`]),
    ...inside.flatMap((state, index) => [...(isParallel && index > 0 ? ["--"] : []), ...stateLines(description, state)]),
  ];
};

const stateLines = (description: MachineDescription, state: StateDescription): string[] => {
  const id = idOf(state.name);
  const inner = linesOf(description, state.name);
  const held = [
    ...(state.entry ?? []).map((action) => `entry / ${action}`),
    ...(state.exit ?? []).map((action) => `exit / ${action}`),
    ...(state.invokes ?? []).map(({ source }) => `runs ${source}`),
    // What does not leave the state stands in it.
    ...labelsOf(staysOf(state)),
  ];
  return [
    // Where the name says nothing else it is declared by its name alone.
    id === state.name
      ? inner.length === 0
        ? `${id} : ${escaped(state.name)}`
        : ""
      : `state "${escaped(keyOf(state.name))}" as ${id}`,
    ...(inner.length === 0 ? held.map((line) => `${id} : ${escaped(line)}`) : []),
    ...(inner.length === 0 ? [] : [`state ${id} {`, ...inner.map((line) => `    ${line}`), "}"]),
    ...(state.final ? [`${id} --> [*]`] : []),
  ].filter((line) => line !== "");
};

/** Regions stand side by side only within a state. */
const topLines = (description: MachineDescription): string[] => {
  const lines = linesOf(description, undefined);
  if (description.initial !== "") return lines;
  const id = idOf(`${description.name}.machine`);
  return [
    `[*] --> ${id}`,
    `state "${escaped(description.name)}" as ${id}`,
    `state ${id} {`,
    ...lines.map((line) => `    ${line}`),
    "}",
  ];
};

/** A diagram of its own, ending in a line break. */
export const toMermaid = (description: MachineDescription): string => {
  const arrows = arrowsOf(description).map(
    ({ from, to, transitions }) => `${idOf(from)} --> ${idOf(to)} : ${labelsOf(transitions).map(escaped).join("<br/>")}`,
  );
  const first = description.states[0]?.name;
  return `${[
    "stateDiagram-v2",
    ...[...topLines(description), ...arrows, ...(first === undefined ? [] : note(first, anywhereOf(description)))].map(
      (line) => `    ${line}`,
    ),
  ].join("\n")}\n`;
};
