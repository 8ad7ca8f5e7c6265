/** Blueprints for tokens [N, T, D]. Neither lets a token see one that comes after it. */
import { joinOf } from "../../contracts/blueprint-shapes.ts";
import type { Graph } from "../../contracts/graph.ts";
import type { GraphBuilder } from "../builder.ts";
import { type BuildOptions, dense, draft, finish, lastStart } from "./parts.ts";

const tokensJoin = ({ from, to }: BuildOptions) => {
  const join = joinOf(from, to);
  return join?.kind === "tokens" ? join : null;
};

/** Dense → GELU → dense for each token. */
export const tokenMlpBypass = (options: BuildOptions): Graph | null => {
  const join = tokensJoin(options);
  if (join === null) return null;
  const { hiddenWidth, initialization } = options;
  const { b, input } = draft(options.from);
  const first = dense(b, "first", input, [join.inputs, hiddenWidth], { start: "random" });
  const hidden = b.op("gelu", [first], { approximate: "none" }, "first/activation");
  return finish(b, dense(b, "last", hidden, [hiddenWidth, join.outputs], { start: lastStart(initialization) }));
};

/** Low enough that no masked score survives softmax, far from where float32 overflows. */
const maskedScore = -1e9;

/**
 * [T, T] with `maskedScore` above the diagonal and 0 elsewhere. The entry depends on column − row alone, so a vector of length 2T,
 * repeated and cut into rows of 2T − 1, shifts by one from row to row.
 */
const causalMask = (b: GraphBuilder, tokens: number): string => {
  const fill = (value: number, length: number, id: string): string => b.op("fill", [], { value, shape: [length] }, `mask/${id}`);
  const period = [fill(0, 1, "diagonal"), fill(maskedScore, tokens - 1, "later"), fill(0, tokens, "earlier")];
  const one = b.op("concat", period, { axis: 0 }, "mask/period");
  const repeated = b.op("broadcastTo", [one], { shape: [tokens, 2 * tokens] }, "mask/repeated");
  const flat = b.op("reshape", [repeated], { shape: [2 * tokens * tokens] }, "mask/flat");
  const cut = b.op("slice", [flat], { starts: [0], ends: [tokens * (2 * tokens - 1)] }, "mask/cut");
  const rows = b.op("reshape", [cut], { shape: [tokens, 2 * tokens - 1] }, "mask/rows");
  return b.op("slice", [rows], { starts: [0, 0], ends: [tokens, tokens] }, "mask");
};

/** One causal head: softmax(QKᵀ / √h + mask)·V, then a dense layer (Vaswani et al., 2017). */
export const attentionHeadBypass = (options: BuildOptions): Graph | null => {
  const join = tokensJoin(options);
  if (join === null) return null;
  const { hiddenWidth: width, initialization } = options;
  const { inputs, outputs, tokens } = join;
  const { b, input } = draft(options.from);
  const project = (name: string): string => dense(b, name, input, [inputs, width], { start: "random", bias: false });
  const [query, key, value] = [project("query"), project("key"), project("value")];
  const scaled = b.op("mul", [query, b.op("fill", [], { value: 1 / Math.sqrt(width), shape: [] }, "scale")], {}, "query/scaled");
  const scores = b.op("matMul", [scaled, key], { transposeA: false, transposeB: true }, "scores");
  const visible = tokens > 1 ? b.op("add", [scores, causalMask(b, tokens)], {}, "scores/visible") : scores;
  const attention = b.op("softmax", [visible], { axis: 2 }, "attention");
  const context = b.op("matMul", [attention, value], { transposeA: false, transposeB: false }, "context");
  return finish(b, dense(b, "last", context, [width, outputs], { start: lastStart(initialization) }));
};
