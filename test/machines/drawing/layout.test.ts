/**
 * The layouts that ship are those of the machines as they are defined, and they can be read.
 *
 * L1 No two states overlap, but one that holds the other.
 * L2 An arrow runs level or upright, from its one state to its other.
 * L3 No arrow runs through a state, no label lies on a state or on another label.
 * L4 Everything lies within the drawing.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { createMachine } from "xstate";
import { layOut } from "../../../scripts/machines/layout.ts";
import { layoutsText } from "../../../scripts/machines/layouts.ts";
import { measureText } from "../../../scripts/machines/text.ts";
import { everyMachine } from "../../../src/cli/every-machine.ts";
import { describeMachine } from "../../../src/machines/catalogue.ts";
import { type Box, drawings, type LaidState, type MachineDrawing, type Point } from "../../../src/machines/drawing/index.ts";
import { arrowsOf, edgeId } from "../../../src/machines/drawing/words.ts";
import { hostileMachine, nestedMachine } from "./fixtures.ts";

const source = fileURLToPath(new URL("../../../src", import.meta.url));

describe("layouts.json", () => {
  test("is what scripts/machine-layout.mjs would write; run `node --import tsx scripts/machine-layout.mjs` when it is not", async () => {
    const text = await layoutsText();
    expect(readFileSync(join(source, "machines/drawing/layouts.json"), "utf8")).toBe(text);
    expect(await layoutsText()).toBe(text);
  });

  test("every machine that is made anywhere in src is drawn", () => {
    const made = readdirSync(source, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) => [...readFileSync(join(source, file), "utf8").matchAll(/createMachine\(\{\s*id: "([^"]+)"/g)])
      .map(([, id]) => id!);
    expect(made.length).toBeGreaterThanOrEqual(5);
    expect(Object.keys(drawings).sort()).toEqual(made.sort());
  });
});

const inside = (inner: Box, outer: Box, slack = 0): boolean =>
  inner.x >= outer.x - slack &&
  inner.y >= outer.y - slack &&
  inner.x + inner.width <= outer.x + outer.width + slack &&
  inner.y + inner.height <= outer.y + outer.height + slack;
const overlap = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const piecesOf = (points: readonly Point[]): Box[] =>
  points.slice(1).map((to, index) => {
    const from = points[index]!;
    return {
      x: Math.min(from.x, to.x),
      y: Math.min(from.y, to.y),
      width: Math.abs(from.x - to.x),
      height: Math.abs(from.y - to.y),
    };
  });
/** What of a state others may not touch: a frame's head, a whole box else, and its spine. */
const bodiesOf = (state: LaidState): Box[] => [
  { ...state, height: state.headHeight ?? state.height },
  ...(state.spine === undefined ? [] : [state.spine]),
];
const holds = (outer: string, inner: string): boolean => inner.startsWith(`${outer}.`);
const onBorder = ({ x, y }: Point, state: LaidState): boolean =>
  [state, ...(state.spine === undefined ? [] : [state.spine])].some(
    (box) =>
      inside({ x, y, width: 0, height: 0 }, box, 0.5) &&
      [x - box.x, x - box.x - box.width, y - box.y, y - box.y - box.height].some((away) => Math.abs(away) <= 0.5),
  );

