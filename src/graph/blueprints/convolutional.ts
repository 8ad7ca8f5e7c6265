/** Blueprints of convolutions, for images. A stride of the span is taken where it first can be. */
import { depthwiseChannels, joinOf } from "../../contracts/blueprint-shapes.ts";
import type { Graph } from "../../contracts/graph.ts";
import type { GraphBuilder } from "../builder.ts";
import { type BuildOptions, convolution, dense, draft, finish, lastStart, relu } from "./parts.ts";

const imageJoin = ({ from, to }: BuildOptions) => {
  const join = joinOf(from, to);
  return join?.kind === "image" ? join : null;
};

const narrowThenSpatial = (b: GraphBuilder, input: string, inputs: number, hidden: number, stride: number): string => {
  const narrow = relu(b, convolution(b, "first", input, { start: "random", inputs, filters: hidden, kernel: 1 }));
  return relu(b, convolution(b, "middle", narrow, { start: "random", inputs: hidden, filters: hidden, kernel: 3, stride }));
};

/** [N, C, H, W] → 1×1 → ReLU → 3×3, stride 2 → ReLU → global average pool → dense → [N, units]. */
export const pooledConvolutions = ({ from, to, hiddenWidth, initialization }: BuildOptions): Graph => {
  const { b, input } = draft(from);
  const pooled = b.op("globalAveragePool", [narrowThenSpatial(b, input, from[0]!, hiddenWidth, 2)], {}, "pooled");
  return finish(b, dense(b, "last", pooled, [hiddenWidth, to[0]!], { start: lastStart(initialization) }));
};

/** 1×1 → ReLU → 3×3 with the stride → ReLU → 1×1; to a vector by a pool. */
export const convolutionBypass = (options: BuildOptions): Graph | null => {
  const { from, to, hiddenWidth, initialization } = options;
  if (from.length === 3 && to.length === 1) return pooledConvolutions(options);
  const join = imageJoin(options);
  if (join === null) return null;
  const { b, input } = draft(from);
  const spatial = narrowThenSpatial(b, input, join.inputs, hiddenWidth, join.stride);
  const last = { start: lastStart(initialization), inputs: hiddenWidth, filters: join.outputs, kernel: 1 };
  return finish(b, convolution(b, "last", spatial, last));
};

/** Depthwise 3×3 with the stride → ReLU → 1×1 (Howard et al., 2017). */
export const depthwiseBypass = (options: BuildOptions): Graph | null => {
  const join = imageJoin(options);
  if (join === null) return null;
  const { inputs, outputs, stride } = join;
  const { b, input } = draft(options.from);
  const channels = depthwiseChannels(inputs, options.hiddenWidth);
  const depthwise = { start: "random", inputs, filters: channels, kernel: 3, stride, groups: inputs } as const;
  const spatial = relu(b, convolution(b, "first", input, depthwise));
  const last = { start: lastStart(options.initialization), inputs: channels, filters: outputs, kernel: 1 };
  return finish(b, convolution(b, "last", spatial, last));
};

/** 3×3 with the stride → ReLU → 3×3, plus a 1×1 shortcut: a residual block of its own (He et al., 2016). */
export const residualBypass = (options: BuildOptions): Graph | null => {
  const join = imageJoin(options);
  if (join === null) return null;
  const { inputs, outputs, stride } = join;
  const { b, input } = draft(options.from);
  const { hiddenWidth, initialization } = options;
  const start = lastStart(initialization);
  const inner = relu(b, convolution(b, "first", input, { start: "random", inputs, filters: hiddenWidth, kernel: 3, stride }));
  const branch = convolution(b, "last", inner, { start, inputs: hiddenWidth, filters: outputs, kernel: 3 });
  const shortcut = convolution(b, "shortcut", input, { start, inputs, filters: outputs, kernel: 1, stride, bias: false });
  return finish(b, b.op("add", [branch, shortcut], {}, "sum"));
};

/**
 * in · tanh(excitation), the excitation from the channels' global averages by dense → ReLU → dense (Hu et al., 2018). The gate is
 * 2σ(2u) − 1 in place of σ(u), so that no excitation adds nothing.
 */
export const squeezeExciteBypass = ({ from, to, hiddenWidth, initialization }: BuildOptions): Graph | null => {
  if (from.length !== 3 || from.some((dim, axis) => dim !== to[axis]) || to.length !== 3) return null;
  const channels = from[0]!;
  const { b, input } = draft(from);
  const squeezed = b.op("globalAveragePool", [input], {}, "squeezed");
  const inner = relu(b, dense(b, "first", squeezed, [channels, hiddenWidth], { start: "random" }));
  const excitation = dense(b, "last", inner, [hiddenWidth, channels], { start: lastStart(initialization) });
  const gate = b.op("reshape", [b.op("tanh", [excitation], {}, "gate")], { shape: [-1, channels, 1, 1] }, "gatePerChannel");
  return finish(b, b.op("mul", [input, gate], {}, "scaled"));
};
