/** What the HTTP server of a node listens on, and its bounds. */
import { z } from "zod";
import { ViewConfig } from "./config-view.ts";
import { shown } from "./shown.ts";

/** Tried first where nobody names a port. */
export const usualHttpPort = 8770;

export const HttpConfig = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether the node serves HTTP: its API, metrics and page."),
  host: shown("the address that the node tells", z.string().min(1).max(255))
    .default("127.0.0.1")
    .describe("Address to listen on. Off loopback, tokens travel in the clear unless a proxy adds TLS."),
  port: z
    .union([z.literal("auto"), z.int().min(0).max(65_535)])
    .default("auto")
    .describe(
      `\`auto\`: ${usualHttpPort}, or a free port where that is taken; 0: a free port; any other: that one, and the node does not start where it is taken.`,
    ),
  names: z
    .array(z.string().min(1).max(255))
    .max(16)
    .default([])
    .describe("Host names that requests may be addressed to, besides loopback's and `host`; others are refused."),
  bodyBytesMax: z.int().min(1_024).max(67_108_864).default(1_048_576).describe("Largest body of a request."),
  headerBytesMax: z.int().min(4_096).max(65_536).default(16_384).describe("Largest head of a request."),
  connectionsMax: z.int().min(1).max(100_000).default(1_024).describe("Connections at once; one more is closed."),
  requestTimeoutMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(10_000)
    .describe("Time for a request to come in, and time for its answer; a client may ask for less."),
  keepAliveMs: z.int().min(100).max(600_000).default(5_000).describe("How long an idle connection is kept."),
  streamsMax: z.int().min(0).max(10_000).default(32).describe("Streams of events at once, for example pages that are open."),
  artifactReadsMax: z
    .int()
    .min(1)
    .max(64)
    .default(4)
    .describe("Artifacts that are read and sent at once; one more is told to come again."),
  tokenLifetimeMsMax: z
    .int()
    .min(1_000)
    .max(31_536_000_000)
    .default(604_800_000)
    .describe("Longest life of a token; one that is made to live longer is refused."),
  view: ViewConfig.prefault({}).describe("What the page is sent."),
});
export type HttpConfig = z.infer<typeof HttpConfig>;
