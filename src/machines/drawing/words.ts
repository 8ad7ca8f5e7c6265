/** The words of a drawn machine: transitions put together to arrows, and what stands beside them. Pure text. */
import type { MachineDescription, StateDescription, TransitionDescription } from "../catalogue.ts";

export const edgeId = (from: string, to: string): string => `${from}→${to}`;

export const targetsOf = ({ target }: TransitionDescription): readonly string[] => target?.split(" ") ?? [];

/** All transitions from one state to another. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly transitions: readonly TransitionDescription[];
}

const grouped = <T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly T[])[] => {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()];
};

/** In the order in which the states and their transitions are defined. */
export const arrowsOf = ({ states }: MachineDescription): readonly Arrow[] =>
  states.flatMap(({ name: from, transitions }) => {
    const single = transitions.flatMap((transition) => targetsOf(transition).map((to) => ({ to, transition })));
    return grouped(single, ({ to }) => to).map((group) => ({
      from,
      to: group[0]!.to,
      transitions: group.map(({ transition }) => transition),
    }));
  });

/** An event in words: XState's own events carry the paths of states. */
export const eventWords = (event: string): string => {
  if (event === "") return "always";
  if (event === "*") return "any event";
  const own = /^xstate\.(done|error)\.(state|actor)\.(.+)$/.exec(event);
  return own === null ? event : `${own[1]} ${own[2] === "state" ? own[3]!.replace(/^[^.]+\./, "") : own[3]}`;
};

/** Guards of the transitions of one event; nothing where one of them has none and is no else branch. */
const guardsOf = (transitions: readonly TransitionDescription[]): readonly string[] => {
  const guards = transitions.map(({ guard, otherwise }) => (otherwise ? "else" : guard));
  return guards.some((guard) => guard === undefined) ? [] : guards.filter((guard) => guard !== undefined);
};

/** One entry for each event: its name, and the guards of which one must pass. */
export const eventsOf = (
  transitions: readonly TransitionDescription[],
): readonly { readonly event: string; readonly guards: readonly string[] }[] =>
  grouped(transitions, ({ event }) => event).map((group) => ({
    event: eventWords(group[0]!.event),
    guards: guardsOf(group),
  }));

/** `WINDOW [kernelFailed | nonFinite]`, one for each event: one of the guards must pass. */
export const labelsOf = (transitions: readonly TransitionDescription[]): readonly string[] =>
  eventsOf(transitions).map(({ event, guards }) => (guards.length === 0 ? event : `${event} [${guards.join(" | ")}]`));

export const staysOf = ({ transitions }: StateDescription): readonly TransitionDescription[] =>
  transitions.filter(({ target }) => target === undefined);

const whatFollows = ({ target, actions }: TransitionDescription): string =>
  [...(target === undefined ? [] : [`→ ${target}`]), ...actions].join(", ") || "ignored";

/** What holds in every state, in a few sentences. */
export const anywhereOf = ({ anywhere }: MachineDescription): readonly string[] =>
  grouped(anywhere, (each) => whatFollows(each)).map((group) => {
    const events = labelsOf(group).join(", ");
    return `In any state that does not take it: ${events}: ${whatFollows(group[0]!)}`;
  });

/** Width of a text in pixels. */
export type Measure = (text: string) => number;

/** Breaks a text at its blanks, but before no bar, into lines of at most `widthMax` pixels; a word that is wider stands alone. */
export const wrapped = (text: string, widthMax: number, measure: Measure): string[] => {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/ +(?!\|)/).filter((each) => each !== "")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && measure(longer) > widthMax) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === "" ? lines : [...lines, line];
};
