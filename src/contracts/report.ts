/** The report of a run with all its arms (`--report FILE`). */
import { z } from "zod";
import { EscalationEnd } from "./assets.ts";
import { Forecast } from "./commands.ts";
import { LifecycleState, LifecycleStep } from "./lifecycle.ts";
import { FlopsAccount, Judgement } from "./measure.ts";

export const ReportDamage = z.strictObject({
  kind: z.string(),
  /** The layers that were damaged, in topological order. */
  sites: z.array(z.string()).min(1),
  /** Units left alive, the width left, or the rank left. */
  live: z.int().min(1),
  /** Adjacent layers that were asked for. */
  layers: z.int().min(1),
});
export type ReportDamage = z.infer<typeof ReportDamage>;

export const ReportSeed = z.strictObject({
  id: z.string(),
  span: z.strictObject({ from: z.string(), to: z.string() }).optional(),
  history: z.array(LifecycleStep),
  outcome: LifecycleState,
  forecast: Forecast.optional(),
  measuredGain: z.number().optional(),
  interval: z.strictObject({ lower: z.number(), upper: z.number(), confidence: z.number() }).optional(),
  /** What each judge said at the verdict. */
  judgements: z.array(Judgement).optional(),
  /** Present when the jury was split and the operator was asked. */
  escalation: EscalationEnd.optional(),
});
export type ReportSeed = z.infer<typeof ReportSeed>;

export const ReportArm = z.strictObject({
  name: z.string(),
  runId: z.string(),
  outcome: z.enum(["done", "stopped", "failed"]),
  reason: z.string(),
  /** Fraction of test images classified right; test data is read once, at the end. Absent when the arm did not finish. */
  testAccuracy: z.number().optional(),
  /** Mean cross-entropy in nats on the validation samples. */
  validationLoss: z.number().optional(),
  validationAccuracy: z.number().optional(),
  trainFlops: z.number(),
  flops: FlopsAccount,
  parameters: z.int().min(0),
  seconds: z.number(),
  stepsPerSecond: z.number(),
  hostSteps: z.int().min(0),
  /** Germinations that took place; prunings do not count. */
  triggers: z.int().min(0),
  rollbacks: z.int().min(0),
  /** Whether a seed germinated at a damaged layer, or its span covers the first of them; absent without damage or without a trigger. */
  damageFound: z.boolean().optional(),
  seeds: z.array(ReportSeed),
  signals: z.array(z.strictObject({ epoch: z.int(), site: z.string(), gap: z.number() })),
  checkpoint: z.string().optional(),
  eventLog: z.string(),
});
export type ReportArm = z.infer<typeof ReportArm>;

export const Report = z.strictObject({
  version: z.literal(1),
  createdAtMs: z.number(),
  dataset: z.strictObject({
    name: z.string(),
    source: z.string(),
    trainSamples: z.int(),
    validationSamples: z.int(),
    testSamples: z.int(),
  }),
  host: z.strictObject({
    name: z.string(),
    layers: z.array(z.strictObject({ site: z.string(), width: z.int() })),
    parameters: z.int(),
  }),
  randomSeed: z.int(),
  damage: ReportDamage.optional(),
  arms: z.array(ReportArm),
  engine: z.strictObject({
    name: z.string(),
    version: z.string(),
    threads: z.int(),
    /** Threads that trained: with 2 the twins of contests trained in a second one. */
    trainingLanes: z.int().min(1).default(1),
  }),
  machine: z.strictObject({ cpu: z.string(), cores: z.int(), node: z.string(), os: z.string() }),
});
export type Report = z.infer<typeof Report>;
