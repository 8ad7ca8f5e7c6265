/** Writes linear units into the weights of a freshly initialised blueprint. */
import type { Graph, Tensor } from "../../contracts/graph.ts";
import type { TinyLayers } from "./index.ts";

/** One linear unit: out += fanOut · (fanIn · in + bias). */
export interface LinearUnit {
  readonly fanIn: ArrayLike<number>;
  readonly bias: number;
  readonly fanOut: ArrayLike<number>;
}

/** Hidden units of a blueprint, and whether they have a bias. */
export const hiddenUnits = ({ parameters }: Graph, { first }: TinyLayers): { readonly width: number; readonly bias: boolean } => {
  const shape = parameters.find(({ name }) => name === `${first}/weight`)!.shape;
  return {
    width: shape.length === 4 ? shape[0]! : shape[1]!,
    bias: parameters.some(({ name }) => name === `${first}/bias`),
  };
};

/** Linear units that so many hidden units can hold. */
export const linearUnitsMax = (width: number, { paired }: TinyLayers): number => (paired ? Math.floor(width / 2) : width);

/** Where the weight from input i to unit u lies: [in, units], or the middle of the window of OIHW. */
const placeOf = (shape: readonly number[]): ((input: number, unit: number) => number) => {
  if (shape.length === 2) return (input, unit) => input * shape[1]! + unit;
  const [, inputs, height, width] = shape;
  const middle = ((height! - 1) / 2) * width! + (width! - 1) / 2;
  return (input, unit) => (unit * inputs! + input) * height! * width! + middle;
};

/**
 * The parameters with those units in the first hidden ones, under the names of `parameters`; the other units stay as they are. `scale`
 * multiplies what the units write. What passes on between first and last layer passes them through.
 */
export const writeLinearUnits = (
  parameters: ReadonlyMap<string, Tensor>,
  layers: TinyLayers,
  units: readonly LinearUnit[],
  scale: number,
): Map<string, Tensor> => {
  const made = new Map(parameters);
  const edit = (name: string, change: (data: Float32Array, shape: readonly number[]) => void): void => {
    const old = parameters.get(name);
    if (old === undefined) return;
    const data = Float32Array.from(old.data);
    change(data, old.shape);
    made.set(name, { ...old, data });
  };
  const signs = layers.paired ? [1, -1] : [1];
  const hidden = units.flatMap((unit) => signs.map((sign) => ({ unit, sign })));
  edit(`${layers.first}/weight`, (data, shape) => {
    const place = placeOf(shape);
    const perUnit = data.length / (shape.length === 4 ? shape[0]! : shape[1]!);
    for (const [h, { unit, sign }] of hidden.entries()) {
      if (shape.length === 4) data.fill(0, h * perUnit, (h + 1) * perUnit);
      for (let i = 0; i < unit.fanIn.length; i++) data[place(i, h)] = sign * unit.fanIn[i]!;
    }
  });
  edit(`${layers.first}/bias`, (data) => {
    for (const [h, { unit, sign }] of hidden.entries()) data[h] = sign * unit.bias;
  });
  if (layers.middle !== undefined) {
    edit(`${layers.middle}/weight`, (data, shape) => {
      const place = placeOf(shape);
      const perUnit = data.length / shape[0]!;
      for (const h of hidden.keys()) {
        data.fill(0, h * perUnit, (h + 1) * perUnit);
        data[place(h, h)] = 1;
      }
    });
  }
  edit(`${layers.last}/weight`, (data, shape) => {
    const place = placeOf(shape);
    for (const [h, { unit, sign }] of hidden.entries()) {
      for (let j = 0; j < unit.fanOut.length; j++) data[place(h, j)] = scale * sign * unit.fanOut[j]!;
    }
  });
  return made;
};
