/** Machines that this program does not have: states in states, and names that mean harm. */
import { createMachine, not } from "xstate";

/** A compound state and a parallel one, delays, an eventless way, an invoked actor, an end. */
export const nestedMachine = createMachine({
  id: "oven",
  description: "Bakes on one side, watches on the other.",
  type: "parallel",
  on: { PANIC: { target: ".heat.cold", actions: "ring", description: "From anywhere." } },
  states: {
    heat: {
      description: "The heater.",
      initial: "cold",
      states: {
        cold: { description: "Off.", on: { START: { target: "#oven.heat.hot", guard: "closed", actions: ["light", "ring"] } } },
        hot: {
          description: "On.",
          entry: "glow",
          exit: "dim",
          initial: "rising",
          after: { 1500: { target: "cold", description: "At last." }, long: { actions: "ring" } },
          on: { AGAIN: { target: "hot", reenter: true }, LOOK: { actions: "peek" } },
          states: {
            rising: { always: { target: "steady", guard: not("cool") }, on: { WARM: "steady" } },
            steady: { on: { "*": { actions: "ring" } } },
            burnt: { type: "final" },
          },
          onDone: "cold",
        },
      },
    },
    watch: {
      description: "The guard.",
      initial: "idle",
      states: {
        idle: { on: { LOOK: [{ target: "busy", guard: "awake" }, { target: "gone" }] } },
        busy: { invoke: { id: "eye", src: "watchman", onDone: "idle", onError: "gone" } },
        gone: { type: "final" },
      },
    },
  },
});

export const hostileText = `<img src=x onerror="alert(1)">&'--> <script>alert(2)</script> ]]> %% ;note \u0000\u{1F600}`;

/** Every name and text of it is markup to somebody. */
export const hostileMachine = createMachine({
  id: "hostile",
  description: hostileText,
  initial: 'a"<b>',
  on: { 'x"><script>': { actions: "</title><script>alert(3)</script>", description: hostileText } },
  states: {
    'a"<b>': {
      description: hostileText,
      on: { "e'<i>&": { target: "end", guard: "g--><script>", actions: "a']]>", description: hostileText } },
    },
    end: { type: "final", description: hostileText },
  },
});
