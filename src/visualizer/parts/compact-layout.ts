/**
 * The same statechart with less room between and in its states, for a drawing without labels. Pure: every coordinate is moved along a monotone
 * line, so that what is left of, above or on the border of something stays so.
 */
import type { Box, MachineLayout, Point } from "../../machines/drawing/index.ts";

type Span = readonly [number, number];

/** Merged stretches that the boxes cover, ascending. */
const covered = (spans: readonly Span[]): readonly Span[] => {
  const merged: [number, number][] = [];
  for (const [from, to] of spans.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
};

interface Rule {
  /** What is covered by boxes shrinks by this factor. */
  readonly scale: number;
  /** What lies between them is at most so wide. */
  readonly gapMax: number;
  readonly margin: number;
}

/** A monotone map of one axis, and the length of what it maps to. */
export const squeeze = (
  spans: readonly Span[],
  { scale, gapMax, margin }: Rule,
): { readonly map: (at: number) => number; readonly length: number } => {
  const boxes = covered(spans);
  const knots: (readonly [number, number])[] = [];
  let end = margin;
  boxes.forEach(([from, to], index) => {
    const before = boxes[index - 1];
    if (before !== undefined) end += Math.min(gapMax, from - before[1]);
    knots.push([from, end]);
    end += (to - from) * scale;
    knots.push([to, end]);
  });
  const map = (at: number): number => {
    const after = knots.findIndex(([from]) => from >= at);
    const first = knots[0];
    const last = knots.at(-1);
    if (first === undefined || last === undefined) return at;
    if (after === 0) return Math.max(0, first[1] - Math.min(margin, first[0] - at));
    if (after < 0) return last[1] + Math.min(margin, at - last[0]);
    const [fromA, toA] = knots[after - 1]!;
    const [fromB, toB] = knots[after]!;
    return fromB === fromA ? toB : toA + ((at - fromA) / (fromB - fromA)) * (toB - toA);
  };
  return { map, length: end + margin };
};

const bandWidth = 46;
const acrossRule: Rule = { scale: 1, gapMax: 76, margin: 34 };
const downRule: Rule = { scale: 0.6, gapMax: 34, margin: 34 };

export const compacted = (layout: MachineLayout): MachineLayout => {
  const across = squeeze(
    layout.states.map(({ x, width }) => [x, x + width] as const),
    acrossRule,
  );
  const down = squeeze(
    layout.states.map(({ y, height }) => [y, y + height] as const),
    downRule,
  );
  const point = ({ x, y }: Point): Point => ({ x: across.map(x), y: down.map(y) });
  const box = <T extends Box>(each: T): T => {
    const from = point(each);
    const to = point({ x: each.x + each.width, y: each.y + each.height });
    return { ...each, ...from, width: to.x - from.x, height: to.y - from.y };
  };
  const { note: _, ...rest } = layout;
  return {
    ...rest,
    x: 0,
    y: 0,
    width: across.length,
    height: down.length,
    states: layout.states.map((state) => {
      const small = box(state);
      const band = box({ ...state.band, width: bandWidth });
      // The band keeps its side of the box.
      const x = state.band.x > state.x ? small.x + small.width - bandWidth : small.x;
      const spine = state.spine === undefined ? {} : { spine: box(state.spine) };
      return { ...small, band: { ...band, x, width: bandWidth }, ...spine };
    }),
    edges: layout.edges.map((edge) => ({ ...edge, points: edge.points.map(point), label: box(edge.label) })),
    starts: layout.starts.map((start) => ({ ...start, points: start.points.map(point) })),
  };
};
