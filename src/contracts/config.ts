/**
 * The configuration tree. One definition gives the type, the validation, the defaults and the reference in the README.
 * Every bound carries its unit at the end of its name.
 */
import { z } from "zod";
import { OptimizerConfig } from "./optimizer.ts";

const fraction = z.number().min(0).max(1);
/** One-sided: below one half the bound would lie on the wrong side of the mean. */
const confidence = z.number().min(0.5).max(0.999999);

export const ModelConfig = z.discriminatedUnion("name", [
  z.strictObject({
    name: z.literal("mlp").describe("Dense layers with ReLU."),
    widths: z
      .array(z.int().min(1).max(8192))
      .min(1)
      .max(32)
      .default([64, 64, 64])
      .describe("Units of each hidden layer, from the input on."),
  }),
  z.strictObject({
    name: z
      .literal("cnn")
      .describe("3×3 convolutions with ReLU, every second one strided, then a global average pool and a dense output."),
    channels: z
      .array(z.int().min(1).max(1024))
      .min(1)
      .max(32)
      .default([8, 16, 16])
      .describe("Channels of each convolution, from the input on."),
  }),
]);
export type ModelConfig = z.infer<typeof ModelConfig>;

export const DatasetConfig = z.strictObject({
  name: z.enum(["mnist", "fashion-mnist"]).default("mnist").describe("Which images to train on."),
  dataDir: z
    .string()
    .optional()
    .describe(
      "Folder with the IDX files (plain or .gz), or with a folder of the set's name that holds them; when given, no other place is looked in.",
    ),
  batchSize: z.int().min(1).max(65_536).default(128).describe("Samples in an optimizer step."),
  validationSamples: z
    .int()
    .min(100)
    .default(10_000)
    .describe("Held out from the training files; every decision is made on these."),
  trainSamplesMax: z
    .int()
    .min(100)
    .optional()
    .describe("Use only so many training samples (after the validation samples are set apart)."),
});
export type DatasetConfig = z.infer<typeof DatasetConfig>;

export const DamageConfig = z.strictObject({
  site: z
    .string()
    .default("random")
    .describe("The layer to damage by name, or `random`: one hidden layer picked by the run's random seed."),
  kind: z
    .enum(["dead", "rank"])
    .default("dead")
    .describe("`dead`: all but `live` units never fire. `rank`: the weights are projected to rank `live`."),
  live: z.int().min(1).default(2).describe("Units left alive, or the rank left."),
});
export type DamageConfig = z.infer<typeof DamageConfig>;

export const OptimizationConfig = z.strictObject({
  epochs: z
    .number()
    .positive()
    .max(10_000)
    .default(5)
    .describe("Passes over the training data that the FLOPs budget of every arm is worth."),
  epochSteps: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(98)
    .describe("Optimizer steps in a window: telemetry and transitions happen between windows."),
  optimizer: OptimizerConfig.prefault({ kind: "adam" }).describe("The host's and the kernels' optimizer."),
  schedule: z.enum(["constant", "cosine"]).default("constant").describe("Learning rate over the host's steps."),
  warmupSteps: z.int().min(0).default(0).describe("Steps over which the learning rate rises from zero."),
});
export type OptimizationConfig = z.infer<typeof OptimizationConfig>;

