/** How damage is measured, and when a measurement is reason enough to act. */
import { z } from "zod";
import { calibrated } from "./calibrated.ts";
import { shown } from "./shown.ts";

const fraction = z.number().min(0).max(1);

export const SignalConfig = z.strictObject({
  samples: z
    .int()
    .min(64)
    .max(65_536)
    .default(2048)
    .describe(
      "Training rows in one measurement: samples, or tokens where each has a prediction of its own. Rounded down to whole blocks.",
    ),
  features: z
    .int()
    .min(16)
    .max(1024)
    .default(64)
    .describe("Random ReLU features per activation; feature maps get three times as many, over two sizes of places."),
  ridge: z.number().positive().default(1e-2).describe("Ridge penalty as a fraction of the mean diagonal of the Gram matrix."),
  warmupSteps: z.int().min(0).default(200).describe("Host steps before the first measurement."),
  everyEpochs: z
    .int()
    .min(1)
    .default(4)
    .describe(
      "Least number of windows between two measurements; after one that names a candidate the next window measures again.",
    ),
  flopsFractionMax: z
    .number()
    .min(0.001)
    .max(1)
    .default(0.04)
    .describe(
      "Share of the run's FLOPs that measurements without a candidate may take; where one costs more than `everyEpochs` allows for, they come less often.",
    ),
  probeBatches: z
    .int()
    .min(1)
    .max(16)
    .default(4)
    .describe("Batches pooled in the measurement after one that could not tell the two worst sites apart; 1 turns probing off."),
});
export type SignalConfig = z.infer<typeof SignalConfig>;

export const TriggerConfig = z.strictObject({
  gapMin: z
    .number()
    .positive()
    .default(calibrated.trigger.gapMin)
    .describe("Explained-error gap, lower bound, that alone makes a layer a candidate; `gapShareMin` must be reached too."),
  gapShareMin: z
    .number()
    .positive()
    .max(1)
    .default(calibrated.trigger.gapShareMin)
    .describe("The same as a share of the error that the layer's input explains."),
  boundErrors: z
    .number()
    .min(0)
    .max(10)
    .default(1.895)
    .describe(
      "Standard errors from the gap down to its lower bound; 1.895 is one-sided 95 % with the seven degrees of freedom of eight blocks.",
    ),
  dimensionsMax: z
    .int()
    .min(0)
    .max(15)
    .default(calibrated.trigger.dimensionsMax)
    .describe("A layer that passes on at most so many dimensions, and less than half of those that it gets, is a candidate."),
  weightGainMax: z
    .number()
    .min(2)
    .default(calibrated.trigger.weightGainMax)
    .describe(
      "Size of a layer's weights, in those of a He initialisation, above which it is a candidate: steps are then too small to change it.",
    ),
  agreementWeight: z
    .number()
    .min(0)
    .max(16)
    .default(calibrated.trigger.agreementWeight)
    .describe("How much the gap's lower bound over `gapMin` counts once more where dimensions were lost at the same layer."),
  healthMax: fraction.default(0.3).describe("A layer is a candidate below this health."),
  confidenceMin: fraction.default(0.7).describe("A decision needs more confidence than this."),
  checks: z.int().min(1).max(16).default(2).describe("Successive measurements that must name the same layer."),
  exclude: z
    .array(shown("event log, decisions", z.string()))
    .max(1000)
    .default([])
    .describe("Sites that are never candidates, such as a bottleneck that is meant to be one."),
});
export type TriggerConfig = z.infer<typeof TriggerConfig>;
