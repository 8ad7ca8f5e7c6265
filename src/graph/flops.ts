/** What a program costs. The rule per operator stands with the operator. */
import type { Graph, Program } from "../contracts/graph.ts";
import { nodeFlops, requirePrimitive } from "./operators/index.ts";
import { programTypes } from "./program.ts";
import { sizeOf } from "./shapes.ts";

/** Floating-point operations of one run of the program. */
export const programFlops = (program: Program): number => {
  const types = programTypes(program);
  return program.nodes.map(requirePrimitive).reduce((sum, node) => {
    const inputs = node.inputs.map((input) => types.get(input)!);
    return sum + nodeFlops(node, inputs, types.get(node.id)!);
  }, 0);
};

/** Number of trainable values; running statistics do not count. */
export const countParameters = (model: { readonly graph: Pick<Graph, "parameters"> }): number =>
  model.graph.parameters.filter((parameter) => parameter.trainable).reduce((sum, parameter) => sum + sizeOf(parameter.shape), 0);
