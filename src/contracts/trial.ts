/** Scales that Kasmina and Tamiyo must agree on: the health of a gap, and what a trial costs by closed form. */
import type { BlueprintRequest } from "./commands.ts";
import type { MorphogeneticConfig } from "./config.ts";
import type { HostSummary, SiteSummary } from "./plan.ts";

/**
 * Health of a layer from its explained-error gap: 1 − (1 − healthMax) · gap / gapMin, cut to [0, 1]. No gap is 1, `gapMin` is exactly
 * `healthMax`. A gap that was not measured, or is no number, has no health: it is never healthy.
 */
export const healthOfGap = (gap: number | undefined, trigger: MorphogeneticConfig["trigger"]): number | undefined => {
  if (gap === undefined || !Number.isFinite(gap)) return undefined;
  return Math.min(1, Math.max(0, 1 - ((1 - trigger.healthMax) * gap) / trigger.gapMin));
};

export const findSite = (host: HostSummary, site: string): SiteSummary | undefined =>
  host.sites.find((each) => each.site === site);

/** The sites of a stretch, both ends included; empty when an end is missing or they stand in the wrong order. */
export const sitesOfSpan = (host: HostSummary, fromSite: string, toSite: string): readonly SiteSummary[] => {
  const from = host.sites.findIndex((each) => each.site === fromSite);
  const to = host.sites.findIndex((each) => each.site === toSite);
  return from < 0 || to < from ? [] : host.sites.slice(from, to + 1);
};

/** Hidden width of a bypass: as configured, or for `auto` the widest layer of its span. */
export const hiddenWidthOf = (
  host: HostSummary,
  fromSite: string,
  toSite: string,
  width: MorphogeneticConfig["blueprint"]["hiddenWidth"],
): number => (width === "auto" ? Math.max(1, ...sitesOfSpan(host, fromSite, toSite).map((each) => each.width)) : width);

/**
 * Parameters of a bypass. Dense: in·h + h + h·out + out. From a convolution: 1×1, 3×3 and 1×1 with their biases,
 * in·h + h + 9h² + h + h·out + out.
 */
export const bypassParameters = (host: HostSummary, fromSite: string, toSite: string, request: BlueprintRequest): number => {
  const from = findSite(host, fromSite);
  const to = findSite(host, toSite);
  if (from === undefined || to === undefined) return 0;
  const h = request.hiddenWidth;
  const middle = from.kind === "conv2d" ? 9 * h * h + h : 0;
  return from.inputWidth * h + h + middle + h * to.width + to.width;
};

export interface TrialCost {
  readonly parameters: number;
  /** FLOPs from LOADING to the verdict, twin and evaluations included. */
  readonly flops: number;
}

/**
 * What a whole trial costs at most, without pauses. The kernel's forward pass takes the host's own FLOPs per parameter, its backward pass
 * twice that. Over all validation batches the host runs twice (frozen, and as twin) and the grown network four times (after TRAINING, GRAFTING,
 * EVALUATING and FINE_TUNING); grown copy and twin get equal FLOPs.
 */
export const trialCost = (
  host: HostSummary,
  span: { readonly fromSite: string; readonly toSite: string },
  request: BlueprintRequest,
  validationBatches: number,
  config: MorphogeneticConfig,
): TrialCost => {
  const parameters = bypassParameters(host, span.fromSite, span.toSite, request);
  const kernelForward = (parameters * host.forwardFlops) / Math.max(1, host.parameters);
  const grownForward = host.forwardFlops + kernelForward;
  const alone = (config.training.steps + config.grafting.steps) * (grownForward + 2 * kernelForward);
  const settling = config.stabilization.steps * config.stabilization.epochsMax * grownForward;
  const verdict = 2 * config.fineTuning.steps * (host.stepFlops + 3 * kernelForward);
  const evaluations = validationBatches * (2 * host.forwardFlops + 4 * grownForward);
  return { parameters, flops: Math.ceil(alone + settling + verdict + evaluations) };
};
