/** A supervisor's own life as a statechart: the phases, and what moves it from one to the next. Pure; `decide.ts` steps it. */
import { setup, transition } from "xstate";
import type { SupervisorPhase } from "./spec.ts";

export type LifeEvent =
  /** Every child has been up once. */
  | { readonly type: "children.started" }
  /** A child failed and is to be restarted. */
  | { readonly type: "child.failed" }
  /** Nothing waits for a restart any more. */
  | { readonly type: "children.restarted" }
  /** A child could not be started for the first time, or the restart intensity was exceeded. */
  | { readonly type: "gave.up" }
  | { readonly type: "stop" }
  /** No child is alive; `failed` tells why they were stopped. */
  | { readonly type: "children.down"; readonly failed: boolean };

export const supervisorMachine = setup({
  types: { events: {} as LifeEvent },
  guards: { failed: ({ event }) => event.type === "children.down" && event.failed },
}).createMachine({
  id: "supervisor",
  description: "A supervisor's own life, from its first child's start to its last child's end.",
  initial: "starting",
  states: {
    starting: {
      description: "Children start one after the other. A child that cannot start for the first time ends the supervisor.",
      on: { "children.started": "running", "gave.up": "stopping", stop: "stopping" },
    },
    running: {
      description: "Every child is up or has finished.",
      on: { "child.failed": "restarting", "gave.up": "stopping", stop: "stopping" },
    },
    restarting: {
      description: "At least one child waits for its restart or is on its way up again.",
      on: { "children.restarted": "running", "gave.up": "stopping", stop: "stopping" },
    },
    stopping: {
      description: "Children go down in reverse start order, each within its deadline.",
      on: { "children.down": [{ guard: "failed", target: "escalated" }, { target: "stopped" }] },
    },
    stopped: { description: "Ended as asked: exits with shutdown.", type: "final" },
    escalated: { description: "Gave up: exits with a crash, and its parent decides.", type: "final" },
  },
});

/** The phase after an event; an event that the phase does not know leaves it. */
export const stepPhase = (phase: SupervisorPhase, event: LifeEvent): SupervisorPhase => {
  const [next] = transition(supervisorMachine, supervisorMachine.resolveState({ value: phase }), event);
  return next.value;
};
