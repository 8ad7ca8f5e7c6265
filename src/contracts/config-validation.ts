/** What Urabrask measures of a kernel before it may be taken, and what a kernel must keep to. */
import { z } from "zod";

export const ValidationConfig = z.strictObject({
  steps: z.int().min(2).max(1000).default(50).describe("Kernel steps over which the loss must stay finite and must not explode."),
  latencyRuns: z.int().min(20).max(1000).default(20).describe("Runs of each program whose median and 99th percentile are taken."),
  deadShareMax: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("Part of the kernel's parameters that may be without a gradient in its first two steps."),
  spikeMax: z.number().positive().default(1).describe("The first step may raise the loss by this fraction of its value."),
  lossRatioMax: z.number().positive().default(3).describe("Loss after those steps as a multiple of the first."),
  driftMax: z
    .number()
    .positive()
    .default(1e-3)
    .describe("Largest difference of a logit between two engines, as a fraction of the largest logit or of 1."),
  timeoutMs: z
    .int()
    .min(1)
    .default(60_000)
    .describe("Wait for a kernel's characterisation; a kernel that has none by then is not taken."),
});
export type ValidationConfig = z.infer<typeof ValidationConfig>;
