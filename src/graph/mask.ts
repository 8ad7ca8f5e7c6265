/**
 * Blends parts of a host out while it runs, before they are taken out for good: at alpha 0 the host, at alpha 1 the pruned host.
 *
 * M1 A layer's output o becomes o + alpha · mask · (constants − o) for all who read it; a folded bypass b becomes b − alpha · b.
 * M2 What is added has the seed's name, as a bypass has. Its parameters are fixed: nothing of it learns and nothing counts.
 * M3 The host's own graph, parameters and names stay as they are.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, Host, Tensor } from "../contracts/graph.ts";
import type { PruneTarget } from "../contracts/pruning.ts";
import { bind } from "./bind.ts";
import { GraphBuilder } from "./builder.ts";
import { unitsOf } from "./prune.ts";
import { insertAddend, seedValue, sumValue } from "./rewrite.ts";
import { formatShape } from "./shapes.ts";

export interface Mask {
  /** With the graph input `alpha:<seed>`. */
  readonly host: Host;
  /** What is added, reading `in`. */
  readonly graph: Graph;
  /** Values of its parameters, by their names in the host. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

type UnitTarget = Extract<PruneTarget, { kind: "units" }>;
type BypassTarget = Extract<PruneTarget, { kind: "bypass" }>;

const fixed = { trainable: false } as const;
const zero = { kind: "constant", value: 0 } as const;

const floats = (shape: readonly number[], data: Float32Array): Tensor => ({ dtype: "float32", shape: [...shape], data });

const sampleShape = (host: Host, value: string): number[] =>
  bind(host.graph, { batch: 1, mode: "eval" }).types.get(value)?.shape.slice(1) ?? [];

/** Units stand on the channel axis of maps and on the last axis of everything else; one entry each, shaped to broadcast over the rest. */
const perUnit = (host: Host, site: string, sample: readonly number[]): number[] => {
  const units = unitsOf(host, site);
  const isMap = sample.length === 3;
  const found = isMap ? sample[0] : sample.at(-1);
  if (found === units) return isMap ? [units, 1, 1] : [units];
  throw new GraphError(
    `mask ${site}: expected an output with its ${units} units along one axis, got the shape ${formatShape(sample)}; name another layer`,
    { path: site },
  );
};

const maskUnits = (host: Host, seedId: string, { site, units, constants }: UnitTarget): Mask => {
  const width = unitsOf(host, site);
  const output = host.layers.find(({ name }) => name === site)!.output;
  const sample = sampleShape(host, output);
  const shape = perUnit(host, site, sample);
  const b = new GraphBuilder(seedId);
  const value = b.input("in", [-1, ...sample]);
  const [mask, kept] = [b.parameter("mask", shape, zero, fixed), b.parameter("constants", shape, zero, fixed)];
  b.output("out", b.op("mul", [b.op("sub", [kept, value], {}, "difference"), mask], {}, "masked"));
  const graph = b.build();
  const strange = units.find((unit) => unit >= width);
  if (strange !== undefined)
    throw new GraphError(`mask ${site}: expected units below ${width}, got ${strange}; check the units`, { path: site });
  const [chosen, values] = [new Float32Array(width), new Float32Array(width)];
  for (const [at, unit] of units.entries()) {
    chosen[unit] = 1;
    values[unit] = constants[at] ?? 0;
  }
  return {
    host: insertAddend(host, { seedId, blueprint: graph, from: output, target: output, alpha: "input" }),
    graph,
    tensors: new Map([
      [seedValue(seedId, mask), floats(shape, chosen)],
      [seedValue(seedId, kept), floats(shape, values)],
    ]),
  };
};

const maskBypass = (host: Host, seedId: string, target: BypassTarget): Mask => {
  const sum = sumValue(target.seedId);
  const bypass = host.graph.nodes.find(({ id }) => id === sum)?.inputs[1];
  if (bypass === undefined) {
    throw new GraphError(`mask ${target.seedId}: expected a seed that the host holds, got one that it does not; name another`, {
      path: target.seedId,
    });
  }
  const b = new GraphBuilder(seedId);
  const value = b.input("in", [-1, ...sampleShape(host, bypass)]);
  const sign = b.parameter("mask", [1], { kind: "constant", value: -1 }, fixed);
  b.output("out", b.op("mul", [value, sign], {}, "masked"));
  const graph = b.build();
  return {
    host: insertAddend(host, { seedId, blueprint: graph, from: bypass, target: sum, alpha: "input" }),
    graph,
    tensors: new Map([[seedValue(seedId, sign), floats([1], Float32Array.of(-1))]]),
  };
};

/** The host in which a seed blends the target out. @throws GraphError for a target that the host does not have. */
export const maskTarget = (host: Host, seedId: string, target: PruneTarget): Mask =>
  target.kind === "units" ? maskUnits(host, seedId, target) : maskBypass(host, seedId, target);
