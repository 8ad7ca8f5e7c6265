/** The manifest of a checkpoint: written last, so that a folder with a valid manifest is a complete checkpoint. */
import { z } from "zod";
import { ContentHash, RunId } from "./ids.ts";

const file = z.strictObject({ sha256: ContentHash, bytes: z.int().min(0) });

export const CheckpointManifest = z.strictObject({
  format: z.literal("esper-checkpoint"),
  version: z.literal(1),
  runId: RunId,
  /** Last complete window. */
  epoch: z.int().min(0),
  createdAtMs: z.number(),
  files: z.strictObject({ "tensors.safetensors": file, "state.json": file }),
  /** Of the canonical JSON of all the fields above. */
  sha256: ContentHash,
});
export type CheckpointManifest = z.infer<typeof CheckpointManifest>;
