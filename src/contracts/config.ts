/**
 * The configuration tree. One definition gives the type, the validation, the defaults and the reference in the README.
 * Every bound carries its unit at the end of its name.
 */
import { z } from "zod";
import { ArtifactsConfig } from "./config-artifacts.ts";
import { BreakerConfig, DeadLetterConfig, DeliveryConfig, RetryConfig } from "./config-calls.ts";
import { ControlConfig } from "./config-control.ts";
import { DamageConfig } from "./config-damage.ts";
import { DatasetConfig } from "./config-dataset.ts";
import { ForgeConfig } from "./config-forge.ts";
import { HttpConfig } from "./config-http.ts";
import { ModelConfig } from "./config-model.ts";
import { MorphogeneticConfig } from "./config-morphogenetic.ts";
import { NodeRoles } from "./config-roles.ts";
import { OptimizerConfig } from "./optimizer.ts";
import { shown, shownAddress } from "./shown.ts";
import { NodeName } from "./work.ts";

export { ControlConfig, DamageConfig, DatasetConfig, ModelConfig, MorphogeneticConfig };

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
    host: shown(
      "the address that the node tells",
      z
        .string()
        .min(1)
        .max(255)
        .regex(/^[A-Za-z0-9.:_-]+$/, "expected an address or the name of one"),
    )
      .default("127.0.0.1")
      .describe(
        "Address that the server listens on. Another than loopback lets forges of other machines join, and passwords cross the network unencrypted: use one that only your machines reach.",
      ),
    binary: shown("errors, the list of processes", z.string())
      .optional()
      .describe("Path of nats-server; else it is looked for on PATH and where set-up puts it."),
    memoryBytesMax: z.int().min(1).default(268_435_456).describe("JetStream memory."),
    storageBytesMax: z.int().min(1).default(4_294_967_296).describe("JetStream files."),
  }),
  z.strictObject({
    mode: z.literal("external").describe("A server that is already running."),
    url: shownAddress("notes, errors, `esper status`", z.string())
      .optional()
      .describe("For example nats://127.0.0.1:4222; left out, `connection` tells it."),
    connection: z
      .string()
      .optional()
      .describe("A node's `forge.json` with address and login. `url`, `user` and `passwordFile` go before what it says."),
    user: z.string().optional().describe("User name, when the server wants one."),
    passwordFile: z.string().optional().describe("File whose first line is the password."),
  }),
]);
export type NatsConfig = z.infer<typeof NatsConfig>;

export const ServicesConfig = z.strictObject({
  dataDir: shown("notes, errors, reports", z.string())
    .default(".esper")
    .describe("Everything the node writes lies under this folder."),
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
  breaker: BreakerConfig.prefault({}).describe(
    "Circuit breakers in front of lanes, requests, downloads and an external NATS server.",
  ),
  delivery: DeliveryConfig.prefault({}).describe("Watch over durable consumers."),
  deadLetters: DeadLetterConfig.prefault({}).describe("Messages that their actor could not handle."),
  http: HttpConfig.prefault({}).describe("The HTTP server."),
  nodeName: NodeName.default("node").describe("What this node is called where several work together."),
  forge: ForgeConfig.prefault({}).describe("Work on tasks: compiling and measuring kernels."),
  retry: RetryConfig.prefault({}).describe("How idempotent calls are tried again: exponential backoff with full jitter."),
  idempotencyMs: z.int().min(1).default(300_000).describe("How long a `requestId` is remembered."),
  ledgerHeadEntriesMax: z
    .int()
    .min(1)
    .default(256)
    .describe("Ledger entries after which a signed head is kept, in the database and in a file beside it."),
  artifacts: ArtifactsConfig.prefault({}).describe("Signatures of artifacts, and the signed index of their names."),
});
export type ServicesConfig = z.infer<typeof ServicesConfig>;

export const ArmName = z.enum(["no-growth", "grown", "healthy"]);
export type ArmName = z.infer<typeof ArmName>;

/** What decides a run: host, data and how they are trained. */
const runFields = {
  randomSeed: z.int().min(0).max(0xffff_ffff).default(1).describe("Everything random follows from this."),
  device: z
    .enum(["auto", "native", "wasm", "cpu"])
    .default("auto")
    .describe("`auto` takes the first that works of native (ONNX Runtime), wasm and cpu (tensorflow.js)."),
  threads: z.int().min(1).max(256).default(1).describe("Threads of the training engine."),
  trainingLanes: z
    .int()
    .min(1)
    .max(2)
    .default(1)
    .describe(
      "Threads that a run trains in, each with an engine of its own: with 2 a contest's twin trains beside the grown copy instead of after it. The results are the same.",
    ),
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
};

/** A run's configuration as it may be handed to a node that runs: the rest is the node's own. */
export const StartConfig = z.strictObject({ ...runFields, checkpoint: CheckpointConfig.prefault({}) });
export type StartConfig = z.infer<typeof StartConfig>;

export const EsperConfig = z.strictObject({
  ...runFields,
  roles: NodeRoles,
  logging: LoggingConfig.prefault({}),
  checkpoint: CheckpointConfig.prefault({}),
  control: ControlConfig.prefault({}),
  services: ServicesConfig.prefault({}),
});
export type EsperConfig = z.infer<typeof EsperConfig>;
