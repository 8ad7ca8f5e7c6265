/**
 * Runs a program on plain arrays: slow, clear, and what every engine is measured against. Each operator computes in float64.
 */
import { ContractError, GraphError } from "../contracts/errors.ts";
import type { Program, Tensor } from "../contracts/graph.ts";
import { requirePrimitive, runForward } from "./operators/index.ts";
import type { NumericArray } from "./operators/operator.ts";
import { formatShape, sameShape, sizeOf } from "./shapes.ts";

export interface ReferenceOptions {
  /** `float32` rounds the result of every node, as an engine does; `float64`, the default, rounds nowhere in between. */
  readonly precision?: "float32" | "float64";
}

const checkFeed = (input: Program["inputs"][number], feed: NumericArray | Tensor | undefined): void => {
  const expected = `${input.dtype} ${formatShape(input.shape)}`;
  if (feed === undefined) {
    throw new ContractError(`feed ${input.name}: expected ${expected}, got nothing; feed every input of the program`, {
      path: input.name,
    });
  }
  if (feed.dtype !== input.dtype || !sameShape(feed.shape, input.shape) || feed.data.length !== sizeOf(input.shape)) {
    throw new ContractError(
      `feed ${input.name}: expected ${expected}, got ${feed.dtype} ${formatShape(feed.shape)} with ${feed.data.length} elements; convert it first`,
      { path: input.name },
    );
  }
};

/** Runs a program on float64 arrays, in and out. Throws ContractError for feeds that do not fit, GraphError for a malformed program. */
export const runNumeric = (
  program: Program,
  feeds: Readonly<Record<string, NumericArray>>,
  options: ReferenceOptions = {},
): Record<string, NumericArray> => {
  const values = new Map<string, NumericArray>();
  for (const input of program.inputs) {
    const feed = feeds[input.name];
    checkFeed(input, feed);
    if (feed !== undefined) values.set(input.name, feed);
  }
  const read = (name: string, reader: string): NumericArray => {
    const value = values.get(name);
    if (value === undefined) {
      throw new GraphError(
        `${reader}: expected values that stand before it, got the unknown value ${name}; check names and order`,
        { path: name },
      );
    }
    return value;
  };
  for (const node of program.nodes.map(requirePrimitive)) {
    const result = runForward(
      node,
      node.inputs.map((input) => read(input, `${node.op} ${node.id}`)),
    );
    if (options.precision === "float32" && result.dtype === "float32")
      result.data.forEach((x, i) => {
        result.data[i] = Math.fround(x);
      });
    values.set(node.id, result);
  }
  return Object.fromEntries(program.outputs.map(({ name, value }) => [name, read(value, `output ${name}`)]));
};

export const toNumeric = (tensor: Tensor): NumericArray => ({ ...tensor, data: Float64Array.from(tensor.data) });

export const fromNumeric = ({ dtype, shape, data }: NumericArray): Tensor => ({
  dtype,
  shape,
  data: dtype === "float32" ? Float32Array.from(data) : Int32Array.from(data),
});

/** Runs a program on tensors. Same errors as `runNumeric`. */
export const runReference = (
  program: Program,
  feeds: Readonly<Record<string, Tensor>>,
  options: ReferenceOptions = {},
): Record<string, Tensor> => {
  const numeric = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toNumeric(tensor)]));
  const results = runNumeric(program, numeric, options);
  return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, fromNumeric(value)]));
};
