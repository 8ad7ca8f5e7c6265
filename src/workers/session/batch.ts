/** Memory for the samples that a program reads. */
import { GraphError } from "../../contracts/errors.ts";
import type { Tensor } from "../../contracts/graph.ts";
import type { Port } from "../../engine/engine.ts";

export interface Batch {
  /** [batch, …inputShape], float32 or int32. */
  readonly x: Tensor;
  /** int32 classes [batch · rows], or float32 values [batch, classes] of a regression. */
  readonly y: Tensor;
}

/** A tensor of zeros for an input of a program. */
export const zerosFor = ({ dtype, shape }: Pick<Port, "dtype" | "shape">): Tensor => {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return { dtype, shape, data: dtype === "int32" ? new Int32Array(size) : new Float32Array(size) };
};

/** An empty batch for a program that reads `x` and `y`. Throws GraphError when it does not. */
export const makeBatch = (inputs: readonly Port[]): Batch => {
  const [x, y] = ["x", "y"].map((name) => inputs.find((port) => port.name === name));
  if (x === undefined || y === undefined) {
    const found = inputs.map(({ name }) => name).join(", ");
    throw new GraphError(`batch: expected a program with inputs x and y, found ${found}; give it its samples and targets`);
  }
  return { x: zerosFor(x), y: zerosFor(y) };
};
