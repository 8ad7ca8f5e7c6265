/** What is known of a host's parts when it is asked which of them earn their cost. A value that was not measured is absent, never zero. */
import { z } from "zod";
import { PairedGain } from "./measure.ts";

const count = z.int().min(0);

/** One unit or channel of a layer, from one sampled batch. */
export const UnitMeasurement = z.strictObject({
  unit: count,
  /** First-order estimate of how far the loss moves when the unit gives its mean instead, in nats; never negative. */
  importance: z.number().min(0).optional(),
  /** What its readers keep of it: the mean of its output over samples and places, or 0 where they can keep nothing else. */
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
  /** Layer whose input it reads. */
  site: z.string(),
  /** Loss without it − loss with it, paired. */
  gain: PairedGain.optional(),
  /** What an optimizer step saves without it. */
  stepFlops: z.number().min(0),
  obstacle: z.string().optional(),
});
export type BypassMeasurement = z.infer<typeof BypassMeasurement>;

/** One look at a whole host after a window that trained the host alone. */
export const HostParts = z.strictObject({
  /** Of the host that was measured: a proposal holds for this host alone. */
  hostHash: z.string(),
  layers: z.array(LayerMeasurement).max(10_000),
  bypasses: z.array(BypassMeasurement).max(10_000),
  validationLoss: z.number().optional(),
});
export type HostParts = z.infer<typeof HostParts>;

/** The same with what the run knows of its sites. */
export const PruneSurvey = z.strictObject({
  runId: z.string(),
  epoch: z.int().min(1),
  ...HostParts.shape,
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
    /** What each unit's readers keep of it, in the order of `units`; empty: 0 of each. */
    constants: z.array(z.number()).max(16_384),
  }),
  /** `seedId` grew the bypass; `site` is the layer whose input it reads. */
  z.strictObject({ kind: z.literal("bypass"), site: z.string(), seedId: z.string() }),
]);
export type PruneTarget = z.infer<typeof PruneTarget>;

const pruneSuffix = ".prune";

/** The seed through which parts of a layer, or a bypass that starts there, go. Beside the seeds that grow. */
export const pruneSeedId = (site: string): string => `seed:${site}${pruneSuffix}`;
export const isPruneSeed = (seedId: string): boolean => seedId.endsWith(pruneSuffix);

/** FLOPs of one optimizer step. */
export interface StepFlopsChange {
  readonly before: number;
  readonly after: number;
}

export interface NonInferiority {
  readonly holds: boolean;
  /** Upper bound of (pruned − twin) as a fraction of the twin's loss; absent where nothing was measured. */
  readonly lossUpper?: number;
  readonly reason: string;
}

const percent = (value: number): string => `${Number((100 * value).toPrecision(3))} %`;

/**
 * The verdict on a smaller host: it may lose at most `lossMax` of the twin's loss, by the upper bound, and its step must cost less.
 * @param gain Twin's loss − pruned loss, paired; absent where it was not measured, and then the verdict is no.
 */
export const isNonInferior = (gain: PairedGain | undefined, lossMax: number, stepFlops: StepFlopsChange): NonInferiority => {
  if (gain === undefined || !Number.isFinite(gain.lower) || !(gain.lossWithout > 0)) {
    return { holds: false, reason: "the loss of the smaller host was not measured" };
  }
  // The gain's lower bound is the loss's upper one.
  const lossUpper = -gain.lower / gain.lossWithout;
  if (!(lossUpper < lossMax)) {
    return {
      holds: false,
      lossUpper,
      reason: `the smaller host may lose ${percent(lossUpper)} of the loss, at most ${percent(lossMax)}`,
    };
  }
  if (!(stepFlops.after < stepFlops.before)) {
    return {
      holds: false,
      lossUpper,
      reason: `a step costs ${stepFlops.after} FLOPs, ${stepFlops.before} before: nothing is saved`,
    };
  }
  const saved = percent(1 - stepFlops.after / stepFlops.before);
  return { holds: true, lossUpper, reason: `at most ${percent(lossUpper)} of the loss for ${saved} fewer FLOPs a step` };
};
