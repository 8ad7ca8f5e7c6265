/** Who judges a trial at its end, with which weight, and what happens when they are split. */
import { z } from "zod";

const weight = z.number().min(0).max(100);

export const JuryConfig = z.strictObject({
  weights: z
    .strictObject({
      loss: weight
        .default(3)
        .describe("Grown against twin on the validation loss: the verdict. It can veto, whatever its weight."),
      accuracy: weight.default(1).describe("The same on the share of samples that are right."),
      calibration: weight.default(1).describe("The same on the Brier score."),
      cost: weight.default(1).describe("Gain of loss against the FLOPs that a step costs more."),
    })
    .prefault({}),
  costGainMin: z
    .number()
    .min(0)
    .default(0.02)
    .describe(
      "Fall of the loss, as a fraction of the twin's, that a step which costs twice the FLOPs must bring; less in proportion.",
    ),
  quorum: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("Part of the weights that must have been measured; below it the seed is culled."),
  keepMin: z.number().min(0).max(1).default(0.75).describe("Part of the voting weight that keeps the seed at once."),
  cullMax: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("Part of the voting weight up to which the seed is culled at once; between the two the operator is asked."),
  escalationEpochsMax: z
    .int()
    .min(0)
    .max(1000)
    .default(1)
    .describe("Windows that an escalation waits for the operator; meanwhile grown copy and twin train on."),
  escalationPolicy: z.enum(["keep", "cull"]).default("cull").describe("What happens when nobody answered."),
});
export type JuryConfig = z.infer<typeof JuryConfig>;
