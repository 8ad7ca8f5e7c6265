/** Signed artifacts and the index that leads to them. */
import { z } from "zod";
import { ContentHash } from "./ids.ts";

export const ArtifactsConfig = z.strictObject({
  indexEntriesMax: z
    .int()
    .min(1)
    .max(65_536)
    .default(4_096)
    .describe("Names in the signed index; the one that was set longest ago goes first. Its artifact stays."),
  indexExpiryMs: z
    .int()
    .min(60_000)
    .max(2_592_000_000)
    .default(604_800_000)
    .describe("How long the signed index may be relied on; a running node signs it anew at half of that."),
  trustedKeys: z
    .array(ContentHash)
    .max(64)
    .default([])
    .describe(
      "Fingerprints of other nodes' keys whose checkpoints may be resumed here (`ledger/fingerprint` in their data directory).",
    ),
});
export type ArtifactsConfig = z.infer<typeof ArtifactsConfig>;
