/** From a binding to what an engine runs: only the nodes that the outputs need, and typed inputs. */
import { GraphError } from "../contracts/errors.ts";
import type { GraphOutput, Program } from "../contracts/graph.ts";
import type { Binding, BoundInput } from "./bind.ts";
import { prune } from "./emitter.ts";
import { inferType, requirePrimitive } from "./operators/index.ts";
import type { ValueType } from "./operators/operator.ts";

/**
 * The program of a binding. All inputs, parameters and random inputs of the binding are inputs of the program, in this order, with
 * `extra` after them; `outputs` name values.
 */
export const assembleProgram = (
  binding: Binding,
  outputs: readonly GraphOutput[],
  extra: readonly BoundInput[] = [],
): Program => ({
  inputs: [
    ...binding.inputs,
    ...binding.parameters.map(({ name, shape }) => ({ name, dtype: "float32" as const, shape })),
    ...binding.randomInputs.map(({ name, shape }) => ({ name, dtype: "float32" as const, shape })),
    ...extra,
  ],
  nodes: prune(
    binding.emitter.nodes,
    outputs.map((output) => output.value),
  ),
  outputs,
});

/** The type of every value of a program, in the order in which they come to be. Throws GraphError when the program is not well formed. */
export const programTypes = (program: Program): Map<string, ValueType> => {
  const types = new Map<string, ValueType>();
  for (const { name, dtype, shape } of program.inputs) types.set(name, { dtype, shape });
  const typeOf = (value: string, reader: string): ValueType => {
    const type = types.get(value);
    if (type === undefined) {
      throw new GraphError(
        `${reader}: expected values that stand before it, got the unknown value ${value}; check names and order`,
        { path: value },
      );
    }
    return type;
  };
  for (const node of program.nodes.map(requirePrimitive)) {
    if (types.has(node.id))
      throw new GraphError(`${node.op} ${node.id}: expected a name used once, got one that is taken; rename it`, {
        path: node.id,
      });
    types.set(
      node.id,
      inferType(
        node,
        node.inputs.map((input) => typeOf(input, `${node.op} ${node.id}`)),
      ),
    );
  }
  for (const { name, value } of program.outputs) typeOf(value, `output ${name}`);
  return types;
};
