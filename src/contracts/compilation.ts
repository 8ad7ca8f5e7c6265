/** What a seed waits for, and Tezzeret's answer to the task that orders it. */
import { z } from "zod";
import { Cause, KernelKey } from "./assets.ts";
import { ContentHash } from "./ids.ts";

export const CompilationRequest = z.strictObject({
  runId: z.string(),
  seedId: z.string(),
  key: KernelKey,
  /** The command that asked for it; not known when the request is made again after a restart. */
  cause: Cause.optional(),
});
export type CompilationRequest = z.infer<typeof CompilationRequest>;

export const CompilationOutcome = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("ready"),
    taskId: z.string(),
    runId: z.string(),
    seedId: z.string(),
    /** SHA-256 of the key's canonical JSON: which request this answers. */
    keyHash: ContentHash,
    kernelHash: z.string(),
    blueprintHash: z.string(),
    parameters: z.int().min(0),
    /** FLOPs of one step of each program. */
    flops: z.record(z.string(), z.number().min(0)),
    compileMs: z.number().min(0),
  }),
  z.strictObject({
    kind: z.literal("failed"),
    taskId: z.string(),
    runId: z.string(),
    seedId: z.string(),
    keyHash: ContentHash,
    reason: z.string(),
  }),
]);
export type CompilationOutcome = z.infer<typeof CompilationOutcome>;
