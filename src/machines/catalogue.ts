/** The statecharts of this program by name, and any of them as plain JSON for tools, documentation and the page. */
import type { AnyStateMachine, StateNode } from "xstate";
import { breakerMachine } from "./breaker.ts";
import { compileJobMachine } from "./compile-job-machine.ts";
import { runMachine } from "./run-machine.ts";
import { seedMachine } from "./seed-machine.ts";

export interface TransitionDescription {
  readonly event: string;
  /** Absent when the state does not change. */
  readonly target?: string;
  /** The gate that must pass; transitions of one event are tried in order. */
  readonly guard?: string;
  readonly actions: readonly string[];
  readonly description: string;
}

export interface StateDescription {
  readonly name: string;
  readonly description: string;
  readonly final: boolean;
  readonly transitions: readonly TransitionDescription[];
}

export interface MachineDescription {
  readonly name: string;
  readonly description: string;
  readonly initial: string;
  readonly states: readonly StateDescription[];
  /** Taken in any state that does not take the event itself. */
  readonly anywhere: readonly TransitionDescription[];
}

type AnyStateNode = AnyStateMachine["root"];

const nameOf = (named: unknown): string => {
  if (typeof named === "string") return named;
  if (typeof named === "object" && named !== null && "type" in named) return String(named.type);
  return typeof named === "function" ? named.name || "inline" : String(named);
};

const describeTransitions = (node: AnyStateNode): TransitionDescription[] =>
  [...node.transitions].flatMap(([event, candidates]) =>
    candidates.map((each) => {
      const target = each.target?.map((to: StateNode) => to.key).join(", ");
      return {
        event,
        ...(target === undefined ? {} : { target }),
        ...(each.guard === undefined ? {} : { guard: nameOf(each.guard) }),
        actions: each.actions.map(nameOf),
        description: each.description ?? "",
      };
    }),
  );

/** A flat machine as plain JSON. */
export const describeMachine = (name: string, machine: AnyStateMachine): MachineDescription => {
  const nodes: AnyStateNode[] = Object.values(machine.root.states);
  return {
    name,
    description: machine.root.description ?? "",
    initial: machine.root.initial.target.map((node: StateNode) => node.key).join(", "),
    states: nodes.map((node) => ({
      name: node.key,
      description: node.description ?? "",
      final: node.type === "final",
      transitions: describeTransitions(node),
    })),
    anywhere: describeTransitions(machine.root),
  };
};

export const machines: Readonly<Record<string, AnyStateMachine>> = {
  seed: seedMachine,
  run: runMachine,
  "compile-job": compileJobMachine,
  breaker: breakerMachine,
};
