/**
 * The operator graph that hosts, blueprints and compiled steps are written in.
 *
 * Layout: images are NCHW, convolution weights OIHW. A dimension of -1 is the batch and is bound by `bind(graph, batch)`.
 * Values are named: inputs, parameters and nodes share one namespace, and a node's value has the node's id.
 */
import { z } from "zod";

export const DType = z.enum(["float32", "int32"]);
export type DType = z.infer<typeof DType>;

const dim = z.int().min(-1);
export const Shape = z.array(dim).max(8);
export type Shape = z.infer<typeof Shape>;

const pair = z.tuple([z.int().min(1), z.int().min(1)]);
/** Zero padding: top, left, bottom, right. */
const pads = z.tuple([z.int().min(0), z.int().min(0), z.int().min(0), z.int().min(0)]);
const size = z.tuple([z.int().min(1), z.int().min(1)]);
const none = z.strictObject({});

/** Attributes of each operator. Primitives are lowered by the engines; composites are expanded into primitives first. */
export const opAttributes = {
  // Element by element, two inputs, NumPy broadcasting.
  add: none,
  sub: none,
  mul: none,
  div: none,
  /** 1 where the first input is greater than the second, else 0; not differentiable. */
  greater: none,
  // Element by element, one input.
  neg: none,
  exp: none,
  log: none,
  sqrt: none,
  tanh: none,
  sigmoid: none,
  relu: none,
  erf: none,
  /** Identity whose gradient is zero. */
  stopGradient: none,
  /** No inputs: a tensor of one repeated value. */
  fill: z.strictObject({ value: z.number(), shape: Shape }),
  /** [..., m, k] × [..., k, n]; leading dimensions equal, or the second operand of rank 2. The flags transpose the last two dimensions. */
  matMul: z.strictObject({ transposeA: z.boolean(), transposeB: z.boolean() }),
  /** x [N, C, H, W], w [O, C / groups, KH, KW] → [N, O, H', W']. */
  conv2d: z.strictObject({ strides: pair, pads, groups: z.int().min(1) }),
  /** dy [N, O, H', W'], w → dx [N, C, H, W]: the adjoint of conv2d in x. */
  conv2dInputGrad: z.strictObject({ strides: pair, pads, groups: z.int().min(1), inputSize: size }),
  /** x, dy → dw [O, C / groups, KH, KW]: the adjoint of conv2d in w. */
  conv2dFilterGrad: z.strictObject({ strides: pair, pads, groups: z.int().min(1), kernelSize: size }),
  /** Mean over windows; padded zeros count. */
  avgPool2d: z.strictObject({ kernelSize: size, strides: pair, pads }),
  /** dy → dx: the adjoint of avgPool2d. */
  avgPool2dGrad: z.strictObject({ kernelSize: size, strides: pair, pads, inputSize: size }),
  reduceSum: z.strictObject({ axes: z.array(z.int().min(0)), keepDims: z.boolean() }),
  reduceMean: z.strictObject({ axes: z.array(z.int().min(0)), keepDims: z.boolean() }),
  /** Not differentiable. */
  reduceMax: z.strictObject({ axes: z.array(z.int().min(0)), keepDims: z.boolean() }),
  broadcastTo: z.strictObject({ shape: Shape }),
  /** At most one -1, inferred. */
  reshape: z.strictObject({ shape: Shape }),
  transpose: z.strictObject({ perm: z.array(z.int().min(0)) }),
  concat: z.strictObject({ axis: z.int().min(0) }),
  /** Per axis, from `starts` up to but without `ends`; an end of -1 is the axis's own length. */
  slice: z.strictObject({ starts: z.array(z.int().min(0)), ends: z.array(z.int().min(-1)) }),
  /** Zeros before and after, per axis. */
  pad: z.strictObject({ before: z.array(z.int().min(0)), after: z.array(z.int().min(0)) }),
  softmax: z.strictObject({ axis: z.int().min(0) }),
  logSoftmax: z.strictObject({ axis: z.int().min(0) }),
  /** table [V, D], ids int32 [...] → [..., D]. */
  gather: none,
  /** ids int32 [...] → float32 [..., depth]; not differentiable. */
  oneHot: z.strictObject({ depth: z.int().min(1) }),
  /** float32 → int32 index of the largest along an axis (first on ties); not differentiable. */
  argMax: z.strictObject({ axis: z.int().min(0) }),
  /** int32, int32 → float32 1 where equal; not differentiable. */
  equal: none,

  // Composites.
  /** `tanh` is the approximation of Hendrycks & Gimpel (2016), `none` the exact form with erf. */
  gelu: z.strictObject({ approximate: z.enum(["none", "tanh"]) }),
  /** x [N, C, ...], gamma, beta, running mean, running variance, each [C]. In training the running statistics are updated. */
  batchNorm: z.strictObject({ epsilon: z.number().positive(), momentum: z.number().min(0).max(1) }),
  /** x, gamma, beta; over the last axis. */
  layerNorm: z.strictObject({ epsilon: z.number().positive() }),
  /** Inverted dropout (Srivastava et al., 2014); its uniform draws are an input of the step graph. */
  dropout: z.strictObject({ rate: z.number().min(0).lt(1) }),
  /** x [N, C, H, W] → [N, C]. */
  globalAveragePool: none,
  /** Largest value of each window; the windows lie side by side (strides = kernelSize), rows and columns that fill none are left out. */
  maxPool2d: z.strictObject({ kernelSize: size, strides: pair }),
  /** logits [N, K], labels int32 [N] → loss per row [N]. */
  softmaxCrossEntropy: none,
  /** prediction [N, K], target [N, K] → mean squared error per row [N]. */
  meanSquaredError: none,
} as const;

