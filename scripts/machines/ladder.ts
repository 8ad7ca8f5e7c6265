/**
 * A flat machine as a ladder: its states one below the other in the order in which they are defined, so that the main way reads
 * downwards. A state that many others lead to would collect as many long arrows: it becomes a bar along the column instead, and
 * every arrow to it is one straight line. ELK routes what runs within the column.
 */
import type { MachineDescription, StateDescription } from "../../src/machines/catalogue.ts";
import type { Box, LaidEdge, LaidState, MachineLayout, Point, TextBox } from "../../src/machines/drawing/layout.ts";
import { sizes } from "../../src/machines/drawing/sizes.ts";
import { type Arrow, arrowsOf, edgeId } from "../../src/machines/drawing/words.ts";
import { type ElkPlaces, placeWithElk } from "./elk.ts";
import { labelPartsOf, laidTransitions, type StateParts, statePartsOf, type TextParts } from "./parts.ts";

type Side = "left" | "right";
const sides: readonly Side[] = ["left", "right"];

/** With as many states leading to it, a state is a bar. */
const barSourcesMin = 3;
const rowLabelGap = 6;
/** Of a straight arrow, what shows before its label, and after it with the head. */
const lead = 16;
const leadHead = 16 + sizes.head;
/** Between an arrow down and the arrow up beside it. */
const twinDistance = 26;
const trackDistance = 14;
/** Between the arrows of neighbours and those that go further. */
const plumbDistance = 62;
/** Arrows that go further on one side for which room is kept; more share the last place. */
const tracksMax = 4;
const betweenTracksAndBar = 22;
const besideArrow = 4;
const spineWidth = 10;
const straightLabelWidthMax = 178;
const columnLabelWidthMax = 240;

interface LabelledArrow extends Arrow {
  readonly id: string;
  readonly label: TextParts;
}

/** A line of the ladder: a state, or an arrow that goes from bar to bar. */
interface Row {
  readonly id: string;
  readonly state?: StateDescription;
  readonly arrows: Readonly<Record<Side, readonly LabelledArrow[]>>;
  readonly height: number;
}

interface Plan {
  readonly rows: readonly Row[];
  readonly bars: Readonly<Partial<Record<Side, StateDescription>>>;
  readonly parts: ReadonlyMap<string, StateParts>;
  /** Arrows between two rows. */
  readonly within: readonly LabelledArrow[];
  readonly crossing: readonly LabelledArrow[];
  readonly boxWidth: number;
  /** Room beside the boxes for straight arrows with their labels. */
  readonly room: Readonly<Record<Side, number>>;
}

