/** Blueprints of dense layers, for vectors, tokens and small images; with an activation between them, or low in rank. */
import { type Join, joinOf } from "../../contracts/blueprint-shapes.ts";
import type { Graph } from "../../contracts/graph.ts";
import type { GraphBuilder } from "../builder.ts";
import { pooledConvolutions } from "./convolutional.ts";
import { type BuildOptions, convolution, dense, draft, finish, flatten, lastStart, relu } from "./parts.ts";

/** What the first dense layer reads. */
const read = (b: GraphBuilder, input: string, join: Join): string =>
  join.kind === "flatten" ? flatten(b, input, join.inputs) : input;

/** in → dense → ReLU → dense → out, per token where there are tokens; a large image is convolved and pooled. */
export const denseBypass = (options: BuildOptions): Graph | null => {
  const { from, to, hiddenWidth, initialization } = options;
  const join = joinOf(from, to);
  if (join === null || join.kind === "image") return null;
  if (join.kind === "pool") return pooledConvolutions(options);
  const { b, input } = draft(from);
  const hidden = relu(b, dense(b, "first", read(b, input, join), [join.inputs, hiddenWidth], { start: "random" }));
  return finish(b, dense(b, "last", hidden, [hiddenWidth, join.outputs], { start: lastStart(initialization) }));
};

/** in → dense → dense → out with neither activation nor bias (Hu et al., 2022); for images 1×1 convolutions, the first strided. */
export const lowRankBypass = ({ from, to, hiddenWidth, initialization }: BuildOptions): Graph | null => {
  const join = joinOf(from, to);
  if (join === null) return null;
  const { b, input } = draft(from);
  const [first, last] = [
    { start: "random", bias: false },
    { start: lastStart(initialization), bias: false },
  ] as const;
  if (join.kind === "image") {
    const { inputs, outputs, stride } = join;
    const narrow = convolution(b, "first", input, { ...first, inputs, filters: hiddenWidth, kernel: 1, stride });
    return finish(b, convolution(b, "last", narrow, { ...last, inputs: hiddenWidth, filters: outputs, kernel: 1 }));
  }
  const start = join.kind === "pool" ? b.op("globalAveragePool", [input], {}, "pooled") : read(b, input, join);
  const narrow = dense(b, "first", start, [join.inputs, hiddenWidth], first);
  return finish(b, dense(b, "last", narrow, [hiddenWidth, join.outputs], last));
};

/** New units: in → layer → ReLU → layer without bias → out; dense for vectors, 3×3 with the span's stride first for images. */
export const wideningBypass = ({ from, to, hiddenWidth, initialization }: BuildOptions): Graph | null => {
  const join = joinOf(from, to);
  if (join === null || join.kind === "pool" || join.kind === "tokens") return null;
  const { b, input } = draft(from);
  const last = { start: lastStart(initialization), bias: false } as const;
  if (join.kind === "image") {
    const { inputs, outputs, stride } = join;
    const added = convolution(b, "first", input, { start: "random", inputs, filters: hiddenWidth, kernel: 3, stride });
    return finish(b, convolution(b, "last", relu(b, added), { ...last, inputs: hiddenWidth, filters: outputs, kernel: 3 }));
  }
  const added = dense(b, "first", read(b, input, join), [join.inputs, hiddenWidth], { start: "random" });
  return finish(b, dense(b, "last", relu(b, added), [hiddenWidth, join.outputs], last));
};