export const MorphogeneticConfig = z.strictObject({
  enabled: z.boolean().default(true).describe("False trains the host alone."),
  seedsPerSite: z.int().min(1).max(100_000).default(1).describe("Seeds at each hidden layer; a fossilized seed is used up."),
  signal: z
    .strictObject({
      samples: z
        .int()
        .min(64)
        .max(65_536)
        .default(2048)
        .describe("Training samples in one measurement of the explained-error gap."),
      features: z.int().min(4).max(1024).default(64).describe("Random ReLU features per activation."),
      ridge: z.number().positive().default(1e-3).describe("Ridge penalty as a fraction of the mean diagonal of the Gram matrix."),
      warmupSteps: z.int().min(0).default(200).describe("Host steps before the first measurement."),
      everyEpochs: z
        .int()
        .min(1)
        .default(4)
        .describe("Windows between two measurements; after one that names a candidate the next window measures again."),
    })
    .prefault({}),
  trigger: z
    .strictObject({
      gapMin: z
        .number()
        .positive()
        .default(0.0189)
        .describe("Explained-error gap at which a layer's health is `healthMax`. Belongs to `signal.samples` = 2048."),
      healthMax: fraction.default(0.3).describe("A layer is a candidate below this health."),
      confidenceMin: fraction.default(0.7).describe("A decision needs more confidence than this."),
      checks: z.int().min(1).max(16).default(2).describe("Successive measurements that must name the same layer."),
    })
    .prefault({}),
  adaptationsPerEpochMax: z.int().min(0).default(2).describe("Germinations accepted in one window."),
  blueprint: z
    .strictObject({
      hiddenWidth: z
        .union([z.literal("auto"), z.int().min(1).max(8192)])
        .default("auto")
        .describe("Width of the bypass; `auto` is the widest layer of its span."),
    })
    .prefault({}),
  training: z
    .strictObject({
      steps: z.int().min(1).default(98).describe("Steps of the kernel alone, with the host frozen."),
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
        .describe("Largest change of loss over the window, as a fraction of its mean."),
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
      confidence: confidence.default(0.99).describe("One-sided confidence of the verdict."),
    })
    .prefault({}),
  kernelLearningRateScale: z.number().positive().default(1).describe("The kernel's learning rate as a multiple of the host's."),
  budget: z
    .strictObject({
      parametersMax: z.int().min(0).default(1_000_000).describe("Parameters that a run may add."),
      flopsFractionMax: fraction
        .default(0.7)
        .describe("Part of the arm's FLOPs that trials may use; what is left is reserved before a trial starts."),
    })
    .prefault({}),
  embargo: z
    .strictObject({
      epochs: z.int().min(0).default(4).describe("Windows for which a site that failed is blocked."),
      penalty: fraction.default(0.2).describe("Confidence taken from a blueprint by a failure."),
      penaltyDecay: fraction.default(0.9).describe("Factor on that penalty for every window that passes."),
    })
    .prefault({}),
  kernelLeadEpochs: z
    .int()
    .min(0)
    .default(2)
    .describe(
      "Windows from germination to loading: the forge's time. A kernel that is ready earlier waits, so that equal runs take it at the same window; one that is later is taken when it comes, and the run then depends on the forge's speed.",
    ),
  kernelLatencyMsMax: z.number().positive().default(250).describe("Gate 2: median time of the dry run on one batch."),
  kernelCacheBytesMax: z
    .int()
    .min(1)
    .default(134_217_728)
    .describe("Loaded kernels kept in a lane; the least recently used goes first."),
  compileTimeoutMs: z.int().min(1).default(60_000).describe("Tezzeret's deadline for one kernel."),
});
export type MorphogeneticConfig = z.infer<typeof MorphogeneticConfig>;

export const GovernorConfig = z.strictObject({
  windowSteps: z.int().min(8).default(64).describe("Training losses kept to judge a spike."),
  sigmaMax: z.number().positive().default(6).describe("A loss above mean + this many standard deviations is a spike."),
  ratioMax: z.number().positive().default(3).describe("A spike must also exceed this multiple of the window's mean."),
  spikesMax: z.int().min(1).default(3).describe("Spikes in a row that cause a rollback."),
  rollbacksMax: z
    .int()
    .min(0)
    .default(3)
    .describe("Rollbacks at the same place before the run stops with its last good checkpoint."),
});
export type GovernorConfig = z.infer<typeof GovernorConfig>;

export const LoggingConfig = z.strictObject({
  level: z.enum(["error", "warn", "info", "debug"]).default("info").describe("Least level that is written."),
  eventLogBytesMax: z
    .int()
    .min(1024)
    .default(1_073_741_824)
    .describe("Size of one run's event log; past it the run goes on and the log says that it was cut."),
});
export type LoggingConfig = z.infer<typeof LoggingConfig>;

export const CheckpointConfig = z.strictObject({
  everyEpochs: z.int().min(0).default(10).describe("Windows between two checkpoints; 0 writes only the last."),
  bytesMax: z.int().min(1).default(4_294_967_296).describe("Size of one checkpoint's tensors."),
  keep: z.int().min(1).max(1000).default(3).describe("Checkpoints kept per run."),
});
export type CheckpointConfig = z.infer<typeof CheckpointConfig>;

