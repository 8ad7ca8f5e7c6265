/** Damage done to a host on purpose, for experiments. */
import { z } from "zod";
import { shown } from "./shown.ts";

export const DamageConfig = z.strictObject({
  site: shown("report, errors", z.string())
    .default("random")
    .describe(
      "The first layer to damage, by name; a block or stage by its prefix (`s2`, `b1.attention`); or `random`: hidden layers picked by the run's random seed.",
    ),
  kind: z
    .enum(["dead", "rank", "narrow", "saturated", "initialization"])
    .default("dead")
    .describe(
      "`dead`: all but `live` units never fire. `rank`: the weights are a product of rank `live`, and stay one. `narrow`: the layer has `live` units. `saturated`: all but `live` units stand where their activation has no slope. `initialization`: weights a hundred times too large.",
    ),
  live: z.int().min(1).default(2).describe("Units left alive, the width left, or the rank left."),
  layers: z.int().min(1).max(16).default(1).describe("Adjacent layers damaged, from `site` on."),
});
export type DamageConfig = z.infer<typeof DamageConfig>;
