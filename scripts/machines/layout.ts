/** Lays a described machine out. Deterministic: equal descriptions give equal numbers, rounded to half pixels. */
import type { MachineDescription } from "../../src/machines/catalogue.ts";
import type { Box, MachineLayout, Point } from "../../src/machines/drawing/layout.ts";
import { sizes } from "../../src/machines/drawing/sizes.ts";
import { layLadder } from "./ladder.ts";
import { layNested } from "./nested.ts";
import { notePartsOf } from "./parts.ts";

type Unframed = Omit<MachineLayout, "x" | "y" | "width" | "height">;

const half = (value: number): number => Math.round(2 * value) / 2;

/** Moves everything so that the drawing begins at its margin, and rounds. */
const framed = (description: MachineDescription, { states, edges, starts }: Unframed): MachineLayout => {
  const points = [...edges.flatMap((edge) => edge.points), ...starts.flatMap((start) => start.points)];
  const boxes: Box[] = [
    ...states,
    ...states.flatMap(({ spine }) => spine ?? []),
    ...edges.map(({ label }) => label),
    ...points.map((point) => ({ ...point, width: 0, height: 0 })),
  ];
  const left = Math.min(...boxes.map(({ x }) => x));
  const top = Math.min(...boxes.map(({ y }) => y)) - sizes.startRadius;
  const right = Math.max(...boxes.map(({ x, width }) => x + width));
  const bottom = Math.max(...boxes.map(({ y, height }) => y + height));
  const moved = <T extends Point>(point: T): T => ({
    ...point,
    x: half(point.x - left + sizes.margin),
    y: half(point.y - top + sizes.margin),
  });
  const box = <T extends Box>(each: T): T => ({ ...moved(each), width: half(each.width), height: half(each.height) });
  const note = notePartsOf(description);
  const end = bottom - top + 2 * sizes.margin;
  return {
    x: 0,
    y: 0,
    width: half(Math.max(right - left, note?.width ?? 0) + 2 * sizes.margin),
    height: half(end + (note === undefined ? 0 : note.height + sizes.margin)),
    states: states.map((state) => ({
      ...box(state),
      band: box(state.band),
      ...(state.spine === undefined ? {} : { spine: box(state.spine) }),
    })),
    edges: edges.map((edge) => ({ ...edge, points: edge.points.map(moved), label: box(edge.label) })),
    starts: starts.map((start) => ({ ...start, points: start.points.map(moved) })),
    ...(note === undefined ? {} : { note: { ...note, align: "start" as const, x: sizes.margin, y: half(end) } }),
  };
};

export const layOut = async (description: MachineDescription): Promise<MachineLayout> => {
  const isFlat = description.initial !== "" && description.states.every(({ parent }) => parent === undefined);
  return framed(description, await (isFlat ? layLadder : layNested)(description));
};
