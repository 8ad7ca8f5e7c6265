/** What the page is sent, and how much of it at once. */
import { z } from "zod";

export const ViewConfig = z.strictObject({
  deltasHz: z.number().positive().max(20).default(20).describe("Batches of changes a second, at most."),
  heartbeatMs: z.int().min(100).max(60_000).default(10_000).describe("A stream that has nothing to tell says so this often."),
  clientBytesMax: z
    .int()
    .min(65_536)
    .max(268_435_456)
    .default(1_048_576)
    .describe("Bytes that wait for one page; a page that does not take them is sent nothing until it has, then what it missed."),
  ringItemsMax: z
    .int()
    .min(100)
    .max(10_000_000)
    .default(200_000)
    .describe("Changes kept for pages that come back or were slow; who missed more gets the whole state again."),
  actorsHz: z.number().positive().max(10).default(1).describe("Looks a second at the tree of actors while a page is open."),
  chunkEventsMax: z.int().min(10).max(100_000).default(4_000).describe("Events of a recorded run in one answer."),
  chunkBytesMax: z.int().min(65_536).max(268_435_456).default(16_777_216).describe("Bytes of its log in one answer."),
  recordedReadersMax: z.int().min(1).max(64).default(4).describe("Recorded runs that are kept ready to be read on."),
});
export type ViewConfig = z.infer<typeof ViewConfig>;
