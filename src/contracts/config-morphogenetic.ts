/** Everything that decides when, where and how a host grows, and what a trial may cost. */
import { z } from "zod";
import { BlueprintConfig } from "./blueprint-kinds.ts";
import { JuryConfig } from "./config-jury.ts";
import { SignalConfig, TriggerConfig } from "./config-signal.ts";
import { ValidationConfig } from "./config-validation.ts";

const fraction = z.number().min(0).max(1);
/** One-sided: below one half the bound would lie on the wrong side of the mean. */
const confidence = z.number().min(0.5).max(0.999999);

export const MorphogeneticConfig = z.strictObject({
  enabled: z.boolean().default(true).describe("False trains the host alone."),
  seedsPerSite: z.int().min(1).max(100_000).default(1).describe("Seeds at each hidden layer; a fossilized seed is used up."),
  base: z
    .enum(["trainable", "frozen"])
    .default("trainable")
    .describe("`frozen`: the host never changes and seeds are adapters to the data; the verdict compares with the host itself."),
  placement: z
    .enum(["signal", "random", "always"])
    .default("signal")
    .describe(
      "`signal`: where and when the signal says. Controls: `random` takes a random site when a trigger would fire, `always` grows at the largest gap in every check.",
    ),
  signal: SignalConfig.prefault({}),
  trigger: TriggerConfig.prefault({}),
  adaptationsPerEpochMax: z.int().min(0).default(2).describe("Germinations accepted in one window."),
  blueprint: BlueprintConfig.prefault({}),
  screenSamples: z
    .int()
    .min(64)
    .default(2048)
    .describe("Validation samples, the first of them, that the gates before the verdict look at; the verdict looks at all."),
  training: z
    .strictObject({
      steps: z.int().min(1).default(98).describe("Steps of the kernel alone, with the host frozen."),
      replacementFactor: z
        .int()
        .min(1)
        .max(100)
        .default(3)
        .describe("The same for a replacement, as a multiple of `steps`: it learns a layer and all behind it anew."),
      confidence: confidence.default(0.99).describe("One-sided confidence of the gate on validation loss."),
    })
    .prefault({}),
  grafting: z
    .strictObject({
      schedule: z.enum(["linear", "cosine", "sigmoid"]).default("cosine").describe("Shape of alpha from 0 to 1."),
      mode: z
        .enum(["fixed", "drift", "gradient"])
        .default("fixed")
        .describe("`fixed` follows the schedule; `drift` and `gradient` wait while their alarm is on."),
      steps: z.int().min(1).default(49).describe("Steps from alpha 0 to alpha 1."),
      driftMax: z
        .number()
        .positive()
        .default(0.5)
        .describe("Validation loss may rise by this fraction of its value before grafting is paused."),
      gradientRatioMax: z
        .number()
        .positive()
        .default(50)
        .describe("Kernel gradient norm over its mean in TRAINING at which grafting is paused."),
      pauseEpochsMax: z.int().min(0).default(3).describe("Paused windows before the seed is culled."),
    })
    .prefault({}),
  stabilization: z
    .strictObject({
      steps: z.int().min(2).default(20).describe("Batches over which the loss must be steady; nobody learns."),
      slopeMax: z
        .number()
        .positive()
        .default(0.25)
        .describe(
          "Largest change of loss over the window, as a fraction of its mean; by its lower 99 % bound, since batches differ.",
        ),
      epochsMax: z.int().min(1).default(3).describe("Windows to become steady before the seed is culled."),
    })
    .prefault({}),
  evaluation: z
    .strictObject({ confidence: confidence.default(0.99).describe("One-sided confidence of the with/without screen.") })
    .prefault({}),
  fineTuning: z
    .strictObject({
      steps: z
        .int()
        .min(1)
        .default(100)
        .describe("Joint steps of kernel and host; the twin gets the same batches and equal FLOPs."),
      gainMin: fraction.default(0.01).describe("The verdict's lower bound must exceed this fraction of the twin's loss."),
      confidence: confidence.default(0.99).describe("One-sided confidence of the verdict, of all its rounds together."),
      roundsMax: z
        .int()
        .min(1)
        .max(16)
        .default(4)
        .describe(
          "Rounds of `steps` that a contest may take while it is undecided and the budget has room for another: a host that still learns quickly shows a repair late. Every reading is held to 1 − (1 − confidence) / roundsMax.",
        ),
    })
    .prefault({}),
  jury: JuryConfig.prefault({}),
  validation: ValidationConfig.prefault({}),
  kernelLearningRateScale: z.number().positive().default(1).describe("The kernel's learning rate as a multiple of the host's."),
  budget: z
    .strictObject({
      parametersMax: z.int().min(0).default(1_000_000).describe("Parameters that a run may add."),
      flopsFractionMax: fraction
        .default(0.7)
        .describe("Part of the arm's FLOPs that trials may use; what is left is reserved before a trial starts."),
      secondsMax: z
        .number()
        .min(0)
        .optional()
        .describe(
          "Seconds that trials may take, forecast from the run's speed; left out, no limit, and a run depends on no clock.",
        ),
      deviceBytesMax: z
        .int()
        .min(0)
        .optional()
        .describe("Bytes that grown parameters may take on the device, with gradients and moments; left out, no limit."),
    })
    .prefault({}),
  embargo: z
    .strictObject({
      epochs: z.int().min(0).default(4).describe("Windows for which a site that failed is blocked."),
      penalty: fraction.default(0.2).describe("Confidence taken from a blueprint by a failure."),
      penaltyDecay: fraction.default(0.9).describe("Factor on that penalty for every window that passes."),
    })
    .prefault({}),
  pruning: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe(
          "Whether Emrakul proposes to prune what no longer earns its cost, and an operator may; not beside a frozen base.",
        ),
      everyEpochs: z.int().min(1).default(16).describe("Host windows between two looks at the host's parts."),
      samples: z.int().min(16).max(65_536).default(256).describe("Training samples that units are measured on."),
      unitsFractionMax: fraction.default(0.5).describe("Part of a layer's units that one trial may remove."),
      lossMax: fraction.default(0.01).describe("The pruned host may lose at most this fraction of the twin's loss, upper bound."),
    })
    .prefault({}),
  kernelLeadEpochs: z
    .int()
    .min(0)
    .default(2)
    .describe(
      "Windows from germination to loading, at least one: the forge's time beside training. Equal runs take the kernel at the same window: one that is ready earlier waits for its window, and where it is late the run waits for it, until it is known or `compileTimeoutMs` or `validation.timeoutMs` has passed.",
    ),
  kernelLatencyMsMax: z.number().positive().default(250).describe("Gate 2: median time of the dry run on one batch."),
  kernelCacheBytesMax: z
    .int()
    .min(1)
    .default(134_217_728)
    .describe("Loaded kernels kept in a lane; the least recently used goes first."),
  compileTimeoutMs: z
    .int()
    .min(1)
    .default(60_000)
    .describe(
      "Tezzeret's deadline for one kernel; past it the kernel has failed. A forge that tells nothing at all is given twice that.",
    ),
});
export type MorphogeneticConfig = z.infer<typeof MorphogeneticConfig>;

/** One-sided confidence of each reading of a contest: Bonferroni's share, so that looking again does not make a useless seed look useful. */
export const readingConfidence = ({
  fineTuning: { confidence: whole, roundsMax },
}: Pick<MorphogeneticConfig, "fineTuning">): number => 1 - (1 - whole) / roundsMax;
