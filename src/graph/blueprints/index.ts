/**
 * The catalogue: every kind of bypass, how it is built, and where the optimum of TINY is written into it. A replacement is built from the layer
 * whose place it takes: `../replace.ts`.
 */
import type { BlueprintRequest, BypassKind } from "../../contracts/blueprint-kinds.ts";
import { fits, type SampleShape } from "../../contracts/blueprint-shapes.ts";
import { GraphError } from "../../contracts/errors.ts";
import type { Graph, Host, HostLayer } from "../../contracts/graph.ts";
import { formatShape } from "../shapes.ts";
import { sampleShapes } from "../spans.ts";
import { convolutionBypass, depthwiseBypass, residualBypass, squeezeExciteBypass } from "./convolutional.ts";
import { denseBypass, lowRankBypass, wideningBypass } from "./dense.ts";
import type { BuildOptions } from "./parts.ts";
import { noOpBypass, normalizationBypass } from "./plain.ts";
import { attentionHeadBypass, tokenMlpBypass } from "./tokens.ts";

/** Layers whose weights a linear map is written into: `first` reads, `middle` passes on, `last` writes. */
export interface TinyLayers {
  readonly first: string;
  readonly middle?: string;
  readonly last: string;
  /** An activation stands between: units come in pairs u, −u, whose difference is linear for ReLU and GELU. */
  readonly paired: boolean;
}

interface Blueprint {
  /** Null where the shapes do not fit. */
  readonly build: (options: BuildOptions) => Graph | null;
  /** Absent where TINY's linear units have no place. */
  readonly tiny?: TinyLayers;
}

const twoLayers: TinyLayers = { first: "first", last: "last", paired: true };

export const blueprints: { readonly [K in BypassKind]: Blueprint } = {
  dense: { build: denseBypass, tiny: { ...twoLayers, middle: "middle" } },
  "low-rank": { build: lowRankBypass, tiny: { ...twoLayers, paired: false } },
  widening: { build: wideningBypass, tiny: twoLayers },
  convolution: { build: convolutionBypass, tiny: { ...twoLayers, middle: "middle" } },
  "depthwise-separable": { build: depthwiseBypass },
  "squeeze-excite": { build: squeezeExciteBypass },
  normalization: { build: normalizationBypass },
  residual: { build: residualBypass, tiny: twoLayers },
  "attention-head": { build: attentionHeadBypass },
  "token-mlp": { build: tokenMlpBypass, tiny: twoLayers },
  "no-op": { build: noOpBypass },
};

/**
 * A graph with one input `in` and one output `out` that joins two shapes of one sample.
 * @throws GraphError when a blueprint of that kind does not fit them, or cannot start in that way.
 */
export const buildBlueprint = (request: BlueprintRequest, from: SampleShape, to: SampleShape): Graph => {
  const { kind, hiddenWidth, initialization } = request;
  const graph =
    kind !== "replacement" && fits(request, from, to) ? blueprints[kind].build({ from, to, hiddenWidth, initialization }) : null;
  if (graph !== null) return graph;
  const start = initialization === "tiny" ? " started by TINY" : "";
  throw new GraphError(
    `blueprint ${kind}: expected shapes that a ${kind}${start} can join, got ${formatShape(from)} and ${formatShape(to)}; choose another span or kind`,
    { path: kind },
  );
};

const layerOf = (host: Host, name: string): HostLayer => {
  const layer = host.layers.find((candidate) => candidate.name === name);
  if (layer !== undefined) return layer;
  const names = host.layers.map((candidate) => candidate.name).join(", ");
  throw new GraphError(`bypass to ${name}: expected one of the layers ${names}; name one of them`, { path: name });
};

/**
 * The blueprint for a span of a host, from the value `from` to the layer `to`.
 * @throws GraphError when a name is unknown, a value is no batch of samples, or the blueprint does not fit.
 */
export const bypassFor = (host: Host, from: string, to: string, request: BlueprintRequest): Graph => {
  const target = layerOf(host, to).preActivation;
  const shapes = sampleShapes(host);
  const shapeOf = (value: string): SampleShape => {
    const shape = shapes.get(value);
    if (shape !== undefined) return shape;
    throw new GraphError(
      `bypass from ${from} to ${to}: expected values with one entry per sample, got ${value}; use a layer's input and a layer`,
      { path: value },
    );
  };
  return buildBlueprint(request, shapeOf(from), shapeOf(target));
};
