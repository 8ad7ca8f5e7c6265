/**
 * Damage for experiments: a layer of a freshly initialised host loses most of what it can represent.
 *
 * `dead`: all but `live` units get zero incoming weights and bias −1. After ReLU they are 0 for every input, so that no gradient
 * reaches them and training never wakes them.
 * `rank`: the weights, as a matrix of inputs × units, are projected to rank `live`. Training may restore some of it.
 */
import type { DamageConfig } from "../contracts/config.ts";
import { InputError } from "../contracts/errors.ts";
import type { HostLayer, Tensor } from "../contracts/graph.ts";
import type { RandomSource } from "../contracts/ports.ts";
import { projectToRank } from "./linear-algebra.ts";

/** Units of a layer's weight and where unit u's incoming weights lie. Dense weights are [in, out], convolutions OIHW. */
interface WeightLayout {
  readonly units: number;
  readonly inputs: number;
  indexOf(input: number, unit: number): number;
}

const layoutOf = (layer: HostLayer, { shape }: Tensor): WeightLayout => {
  if (layer.kind === "conv2d") {
    const inputs = shape.slice(1).reduce((product, dim) => product * dim, 1);
    return { units: shape[0]!, inputs, indexOf: (input, unit) => unit * inputs + input };
  }
  return { units: shape[1]!, inputs: shape[0]!, indexOf: (input, unit) => input * shape[1]! + unit };
};

/** Layers that damage may name: all but the output. */
const hiddenLayers = (layers: readonly HostLayer[]): readonly HostLayer[] => layers.filter(({ kind }) => kind !== "output");

/** The layer that the configuration names, or one drawn for `random`. @throws InputError when there is no such layer. */
export const damagedLayer = (layers: readonly HostLayer[], damage: DamageConfig, random: RandomSource): HostLayer => {
  const hidden = hiddenLayers(layers);
  const layer =
    damage.site === "random"
      ? hidden[random.fork("site").integer(hidden.length)]
      : hidden.find(({ name }) => name === damage.site);
  if (layer === undefined) {
    const names = hidden.map(({ name }) => name).join(", ");
    throw new InputError(`damage.site: expected \`random\` or one of ${names}, found ${damage.site}`, { path: "damage.site" });
  }
  return layer;
};

const chooseUnits = (units: number, count: number, random: RandomSource): ReadonlySet<number> => {
  const order = Array.from({ length: units }, (_, unit) => unit);
  for (let index = 0; index < count; index++) {
    const other = index + random.integer(units - index);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return new Set(order.slice(0, count));
};

const kill = (layout: WeightLayout, weight: Tensor, bias: Tensor, live: number, random: RandomSource): [Tensor, Tensor] => {
  const alive = chooseUnits(layout.units, live, random.fork("units"));
  const [weights, biases] = [Float32Array.from(weight.data), Float32Array.from(bias.data)];
  for (let unit = 0; unit < layout.units; unit++) {
    if (alive.has(unit)) continue;
    biases[unit] = -1;
    for (let input = 0; input < layout.inputs; input++) weights[layout.indexOf(input, unit)] = 0;
  }
  return [
    { ...weight, data: weights },
    { ...bias, data: biases },
  ];
};

const flatten = (layout: WeightLayout, weight: Tensor, rank: number): Tensor => {
  const matrix = new Float64Array(layout.inputs * layout.units);
  for (let input = 0; input < layout.inputs; input++) {
    for (let unit = 0; unit < layout.units; unit++)
      matrix[input * layout.units + unit] = weight.data[layout.indexOf(input, unit)]!;
  }
  const projected = projectToRank({ rows: layout.inputs, columns: layout.units, data: matrix }, rank);
  const data = new Float32Array(weight.data.length);
  for (let input = 0; input < layout.inputs; input++) {
    for (let unit = 0; unit < layout.units; unit++) {
      data[layout.indexOf(input, unit)] = projected.data[input * layout.units + unit]!;
    }
  }
  return { ...weight, data };
};

/**
 * The damaged tensors of one layer, by name; those of the host stay as they are.
 * @throws InputError when `live` leaves nothing to damage.
 */
export const damageLayer = (
  layer: HostLayer,
  parameters: ReadonlyMap<string, Tensor>,
  damage: DamageConfig,
  random: RandomSource,
): Map<string, Tensor> => {
  const tensors = layer.parameters.map((name) => ({ name, tensor: parameters.get(name) }));
  const weight = tensors.find(({ tensor }) => tensor !== undefined && tensor.shape.length >= 2);
  if (weight?.tensor === undefined) {
    throw new InputError(`damage.site: expected a layer with weights, found ${layer.name} without`, { path: "damage.site" });
  }
  const layout = layoutOf(layer, weight.tensor);
  if (damage.live >= Math.min(layout.units, damage.kind === "rank" ? layout.inputs : layout.units)) {
    throw new InputError(
      `damage.live: expected fewer than the ${layout.units} units of ${layer.name}, found ${damage.live}; nothing would be damaged`,
      { path: "damage.live" },
    );
  }
  if (damage.kind === "rank") return new Map([[weight.name, flatten(layout, weight.tensor, damage.live)]]);
  const bias = tensors.find(({ tensor }) => tensor?.shape.length === 1 && tensor.shape[0] === layout.units);
  if (bias?.tensor === undefined) {
    throw new InputError(`damage.kind: expected a layer with a bias for \`dead\`, found ${layer.name} without one`, {
      path: "damage.kind",
    });
  }
  const [weights, biases] = kill(layout, weight.tensor, bias.tensor, damage.live, random);
  return new Map([
    [weight.name, weights],
    [bias.name, biases],
  ]);
};
