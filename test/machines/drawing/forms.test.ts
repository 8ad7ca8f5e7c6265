/** A machine as Mermaid, SCXML and Stately's JSON says what its definition says. */
import { describe, expect, test } from "vitest";
import { createMachine, transition } from "xstate";
import { everyMachine } from "../../../src/cli/every-machine.ts";
import { describeMachine, type MachineDescription } from "../../../src/machines/catalogue.ts";
import { toMermaid } from "../../../src/machines/drawing/mermaid.ts";
import { toScxml } from "../../../src/machines/drawing/scxml.ts";
import { toStately } from "../../../src/machines/drawing/stately.ts";
import { arrowsOf, labelsOf } from "../../../src/machines/drawing/words.ts";
import { hostileMachine, nestedMachine } from "./fixtures.ts";

const descriptions: readonly MachineDescription[] = [
  ...Object.entries(everyMachine).map(([name, machine]) => describeMachine(name, machine)),
  describeMachine("oven", nestedMachine),
  describeMachine("hostile", hostileMachine),
];
const cases = descriptions.map((description) => [description.name, description] as const);

describe("stately", () => {
  test.each(cases)("%s: XState makes the same machine of it", (name, description) => {
    const config = JSON.parse(JSON.stringify(toStately(description))) as Parameters<typeof createMachine>[0];
    expect(describeMachine(name, createMachine(config))).toEqual(description);
  });

  test("with guards filled in the machine runs", () => {
    const config = JSON.parse(JSON.stringify(toStately(describeMachine("supervisor", everyMachine["supervisor"]!))));
    const machine = createMachine(config).provide({ guards: { failed: () => true } });
    const [stopping] = transition(machine, machine.resolveState({ value: "running" }), { type: "stop" });
    expect(stopping.value).toBe("stopping");
    expect(transition(machine, stopping, { type: "children.down" })[0].value).toBe("escalated");
  });
});

/** One line of the part of Mermaid's grammar that is used; what no line matches is a fault. */
const grammar = [
  /^stateDiagram-v2$/,
  /^\[\*\] --> \w+$/,
  /^\w+ --> \[\*\]$/,
  /^\w+ --> \w+ : [^:;<>"{}\n]+(<br\/>[^:;<>"{}\n]+)*$/,
  /^\w+ : [^:;<>"{}\n]+$/,
  /^state "[^":;<>{}\n]*" as \w+$/,
  /^state \w+ \{$/,
  /^\}$/,
  /^--$/,
  /^note right of \w+$/,
  /^end note$/,
];

/** Entities stand for characters that Mermaid would read as its own. */
const linesOf = (text: string): string[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => line.trim().replaceAll(/#\d+;/g, "¤"));
const decoded = (text: string): string => text.replaceAll(/#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));

describe("mermaid", () => {
  test.each(cases)("%s: every line is one of the grammar's", (_name, description) => {
    let inNote = false;
    for (const line of linesOf(toMermaid(description))) {
      if (line === "end note") inNote = false;
      if (inNote) expect(line).not.toMatch(/[:;<>"{}]/);
      else
        expect(
          grammar.some((each) => each.test(line)),
          line,
        ).toBe(true);
      if (line.startsWith("note ")) inNote = true;
    }
    expect(inNote).toBe(false);
  });

  test.each(cases)("%s: has each arrow with its events and guards", (_name, description) => {
    const drawn = toMermaid(description)
      .split("\n")
      .flatMap((line) => /^ *\w+ --> \w+ : (.*)$/.exec(line)?.[1] ?? [])
      .map((label) => label.split("<br/>").map(decoded));
    expect(drawn).toEqual(
      arrowsOf(description).map(({ transitions }) => labelsOf(transitions).map((label) => label.replaceAll(/\s+/g, " "))),
    );
  });

  test("regions of a parallel state are apart, a state's states in it, a word of Mermaid's own is no name", () => {
    const text = toMermaid(describeMachine("oven", nestedMachine));
    expect(text).toContain("        state heat {\n            [*] --> heat_2e_cold\n");
    expect(text).toContain('state "hot" as heat_2e_hot\n');
    expect(text.match(/^ {8}--$/gm)).toHaveLength(1);
    expect(toMermaid(describeMachine("hostile", hostileMachine))).toContain(" --> end_ : ");
  });
});

const attribute = (tag: string, name: string): string | undefined => new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1];

describe("scxml", () => {
  test.each(cases)("%s: tags are balanced, ids are unique, every target is one", (_name, description) => {
    const text = toScxml(description).replaceAll(/<!--[\s\S]*?-->/g, "");
    const open: string[] = [];
    for (const [, end, name, alone] of text.matchAll(/<(\/?)([a-z]+)(?: [a-z]+="[^"<]*"| xmlns="[^"]*")*(\/?)>/g)) {
      if (end === "/") expect(open.pop()).toBe(name);
      else if (alone === "") open.push(name!);
    }
    expect(open).toEqual([]);
    expect(
      text
        .replace(/^<\?xml.*\n/, "")
        .replaceAll(/<\/?[a-z]+(?: [a-z]+="[^"<]*")*\/?>/g, "")
        .trim(),
    ).toBe("");
    const states = [...text.matchAll(/<(?:state|final|parallel)[^>]*>/g)].map(([tag]) => attribute(tag, "id")!);
    expect(new Set(states).size).toBe(states.length);
    const data = new Set([...text.matchAll(/<data [^>]*>/g)].map(([tag]) => attribute(tag, "id")));
    for (const [tag] of text.matchAll(/<transition[^>]*>/g)) {
      for (const target of attribute(tag, "target")?.split(" ") ?? []) expect(states).toContain(target);
      const condition = attribute(tag, "cond");
      if (condition !== undefined) expect(data).toContain(condition);
    }
    expect(text.match(/<transition/g)!.length).toBeGreaterThanOrEqual(
      description.states.flatMap(({ transitions }) => transitions).length + description.anywhere.length,
    );
  });

  test("what holds anywhere stands in a state around all others; without it the machine is the document", () => {
    const seed = toScxml(describeMachine("seed", everyMachine["seed"]!));
    expect(seed).toContain('<state id="seed.machine" initial="DORMANT">');
    expect(toScxml(describeMachine("run", everyMachine["run"]!))).toContain('name="run" initial="starting"');
  });

  test("an unmeasured guard is false", () => {
    expect(toScxml(describeMachine("seed", everyMachine["seed"]!))).toContain('<data id="verdictPassed" expr="false"/>');
  });

  test("delays, states' ends, actors and entries have SCXML's own forms", () => {
    const text = toScxml(describeMachine("oven", nestedMachine));
    for (const part of [
      '<send event="after.heat.hot._1500" id="after.heat.hot._1500" delay="1500ms"/>',
      '<cancel sendid="after.heat.hot._1500"/>',
      '<send event="after.heat.hot.long" id="after.heat.hot.long" delayexpr="long"/>',
      '<transition event="after.heat.hot._1500" target="heat.cold" type="internal"/>',
      '<transition event="done.state.heat.hot" target="heat.cold" type="internal"/>',
      '<transition event="AGAIN" target="heat.hot"/>',
      '<transition event="done.invoke.eye" target="watch.idle"/>',
      '<invoke id="eye" src="watchman"/>',
      '<transition cond="not_28_cool_29_" target="heat.hot.steady"/>',
      '<parallel id="oven.machine">',
      '<log label="action" expr="&#39;glow&#39;"/>',
    ])
      expect(text).toContain(part);
  });
});