const barsOf = ({ initial, states }: MachineDescription, arrows: readonly Arrow[]): Plan["bars"] => {
  const sources = (name: string): number => arrows.filter(({ from, to }) => to === name && from !== name).length;
  const [right, left] = states
    .filter(({ name }) => name !== initial && sources(name) >= barSourcesMin)
    .sort((a, b) => sources(b.name) - sources(a.name));
  return { ...(left === undefined ? {} : { left }), ...(right === undefined ? {} : { right }) };
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
const stackHeight = (arrows: readonly LabelledArrow[]): number =>
  sum(arrows.map(({ label }) => label.height)) + rowLabelGap * Math.max(0, arrows.length - 1);

/** Each arrow that goes further than to its neighbour has a place of its own at the box, if all were on one side. */
const boxWidthMin = (further: number): number => 2 * (plumbDistance + trackDistance * (Math.min(further, tracksMax) + 1));

const planOf = (description: MachineDescription): Plan => {
  const plain = arrowsOf(description);
  const parts = new Map(description.states.map((state) => [state.name, statePartsOf(state)]));
  const bars = barsOf(description, plain);
  const sideOf = (name: string): Side | undefined => sides.find((side) => bars[side]?.name === name);
  const arrows: LabelledArrow[] = plain.map((arrow) => {
    const inColumn = sideOf(arrow.from) === undefined && sideOf(arrow.to) === undefined;
    const label = labelPartsOf(arrow.transitions, inColumn ? columnLabelWidthMax : straightLabelWidthMax);
    return { ...arrow, id: edgeId(arrow.from, arrow.to), label };
  });
  const beside = (name: string, side: Side): LabelledArrow[] =>
    arrows.filter(({ from, to }) => (from === name && sideOf(to) === side) || (to === name && sideOf(from) === side));
  const crossing = arrows.filter(({ from, to }) => sideOf(from) !== undefined && sideOf(to) !== undefined);
  const ordered = [
    ...description.states.filter(({ name }) => name === description.initial),
    ...description.states.filter(({ name }) => name !== description.initial && sideOf(name) === undefined),
  ];
  const stateRows: Row[] = ordered.map((state) => {
    const besides = { left: beside(state.name, "left"), right: beside(state.name, "right") };
    const height = Math.max(parts.get(state.name)!.height, ...sides.map((side) => stackHeight(besides[side]) + sizes.pad));
    return { id: state.name, state, arrows: besides, height };
  });
  const crossRows: Row[] = crossing.map((arrow) => ({
    id: arrow.id,
    arrows: { left: [], right: [] },
    height: arrow.label.height + sizes.pad,
  }));
  const after = stateRows.findLastIndex((row) => row.arrows.left.length > 0) + 1;
  const room = (side: Side): number =>
    Math.max(0, ...stateRows.flatMap((row) => row.arrows[side]).map(({ label }) => label.width + lead + leadHead));
  const rows = stateRows.toSpliced(after, 0, ...crossRows);
  const rowOf = (name: string): number => rows.findIndex(({ id }) => id === name);
  const within = arrows.filter(({ from, to }) => sideOf(from) === undefined && sideOf(to) === undefined);
  const further = within.filter(({ from, to }) => Math.abs(rowOf(from) - rowOf(to)) > 1);
  return {
    rows,
    bars,
    parts,
    within,
    crossing,
    boxWidth: Math.max(boxWidthMin(further.length), ...ordered.map(({ name }) => parts.get(name)!.width)),
    room: { left: room("left"), right: room("right") },
  };
};

interface PlacedColumn {
  readonly places: ElkPlaces;
  readonly upward: ReadonlySet<string>;
  /** The side of its arrow on which a label stands. */
  readonly labelSide: (arrow: LabelledArrow) => Side;
}

/** Gives ELK downward arrows only; those that go up are turned back afterwards. Of a label it knows the height alone. */
const placeColumn = async ({ rows, within, boxWidth, room }: Plan): Promise<PlacedColumn> => {
  const indexOf = (name: string): number => rows.findIndex(({ id }) => id === name);
  const upward = new Set(within.filter(({ from, to }) => indexOf(to) < indexOf(from)).map(({ id }) => id));
  const width = room.left + boxWidth + room.right;
  const ends = within.map((arrow) => {
    const [upper, lower] = upward.has(arrow.id) ? [arrow.to, arrow.from] : [arrow.from, arrow.to];
    return { arrow, upper, lower, long: indexOf(lower) - indexOf(upper) > 1 };
  });
  const hasTwin = (end: (typeof ends)[number]): boolean =>
    ends.some((other) => other !== end && other.upper === end.upper && other.lower === end.lower);
  const long = ends.filter((each) => each.long);
  /** A long arrow passes its rows on the side where it crosses fewer straight ones. */
  const sideOf = (end: (typeof ends)[number]): Side => {
    const { upper, lower } = end;
    if (hasTwin(end)) return upward.has(end.arrow.id) ? "right" : "left";
    if (!end.long) return "right";
    const passed = rows.slice(indexOf(upper) + 1, indexOf(lower));
    const crossed = (side: Side): number => sum(passed.map(({ arrows }) => arrows[side].length));
    return crossed("left") < crossed("right") ? "left" : "right";
  };
  const offset = (end: (typeof ends)[number]): number => {
    if (!end.long && !hasTwin(end)) return 0;
    const before = long.filter((other) => sideOf(other) === sideOf(end)).indexOf(end);
    const outwards = end.long ? boxWidth / 2 - trackDistance * (2 + Math.min(before, tracksMax - 1)) : twinDistance;
    return sideOf(end) === "left" ? -outwards : outwards;
  };
  const port = (end: (typeof ends)[number], which: "upper" | "lower", height: number) => ({
    id: `${end.arrow.id}·${which}`,
    x: room.left + boxWidth / 2 + offset(end),
    y: which === "upper" ? height : 0,
    layoutOptions: { "elk.port.side": which === "upper" ? "SOUTH" : "NORTH" },
  });
  const plumb = (id: string, which: "upper" | "lower", height: number) => ({
    id: `${id}·plumb ${which}`,
    x: room.left + boxWidth / 2 + plumbDistance,
    y: which === "upper" ? height : 0,
    layoutOptions: { "elk.port.side": which === "upper" ? "SOUTH" : "NORTH" },
  });
  const places = await placeWithElk({
    layoutOptions: {
      "elk.partitioning.activate": "true",
      "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
      "elk.layered.nodePlacement.favorStraightEdges": "true",
      "elk.separateConnectedComponents": "false",
      "elk.layered.edgeLabels.sideSelection": "ALWAYS_UP",
      "elk.layered.spacing.nodeNodeBetweenLayers": "15",
      "elk.layered.spacing.edgeNodeBetweenLayers": "12",
      "elk.layered.spacing.edgeEdgeBetweenLayers": "10",
      "elk.spacing.edgeNode": "14",
      "elk.spacing.edgeEdge": "12",
      "elk.spacing.edgeLabel": "5",
      "elk.padding": "[top=0,left=0,bottom=0,right=0]",
    },
    children: rows.map(({ id, height }, index) => ({
      id,
      width,
      height,
      layoutOptions: { "elk.portConstraints": "FIXED_POS", "elk.partitioning.partition": String(index) },
      ports: [
        ...ends.flatMap((end) => [
          ...(end.upper === id ? [port(end, "upper", height)] : []),
          ...(end.lower === id ? [port(end, "lower", height)] : []),
        ]),
        plumb(id, "upper", height),
        plumb(id, "lower", height),
      ],
    })),
    edges: [
      ...ends.map(({ arrow, long: isLong }) => ({
        id: arrow.id,
        sources: [`${arrow.id}·upper`],
        targets: [`${arrow.id}·lower`],
        layoutOptions: { "elk.layered.priority.straightness": isLong ? "0" : "10" },
        labels: [
          {
            text: arrow.id,
            width: 1,
            height: arrow.label.height,
            layoutOptions: { "elk.edgeLabels.placement": isLong ? (upward.has(arrow.id) ? "HEAD" : "TAIL") : "CENTER" },
          },
        ],
      })),
      // Never drawn: hold the boxes one exactly below the other.
      ...rows.slice(1).map(({ id }, index) => ({
        id: `·plumb ${id}`,
        sources: [`${rows[index]!.id}·plumb upper`],
        targets: [`${id}·plumb lower`],
        layoutOptions: { "elk.layered.priority.straightness": "1000", "elk.layered.priority.shortness": "1000" },
      })),
    ],
  });
  return { places, upward, labelSide: (arrow) => sideOf(ends.find((end) => end.arrow === arrow)!) };
};

const laid = (arrow: LabelledArrow, points: readonly Point[], at: Point, align: TextBox["align"] = "middle"): LaidEdge => ({
  id: arrow.id,
  from: arrow.from,
  to: arrow.to,
  transitions: laidTransitions(arrow.transitions),
  points,
  label: { ...at, width: arrow.label.width, height: arrow.label.height, lines: arrow.label.lines, align },
});

/** Where an upright piece of the way passes a height; its beginning where none does. */
const nearest = (points: readonly Point[], y: number): number =>
  points.find((point, index) => point.x === points[index + 1]?.x && point.y <= y && y <= points[index + 1]!.y)?.x ?? points[0]!.x;

const startLength = 26;

export const layLadder = async (
  description: MachineDescription,
): Promise<Omit<MachineLayout, "x" | "y" | "width" | "height">> => {
  const plan = planOf(description);
  const { places, upward, labelSide } = await placeColumn(plan);
  const top = startLength + 2 * sizes.startRadius;
  const rowBox = (row: Row): Box => {
    const { x, y } = places.nodes.get(row.id)!;
    return { x: x + plan.room.left, y: y + top, width: plan.boxWidth, height: row.height };
  };
  const laidState = (state: StateDescription, box: Box): LaidState => {
    const { details, stays } = plan.parts.get(state.name)!;
    return { id: state.name, ...box, band: { ...box, width: sizes.band }, details, stays, final: state.final };
  };
  const edges: LaidEdge[] = plan.within.map((arrow) => {
    const { points, label } = places.edges.get(arrow.id)!;
    const down = points.map(({ x, y }) => ({ x, y: y + top }));
    const arrowX = nearest(points, label!.y + arrow.label.height / 2);
    const side = labelSide(arrow);
    const x = side === "left" ? arrowX - besideArrow - arrow.label.width : arrowX + besideArrow;
    const align = side === "left" ? "end" : "start";
    return laid(arrow, upward.has(arrow.id) ? down.toReversed() : down, { x, y: label!.y + top }, align);
  });
  const states: LaidState[] = plan.rows.flatMap((row) => (row.state === undefined ? [] : [laidState(row.state, rowBox(row))]));
  const passed = edges.flatMap(({ points, label }) => [...points.map(({ x }) => x), label.x, label.x + label.width]);
  const edgeOfBar: Record<Side, number> = {
    left: Math.min(...states.map(({ x }) => x - plan.room.left), ...passed.map((x) => x - betweenTracksAndBar)),
    right: Math.max(...states.map(({ x, width }) => x + width + plan.room.right), ...passed.map((x) => x + betweenTracksAndBar)),
  };
  for (const side of sides) {
    const bar = plan.bars[side];
    if (bar === undefined) continue;
    const touched = plan.rows.filter((row) => row.arrows[side].length > 0 || row.state === undefined);
    const boxes = touched.map(rowBox);
    const barTop = Math.min(...boxes.map(({ y }) => y));
    const barBottom = Math.max(...boxes.map(({ y, height }) => y + height));
    const { width, height } = plan.parts.get(bar.name)!;
    const x = side === "left" ? edgeOfBar.left - width : edgeOfBar.right;
    const box = { x, y: barTop, width, height };
    const inner = (wide: number): number => (side === "left" ? edgeOfBar.left - wide : edgeOfBar.right);
    states.push({
      ...laidState(bar, box),
      band: { ...box, x: inner(sizes.band), width: sizes.band },
      spine: { ...box, x: inner(spineWidth), width: spineWidth, height: Math.max(height, barBottom - barTop) },
    });
    for (const row of touched) edges.push(...straight(row, side, rowBox(row), edgeOfBar[side], bar.name));
  }
  for (const arrow of plan.crossing) {
    const { y, height } = rowBox(plan.rows.find(({ id }) => id === arrow.id)!);
    const middle = y + height / 2;
    const [from, to] =
      plan.bars.left?.name === arrow.from ? [edgeOfBar.left, edgeOfBar.right] : [edgeOfBar.right, edgeOfBar.left];
    const at = { x: (from + to) / 2 - arrow.label.width / 2, y: middle - arrow.label.height / 2 };
    edges.push(
      laid(
        arrow,
        [from, to].map((x) => ({ x, y: middle })),
        at,
      ),
    );
  }
  const first = states.find(({ id }) => id === description.initial)!;
  const x = first.x + first.width / 2;
  return {
    states,
    edges,
    starts: [
      {
        to: first.id,
        points: [
          { x, y: first.y - startLength },
          { x, y: first.y },
        ],
      },
    ],
  };
};

/** A row's arrows to and from a bar: straight lines one below the other, each label in its line's middle. */
const straight = (row: Row, side: Side, box: Box, barX: number, bar: string): LaidEdge[] => {
  const arrows = row.arrows[side];
  const boxX = side === "left" ? box.x : box.x + box.width;
  let y = box.y + (box.height - stackHeight(arrows)) / 2;
  return arrows.map((arrow) => {
    const middle = y + arrow.label.height / 2;
    const [from, to] = arrow.to === bar ? [boxX, barX] : [barX, boxX];
    // The label stands by the box, where no arrow of the column runs; an arrow to the box needs room for its head there.
    const gap = arrow.to === bar ? lead : leadHead;
    const x = side === "left" ? boxX - gap - arrow.label.width : boxX + gap;
    const edge = laid(
      arrow,
      [from, to].map((each) => ({ x: each, y: middle })),
      { x, y },
    );
    y += arrow.label.height + rowLabelGap;
    return edge;
  });
};
