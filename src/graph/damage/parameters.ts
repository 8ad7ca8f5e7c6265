/** Damage done to first parameters: units that never fire, that stand where there is no slope, or that start far off. */
import type { DamageConfig } from "../../contracts/config-damage.ts";
import { GraphError } from "../../contracts/errors.ts";
import type { Host, Tensor } from "../../contracts/graph.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import { anatomyOf, type LayerAnatomy } from "./anatomy.ts";
import { dyingLayer } from "./sites.ts";

/** Parameters that may be written to: a tensor is copied before its first change. */
class Draft {
  readonly #known: ReadonlyMap<string, Tensor>;
  readonly changed = new Map<string, Tensor>();

  constructor(known: ReadonlyMap<string, Tensor>) {
    this.#known = known;
  }

  data(name: string): Float32Array {
    const tensor = this.changed.get(name);
    if (tensor !== undefined) return tensor.data as Float32Array;
    const known = this.#known.get(name);
    if (known === undefined)
      throw new GraphError(`expected a value for the parameter ${name}, found none; initialize the host first`);
    const data = Float32Array.from(known.data);
    this.changed.set(name, { ...known, data });
    return data;
  }

  fillUnit({ weight }: LayerAnatomy, unit: number, value: (weight: number) => number): void {
    const data = this.data(weight.parameter.name);
    for (let input = 0; input < weight.inputs; input++) {
      const index = weight.indexOf(input, unit);
      data[index] = value(data[index]!);
    }
  }

  norm({ weight }: LayerAnatomy, unit: number): number {
    const data = this.data(weight.parameter.name);
    let sum = 0;
    for (let input = 0; input < weight.inputs; input++) sum += data[weight.indexOf(input, unit)]! ** 2;
    return Math.sqrt(sum);
  }
}

/** All units but `live` that are drawn. Equal for equal names, so that two layers that die together lose the same units. */
const lostUnits = ({ name, weight: { units } }: LayerAnatomy, live: number, random: RandomSource): number[] => {
  const order = Array.from({ length: units }, (_, unit) => unit);
  const draw = random.fork(`units:${name}`);
  for (let index = 0; index < live; index++) {
    const other = index + draw.integer(units - index);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order.slice(live).sort((a, b) => a - b);
};

/** Before a ReLU: below zero for every input, so that no gradient comes back. */
const deadShift = -1;

/**
 * A dead unit has the same output for every input and stays so. With ReLU its incoming weights are 0 and its shift negative. Normalised,
 * its scale is 0 as well: neither scale nor weights get a gradient then. Else it is cut off at both ends, which is a saddle: without
 * outgoing weights no gradient comes in, and without an output the outgoing weights get none.
 */
const kill = (draft: Draft, host: Host, anatomy: LayerAnatomy, units: readonly number[]): void => {
  const { normalization, bias, activation, readers } = anatomy;
  const shift = activation === "relu" ? deadShift : 0;
  for (const unit of units) {
    draft.fillUnit(anatomy, unit, () => 0);
    if (normalization !== undefined) draft.data(normalization.gamma)[unit] = 0;
    const shiftName = normalization?.beta ?? bias;
    if (shiftName !== undefined) draft.data(shiftName)[unit] = shift;
    if (normalization !== undefined || (activation === "relu" && bias !== undefined)) continue;
    for (const { layer, inputsPerUnit } of readers ?? []) cutInputs(draft, anatomyOf(host, layer), unit, inputsPerUnit);
  }
};

/** Zeros all that a reader takes from one unit. A convolution reads a whole window of it. */
const cutInputs = (draft: Draft, reader: LayerAnatomy, unit: number, inputsPerUnit: number): void => {
  const { parameter, units, inputs } = reader.weight;
  const taps = parameter.shape.length === 4 ? parameter.shape[2]! * parameter.shape[3]! : 1;
  const each = inputsPerUnit * taps;
  const data = draft.data(parameter.name);
  for (let input = unit * each; input < Math.min(inputs, (unit + 1) * each); input++) {
    for (let target = 0; target < units; target++) data[reader.weight.indexOf(input, target)] = 0;
  }
};

/**
 * Beyond 10 the slope of tanh and, below −10, of GELU is exactly zero in float32. The deviations, for inputs of unit size, leave room for
 * how far a pre-activation swings and for what training upstream makes of it: with 4 of them half of the ReLU units woke within 300 steps
 * of Adam.
 */
const flatShift = 12;
const flatDeviations = 8;

/** A saturated unit keeps its weights, but its shift puts it where the activation has no slope, for all inputs or almost all. */
const saturate = (draft: Draft, anatomy: LayerAnatomy, units: readonly number[], random: RandomSource): void => {
  const { normalization, bias, activation } = anatomy;
  const shiftName = normalization?.beta ?? bias;
  if (shiftName === undefined) {
    throw new GraphError(`layer ${anatomy.name}: expected a bias or a normalisation to shift, found none; choose another layer`);
  }
  const draw = random.fork(`signs:${anatomy.name}`);
  for (const unit of units) {
    const size = flatShift + (normalization === undefined ? flatDeviations * draft.norm(anatomy, unit) : 0);
    const sign = activation === "tanh" && draw.uniform() < 0.5 ? 1 : -1;
    draft.data(shiftName)[unit] = sign * size;
  }
};

/**
 * Factor on the weights of units that start far off, or on their scale where they are normalised. Too small a start heals: units at a
 * thousandth were back within 300 steps of Adam and of SGD. Too large a one lasts, since a step changes such a weight by so little of itself;
 * with SGD at usual rates the gradients of all other layers grow as well, and a host of ReLUs collapses as a whole.
 */
const farOff = 100;

const misinitialize = (draft: Draft, anatomy: LayerAnatomy, units: readonly number[]): void => {
  const { normalization } = anatomy;
  for (const unit of units) {
    if (normalization === undefined) draft.fillUnit(anatomy, unit, (weight) => weight * farOff);
    else draft.data(normalization.gamma)[unit]! *= farOff;
  }
};

/**
 * The changed parameters of the named layers, and of those that read them. `live` units of each keep what they have.
 * Throws GraphError when a layer cannot have such damage.
 */
export const damageParameters = (
  host: Host,
  layers: readonly string[],
  damage: Pick<DamageConfig, "kind" | "live">,
  parameters: ReadonlyMap<string, Tensor>,
  random: RandomSource,
): ReadonlyMap<string, Tensor> => {
  const draft = new Draft(parameters);
  for (const name of layers) {
    const named = anatomyOf(host, name);
    if (damage.kind === "dead") {
      const dying = dyingLayer(host, named);
      if (dying === undefined)
        throw new GraphError(`layer ${name}: expected units that can die, found none; choose another layer`);
      kill(draft, host, dying, lostUnits(dying, damage.live, random));
    } else if (damage.kind === "saturated") {
      saturate(draft, named, lostUnits(named, damage.live, random), random);
    } else if (damage.kind === "initialization") {
      misinitialize(draft, named, lostUnits(named, damage.live, random));
    }
  }
  return draft.changed;
};
