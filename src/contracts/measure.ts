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

export const judgeNames = ["loss", "accuracy", "calibration", "cost"] as const;
export type JudgeName = (typeof judgeNames)[number];

/** One judge's look at grown against twin. Positive is better for the grown one. */
export const Judgement = z.strictObject({
  judge: z.enum(judgeNames),
  vote: z.enum(["keep", "cull", "abstain"]),
  /** What the interval is held against: above it is a keep, below it a cull. */
  bound: z.number(),
  /** Absent when it could not be measured: then the judge abstains and is missing from the quorum. */
  measured: z.strictObject({ mean: z.number(), lower: z.number(), upper: z.number(), confidence: z.number() }).optional(),
});
export type Judgement = z.infer<typeof Judgement>;

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

/** FLOPs charged to trials; none before the first window. */
export const trialFlopsUsed = (flops: FlopsAccount | null): number =>
  flops === null ? 0 : flops.kernel + flops.trial + flops.gate;

export const zeroFlops: FlopsAccount = { host: 0, kernel: 0, trial: 0, signal: 0, gate: 0, total: 0, monitoring: 0 };

/** Loss in nats, or mean squared error for a regression; `accuracy` is the share of predictions that are right, and R² for a regression. */
export const Validation = z.strictObject({ loss: z.number(), accuracy: z.number(), samples: count });
export type Validation = z.infer<typeof Validation>;

/** What went wrong in a window, as the governor saw it. */
export const Anomaly = z.strictObject({
  /** `kernel_failed`: a program of the kernel threw. */
  kind: z.enum(["non_finite_loss", "non_finite_parameters", "loss_spike", "kernel_failed"]),
  step: count,
  detail: z.string(),
});
export type Anomaly = z.infer<typeof Anomaly>;

/** FLOPs of an optimizer step of the host as it is, and as it would be; told where a pruning is on trial. */
const stepFlops = z.strictObject({ before: count, after: count }).optional();

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
    /** Its standard error: batches differ though nobody learns. */
    relativeSlopeError: z.number().optional(),
  }),
  z.strictObject({ kind: z.literal("evaluated"), gain: PairedGain.optional(), stepFlops }),
  z.strictObject({
    kind: z.literal("fine_tuned"),
    finite: z.boolean(),
    /** Steps of both sides since the contest began. Beside a frozen base the twin takes none: it is the base itself. */
    grownSteps: count,
    twinSteps: count,
    /** Twin's loss − grown loss. */
    gain: PairedGain.optional(),
    /** Whether another round as long as this one fits what is left of the run's FLOPs. The limits of trials are counted at the boundary. */
    roundFits: z.boolean().optional(),
    /** FLOPs of such a round. */
    roundFlops: count.optional(),
    /** Of each judge; absent when nothing was measured. */
    judgements: z.array(Judgement).max(judgeNames.length).optional(),
    stepFlops,
  }),
]);
export type KernelMeasurement = z.infer<typeof KernelMeasurement>;
