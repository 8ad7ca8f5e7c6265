/**
 * The program behind TINY's start: second moments of what a bypass reads, of what its last layer reads already, and of the loss's
 * gradient there. One row for each place of the target: a sample, a token, a pixel.
 *
 * Only the units' linear part counts, so that convolutions are taken at the middle of their window: an image is read at the places
 * that the span's stride keeps, and for a vector it is flattened or averaged as the blueprint does it.
 */
import { flattenWidthMax, strideBetween } from "../contracts/blueprint-shapes.ts";
import { GraphError } from "../contracts/errors.ts";
import type { Graph, Host, HostLayer, Program } from "../contracts/graph.ts";
import { gradients } from "./autodiff.ts";
import { openBinding } from "./bind.ts";
import type { Emitter } from "./emitter.ts";
import { assembleProgram } from "./program.ts";
import { sizeOf } from "./shapes.ts";
import { appendLoss } from "./step.ts";

export interface TinyMomentsOptions {
  readonly host: Host;
  readonly from: HostLayer;
  readonly to: HostLayer;
  readonly blueprint: Graph;
  readonly batch: number;
}

export const tinyMomentNames = ["read", "present", "overlap", "presentGradient", "readGradient"] as const;

/** Every `stride`-th place in both directions. */
const thinned = (b: Emitter, image: string, stride: number): string =>
  stride === 1 ? image : b.emit("avgPool2d", [image], { kernelSize: [1, 1], strides: [stride, stride], pads: [0, 0, 0, 0] });

/** [N, C, H, W] → [N·H·W, C], [N, T, D] → [N·T, D]. */
const places = (b: Emitter, value: string): string => {
  const last = b.type(value).shape.length === 4 ? b.emit("transpose", [value], { perm: [0, 2, 3, 1] }) : value;
  const shape = b.type(last).shape;
  return shape.length === 2 ? last : b.reshape(last, [sizeOf(shape.slice(0, -1)), shape.at(-1)!]);
};

const average = (b: Emitter, image: string): string => b.emit("reduceMean", [image], { axes: [2, 3], keepDims: false });

/** How the blueprint's first operation sees an image when the target is a vector. */
type Reading = "flatten" | "average" | "strided-average";

const readingOf = ({ parameters, inputs }: Graph): Reading => {
  const first = parameters.find(({ name }) => name === "first/weight")?.shape;
  if (first?.length === 4) return "strided-average";
  return first?.[0] === sizeOf(inputs[0]!.shape.slice(1)) ? "flatten" : "average";
};

/** A value of the host as rows that match those of the target; undefined where their places have nothing to do with each other. */
const rowsOf = (b: Emitter, value: string, target: readonly number[], reading: Reading): string | undefined => {
  const shape = b.type(value).shape;
  if (target.length === 4) {
    const stride = shape.length === 4 ? strideBetween(shape, target) : null;
    return stride === null ? undefined : places(b, thinned(b, value, stride));
  }
  if (target.length === 3) return shape.length === 3 && shape[1] === target[1] ? places(b, value) : undefined;
  if (shape.length === 2) return value;
  if (shape.length !== 4) return undefined;
  if (reading === "flatten") return b.reshape(value, [shape[0]!, sizeOf(shape.slice(1))]);
  return average(b, reading === "average" ? value : thinned(b, value, 2));
};

/** Inputs as for an evaluation. Outputs: `read`, `present`, `overlap`, `presentGradient`, `readGradient`; see growth/tiny.ts. */
export const tinyMoments = ({ host, from, to, blueprint, batch }: TinyMomentsOptions): Program => {
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  const { perSample, labels } = appendLoss(binding, host, batch);
  const b = binding.emitter;
  b.scope = "tiny";
  const target = binding.resolve(to.preActivation);
  const shape = b.type(target).shape;
  const loss = b.sum(perSample, [0], false);
  const gradient = places(b, gradients(b, loss, [target]).get(target)!);
  b.scope = "tiny/moments";
  const count = b.type(gradient).shape[0]!;
  const withOnes = (rows: string): string =>
    b.emit("concat", [rows, b.emit("fill", [], { value: 1, shape: [count, 1] })], { axis: 1 });
  const read = rowsOf(b, binding.resolve(from.input), shape, readingOf(blueprint));
  if (read === undefined) {
    throw new GraphError(
      `TINY from ${from.name} to ${to.name}: expected places that correspond, got none; start the blueprint with zero`,
      {
        path: to.name,
      },
    );
  }
  const layerInput = binding.resolve(to.input);
  const isSmall = sizeOf(b.type(layerInput).shape.slice(1)) <= flattenWidthMax;
  const present = rowsOf(b, layerInput, shape, isSmall ? "flatten" : "average");
  const [b1, b2] = [withOnes(present ?? b.emit("fill", [], { value: 0, shape: [count, 1] })), withOnes(read)];
  const moment = (left: string, right: string): string => b.mul(b.matMul(left, right, true), b.scalar(1 / count));
  const values = [moment(b2, b2), moment(b1, b1), moment(b1, b2), moment(b1, gradient), moment(b2, gradient)];
  return assembleProgram(
    binding,
    tinyMomentNames.map((name, i) => ({ name, value: values[i]! })),
    [labels],
  );
};