export type OpName = keyof typeof opAttributes;
export type OpAttributes<O extends OpName> = z.infer<(typeof opAttributes)[O]>;
export const opNames = Object.keys(opAttributes) as OpName[];
export const compositeOps = [
  "gelu",
  "batchNorm",
  "layerNorm",
  "dropout",
  "globalAveragePool",
  "maxPool2d",
  "softmaxCrossEntropy",
  "meanSquaredError",
] as const satisfies readonly OpName[];

export type GraphNode = {
  [O in OpName]: {
    readonly id: string;
    readonly op: O;
    readonly inputs: readonly string[];
    readonly attributes: OpAttributes<O>;
  };
}[OpName];

const valueName = z.string().min(1).max(200);

export const GraphNode: z.ZodType<GraphNode> = z
  .strictObject({
    id: valueName,
    op: z.enum(opNames as [OpName, ...OpName[]]),
    inputs: z.array(valueName).max(64),
    attributes: z.unknown(),
  })
  .transform((node, context) => {
    const attributes = opAttributes[node.op].safeParse(node.attributes);
    if (!attributes.success) {
      for (const issue of attributes.error.issues) {
        context.addIssue({
          code: "custom",
          path: ["attributes", ...issue.path],
          message: `${node.op} ${node.id}: ${issue.message}`,
        });
      }
      return z.NEVER;
    }
    return { ...node, attributes: attributes.data } as GraphNode;
  });

export const GraphInput = z.strictObject({ name: valueName, dtype: DType, shape: Shape });
export type GraphInput = z.infer<typeof GraphInput>;

/** How a parameter starts. `fanIn` is the number of inputs that a unit sums over. */
export const Initializer = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("constant"), value: z.number() }),
  /** Normal, sd = √(2 / fanIn) (He et al., 2015). */
  z.strictObject({ kind: z.literal("heNormal"), fanIn: z.int().min(1) }),
  /** Uniform in ±√(6 / (fanIn + fanOut)) (Glorot & Bengio, 2010). */
  z.strictObject({ kind: z.literal("glorotUniform"), fanIn: z.int().min(1), fanOut: z.int().min(1) }),
  z.strictObject({ kind: z.literal("normal"), sd: z.number().positive() }),
]);
export type Initializer = z.infer<typeof Initializer>;

export const Parameter = z.strictObject({
  name: valueName,
  shape: z.array(z.int().min(1)).max(8),
  initializer: Initializer,
  /** False for running statistics: saved and restored, never given a gradient. */
  trainable: z.boolean(),
  /** Parameters of one cohort share a learning rate and an optimizer step count: `host`, or the id of the seed that grew them. */
  cohort: z.string(),
});
export type Parameter = z.infer<typeof Parameter>;

export const GraphOutput = z.strictObject({ name: valueName, value: valueName });
export type GraphOutput = z.infer<typeof GraphOutput>;

/** Operators with their parameters; the batch not bound. Nodes stand in topological order. */
export const Graph = z.strictObject({
  inputs: z.array(GraphInput),
  parameters: z.array(Parameter),
  nodes: z.array(GraphNode).max(20_000),
  outputs: z.array(GraphOutput).min(1),
});
export type Graph = z.infer<typeof Graph>;

/** A named stretch of the host that a seed may stand at. `input`, `preActivation` and `output` are value names. */
export const HostLayer = z.strictObject({
  name: z.string(),
  kind: z.enum(["dense", "conv2d", "output"]),
  input: valueName,
  preActivation: valueName,
  output: valueName,
  parameters: z.array(valueName),
});
export type HostLayer = z.infer<typeof HostLayer>;

/** `classification`: logits and cross-entropy; `regression`: predictions and mean squared error. */
export const Task = z.enum(["classification", "regression"]);
export type Task = z.infer<typeof Task>;

/**
 * A host: a graph with input `x` and output `logits` [N · rows, classes], and its layers in topological order. A layer may stand on any
 * path of the graph: a block's branch, a shortcut, an attention head.
 */
export const Host = z.strictObject({
  name: z.string(),
  graph: Graph,
  layers: z.array(HostLayer),
  task: Task,
  /** Predictions for each sample: 1, or one for each token. */
  rows: z.int().min(1),
  /** Width of the logits: classes, vocabulary, or the outputs of a regression. */
  classes: z.int().min(1),
});
export type Host = z.infer<typeof Host>;

/** What an engine runs: primitives only, every dimension bound, parameters among the inputs. */
export interface Program {
  readonly inputs: readonly { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] }[];
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly GraphOutput[];
}

/** Dense, row-major. `data` is a Float32Array for float32 and an Int32Array for int32. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}
