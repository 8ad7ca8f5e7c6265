/** What is known of a host's parts when it is asked which of them earn their cost. A value that was not measured is absent, never zero. */
import { z } from "zod";
import { PairedGain } from "./measure.ts";

const count = z.int().min(0);

/** One unit or channel of a layer, from one sampled batch. */
export const UnitMeasurement = z.strictObject({
  unit: count,
  /** First-order estimate of how far the loss moves when the unit gives its mean instead, in nats; never negative. */
  importance: z.number().min(0).optional(),
  /** Mean of the unit's output over samples and places: what its readers keep of it. */
  mean: z.number().optional(),
  /** Largest less smallest output; 0 for a constant unit. */
  spread: z.number().min(0).optional(),
});
export type UnitMeasurement = z.infer<typeof UnitMeasurement>;

/** Units of one layer that may be taken out. */
export const LayerMeasurement = z.strictObject({
  site: z.string(),
  units: z.array(UnitMeasurement).max(16_384),
  /** What an optimizer step saves for each unit that goes. */
  stepFlopsPerUnit: z.number().min(0),
  /** Why no unit of this layer can go, as the rewriting of the graph said; absent where they can. */
  obstacle: z.string().optional(),
});
export type LayerMeasurement = z.infer<typeof LayerMeasurement>;

/** A fossilized bypass, judged by switching it off on the validation samples. */
export const BypassMeasurement = z.strictObject({
  seedId: z.string(),
  site: z.string(),
  /** Loss without it − loss with it, paired. */
  gain: PairedGain.optional(),
  /** What an optimizer step saves without it. */
  stepFlops: z.number().min(0),
  obstacle: z.string().optional(),
});
export type BypassMeasurement = z.infer<typeof BypassMeasurement>;

/** One look at a whole host after a window that trained the host alone. */
export const PruneSurvey = z.strictObject({
  runId: z.string(),
  epoch: z.int().min(1),
  /** Of the host that was measured: a proposal holds for this host alone. */
  hostHash: z.string(),
  layers: z.array(LayerMeasurement).max(10_000),
  bypasses: z.array(BypassMeasurement).max(10_000),
  validationLoss: z.number().optional(),
  /** The seed that holds the grafting lock. */
  activeSeedId: z.string().optional(),
  /** Windows until the embargo on a site ends; sites that are not named are free. */
  embargoEpochs: z.record(z.string(), count),
});
export type PruneSurvey = z.infer<typeof PruneSurvey>;

/** What is to go. */
export const PruneTarget = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("units"),
    site: z.string(),
    units: z.array(count).min(1).max(16_384),
    /** What each unit's readers keep of it, in the order of `units`. */
    constants: z.array(z.number()).max(16_384),
  }),
  z.strictObject({ kind: z.literal("bypass"), site: z.string(), seedId: z.string() }),
]);
export type PruneTarget = z.infer<typeof PruneTarget>;
