/**
 * A machine as State Chart XML (W3C Recommendation SCXML 1.0, 2015).
 *
 * Guards become conditions on data of the same name, which are false until whoever runs the document measures them; actions are logged
 * by name. What the machine takes in any state needs a state around all others, because SCXML's root has no transitions.
 */
import type { MachineDescription, StateDescription, TransitionDescription } from "../catalogue.ts";
import { escapeXml } from "./xml.ts";

/** A name that ECMAScript takes as a variable and XML as an id; other characters by their code. */
const variable = (name: string): string => {
  const written = name.replaceAll(/[^A-Za-z0-9_]/g, (character) => `_${character.codePointAt(0)!.toString(16)}_`);
  return /^[A-Za-z_]/.test(written) ? written : `_${written}`;
};

/** XML allows dots and hyphens in an id. */
const idOf = (path: string): string =>
  path
    .replaceAll(/[^A-Za-z0-9_.-]/g, (character) => `_${character.codePointAt(0)!.toString(16)}_`)
    .replace(/^(?=[^A-Za-z_])/, "_");

/** A comment may not hold two hyphens side by side. */
const comment = (text: string): string => `<!-- ${escapeXml(text).replaceAll(/-(?=-|$)/g, "- ")} -->`;

const attributes = (given: Readonly<Record<string, string | undefined>>): string =>
  Object.entries(given)
    .flatMap(([name, value]) => (value === undefined ? [] : [` ${name}="${escapeXml(value)}"`]))
    .join("");

const block = (name: string, given: Readonly<Record<string, string | undefined>>, inner: readonly string[]): string[] =>
  inner.length === 0
    ? [`<${name}${attributes(given)}/>`]
    : [`<${name}${attributes(given)}>`, ...inner.map((line) => `  ${line}`), `</${name}>`];

const logs = (actions: readonly string[]): string[] =>
  actions.flatMap((action) => block("log", { label: "action", expr: `'${action.replaceAll(/[\\']/g, "\\$&")}'` }, []));

/** An event that XState makes, by the name that SCXML gives it. */
const eventOf = (state: string, { event, delay }: TransitionDescription): string | undefined => {
  if (delay !== undefined) return `after.${idOf(state)}.${variable(String(delay))}`;
  const own = /^xstate\.(?:(done)\.(state)\.[^.]+\.|(done|error)\.actor\.)(.+)$/.exec(event);
  if (own !== null)
    return own[2] === "state" ? `done.state.${own[4]}` : own[3] === "done" ? `done.invoke.${own[4]}` : "error.communication";
  return event === "" ? undefined : event;
};

/**
 * XState leaves a state for one within it only where it is told to, SCXML unless it is told not to; a state without states in it is
 * not left for itself, which SCXML says by naming no target.
 */
const transition = (state: string, each: TransitionDescription, holds: boolean): string[] => {
  const stays = each.target === state && !holds && !each.reenter;
  return [
    ...(each.description === "" ? [] : [comment(each.description)]),
    ...block(
      "transition",
      {
        event: eventOf(state, each),
        cond: each.guard === undefined ? undefined : variable(each.guard),
        target: stays ? undefined : each.target?.split(" ").map(idOf).join(" "),
        type: holds && each.target !== undefined && !each.reenter ? "internal" : undefined,
      },
      logs(each.actions),
    ),
  ];
};

/** Delays are events that a state sends to itself and takes back when it is left. */
const delays = ({ name, transitions }: StateDescription): { readonly entry: string[]; readonly exit: string[] } => {
  const events = new Map(
    transitions.flatMap((each) => (each.delay === undefined ? [] : [[eventOf(name, each) ?? "", each.delay] as const])),
  );
  return {
    entry: [...events].flatMap(([event, delay]) =>
      block(
        "send",
        { event, id: event, ...(typeof delay === "number" ? { delay: `${delay}ms` } : { delayexpr: variable(delay) }) },
        [],
      ),
    ),
    exit: [...events.keys()].flatMap((sendid) => block("cancel", { sendid }, [])),
  };
};

const stateBlock = (description: MachineDescription, state: StateDescription): string[] => {
  const inside = description.states.filter(({ parent }) => parent === state.name);
  const { entry, exit } = delays(state);
  const onentry = [...logs(state.entry ?? []), ...entry];
  const onexit = [...exit, ...logs(state.exit ?? [])];
  return [
    ...(state.description === "" ? [] : [comment(state.description)]),
    ...block(
      state.final ? "final" : state.parallel ? "parallel" : "state",
      { id: idOf(state.name), initial: state.initial === undefined ? undefined : idOf(state.initial) },
      [
        ...(onentry.length === 0 ? [] : block("onentry", {}, onentry)),
        ...(onexit.length === 0 ? [] : block("onexit", {}, onexit)),
        ...(state.invokes ?? []).flatMap(({ id, source }) => block("invoke", { id, src: source }, [])),
        ...state.transitions.flatMap((each) => transition(state.name, each, inside.length > 0)),
        ...inside.flatMap((each) => stateBlock(description, each)),
      ],
    ),
  ];
};

/** Around all states: takes what holds anywhere, and ends the document where the machine would end. */
const surrounded = (description: MachineDescription, top: readonly string[]): string[] => {
  const { name, initial, anywhere, states } = description;
  if (anywhere.length === 0 && initial !== "") return [...top];
  const around = `${idOf(name)}.machine`;
  const ends = states.some(({ final, parent }) => final && parent === undefined);
  return [
    ...block(initial === "" ? "parallel" : "state", { id: around, initial: initial === "" ? undefined : idOf(initial) }, [
      ...anywhere.flatMap((each) => transition(name, each, true)),
      ...(ends ? block("transition", { event: `done.state.${around}`, target: `${around}.end` }, []) : []),
      ...top,
    ]),
    ...(ends ? block("final", { id: `${around}.end` }, []) : []),
  ];
};

/** A document of its own, ending in a line break. */
export const toScxml = (description: MachineDescription): string => {
  const { name, initial, anywhere, states } = description;
  const transitions = [...states.flatMap((state) => state.transitions), ...anywhere];
  const guards = new Set(transitions.flatMap(({ guard }) => (guard === undefined ? [] : [guard])));
  const named = new Set(transitions.flatMap(({ delay }) => (typeof delay === "string" ? [delay] : [])));
  const data = [
    ...[...guards].flatMap((guard) => block("data", { id: variable(guard), expr: "false" }, [])),
    ...[...named].flatMap((delay) => block("data", { id: variable(delay), expr: "'0ms'" }, [])),
  ];
  const top = states.filter(({ parent }) => parent === undefined).flatMap((state) => stateBlock(description, state));
  const isSurrounded = anywhere.length > 0 || initial === "";
  return `${[
    '<?xml version="1.0" encoding="UTF-8"?>',
    ...(description.description === "" ? [] : [comment(description.description)]),
    ...block(
      "scxml",
      {
        xmlns: "http://www.w3.org/2005/07/scxml",
        version: "1.0",
        datamodel: "ecmascript",
        name: idOf(name),
        initial: isSurrounded ? `${idOf(name)}.machine` : idOf(initial),
      },
      [...(data.length === 0 ? [] : block("datamodel", {}, data)), ...surrounded(description, top)],
    ),
  ].join("\n")}\n`;
};
