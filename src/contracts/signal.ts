/** What one measurement of a host tells about each of its layers. Plain data; a value that was not measured is absent, never zero. */
import { z } from "zod";
import type { TriggerConfig } from "./config-signal.ts";

const count = z.int().min(0);
const fraction = z.number().min(0).max(1);

/** Dimensions are counted up to this many. */
export const dimensionsCap = 16;

/** One hidden layer: what its input still knows of the error and its output has lost, and six more witnesses. */
export const LayerSignal = z.strictObject({
  site: z.string(),
  /** Cross-validated fraction of the error that the layer's input explains; below zero where it explains nothing. */
  explainedIn: z.number(),
  /** The same of its output. */
  explainedOut: z.number(),
  /** explainedIn − explainedOut. */
  gap: z.number(),
  /** Standard error of the gap. */
  gapError: z.number().min(0),
  /** Independent directions that reach the layer, and that it passes on; counted up to `dimensionsCap`. */
  dimensionsIn: count.max(dimensionsCap).optional(),
  dimensionsOut: count.max(dimensionsCap).optional(),
  /** Participation ratio of its output's covariance, (Σλ)² / Σλ². */
  effectiveRank: z.number().min(0).optional(),
  /** Share of its units that are constant. */
  constantUnits: fraction.optional(),
  /** ‖∂L/∂W‖ / ‖W‖ as a multiple of the host's median layer. */
  gradientRatio: z.number().min(0).optional(),
  /** Root mean square of its weights, as a multiple of a He initialisation's. */
  weightGain: z.number().min(0).optional(),
  /** Mean squared gradient of a sample's loss by its pre-activation. */
  fisher: z.number().min(0).optional(),
  /** Share of the pre-activation's gradient that new units on the layer's input reach and a linear update does not (Verbockhaven et al., 2024). */
  expressivity: fraction.optional(),
});
export type LayerSignal = z.infer<typeof LayerSignal>;

/** A stretch that a bypass could bridge and the energy of TINY for it (Verbockhaven et al., 2024). */
export const SpanEnergy = z.strictObject({
  /** Site whose input the bypass reads. */
  fromSite: z.string(),
  /** Site whose pre-activation it adds to. */
  toSite: z.string(),
  energy: z.number(),
});
export type SpanEnergy = z.infer<typeof SpanEnergy>;

export const Signal = z.strictObject({
  /** Rows measured: samples, or tokens. */
  samples: count,
  /** Mean squared error signal, Σ‖y − ŷ‖² / N; ŷ is softmax(logits) and y one-hot for a classification. */
  errorPower: z.number(),
  /** Mean loss of the measured samples. */
  trainLoss: z.number(),
  /** Validation loss − `trainLoss`. */
  generalizationGap: z.number().optional(),
  layers: z.array(LayerSignal),
  /** Spans that start at the worst layer. */
  spans: z.array(SpanEnergy),
});
export type Signal = z.infer<typeof Signal>;

/** The most that one kind of evidence counts. */
const evidenceMax = 8;
/** A scale far off outweighs gap and dimensions together, so that of two such layers the one further off is the worse. */
const scaleWeight = 16 * evidenceMax;

const bounded = (evidence: number): number => (Number.isFinite(evidence) ? Math.min(evidenceMax, Math.max(0, evidence)) : 0);

/** The gap's one-sided lower bound. */
export const gapLower = ({ gap, gapError }: LayerSignal, { boundErrors }: TriggerConfig): number => gap - boundErrors * gapError;

/** Lower bound of the gap over what it must be: in absolute terms, and as a share of what the input explains. The lesser counts. */
const gapEvidence = (layer: LayerSignal, trigger: TriggerConfig): number => {
  const lower = gapLower(layer, trigger);
  if (!(lower > 0) || !(layer.explainedIn > 0)) return 0;
  return bounded(Math.min(lower / trigger.gapMin, lower / (trigger.gapShareMin * layer.explainedIn)));
};

/** Above 1 where a layer passes on so few directions that it is a bottleneck, and the loss happens in it and not upstream. */
const dimensionEvidence = ({ dimensionsIn, dimensionsOut }: LayerSignal, { dimensionsMax }: TriggerConfig): number => {
  if (dimensionsIn === undefined || dimensionsOut === undefined) return 0;
  const lostHere = dimensionsOut <= dimensionsMax && 2 * dimensionsOut < dimensionsIn;
  return lostHere ? bounded((dimensionsMax + 1) / Math.max(1, dimensionsOut)) : 0;
};

/**
 * Where gap and dimensions both speak against a layer, the gap in absolute terms once more, weighted. Behind a layer that passes on next to nothing others
 * lose their last directions; of all these the first loses most.
 */
const agreement = (layer: LayerSignal, trigger: TriggerConfig): number =>
  gapEvidence(layer, trigger) >= 1 && dimensionEvidence(layer, trigger) > 0
    ? bounded((trigger.agreementWeight * gapLower(layer, trigger)) / trigger.gapMin)
    : 0;

/**
 * Above `scaleWeight` where weights are far too large. It outweighs what the layers behind show: it is why they died, not what they are.
 */
const scaleEvidence = ({ weightGain }: LayerSignal, { weightGainMax }: TriggerConfig): number =>
  weightGain === undefined || !(weightGain > weightGainMax)
    ? 0
    : scaleWeight * bounded(Math.log(weightGain) / Math.log(weightGainMax));

/** True where the size of a layer's weights speaks against it: what it says is in the way, and nothing added to it would take that away. */
export const isOverscaled = (layer: LayerSignal, trigger: TriggerConfig): boolean => scaleEvidence(layer, trigger) > 0;

/**
 * How bad a layer is; above 1 it is a candidate. The sum of three effect sizes, each 0 or relative to what it must be at least:
 * error that its output no longer explains (by the lower bound), dimensions lost, weights far off in scale; and what the first two agree in.
 * What was not measured adds nothing. Undefined where the gap is no number.
 */
export const severityOf = (layer: LayerSignal, trigger: TriggerConfig): number | undefined =>
  Number.isFinite(layer.gap) && Number.isFinite(layer.gapError)
    ? gapEvidence(layer, trigger) + dimensionEvidence(layer, trigger) + agreement(layer, trigger) + scaleEvidence(layer, trigger)
    : undefined;

/** The site of the largest severity among those that may be named; the first on ties. */
export const worstLayer = (layers: readonly LayerSignal[], trigger: TriggerConfig): LayerSignal | undefined => {
  let worst: LayerSignal | undefined;
  let most = 1;
  for (const layer of layers) {
    const severity = trigger.exclude.includes(layer.site) ? undefined : severityOf(layer, trigger);
    if (severity === undefined || severity <= most) continue;
    most = severity;
    worst = layer;
  }
  return worst;
};

/**
 * Another layer that the measurement could not tell from the worst: its gap is evidence too, dimensions and scale set neither apart, and
 * the intervals of their gaps overlap. More samples would settle it.
 */
export const rivalOf = (worst: LayerSignal, layers: readonly LayerSignal[], trigger: TriggerConfig): LayerSignal | undefined => {
  const beside = (layer: LayerSignal): number => dimensionEvidence(layer, trigger) + scaleEvidence(layer, trigger);
  return layers.find(
    (layer) =>
      layer.site !== worst.site &&
      !trigger.exclude.includes(layer.site) &&
      beside(layer) === beside(worst) &&
      layer.gap > 0 &&
      Math.abs(layer.gap - worst.gap) < trigger.boundErrors * Math.hypot(layer.gapError, worst.gapError),
  );
};
