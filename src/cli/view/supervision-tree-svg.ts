/** The supervision tree as one SVG file, in the look of the statecharts: children to the right of their supervisor, first started on top. */
import type { Theme } from "../../contracts/state-style.ts";
import type { Box, Point } from "../../machines/drawing/layout.ts";
import { baseline, line, palettes, rect, roundedPath, svgDocument } from "../../machines/drawing/pieces.ts";
import { sizes } from "../../machines/drawing/sizes.ts";
import { element } from "../../machines/drawing/xml.ts";
import type { Strategy } from "../../supervision/spec.ts";
import { strategyWords, type TreeNode } from "./supervision-tree.ts";

/** Colours of M. Okabe and K. Ito; the strategy stands beside them in words. */
const strategyColors: Readonly<Record<Strategy, string>> = {
  rest_for_one: "#0072b2",
  one_for_one: "#009e73",
  one_for_all: "#d55e00",
};
const workerColor = "#7a7a7a";

const boxSize = { width: 168, height: 44 };
const rowGap = 12;
const levelGap = 62;
const band = 8;
const legendLine = 20;

interface PlacedNode {
  readonly node: TreeNode;
  readonly box: Box;
  readonly children: readonly PlacedNode[];
}

/** A worker takes a row; a supervisor stands beside the middle of its children. Returns the row after it. */
const place = (node: TreeNode, depth: number, row: number): { readonly placed: PlacedNode; readonly next: number } => {
  let next = row;
  const children = node.children.map((child) => {
    const below = place(child, depth + 1, next);
    next = below.next;
    return below.placed;
  });
  const first = children[0]?.box.y;
  const last = children.at(-1)?.box.y;
  const x = sizes.margin + depth * (boxSize.width + levelGap);
  const y = first === undefined || last === undefined ? sizes.margin + row * (boxSize.height + rowGap) : (first + last) / 2;
  return { placed: { node, box: { ...boxSize, x, y }, children }, next: children.length === 0 ? row + 1 : next };
};

const all = (placed: PlacedNode): PlacedNode[] => [placed, ...placed.children.flatMap(all)];

const told = ({ strategy, restart }: TreeNode): string =>
  [...(strategy === undefined ? [] : [strategy]), ...(restart === "permanent" ? [] : [restart])].join(", ");

const drawNode = ({ node, box }: PlacedNode, theme: Theme): string => {
  const { card, line: border, text, soft } = palettes[theme];
  const { x, y, height } = box;
  const under = told(node);
  const left = x + band + sizes.pad;
  const r = sizes.corner;
  const color = node.strategy === undefined ? workerColor : strategyColors[node.strategy];
  const nameTop = under === "" ? y + (height - sizes.titleLine) / 2 : y + 6;
  return element(
    "g",
    { "data-actor": node.id },
    rect(box, { rx: r, fill: card, stroke: border }),
    element("path", {
      d: `M${x + band} ${y}H${x + r}q${-r} 0 ${-r} ${r}v${height - 2 * r}q0 ${r} ${r} ${r}H${x + band}z`,
      fill: color,
    }),
    line(
      node.id,
      { x: left, y: baseline(nameTop, sizes.titleLine, sizes.titleFont) },
      { "font-size": sizes.titleFont, "font-weight": 600, fill: text },
    ),
    ...(under === ""
      ? []
      : [
          line(
            under,
            { x: left, y: baseline(nameTop + sizes.titleLine, sizes.textLine, sizes.textFont) },
            { "font-size": sizes.textFont, fill: soft },
          ),
        ]),
  );
};

const middle = ({ y, height }: Box): number => y + height / 2;

const drawBranches = ({ box, children }: PlacedNode, theme: Theme): string[] =>
  children.map(({ box: child }) => {
    const [from, to] = [box.x + box.width, child.x];
    const turn = (from + to) / 2;
    const corners: Point[] = [
      { x: from, y: middle(box) },
      { x: turn, y: middle(box) },
      { x: turn, y: middle(child) },
      { x: to, y: middle(child) },
    ];
    const points = middle(box) === middle(child) ? [corners[0]!, corners[3]!] : corners;
    return element("path", { d: roundedPath(points), fill: "none", stroke: palettes[theme].edge, "stroke-width": 1.4 });
  });

export const treeSvg = (tree: TreeNode, theme: Theme): string => {
  const nodes = all(place(tree, 0, 0).placed);
  const bottom = Math.max(...nodes.map(({ box }) => box.y + box.height)) + sizes.margin;
  const used = Object.entries(strategyWords).filter(([strategy]) => nodes.some(({ node }) => node.strategy === strategy));
  const width = Math.max(...nodes.map(({ box }) => box.x + box.width)) + sizes.margin;
  const height = bottom + used.length * legendLine + sizes.margin;
  const supervisors = nodes.filter(({ node }) => node.children.length > 0);
  const description = supervisors
    .map(({ node }) => `${node.id} (${told(node)}) supervises ${node.children.map(({ id }) => id).join(", ")}.`)
    .join(" ");
  return svgDocument({ width, height }, { title: `Supervision tree: ${tree.id}`, description }, theme, [
    ...nodes.flatMap((placed) => drawBranches(placed, theme)),
    ...nodes.map((placed) => drawNode(placed, theme)),
    ...used.flatMap(([strategy, words], index) => {
      const y = bottom + index * legendLine;
      return [
        rect(
          { x: sizes.margin, y: y + 3, width: band, height: legendLine - 6 },
          { rx: 2, fill: strategyColors[strategy as Strategy] },
        ),
        line(
          `${strategy}: ${words}`,
          { x: sizes.margin + band + sizes.pad, y: baseline(y, legendLine, sizes.textFont) },
          { "font-size": sizes.textFont, fill: palettes[theme].soft },
        ),
      ];
    }),
  ]);
};
