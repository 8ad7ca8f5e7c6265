/** What every drawing is made of: colours by theme, boxes, lines of text, arrows. Pure text. */
import type { Theme } from "../../contracts/state-style.ts";
import type { Box, Point } from "./layout.ts";
import { sizes } from "./sizes.ts";
import { type Attributes, element, escapeXml } from "./xml.ts";

interface Palette {
  readonly ground: string;
  readonly card: string;
  readonly text: string;
  readonly soft: string;
  readonly line: string;
  readonly edge: string;
}

export const palettes: Readonly<Record<Theme, Palette>> = {
  light: { ground: "#ffffff", card: "#f6f8fa", text: "#1b1f24", soft: "#4d5761", line: "#c4ccd4", edge: "#57606a" },
  dark: { ground: "#0f1317", card: "#1a2027", text: "#e6e9ec", soft: "#aab4be", line: "#3d4650", edge: "#9aa4af" },
};

export const fonts = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif";

export const rect = ({ x, y, width, height }: Box, attributes: Attributes): string =>
  element("rect", { x, y, width, height, ...attributes });

export const line = (text: string, at: Point, attributes: Attributes): string =>
  element("text", { ...at, ...attributes }, escapeXml(text));

/** The baseline of a line that takes `height` from `y` on. */
export const baseline = (y: number, height: number, font: number): number => y + height / 2 + font * 0.36;

/** The way along the corners, each rounded, as the `d` of a path. */
export const roundedPath = (points: readonly Point[], radius: number = sizes.bend): string =>
  points
    .map((point, index) => {
      const [before, after] = [points[index - 1], points[index + 1]];
      if (before === undefined) return `M${point.x} ${point.y}`;
      if (after === undefined) return `L${point.x} ${point.y}`;
      const into = towards(point, before, radius);
      const out = towards(point, after, radius);
      return `L${into.x} ${into.y}Q${point.x} ${point.y} ${out.x} ${out.y}`;
    })
    .join("");

/** A point `distance` from `from` on the way to `to`, but not beyond a share of it. */
const towards = (from: Point, to: Point, distance: number, shareMax = 0.5): Point => {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const part = length === 0 ? 0 : Math.min(distance, length * shareMax) / length;
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
};

/** The head of an arrow that ends at the last point, as the `d` of a path. */
export const headPath = (points: readonly Point[]): string => {
  const end = points.at(-1);
  const before = points.at(-2);
  if (end === undefined || before === undefined) return "";
  const base = towards(end, before, sizes.head, 1);
  const reach = Math.hypot(end.x - base.x, end.y - base.y) || 1;
  const across = { x: (-(end.y - base.y) / reach) * sizes.headHalf, y: ((end.x - base.x) / reach) * sizes.headHalf };
  return `M${end.x} ${end.y}L${base.x + across.x} ${base.y + across.y}L${base.x - across.x} ${base.y - across.y}z`;
};

interface DocumentWords {
  readonly title: string;
  readonly description: string;
}

/** A whole SVG file: its size, its words for who does not see it, its ground, and what is drawn. */
export const svgDocument = (
  { width, height }: Pick<Box, "width" | "height">,
  { title, description }: DocumentWords,
  theme: Theme,
  drawn: readonly string[],
): string =>
  `${element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-labelledby": "drawing-title drawing-description",
      "font-family": fonts,
    },
    element("title", { id: "drawing-title" }, escapeXml(title)),
    element("desc", { id: "drawing-description" }, escapeXml(description)),
    rect({ x: 0, y: 0, width, height }, { fill: palettes[theme].ground }),
    ...drawn,
  )}\n`;

export const drawArrow = (points: readonly Point[], theme: Theme): string[] => [
  element("path", { d: roundedPath(points), fill: "none", stroke: palettes[theme].edge, "stroke-width": 1.4 }),
  element("path", { d: headPath(points), fill: palettes[theme].edge }),
];
