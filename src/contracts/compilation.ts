/** The unit of work for Tezzeret and its answer. */
import { z } from "zod";
import { KernelKey } from "./assets.ts";
import { ContentHash } from "./ids.ts";

export const CompilationRequest = z.strictObject({
  runId: z.string(),
  seedId: z.string(),
  key: KernelKey,
  deadlineAtMs: z.number(),
});
export type CompilationRequest = z.infer<typeof CompilationRequest>;

export const CompilationOutcome = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("ready"),
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
  z.strictObject({ kind: z.literal("failed"), runId: z.string(), seedId: z.string(), keyHash: ContentHash, reason: z.string() }),
]);
export type CompilationOutcome = z.infer<typeof CompilationOutcome>;
