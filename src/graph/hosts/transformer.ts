/**
 * A causal transformer over tokens with pre-normalisation (Vaswani et al., 2017; Radford et al., 2019): learned token and position
 * embeddings, blocks of attention and MLP around a residual stream, a last normalisation, `output` for each token.
 */
import { GraphError } from "../../contracts/errors.ts";
import type { Host, HostLayer } from "../../contracts/graph.ts";
import { GraphBuilder } from "../builder.ts";
import { activate, dense, expectPositive, normaliseTokens } from "./parts.ts";

export interface TransformerOptions {
  readonly name: string;
  /** Tokens of a sample, T. */
  readonly tokens: number;
  /** Size of the vocabulary, V: ids from 0 to V − 1 go in, logits [N·T, V] come out. */
  readonly vocabulary: number;
  readonly layers: number;
  /** Width of the residual stream, D. */
  readonly width: number;
  readonly heads: number;
  /** Units of each block's MLP; default 4·D. */
  readonly hiddenWidth?: number;
}

const embeddingSd = 0.02;
/** Added to the score of a later token: its softmax is exactly zero. */
const maskedScore = -1e9;

/**
 * [T, T]: 0 where token j may be seen by token i (j ≤ i), else `maskedScore`. Rows of T ones and T zeros, read again with one column
 * fewer, move by one place from row to row: that is a triangle.
 */
const causalMask = (b: GraphBuilder, tokens: number): string => {
  const stripes = b.op("pad", [b.op("fill", [], { value: 1, shape: [tokens, tokens] })], { before: [0, 0], after: [0, tokens] });
  const line = b.op("reshape", [stripes], { shape: [2 * tokens * tokens] });
  const cut = b.op("slice", [line], { starts: [0], ends: [2 * tokens * tokens - tokens] });
  const shifted = b.op("reshape", [cut], { shape: [tokens, 2 * tokens - 1] });
  const upper = b.op("slice", [shifted], { starts: [0, 0], ends: [tokens, tokens] });
  const seen = b.op("transpose", [upper], { perm: [1, 0] });
  const hidden = b.op("sub", [seen, b.op("fill", [], { value: 1, shape: [] })], {});
  return b.op("mul", [hidden, b.op("fill", [], { value: -maskedScore, shape: [] })], {}, "causalMask");
};

/** x·W for queries and keys: parameters of the attention, but no layer that a seed stands at. */
const projection = (b: GraphBuilder, name: string, input: string, width: number): string => {
  const weight = b.parameter(`${name}/weight`, [width, width], { kind: "normal", sd: 1 / Math.sqrt(width) });
  return b.op("matMul", [input, weight], { transposeA: false, transposeB: false }, `${name}/product`);
};

interface BlockOptions {
  readonly tokens: number;
  readonly width: number;
  readonly heads: number;
  readonly hiddenWidth: number;
  readonly mask: string;
  /** Standard deviation factor of what adds to the residual stream: it keeps the stream's size over depth. */
  readonly residualScale: number;
}

/** A dense layer for each token. Without an activation its output is its pre-activation. */
const tokenLayer = (
  b: GraphBuilder,
  name: string,
  input: string,
  [inputs, units]: readonly [number, number],
  scale = 1,
): HostLayer => {
  const initializer = { kind: "normal", sd: scale / Math.sqrt(inputs) } as const;
  const { preActivation, parameters } = dense(b, name, input, [inputs, units], initializer);
  return { name, kind: "dense", input, preActivation, output: preActivation, parameters };
};

