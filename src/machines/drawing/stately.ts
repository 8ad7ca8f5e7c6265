/** A machine as the JSON that `createMachine` of XState 5 and Stately's editor take. Guards and actions are names there, to be filled in. */
import type { MachineDescription, StateDescription, TransitionDescription } from "../catalogue.ts";
import { targetsOf } from "./words.ts";

interface Named {
  readonly type: string;
}

export interface StatelyTransition {
  readonly target?: string | readonly string[];
  readonly reenter?: true;
  readonly guard?: Named;
  readonly actions?: readonly Named[];
  readonly description?: string;
  readonly meta?: { readonly otherwise: true };
}

export interface StatelyState {
  readonly description?: string;
  readonly type?: "final" | "parallel";
  readonly initial?: string;
  readonly entry?: readonly Named[];
  readonly exit?: readonly Named[];
  readonly invoke?: readonly { readonly id: string; readonly src: string }[];
  readonly on?: Readonly<Record<string, readonly StatelyTransition[]>>;
  readonly after?: Readonly<Record<string, readonly StatelyTransition[]>>;
  readonly always?: readonly StatelyTransition[];
  readonly states?: Readonly<Record<string, StatelyState>>;
}

export interface StatelyConfig extends StatelyState {
  readonly id: string;
}

const keyOf = (path: string): string => path.slice(path.lastIndexOf(".") + 1);
const named = (names: readonly string[]): Named[] => names.map((type) => ({ type }));

/** `#machine.path` says where a state stands wherever the transition stands. */
const transitionOf = (machine: string, each: TransitionDescription): StatelyTransition => {
  const targets = targetsOf(each).map((path) => `#${machine}.${path}`);
  return {
    ...(targets.length === 0 ? {} : { target: targets.length === 1 ? targets[0]! : targets }),
    ...(each.reenter ? { reenter: true } : {}),
    ...(each.guard === undefined ? {} : { guard: { type: each.guard } }),
    ...(each.actions.length === 0 ? {} : { actions: named(each.actions) }),
    ...(each.description === "" ? {} : { description: each.description }),
    // An else branch without a guard shows by its place.
    ...(each.otherwise && each.guard !== undefined ? { meta: { otherwise: true } } : {}),
  };
};

const byKey = (
  machine: string,
  transitions: readonly TransitionDescription[],
  keyOfTransition: (each: TransitionDescription) => string,
): Record<string, StatelyTransition[]> => {
  const keyed = new Map<string, StatelyTransition[]>();
  for (const each of transitions) {
    const key = keyOfTransition(each);
    keyed.set(key, [...(keyed.get(key) ?? []), transitionOf(machine, each)]);
  }
  return Object.fromEntries(keyed);
};

const transitionsOf = (
  machine: string,
  transitions: readonly TransitionDescription[],
): Pick<StatelyState, "on" | "after" | "always"> => {
  const delayed = transitions.filter(({ delay }) => delay !== undefined);
  const always = transitions.filter(({ delay, event }) => delay === undefined && event === "");
  const sent = transitions.filter(({ delay, event }) => delay === undefined && event !== "");
  return {
    ...(sent.length === 0 ? {} : { on: byKey(machine, sent, ({ event }) => event) }),
    ...(delayed.length === 0 ? {} : { after: byKey(machine, delayed, ({ delay }) => String(delay)) }),
    ...(always.length === 0 ? {} : { always: always.map((each) => transitionOf(machine, each)) }),
  };
};

const stateOf = (description: MachineDescription, state: StateDescription): StatelyState => ({
  ...(state.description === "" ? {} : { description: state.description }),
  ...(state.final ? { type: "final" } : {}),
  ...(state.parallel ? { type: "parallel" } : {}),
  ...(state.initial === undefined ? {} : { initial: keyOf(state.initial) }),
  ...(state.entry === undefined ? {} : { entry: named(state.entry) }),
  ...(state.exit === undefined ? {} : { exit: named(state.exit) }),
  ...(state.invokes === undefined ? {} : { invoke: state.invokes.map(({ id, source }) => ({ id, src: source })) }),
  ...transitionsOf(description.name, state.transitions),
  ...childrenOf(description, state.name),
});

const childrenOf = (description: MachineDescription, parent: string | undefined): Pick<StatelyState, "states"> => {
  const children = description.states.filter((state) => state.parent === parent);
  return children.length === 0
    ? {}
    : { states: Object.fromEntries(children.map((state) => [keyOf(state.name), stateOf(description, state)])) };
};

/** Describing the machine that `createMachine` makes of this gives the description again. */
export const toStately = (description: MachineDescription): StatelyConfig => ({
  id: description.name,
  ...(description.description === "" ? {} : { description: description.description }),
  ...(description.initial === "" ? { type: "parallel" } : { initial: description.initial }),
  ...transitionsOf(description.name, description.anywhere),
  ...childrenOf(description, undefined),
});