const faultsOf = ({ description, layout }: MachineDrawing): string[] => {
  const faults: string[] = [];
  const { states, edges } = layout;
  const stateOf = (id: string): LaidState => states.find((state) => state.id === id)!;
  states.forEach((a, index) => {
    for (const b of states.slice(index + 1)) {
      const clash = bodiesOf(a).some((one) => bodiesOf(b).some((other) => overlap(one, other)));
      if (holds(a.id, b.id) ? !inside(b, a) || clash : overlap(a, b) || clash) faults.push(`L1 ${a.id} and ${b.id}`);
    }
  });
  for (const { id, from, to, points, label } of edges) {
    if (piecesOf(points).some(({ width, height }) => width > 0 && height > 0)) faults.push(`L2 ${id} runs aslant`);
    if (!onBorder(points[0]!, stateOf(from))) faults.push(`L2 ${id} does not begin at ${from}`);
    if (!onBorder(points.at(-1)!, stateOf(to))) faults.push(`L2 ${id} does not end at ${to}`);
    for (const state of states) {
      const bodies = bodiesOf(state);
      if (piecesOf(points).some((piece) => bodies.some((body) => overlap(piece, body))))
        faults.push(`L3 ${id} runs through ${state.id}`);
      if (bodies.some((body) => overlap(label, body))) faults.push(`L3 the label of ${id} lies on ${state.id}`);
    }
    for (const other of edges)
      if (other.id > id && overlap(label, other.label)) faults.push(`L3 the labels of ${id} and ${other.id}`);
  }
  const everything: Box[] = [
    ...states.flatMap((state) => [state, ...bodiesOf(state)]),
    ...edges.flatMap(({ points, label }) => [label, ...piecesOf(points)]),
    ...(layout.note === undefined ? [] : [layout.note]),
  ];
  if (!everything.every((box) => inside(box, { x: 0, y: 0, width: layout.width, height: layout.height }))) faults.push("L4");
  const drawn = new Set(edges.map(({ id }) => id));
  for (const { from, to } of arrowsOf(description))
    if (!drawn.delete(edgeId(from, to))) faults.push(`${from} → ${to} is missing`);
  return [...faults, ...[...drawn].map((id) => `${id} is no transition`)];
};

const busy = createMachine({
  id: "busy",
  initial: "a",
  states: {
    a: { on: { E: "b", F: "d", G: "x", H: "y", I: "z" } },
    b: { on: { E: "c", G: "x", H: "y", I: "z", B: "a" } },
    c: { on: { E: "d", G: "x", H: "y", I: "z", B: "a" } },
    d: { on: { E: "e", G: "x", H: "y", B: "b" } },
    e: { on: { X: "x" } },
    x: { on: { Y: "y", A: "a" } },
    y: { on: { X: "x", E: "e" } },
    z: {},
  },
});

describe("layout", () => {
  const others: Record<string, MachineDrawing> = {};
  beforeAll(async () => {
    for (const [name, machine] of Object.entries({ oven: nestedMachine, hostile: hostileMachine, busy })) {
      const description = describeMachine(name, machine);
      others[name] = { description, layout: await layOut(description) };
    }
  });

  test.each(Object.keys(everyMachine))("L1 L2 L3 L4 %s", (name) => {
    expect(faultsOf(drawings[name]!)).toEqual([]);
  });

  test.each(["oven", "hostile", "busy"])("L1 L2 L3 L4 a machine that is not ours: %s", (name) => {
    expect(faultsOf(others[name]!)).toEqual([]);
  });

  test("a fault is found", () => {
    const { description, layout } = drawings["breaker"]!;
    const [first, second, ...rest] = layout.states;
    const moved = { ...layout, states: [first!, { ...second!, x: first!.x + 5, y: first!.y + 5 }, ...rest] };
    expect(faultsOf({ description, layout: moved })).toEqual(expect.arrayContaining([`L1 ${first!.id} and ${second!.id}`]));
    expect(faultsOf({ description, layout: { ...layout, edges: layout.edges.slice(1) } })[0]).toMatch(/is missing$/);
    expect(faultsOf({ description, layout: { ...layout, width: 100 } })).toEqual(["L4"]);
  });

  test("the seed's way stands in one column, its two exits beside it, what holds anywhere in one note", () => {
    const { states, edges, note } = drawings["seed"]!.layout;
    const exits = ["CULLED", "ROLLED_BACK"];
    const column = states.filter(({ id }) => !exits.includes(id));
    expect(new Set(column.map(({ x }) => x)).size).toBe(1);
    expect(column.map(({ y }) => y)).toEqual(column.map(({ y }) => y).sort((a, b) => a - b));
    for (const { to, points } of edges.filter((edge) => exits.includes(edge.to))) expect(points, to).toHaveLength(2);
    expect(note!.lines.join(" ")).toMatch(/^In any state that does not take it: GERMINATE, .*: refuse$/);
    expect(edges.some(({ from, to }) => from === to)).toBe(false);
  });

  test("a text's width by the table: known letters, and a full square for what is not in it", () => {
    const measure = measureText(10);
    expect([measure(""), measure("i"), measure("W"), measure("→")]).toEqual([0, 3, 10, 10]);
  });
});
