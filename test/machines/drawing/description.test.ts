/** What a description says of a machine, also of one with states in states. */
import { describe, expect, test } from "vitest";
import { createMachine } from "xstate";
import { everyMachine } from "../../../src/cli/every-machine.ts";
import { legalTransitions, lifecycleStates } from "../../../src/contracts/lifecycle.ts";
import { describeMachine } from "../../../src/machines/catalogue.ts";
import { arrowsOf, eventWords, labelsOf, staysOf, wrapped } from "../../../src/machines/drawing/words.ts";
import { nestedMachine } from "./fixtures.ts";

const nested = describeMachine("oven", nestedMachine);
const stateOf = (name: string) => nested.states.find((state) => state.name === name)!;

describe("describeMachine", () => {
  test("a flat machine's states have their keys as names and no parents", () => {
    const seed = describeMachine("seed", everyMachine["seed"]!);
    expect(seed.states.map(({ name }) => name)).toEqual([...lifecycleStates]);
    expect(seed.states.every(({ parent }) => parent === undefined)).toBe(true);
    for (const { name, transitions } of seed.states)
      expect(new Set(transitions.flatMap(({ target }) => target ?? [])), name).toEqual(
        new Set(legalTransitions[name as "DORMANT"]),
      );
  });

  test("states in states: paths, parents, first states, what is parallel", () => {
    expect(nested.initial).toBe("");
    expect(nested.states.map(({ name }) => name)).toEqual([
      "heat",
      "heat.cold",
      "heat.hot",
      "heat.hot.rising",
      "heat.hot.steady",
      "heat.hot.burnt",
      "watch",
      "watch.idle",
      "watch.busy",
      "watch.gone",
    ]);
    expect([stateOf("heat").initial, stateOf("heat.hot").parent, stateOf("heat.hot").initial]).toEqual([
      "heat.cold",
      "heat",
      "heat.hot.rising",
    ]);
    const inside = createMachine({ id: "m", initial: "p", states: { p: { type: "parallel", states: { a: {}, b: {} } } } });
    expect(describeMachine("m", inside).states[0]).toMatchObject({ name: "p", parallel: true });
  });

  test("entry and exit without XState's own, delays, eventless ways, else branches, invoked actors", () => {
    const hot = stateOf("heat.hot");
    expect([hot.entry, hot.exit]).toEqual([["glow"], ["dim"]]);
    expect(hot.transitions.map(({ event, delay, target, reenter }) => [event, delay, target, reenter])).toEqual(
      expect.arrayContaining([
        ["after 1500 ms", 1500, "heat.cold", undefined],
        ["after long", "long", undefined, undefined],
        ["AGAIN", undefined, "heat.hot", true],
        ["LOOK", undefined, undefined, undefined],
        ["xstate.done.state.oven.heat.hot", undefined, "heat.cold", undefined],
      ]),
    );
    expect(stateOf("heat.hot.rising").transitions).toContainEqual(
      expect.objectContaining({ event: "", guard: "not(cool)", target: "heat.hot.steady" }),
    );
    expect(stateOf("watch.idle").transitions.map(({ otherwise }) => otherwise)).toEqual([undefined, true]);
    expect(stateOf("watch.busy").invokes).toEqual([{ id: "eye", source: "watchman" }]);
  });

  test("a history state is refused by name", () => {
    const machine = createMachine({ id: "m", initial: "a", states: { a: {}, h: { type: "history" } } });
    expect(() => describeMachine("m", machine)).toThrow("machine m: expected no history state, got h");
  });
});

describe("words", () => {
  test("the transitions between two states are one arrow, their events one line each", () => {
    const seed = describeMachine("seed", everyMachine["seed"]!);
    const toRollback = arrowsOf(seed).find(({ from, to }) => from === "TRAINING" && to === "ROLLED_BACK")!;
    expect(labelsOf(toRollback.transitions)).toEqual(["WINDOW [kernelFailed | nonFinite | lossSpiked]", "ROLLBACK [commanded]"]);
    const toCulled = arrowsOf(seed).find(({ from, to }) => from === "TRAINING" && to === "CULLED")!;
    expect(labelsOf(toCulled.transitions)).toEqual(["WINDOW [else]", "CULL [commanded]"]);
    expect(labelsOf(staysOf(seed.states.find(({ name }) => name === "TRAINING")!))).toEqual(["WINDOW [interrupted | trainsOn]"]);
  });

  test("one unguarded transition makes the others' guards unneeded", () => {
    const plain = { actions: [], description: "", event: "E" };
    expect(labelsOf([{ ...plain, guard: "g" }, plain])).toEqual(["E"]);
  });

  test("XState's own events in words", () => {
    expect(["", "*", "xstate.done.state.oven.heat.hot", "xstate.error.actor.eye", "STOP"].map(eventWords)).toEqual([
      "always",
      "any event",
      "done heat.hot",
      "error eye",
      "STOP",
    ]);
  });

  test("lines break at blanks, never before a bar, and a wide word stands alone", () => {
    const length = ({ length: characters }: string) => characters;
    expect(wrapped("aa bb cc", 5, length)).toEqual(["aa bb", "cc"]);
    expect(wrapped("aaaa | bb", 5, length)).toEqual(["aaaa |", "bb"]);
    expect(wrapped("a incomprehensible b", 5, length)).toEqual(["a", "incomprehensible", "b"]);
    expect(wrapped("  ", 5, length)).toEqual([]);
  });
});
