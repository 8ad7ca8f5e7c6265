/**
 * A laid-out machine as one SVG file. Pure text: nothing is loaded, nothing runs, and every name is escaped. Colours stand in
 * attributes, so that a page that forbids styles of its own can show it.
 */
import { glyphUnits, stateStyle, type Theme } from "../../contracts/state-style.ts";
import type { MachineDescription, StateDescription } from "../catalogue.ts";
import type { LaidEdge, LaidState, MachineLayout, Point, TextBox } from "./layout.ts";
import { baseline, drawArrow, line, palettes, rect, svgDocument } from "./pieces.ts";
import { sizes } from "./sizes.ts";
import { arrowsOf, edgeId } from "./words.ts";
import { element, escapeXml } from "./xml.ts";

/** Rounded where the box is: on its left, or on its right where the band lies there. */
export const bandPath = ({ x, band }: LaidState): string => {
  const [r, y, height] = [sizes.corner, band.y, band.height];
  const [inner, outer, by] = band.x > x ? [band.x, band.x + band.width, -r] : [band.x + band.width, band.x, r];
  return `M${inner} ${y}H${outer + by}q${-by} 0 ${-by} ${r}v${height - 2 * r}q0 ${r} ${by} ${r}H${inner}z`;
};

/** As in UML: a dot in a ring. */
const finalMark = ({ x, y }: Point, color: string): string[] => [
  element("circle", { cx: x, cy: y, r: 5.5, fill: "none", stroke: color, "stroke-width": 1.3 }),
  element("circle", { cx: x, cy: y, r: 3, fill: color }),
];

const drawState = (machine: string, state: LaidState, description: StateDescription | undefined, theme: Theme): string => {
  const { ground, text, soft, card, line: border, edge } = palettes[theme];
  const style = stateStyle(machine, state.id);
  const { x, y, width, band } = state;
  const r = sizes.corner;
  const left = (band.x > x ? x : band.x + band.width) + sizes.pad;
  const right = (band.x > x ? band.x : x + width) - sizes.corner;
  const titleY = y + sizes.pad;
  let next = titleY + sizes.titleLine;
  const lines = (texts: readonly string[], fill: string): string[] =>
    texts.map((each) => {
      const at = { x: left, y: baseline(next, sizes.textLine, sizes.textFont) };
      next += sizes.textLine;
      return line(each, at, { "font-size": sizes.textFont, fill });
    });
  const details = lines(state.details, soft);
  if (details.length > 0) next += sizes.staysGap;
  const key = state.id.slice(state.id.lastIndexOf(".") + 1);
  const glyphScale = sizes.glyph / glyphUnits;
  return element(
    "g",
    { "data-state": state.id },
    element("title", {}, escapeXml(description?.description ? `${state.id}: ${description.description}` : state.id)),
    rect(state, { rx: r, fill: state.headHeight === undefined ? card : ground, stroke: border }),
    ...(state.spine === undefined ? [] : [rect(state.spine, { rx: sizes.corner / 2, fill: style.color[theme] })]),
    element("path", { d: bandPath(state), fill: style.color[theme] }),
    element("path", {
      d: style.path,
      fill: style.ink[theme],
      "fill-rule": "evenodd",
      transform: `translate(${band.x + (band.width - sizes.glyph) / 2} ${titleY + (sizes.titleLine - sizes.glyph) / 2}) scale(${glyphScale})`,
    }),
    line(
      key,
      { x: left, y: baseline(titleY, sizes.titleLine, sizes.titleFont) },
      { "font-size": sizes.titleFont, "font-weight": 600, fill: text },
    ),
    ...(state.final ? finalMark({ x: right - sizes.pad, y: titleY + sizes.titleLine / 2 }, edge) : []),
    ...details,
    ...lines(state.stays, text),
  );
};

const anchorX = ({ x, width, align }: TextBox): number => {
  if (align === "middle") return x + width / 2;
  return align === "start" ? x + sizes.labelPad : x + width - sizes.labelPad;
};

const drawLabel = (label: TextBox, theme: Theme): string[] => [
  rect(label, { rx: 3, fill: palettes[theme].ground, "fill-opacity": label.align === "middle" ? 1 : 0 }),
  ...label.lines.map((each, index) =>
    line(
      each,
      { x: anchorX(label), y: baseline(label.y + 1 + index * sizes.textLine, sizes.textLine, sizes.textFont) },
      { "font-size": sizes.textFont, "text-anchor": label.align, fill: palettes[theme].text },
    ),
  ),
];

const drawEdge = (edge: LaidEdge, meaning: readonly string[], theme: Theme): string =>
  element(
    "g",
    { "data-edge": edge.id },
    element("title", {}, escapeXml([`${edge.from} → ${edge.to}`, ...meaning].join("\n"))),
    ...drawArrow(edge.points, theme),
  );

const drawNote = (note: TextBox, theme: Theme): string => {
  const { card, line: border, soft } = palettes[theme];
  return element(
    "g",
    {},
    rect(note, { rx: sizes.corner, fill: card, stroke: border, "stroke-dasharray": "4 3" }),
    ...note.lines.map((each, index) =>
      line(
        each,
        { x: note.x + sizes.pad, y: baseline(note.y + sizes.pad + index * sizes.textLine, sizes.textLine, sizes.textFont) },
        { "font-size": sizes.textFont, fill: soft },
      ),
    ),
  );
};

export interface SvgOptions {
  readonly theme: Theme;
}

/** The drawing as text. Groups carry `data-state` with the state's name or `data-edge` with `from→to`. */
export const toSvg = (description: MachineDescription, layout: MachineLayout, { theme }: SvgOptions): string => {
  const { width, height, states, edges, starts, note } = layout;
  const meanings = new Map(
    arrowsOf(description).map(({ from, to, transitions }) => [
      edgeId(from, to),
      transitions.map(({ event, description: said }) => `${event}: ${said}`),
    ]),
  );
  const stateOf = (id: string) => description.states.find(({ name }) => name === id);
  const summary = `${description.description} States: ${description.states.map(({ name }) => name).join(", ")}.`;
  return svgDocument({ width, height }, { title: `State machine: ${description.name}`, description: summary.trim() }, theme, [
    ...states.map((state) => drawState(description.name, state, stateOf(state.id), theme)),
    ...starts.flatMap(({ points }) => [
      element("circle", { cx: points[0]!.x, cy: points[0]!.y, r: sizes.startRadius, fill: palettes[theme].edge }),
      ...drawArrow(points, theme),
    ]),
    ...edges.map((edge) => drawEdge(edge, meanings.get(edge.id) ?? [], theme)),
    ...edges.flatMap(({ label }) => drawLabel(label, theme)),
    ...(note === undefined ? [] : [drawNote(note, theme)]),
  ]);
};