export const NatsConfig = z.discriminatedUnion("mode", [
  z.strictObject({
    mode: z.literal("embedded").describe("The node starts its own nats-server on loopback."),
    port: z.int().min(-1).max(65_535).default(-1).describe("TCP port; -1 lets the server choose a free one."),
    binary: z.string().optional().describe("Path of nats-server; else it is looked for on PATH and where set-up puts it."),
    memoryBytesMax: z.int().min(1).default(268_435_456).describe("JetStream memory."),
    storageBytesMax: z.int().min(1).default(4_294_967_296).describe("JetStream files."),
  }),
  z.strictObject({
    mode: z.literal("external").describe("A server that is already running."),
    url: z.string().describe("For example nats://127.0.0.1:4222."),
    user: z.string().optional().describe("User name, when the server wants one."),
    passwordFile: z.string().optional().describe("File whose first line is the password."),
  }),
]);
export type NatsConfig = z.infer<typeof NatsConfig>;

export const ServicesConfig = z.strictObject({
  dataDir: z.string().default(".esper").describe("Everything the node writes lies under this folder."),
  nats: NatsConfig.prefault({ mode: "embedded" }),
  payloadBytesMax: z.int().min(65_536).max(67_108_864).default(8_388_608).describe("Largest message on the bus."),
  mailboxMessagesMax: z.int().min(1).default(10_000).describe("Messages waiting for one actor; more are dead letters."),
  assetBytesMax: z.int().min(1).default(67_108_864).describe("Size of one blueprint, host or kernel in the library."),
  outboxMessagesMax: z
    .int()
    .min(1)
    .default(100_000)
    .describe("Events that wait for the bus; more are refused and the run stops."),
  lanesLostMax: z
    .int()
    .min(0)
    .default(3)
    .describe("Times that a run is resumed from its last checkpoint after its training thread died."),
  requestTimeoutMs: z.int().min(1).default(5_000).describe("Wait for an answer on the bus."),
  boundaryTimeoutMs: z
    .int()
    .min(1)
    .default(2_000)
    .describe("Wait for Kasmina's plan at a window's end; past it training goes on with the plan it has."),
  startMs: z.int().min(1).default(20_000).describe("Time for an actor to start before it is given up."),
  shutdownMs: z.int().min(1).default(5_000).describe("Time for an actor to stop before it is abandoned."),
  restartsMax: z
    .int()
    .min(0)
    .default(5)
    .describe("Restarts of one supervisor's children within `restartPeriodMs` before it escalates."),
  restartPeriodMs: z.int().min(1).default(30_000).describe("The period that `restartsMax` counts in."),
  progressHz: z.number().positive().max(50).default(4).describe("Progress messages a second from a lane."),
  idempotencyMs: z.int().min(1).default(300_000).describe("How long a `requestId` is remembered."),
});
export type ServicesConfig = z.infer<typeof ServicesConfig>;

export const ArmName = z.enum(["no-growth", "grown", "healthy"]);
export type ArmName = z.infer<typeof ArmName>;

export const EsperConfig = z.strictObject({
  randomSeed: z.int().min(0).max(0xffff_ffff).default(1).describe("Everything random follows from this."),
  device: z
    .enum(["auto", "native", "wasm", "cpu"])
    .default("auto")
    .describe("`auto` takes the first that works of native (ONNX Runtime), wasm and cpu (tensorflow.js)."),
  threads: z.int().min(1).max(256).default(1).describe("Threads of the training engine."),
  arms: z
    .array(ArmName)
    .min(1)
    .max(3)
    .default(["no-growth", "grown", "healthy"])
    .describe(
      "`no-growth`: damaged and left alone; `grown`: where the signal says; `healthy`: never damaged. All get the same FLOPs.",
    ),
  model: ModelConfig.prefault({ name: "mlp" }),
  dataset: DatasetConfig.prefault({}),
  damage: DamageConfig.optional().describe("Damage done to the host before training; left out, nothing is damaged."),
  optimization: OptimizationConfig.prefault({}),
  morphogenetic: MorphogeneticConfig.prefault({}),
  governor: GovernorConfig.prefault({}),
  logging: LoggingConfig.prefault({}),
  checkpoint: CheckpointConfig.prefault({}),
  services: ServicesConfig.prefault({}),
});
export type EsperConfig = z.infer<typeof EsperConfig>;
