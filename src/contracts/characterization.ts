/** What Urabrask measured of a kernel on one machine, beside the host's own numbers. A value that was not measured, or not finite, is absent. */
import { z } from "zod";
import { BlueprintRequest } from "./blueprint-kinds.ts";
import { ContentHash } from "./ids.ts";

const count = z.int().min(0);
const notNegative = z.number().min(0);

export const Latency = z.strictObject({ medianMs: notNegative, p99Ms: notNegative, runs: z.int().min(1) });
export type Latency = z.infer<typeof Latency>;

const perProgram = <T extends z.ZodType>(value: T) =>
  z.strictObject({ kernelStep: value, grownEvaluate: value, hostStep: value, hostEvaluate: value });

export const KernelCharacterization = z.strictObject({
  /** On one batch each; the host's programs stand beside the kernel's so that tags are relative. */
  latency: perProgram(Latency),
  /** FLOPs of one run. */
  flops: perProgram(notNegative),
  /** Held by the kernel's loaded programs and its parameters. */
  memoryBytes: count,
  parameters: count,
  /** Logits of the grown host on this engine against another one. */
  drift: z.strictObject({ engine: z.string(), maxAbsolute: notNegative, relative: notNegative }).optional(),
  /** Part of the kernel's parameters that had no gradient in the first two steps. */
  deadShare: z.number().min(0).max(1).optional(),
  /** (loss after the first step − before) / before, on the same batch. */
  firstStepSpike: z.number().optional(),
  stability: z.strictObject({
    steps: count,
    finite: z.boolean(),
    /** Mean loss of the last ten steps / the first loss. */
    lossRatio: notNegative.optional(),
  }),
});
export type KernelCharacterization = z.infer<typeof KernelCharacterization>;

/** Relative characteristics of a kernel on one machine, and the numbers behind them. */
export const KernelTags = z.strictObject({
  kernelHash: ContentHash,
  machine: z.string().min(1).max(300),
  engine: z.string(),
  hostHash: ContentHash,
  blueprint: BlueprintRequest,
  tags: z.array(z.string().min(1).max(64)).max(32),
  /** Absent when it could not be measured; `problem` then says why. */
  measured: KernelCharacterization.optional(),
  problem: z.string().max(2000).optional(),
});
export type KernelTags = z.infer<typeof KernelTags>;
