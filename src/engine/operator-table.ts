/** A lowering is a table with one clause for each primitive operator. */
import type { GraphNode, OpAttributes, Program } from "../contracts/graph.ts";
import { requirePrimitive } from "../graph/operators/index.ts";
import type { PrimitiveOp, ValueType } from "../graph/operators/operator.ts";
import type { Port } from "./engine.ts";

export type OpTable<Context, Result> = {
  readonly [O in PrimitiveOp]: (context: Context, attributes: OpAttributes<O>) => Result;
};

/** Runs the clause of a node's operator. Throws GraphError on a composite. */
export const applyTable = <Context, Result>(table: OpTable<Context, Result>, node: GraphNode, context: Context): Result => {
  const { op, attributes } = requirePrimitive(node);
  const clause = table[op] as (context: Context, attributes: GraphNode["attributes"]) => Result;
  return clause(context, attributes);
};

/** The program's outputs with their types; `types` are those of the whole program. */
export const outputPorts = (program: Program, types: ReadonlyMap<string, ValueType>): Port[] =>
  program.outputs.map(({ name, value }) => ({ name, ...types.get(value)! }));
