/** What a node offers to choose from. */
import { z } from "zod";
import { StartConfig } from "./config.ts";

/** A configuration that a run may be started with, by `start`. */
export const OfferedConfig = z.strictObject({ name: z.string(), about: z.string(), config: StartConfig });
export type OfferedConfig = z.infer<typeof OfferedConfig>;

export const OfferedConfigs = z.strictObject({ configs: z.array(OfferedConfig).max(128) });
