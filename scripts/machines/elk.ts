/** ELK's layered algorithm (U. Rüegg et al., eclipse.dev/elk) as a function from boxes and arrows to places. */
import elkModule, { type ElkExtendedEdge, type ElkNode } from "elkjs/lib/elk.bundled.js";
import type { Point } from "../../src/machines/drawing/layout.ts";

export interface ElkPlaces {
  readonly width: number;
  readonly height: number;
  readonly nodes: ReadonlyMap<string, ElkNode & Point & { readonly width: number; readonly height: number }>;
  /** An arrow's corners, and the top left corner of its label where it has one. */
  readonly edges: ReadonlyMap<string, { readonly points: readonly Point[]; readonly label: Point | undefined }>;
}

// The package is CommonJS with a default of its own.
const elk = new elkModule.default();

const common = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.edgeRouting": "ORTHOGONAL",
  "elk.json.shapeCoords": "ROOT",
  "elk.json.edgeCoords": "ROOT",
  "elk.randomSeed": "1",
};

const allNodes = (node: ElkNode): ElkNode[] => (node.children ?? []).flatMap((child) => [child, ...allNodes(child)]);
const allEdges = (node: ElkNode): ElkExtendedEdge[] => [...(node.edges ?? []), ...(node.children ?? []).flatMap(allEdges)];

const placed = (node: ElkNode) => {
  const { x, y, width, height } = node;
  if (x === undefined || y === undefined || width === undefined || height === undefined)
    throw new Error(`expected a place for ${node.id} from ELK, got none`);
  return { ...node, x, y, width, height };
};

const routed = (edge: ElkExtendedEdge): readonly [string, { points: readonly Point[]; label: Point | undefined }] => {
  const section = edge.sections?.[0];
  if (section === undefined) throw new Error(`expected a way for ${edge.id} from ELK, got none`);
  const label = edge.labels?.[0];
  return [
    edge.id,
    {
      points: [section.startPoint, ...(section.bendPoints ?? []), section.endPoint].map(({ x, y }) => ({ x, y })),
      label: label?.x === undefined || label.y === undefined ? undefined : { x: label.x, y: label.y },
    },
  ];
};

/** Coordinates count from the graph's corner, whatever a box stands in. */
export const placeWithElk = async (graph: Omit<ElkNode, "id">): Promise<ElkPlaces> => {
  const root = await elk.layout({ ...graph, id: "·root", layoutOptions: { ...common, ...graph.layoutOptions } });
  return {
    width: root.width ?? 0,
    height: root.height ?? 0,
    nodes: new Map(allNodes(root).map((node) => [node.id, placed(node)])),
    edges: new Map(allEdges(root).map(routed)),
  };
};
