/** Blueprints without hidden units: a normalised copy, and the control that never adds anything. */
import type { Graph } from "../../contracts/graph.ts";
import { sameShape } from "../shapes.ts";
import { type BuildOptions, draft, finish, lastStart } from "./parts.ts";

/**
 * gamma · normalised(in) + beta: batch normalisation per unit or channel (Ioffe & Szegedy, 2015), over the last axis for tokens (Ba et
 * al., 2016). gamma is the last operation: nothing upstream of the normalisation is ever zero.
 */
export const normalizationBypass = ({ from, to, initialization }: BuildOptions): Graph | null => {
  if (!sameShape(from, to) || from.length < 1 || from.length > 3) return null;
  const { b, input } = draft(from);
  const width = from.length === 2 ? from[1]! : from[0]!;
  const vector = (name: string, value: number, trainable = true): string =>
    b.parameter(name, [width], { kind: "constant", value }, { trainable });
  const scale = vector("gamma", lastStart(initialization) === "zero" ? 0 : 1);
  const shift = vector("beta", 0);
  if (from.length === 2) return finish(b, b.op("layerNorm", [input, scale, shift], { epsilon: 1e-5 }, "normalized"));
  const statistics = [vector("mean", 0, false), vector("variance", 1, false)];
  const value = b.op("batchNorm", [input, scale, shift, ...statistics], { epsilon: 1e-5, momentum: 0.9 }, "normalized");
  return finish(b, value);
};

/** Zero for every input, whatever its one parameter becomes. It runs through a whole trial, and none may keep it. */
export const noOpBypass = ({ from, to }: BuildOptions): Graph => {
  const { b } = draft(from);
  const idle = b.parameter("idle", [1], { kind: "constant", value: 0 });
  const nothing = b.op("mul", [idle, b.op("fill", [], { value: 0, shape: [] }, "zero")], {}, "nothing");
  return finish(b, b.op("broadcastTo", [nothing], { shape: [-1, ...to] }, "out"));
};
