/**
 * Reverse-mode differentiation: appends the backward pass of a scalar to the graph that computes it.
 *
 * K1  Only values between `wrt` and the loss get a cotangent: what is frozen costs nothing.
 * K2  A value read in several places gets the sum of their cotangents.
 * K3  A gradient has the shape of its value.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Emitter } from "./emitter.ts";
import { cotangentsOf, type PrimitiveNode } from "./operators/index.ts";
import { formatShape, sizeOf } from "./shapes.ts";

/** Values that depend on one of the given ones, themselves included. */
const dependents = (nodes: readonly PrimitiveNode[], sources: readonly string[]): Set<string> => {
  const reached = new Set(sources);
  for (const node of nodes) if (node.inputs.some((input) => reached.has(input))) reached.add(node.id);
  return reached;
};

/**
 * The gradient of `loss` (one element) with respect to each value of `wrt`: value → gradient's value. Zero where the loss does not
 * depend on it. Throws GraphError when the loss has more than one element or a name is unknown.
 */
export const gradients = (emitter: Emitter, loss: string, wrt: readonly string[]): Map<string, string> => {
  const shape = emitter.type(loss).shape;
  if (sizeOf(shape) !== 1) {
    throw new GraphError(`gradient of ${loss}: expected a value of one element, got ${formatShape(shape)}; reduce it first`, {
      path: loss,
    });
  }
  const forward = [...emitter.nodes];
  const reached = dependents(forward, wrt);
  const cotangents = new Map<string, string>([[loss, emitter.emit("fill", [], { value: 1, shape: [...shape] })]]);
  const scope = emitter.scope;
  for (const node of forward.toReversed()) {
    const dy = cotangents.get(node.id);
    if (dy === undefined || !node.inputs.some((input) => reached.has(input))) continue; // K1
    emitter.scope = `grad/${node.id}`;
    const makers = cotangentsOf(emitter, node, dy);
    node.inputs.forEach((input, i) => {
      const make = makers[i];
      if (make === undefined || make === null || !reached.has(input)) return; // K1
      const added = make();
      const known = cotangents.get(input);
      cotangents.set(input, known === undefined ? added : emitter.add(known, added)); // K2
    });
  }
  emitter.scope = "grad";
  const result = new Map(
    wrt.map((value) => {
      const full = emitter.type(value).shape;
      return [value, emitter.broadcastTo(cotangents.get(value) ?? emitter.scalar(0), full)]; // K3
    }),
  );
  emitter.scope = scope;
  return result;
};