/** softmax(q·kᵀ / √d + mask)·v over heads, merged again to [N, T, D]. */
const attend = (b: GraphBuilder, name: string, [q, k, v]: readonly [string, string, string], options: BlockOptions): string => {
  const { tokens, width, heads, mask } = options;
  const each = width / heads;
  const byHead = (value: string, part: string): string => {
    const split = b.op("reshape", [value], { shape: [-1, tokens, heads, each] }, `${name}/${part}/split`);
    return b.op("transpose", [split], { perm: [0, 2, 1, 3] }, `${name}/${part}/heads`);
  };
  // The query is scaled, not the scores: it is the smaller of the two.
  const scale = b.op("fill", [], { value: 1 / Math.sqrt(each), shape: [] });
  const query = b.op("mul", [byHead(q, "query"), scale], {}, `${name}/query/scaled`);
  const flags = { transposeA: false, transposeB: true };
  const scores = b.op("matMul", [query, byHead(k, "key")], flags, `${name}/scores`);
  const weights = b.op("softmax", [b.op("add", [scores, mask], {}, `${name}/masked`)], { axis: 3 }, `${name}/weights`);
  const mixed = b.op("matMul", [weights, byHead(v, "value")], { transposeA: false, transposeB: false }, `${name}/mixed`);
  const merged = b.op("transpose", [mixed], { perm: [0, 2, 1, 3] }, `${name}/merged`);
  return b.op("reshape", [merged], { shape: [-1, tokens, width] }, `${name}/output`);
};

const block = (b: GraphBuilder, name: string, stream: string, options: BlockOptions) => {
  const { width, hiddenWidth, residualScale } = options;
  const attention = `${name}.attention`;
  const read = normaliseTokens(b, `${attention}/norm`, stream, width);
  const query = projection(b, `${attention}.query`, read, width);
  const key = projection(b, `${attention}.key`, read, width);
  const value = tokenLayer(b, `${attention}.value`, read, [width, width]);
  const attended = attend(b, attention, [query, key, value.output], options);
  const merged = tokenLayer(b, `${attention}.projection`, attended, [width, width], residualScale);
  const between = b.op("add", [stream, merged.output], {}, `${attention}/sum`);
  const into = tokenLayer(b, `${name}.mlp.in`, normaliseTokens(b, `${name}.mlp/norm`, between, width), [width, hiddenWidth]);
  const hidden: HostLayer = { ...into, output: activate(b, into.name, into.preActivation, "gelu") };
  const out = tokenLayer(b, `${name}.mlp.out`, hidden.output, [hiddenWidth, width], residualScale);
  return { layers: [value, merged, hidden, out], stream: b.op("add", [between, out.output], {}, `${name}.mlp/sum`) };
};

/** Layers `b1.attention.value`, `b1.attention.projection`, `b1.mlp.in`, `b1.mlp.out`, …, `output`. `x` is int32 [N, T]. */
export const transformer = (options: TransformerOptions): Host => {
  const { name, tokens, vocabulary, layers: count, width, heads, hiddenWidth = 4 * width } = options;
  expectPositive(`${name} tokens, vocabulary, layers, width, heads, hiddenWidth`, [
    ...[tokens, vocabulary, count],
    ...[width, heads, hiddenWidth],
  ]);
  if (width % heads !== 0) {
    throw new GraphError(`${name} heads: expected a divisor of the width ${width}, got ${heads}; check the model's options`);
  }
  const b = new GraphBuilder();
  const x = b.input("x", [-1, tokens], "int32");
  const table = b.parameter("token/weight", [vocabulary, width], { kind: "normal", sd: embeddingSd });
  const positions = b.parameter("position/weight", [tokens, width], { kind: "normal", sd: embeddingSd });
  let stream = b.op("add", [b.op("gather", [table, x], {}, "token"), positions], {}, "embedding");
  const shared = { tokens, width, heads, hiddenWidth, mask: causalMask(b, tokens), residualScale: 1 / Math.sqrt(2 * count) };
  const layers: HostLayer[] = [];
  for (let i = 1; i <= count; i++) {
    const made = block(b, `b${i}`, stream, shared);
    layers.push(...made.layers);
    stream = made.stream;
  }
  const last = tokenLayer(b, "output", normaliseTokens(b, "norm", stream, width), [width, vocabulary]);
  b.output("logits", b.op("reshape", [last.output], { shape: [-1, vocabulary] }, "logits"));
  layers.push({ ...last, kind: "output" });
  return { name, graph: b.build(), layers, task: "classification", rows: tokens, classes: vocabulary };
};
