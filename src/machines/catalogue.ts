/** The statecharts of this program by name, and any of them as plain JSON for tools, documentation and the page. */
import type { AnyStateMachine, StateNode } from "xstate";
import { InputError } from "../contracts/errors.ts";
import { breakerMachine } from "./breaker.ts";
import { compileJobMachine } from "./compile-job-machine.ts";
import { runMachine } from "./run-machine.ts";
import { seedMachine } from "./seed-machine.ts";

export interface TransitionDescription {
  /** Empty when it is taken as soon as its guard passes. */
  readonly event: string;
  /** Milliseconds, or the name of a delay, after which the event comes by itself. */
  readonly delay?: number | string;
  /** Absent when the state does not change. A path; several, of parallel regions, stand side by side with a space. */
  readonly target?: string;
  /** Leaves the target and enters it again, where it is active already. */
  readonly reenter?: true;
  /** The gate that must pass; transitions of one event are tried in order. */
  readonly guard?: string;
  /** What the event comes to when no candidate before it was taken. */
  readonly otherwise?: true;
  readonly actions: readonly string[];
  readonly description: string;
}

export interface StateDescription {
  /** Its path below the machine, joined by dots: the key alone where nothing is nested. */
  readonly name: string;
  /** The path of the state that it stands in. */
  readonly parent?: string;
  readonly description: string;
  readonly final: boolean;
  /** All states in it are active at once. */
  readonly parallel?: true;
  /** The path of the state in it that is entered first. */
  readonly initial?: string;
  readonly entry?: readonly string[];
  readonly exit?: readonly string[];
  readonly invokes?: readonly { readonly id: string; readonly source: string }[];
  readonly transitions: readonly TransitionDescription[];
}

export interface MachineDescription {
  readonly name: string;
  readonly description: string;
  /** Empty when all states at the top are active at once. */
  readonly initial: string;
  /** A state stands before those in it. */
  readonly states: readonly StateDescription[];
  /** Taken in any state that does not take the event itself. */
  readonly anywhere: readonly TransitionDescription[];
}

type AnyStateNode = AnyStateMachine["root"];
type AnyTransition = NonNullable<AnyStateNode["always"]>[number];

const nameOf = (named: unknown): string => {
  if (typeof named === "string") return named;
  if (typeof named === "function") {
    const parts = "guards" in named && Array.isArray(named.guards) ? `(${named.guards.map(nameOf).join(", ")})` : "";
    return `${named.name || "inline"}${parts}`;
  }
  if (typeof named === "object" && named !== null && "type" in named) return String(named.type);
  return String(named);
};

const pathOf = (node: StateNode): string => node.path.join(".");
const pathsOf = (nodes: readonly StateNode[]): string => nodes.map(pathOf).join(" ");
/** Only transitions of `after` have one. */
const delayOf = (each: AnyTransition): number | string | undefined => {
  const delay: unknown = "delay" in each ? each.delay : undefined;
  return typeof delay === "number" || delay === undefined ? delay : nameOf(delay);
};

const isOtherwise = (meta: unknown): boolean =>
  typeof meta === "object" && meta !== null && "otherwise" in meta && meta.otherwise === true;

const describeTransition = (event: string, each: AnyTransition, isElse: boolean): TransitionDescription => {
  const delay = delayOf(each);
  return {
    event: delay === undefined ? event : `after ${delay}${typeof delay === "number" ? " ms" : ""}`,
    ...(delay === undefined ? {} : { delay }),
    ...(each.target === undefined ? {} : { target: pathsOf(each.target) }),
    ...(each.reenter ? { reenter: true } : {}),
    ...(each.guard === undefined ? {} : { guard: nameOf(each.guard) }),
    ...(isElse || isOtherwise(each.meta) ? { otherwise: true } : {}),
    actions: each.actions.map(nameOf),
    description: each.description ?? "",
  };
};

const describeTransitions = (node: AnyStateNode): TransitionDescription[] =>
  [...node.transitions, ...(node.always ? [["", node.always] as const] : [])].flatMap(([event, candidates]) =>
    candidates.map((each: AnyTransition, index) => describeTransition(event, each, index > 0 && each.guard === undefined)),
  );

/** XState puts one action of its own behind the others for each delay: raised on entry, cancelled on exit. */
const ownActions = (node: AnyStateNode, actions: readonly unknown[]): string[] =>
  actions.slice(0, actions.length - new Set(node.after.map(({ delay }) => delay)).size).map(nameOf);

const describeState = (node: AnyStateNode): StateDescription[] => {
  if (node.type === "history")
    throw new InputError(`machine ${node.machine.id}: expected no history state, got ${pathOf(node)}; it cannot be described`);
  const [entry, exit] = [ownActions(node, node.entry), ownActions(node, node.exit)];
  const invokes = node.invoke.map(({ id, src }) => ({ id, source: nameOf(src) }));
  return [
    {
      name: pathOf(node),
      ...(node.parent === undefined || node.parent === node.machine.root ? {} : { parent: pathOf(node.parent) }),
      description: node.description ?? "",
      final: node.type === "final",
      ...(node.type === "parallel" ? { parallel: true } : {}),
      ...(node.type === "compound" ? { initial: pathsOf(node.initial.target) } : {}),
      ...(entry.length > 0 ? { entry } : {}),
      ...(exit.length > 0 ? { exit } : {}),
      ...(invokes.length > 0 ? { invokes } : {}),
      transitions: describeTransitions(node),
    },
    ...childrenOf(node).flatMap(describeState),
  ];
};

const childrenOf = (node: AnyStateNode): AnyStateNode[] => Object.values(node.states);

/**
 * A machine as plain JSON: what it is, not what its guards and actions do.
 * @throws InputError where it has a history state.
 */
export const describeMachine = (name: string, machine: AnyStateMachine): MachineDescription => ({
  name,
  description: machine.root.description ?? "",
  initial: machine.root.type === "parallel" ? "" : pathsOf(machine.root.initial.target),
  states: childrenOf(machine.root).flatMap(describeState),
  anywhere: describeTransitions(machine.root),
});

export const machines: Readonly<Record<string, AnyStateMachine>> = {
  seed: seedMachine,
  run: runMachine,
  "compile-job": compileJobMachine,
  breaker: breakerMachine,
};
