/**
 * Which stretches of a host a bypass may bridge: from the value that a layer reads to the pre-activation of a later one.
 *
 * S1  The value that is read dominates the target: every path from `x` to the target goes through it, so the bypass bridges a stretch
 *     with one entry and nothing reaches the target around it. What earlier seeds have added is no path of the host's.
 * S2  Some blueprint joins the two shapes. A value that has no entry of its own for each sample, such as tokens that were put into one
 *     axis with the samples, is no end of a span; and none that joins tokens lets one see those after it.
 * S3  A layer's own pre-activation is a target where its output is but one part of what is made of it, as on a shortcut, at the end of
 *     a branch or in the values of attention: there a bypass may run beside the layer. Everywhere else a target stands later.
 */
import { bypassKinds } from "../contracts/blueprint-kinds.ts";
import { fits, type SampleShape } from "../contracts/blueprint-shapes.ts";
import type { Host, HostLayer } from "../contracts/graph.ts";
import { bind } from "./bind.ts";
import { type Dominators, dominatorsFrom } from "./dominators.ts";

export interface Span {
  /** Layer whose input the bypass reads. */
  readonly from: string;
  /** Layer to whose pre-activation it adds. */
  readonly to: string;
}

/** Two samples are enough to tell an axis of samples from one that is always 1. */
const samples = 2;

/** Shape of one sample of every value that has one entry per sample. */
export const sampleShapes = ({ graph }: Pick<Host, "graph">): ReadonlyMap<string, SampleShape> => {
  const { types, parameters } = bind(graph, { batch: samples, mode: "eval" });
  const fixed = new Set(parameters.map(({ name }) => name));
  const shapes = new Map<string, SampleShape>();
  for (const [name, { shape }] of types) if (!fixed.has(name) && shape[0] === samples) shapes.set(name, shape.slice(1));
  return shapes;
};

/** Seeds that are grown into a host, by the cohorts of its parameters. */
const seedsOf = ({ graph }: Host): readonly string[] => [
  ...new Set(graph.parameters.flatMap(({ cohort }) => (cohort === "host" ? [] : [cohort]))),
];

/** S1: dominators of the host's own values. A seed's sum reads the host alone. */
const hostDominators = (host: Host): Dominators => {
  const seeds = seedsOf(host);
  const grown = (value: string): boolean => seeds.some((seed) => value.startsWith(`${seed}/`) || value === `${seed}:scaled`);
  const vertices = host.graph.nodes.flatMap(({ id, inputs }) =>
    grown(id) ? [] : [{ id, inputs: inputs.filter((input) => !grown(input)) }],
  );
  return dominatorsFrom("x", vertices);
};

const someBlueprintJoins = (from: SampleShape, to: SampleShape): boolean =>
  bypassKinds.some((kind) => kind !== "no-op" && fits({ kind }, from, to));

/** All legal spans, by the order of their first and then of their last layer. Both ends may be one layer (S3). */
export const legalSpans = (host: Host): readonly Span[] => {
  const shapes = sampleShapes(host);
  const { dominates } = hostDominators(host);
  const joins = (from: string, to: string): boolean => {
    const [source, target] = [shapes.get(from), shapes.get(to)];
    return source !== undefined && target !== undefined && someBlueprintJoins(source, target); // S2
  };
  const isOnePart = ({ name, output }: HostLayer): boolean =>
    !host.layers.some((layer) => layer.name !== name && dominates(output, layer.preActivation)); // S3
  return host.layers.flatMap((first, index) =>
    first.kind === "output"
      ? []
      : host.layers
          .slice(index)
          .filter((last) => last !== first || isOnePart(first))
          .filter(({ preActivation }) => dominates(first.input, preActivation) && joins(first.input, preActivation))
          .map((last) => ({ from: first.name, to: last.name })),
  );
};

/** Layers to whose pre-activation a bypass from that layer's input may add. */
export const legalTargets = (host: Host, layer: string): string[] =>
  legalSpans(host).flatMap(({ from, to }) => (from === layer ? [to] : []));
