/** Experiments: hosts × data sets × damages × random seeds × arms, and what one job of them leaves behind. */
import { z } from "zod";
import { Forecast } from "./commands.ts";
import { ContentHash } from "./ids.ts";
import { LifecycleState } from "./lifecycle.ts";
import { FlopsAccount, PairedGain, Validation } from "./measure.ts";

export const experimentArms = [
  /** The damaged host, left alone. */
  "no-growth",
  /** The damaged host, grown as the configuration says. */
  "grown",
  /** Grown at a random site: when a trigger fires, or on an undamaged host once after the warm-up. */
  "random-place",
  /** Grown at the largest gap in every check. */
  "always-grow",
  /** The host that the arm `grown` ended with, from scratch. */
  "final-size",
  /** Never damaged, left alone. */
  "healthy",
  /** Never damaged, with the trigger on. */
  "watched",
] as const;
export const ExperimentArm = z.enum(experimentArms);
export type ExperimentArm = z.infer<typeof ExperimentArm>;

/** A part of the configuration, checked once it stands in its place. */
const Fragment = z.record(z.string(), z.unknown());
const Name = z.string().regex(/^[a-z0-9][a-z0-9._+-]{0,63}$/i, "expected letters, digits and . _ + - (at most 64)");

export const randomSeedsMax = 10_000;

export const ExperimentConfig = z.strictObject({
  name: Name.describe("Title of the report, and the folder's name."),
  base: z
    .strictObject({
      device: z.string().optional(),
      model: Fragment.optional(),
      dataset: Fragment.optional(),
      optimization: Fragment.optional(),
      morphogenetic: Fragment.optional(),
      governor: Fragment.optional(),
    })
    .prefault({})
    .describe("Configuration that every job shares; the keys are those of `esper start --config`."),
  hosts: z
    .array(
      z.strictObject({
        name: Name,
        model: Fragment.optional(),
        optimization: Fragment.optional(),
        morphogenetic: Fragment.optional(),
      }),
    )
    .min(1)
    .max(1000)
    .describe("Each with its name, its `model`, and what else of the configuration is its own."),
  datasets: z
    .array(z.strictObject({ name: Name, dataset: Fragment }))
    .min(1)
    .max(100)
    .default([{ name: "mnist", dataset: { name: "mnist" } }])
    .describe("Each with a name and its `dataset`."),
  damages: z
    .array(z.strictObject({ name: Name, damage: Fragment.nullable() }))
    .min(1)
    .max(100)
    .default([{ name: "none", damage: null }])
    .describe("Each with a name and its `damage`; null: the host is whole."),
  randomSeeds: z
    .union([
      z.array(z.int().min(0).max(0xffff_ffff)).min(1).max(randomSeedsMax),
      z.strictObject({ first: z.int().min(0).max(0xffff_ffff).default(1), count: z.int().min(1).max(randomSeedsMax) }),
    ])
    .default({ first: 1, count: 10 })
    .describe("A list, or the first and how many."),
  arms: z.array(ExperimentArm).min(1).default(["no-growth", "grown", "healthy", "watched"]).describe("Controls included."),
  hurtsMin: z
    .number()
    .min(0)
    .max(1)
    .default(0.02)
    .describe("A recovered share is taken only where the damage costs at least this part of the test accuracy: less is noise."),
  confidence: z.number().min(0.5).max(0.9999).default(0.95).describe("Two-sided, of every interval in the report."),
  bootstrapDraws: z.int().min(100).max(100_000).default(2000).describe("Draws for intervals of ratios and of rank correlations."),
  jobsMax: z.int().min(1).max(1_000_000).default(20_000).describe("More jobs than this are refused."),
});
export type ExperimentConfig = z.infer<typeof ExperimentConfig>;

const count = z.int().min(0);

/** A germination and what came of it. */
export const TrialRecord = z.strictObject({
  seedId: z.string(),
  site: z.string(),
  toSite: z.string(),
  blueprint: z.string().optional(),
  /** Windows and FLOPs at germination. */
  epoch: count,
  flops: count,
  /** Why it germinated. */
  reason: z.string(),
  forecast: Forecast.optional(),
  /** Absent when the run ended before the trial did. */
  outcome: LifecycleState.optional(),
  endReason: z.string().optional(),
  /** It came to a verdict against its twin: `gain` is that of the whole trial and not of one of its stages. */
  judged: z.boolean(),
  gain: PairedGain.optional(),
});
export type TrialRecord = z.infer<typeof TrialRecord>;

/** What one finished job leaves: a line of results.jsonl. The same job gives the same line, but for `seconds`. */
export const JobResult = z.strictObject({
  version: z.literal(1),
  /** SHA-256 of all that determines the job. */
  key: ContentHash,
  label: z.string(),
  randomSeed: count,
  outcome: z.enum(["done", "failed"]),
  reason: z.string(),
  /** Hidden layers from the input on. */
  sites: z.array(z.string()),
  damagedSites: z.array(z.string()),
  /** Read once, at the end; absent when the job failed. */
  test: Validation.optional(),
  /** Validation after windows of the host, against the FLOPs charged so far. */
  curve: z.array(z.strictObject({ epoch: count, flops: count, loss: z.number(), accuracy: z.number() })).max(100_000),
  /** The explained-error gap of each layer at each check. */
  checks: z.array(z.strictObject({ epoch: count, gaps: z.record(z.string(), z.number()) })).max(100_000),
  trials: z.array(TrialRecord).max(10_000),
  /** Why a place that was measured did not germinate, each reason once. */
  refusals: z.array(z.string()).max(1000),
  timeline: z.array(z.strictObject({ seedId: z.string(), state: LifecycleState, epoch: count })).max(100_000),
  flops: FlopsAccount,
  flopsMax: count,
  /** FLOPs of one step of the host as it began and as it ended. */
  stepFlops: z.tuple([count, count]),
  parameters: z.tuple([count, count]),
  hostSteps: count,
  windows: count,
  seconds: z.number().min(0),
});
export type JobResult = z.infer<typeof JobResult>;
