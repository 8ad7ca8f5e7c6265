/** What lanes measure. Plain data; a value that was not measured is absent, never zero. */
import { z } from "zod";

const count = z.int().min(0);

/** A mean with a one-sided or two-sided interval over paired validation samples. */
export const PairedGain = z.strictObject({
  /** Mean of (loss without − loss with): positive is better. */
  mean: z.number(),
  lower: z.number(),
  upper: z.number(),
  /** One-sided confidence of each bound. */
  confidence: z.number(),
  samples: count,
  lossWithout: z.number(),
  lossWith: z.number(),
});
export type PairedGain = z.infer<typeof PairedGain>;

/** The explained-error signal of one hidden layer: what its input still knows of the error and its output has lost. */
export const LayerSignal = z.strictObject({
  site: z.string(),
  /** Fraction of the error that the layer's input explains. */
  explainedIn: z.number(),
  /** The same of its output. */
  explainedOut: z.number(),
  /** explainedIn − explainedOut. */
  gap: z.number(),
});
export type LayerSignal = z.infer<typeof LayerSignal>;

/** A stretch that a bypass could bridge and the energy of TINY for it (Verbockhaven et al., 2024). */
export const SpanEnergy = z.strictObject({
  /** Site whose input the bypass reads. */
  fromSite: z.string(),
  /** Site whose pre-activation it adds to. */
  toSite: z.string(),
  energy: z.number(),
});
export type SpanEnergy = z.infer<typeof SpanEnergy>;

export const Signal = z.strictObject({
  samples: count,
  /** Mean squared error signal, Σ‖onehot(y) − softmax‖² / N. */
  errorPower: z.number(),
  layers: z.array(LayerSignal),
  /** Spans that start at the layer of the largest gap. */
  spans: z.array(SpanEnergy),
});
export type Signal = z.infer<typeof Signal>;

/** FLOPs since the run began, by what they were spent on. A multiply-add is two. */
export const FlopsAccount = z.strictObject({
  /** Steps that moved the host that the run kept. */
  host: count,
  /** Steps of kernels, grafts and stabilisation. */
  kernel: count,
  /** Steps of twins or, when the twin was kept, of the grown copy. */
  trial: count,
  /** Signals. */
  signal: count,
  /** Evaluations that a gate asked for. */
  gate: count,
  /** Sum of the above: what the budget is charged. */
  total: count,
  /** Validation for the progress display; the same in every arm and not charged. */
  monitoring: count,
});
export type FlopsAccount = z.infer<typeof FlopsAccount>;

export const Validation = z.strictObject({ loss: z.number(), accuracy: z.number(), samples: count });
export type Validation = z.infer<typeof Validation>;

/** What went wrong in a window, as the governor saw it. */
export const Anomaly = z.strictObject({
  kind: z.enum(["non_finite_loss", "non_finite_parameters", "loss_spike"]),
  step: count,
  detail: z.string(),
});
export type Anomaly = z.infer<typeof Anomaly>;

/** What a window told about the seed that was at work in it. */
export const KernelMeasurement = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("loaded"),
    kernelHash: z.string(),
    parameters: count,
    /** Gate 1: schema, hash and shapes fit this host. */
    staticProblems: z.array(z.string()),
    /** Gate 2: a dry run on a real batch; absent when it did not run. */
    dryRun: z.strictObject({ shapesMatch: z.boolean(), finite: z.boolean(), latencyMs: z.number() }).optional(),
    /** Time at the boundary to read and load the kernel. */
    loadMs: z.number(),
    cached: z.boolean(),
  }),
  z.strictObject({
    kind: z.literal("trained"),
    steps: count,
    loss: z.number(),
    gradNorm: z.number(),
    finite: z.boolean(),
    gain: PairedGain.optional(),
  }),
  z.strictObject({
    kind: z.literal("grafted"),
    alpha: z.number(),
    finite: z.boolean(),
    /** (validation loss at alpha − at 0) / (at 0). */
    drift: z.number().optional(),
    /** Kernel gradient norm over its mean in TRAINING. */
    gradientRatio: z.number().optional(),
  }),
  z.strictObject({
    kind: z.literal("stabilized"),
    finite: z.boolean(),
    meanLoss: z.number(),
    /** |fitted change over the window| / mean. */
    relativeSlope: z.number().optional(),
  }),
  z.strictObject({ kind: z.literal("evaluated"), gain: PairedGain.optional() }),
  z.strictObject({
    kind: z.literal("fine_tuned"),
    finite: z.boolean(),
    grownSteps: count,
    twinSteps: count,
    /** Twin's loss − grown loss. */
    gain: PairedGain.optional(),
  }),
]);
export type KernelMeasurement = z.infer<typeof KernelMeasurement>;
