/** A machine with states in states, laid out by ELK alone: each state that holds others is a frame with its text in its head. */
import type { ElkNode } from "elkjs/lib/elk.bundled.js";
import type { MachineDescription, StateDescription } from "../../src/machines/catalogue.ts";
import type { LaidEdge, LaidState, MachineLayout } from "../../src/machines/drawing/layout.ts";
import { sizes } from "../../src/machines/drawing/sizes.ts";
import { arrowsOf, edgeId } from "../../src/machines/drawing/words.ts";
import { placeWithElk } from "./elk.ts";
import { labelPartsOf, laidTransitions, statePartsOf } from "./parts.ts";

const labelWidthMax = 240;
const framePad = 16;

const startId = (to: string): string => `·start ${to}`;

/** States that are entered with what holds them. */
const firstStates = ({ initial, states }: MachineDescription): readonly { readonly to: string; readonly parent?: string }[] => [
  ...(initial === "" ? [] : [{ to: initial }]),
  ...states.flatMap(({ name, initial: first }) => (first === undefined || first === "" ? [] : [{ to: first, parent: name }])),
];

export const layNested = async (
  description: MachineDescription,
): Promise<Omit<MachineLayout, "x" | "y" | "width" | "height">> => {
  const { states } = description;
  const arrows = arrowsOf(description).map((arrow) => ({
    ...arrow,
    id: edgeId(arrow.from, arrow.to),
    label: labelPartsOf(arrow.transitions, labelWidthMax),
  }));
  const parts = new Map(states.map((state) => [state.name, statePartsOf(state)]));
  const firsts = firstStates(description);
  const dots = (parent: string | undefined): ElkNode[] =>
    firsts
      .filter((first) => first.parent === parent)
      .map(({ to }) => ({ id: startId(to), width: 2 * sizes.startRadius, height: 2 * sizes.startRadius }));
  const nodeOf = (state: StateDescription): ElkNode => {
    const inside = states.filter(({ parent }) => parent === state.name);
    const { width, height } = parts.get(state.name)!;
    if (inside.length === 0) return { id: state.name, width, height };
    return {
      id: state.name,
      children: [...dots(state.name), ...inside.map(nodeOf)],
      layoutOptions: {
        "elk.padding": `[top=${height + framePad},left=${sizes.band + framePad},bottom=${framePad},right=${framePad}]`,
        "elk.nodeSize.constraints": "MINIMUM_SIZE",
        "elk.nodeSize.minimum": `(${width},${height})`,
      },
    };
  };
  const places = await placeWithElk({
    layoutOptions: {
      "elk.hierarchyHandling": "INCLUDE_CHILDREN",
      "elk.layered.spacing.nodeNodeBetweenLayers": "30",
      "elk.layered.spacing.edgeNodeBetweenLayers": "14",
      "elk.spacing.nodeNode": "30",
      "elk.spacing.edgeNode": "16",
      "elk.spacing.edgeLabel": "4",
    },
    children: [...dots(undefined), ...states.filter(({ parent }) => parent === undefined).map(nodeOf)],
    edges: [
      ...firsts.map(({ to }) => ({ id: startId(to), sources: [startId(to)], targets: [to] })),
      ...arrows.map(({ id, from, to, label: { width, height } }) => ({
        id,
        sources: [from],
        targets: [to],
        labels: [{ text: id, width, height }],
      })),
    ],
  });
  return {
    states: states.map((state): LaidState => {
      const { x, y, width, height } = places.nodes.get(state.name)!;
      const { details, stays, height: headHeight } = parts.get(state.name)!;
      const holds = states.some(({ parent }) => parent === state.name);
      return {
        id: state.name,
        x,
        y,
        width,
        height,
        band: { x, y, width: sizes.band, height: holds ? headHeight : height },
        details,
        stays,
        final: state.final,
        ...(holds ? { headHeight } : {}),
      };
    }),
    edges: arrows.map(({ id, from, to, transitions, label }): LaidEdge => {
      const { points, label: at } = places.edges.get(id)!;
      return { id, from, to, transitions: laidTransitions(transitions), points, label: { ...label, ...at!, align: "middle" } };
    }),
    starts: firsts.map(({ to }) => ({ to, points: places.edges.get(startId(to))!.points })),
  };
};
