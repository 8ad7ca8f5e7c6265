/** Scales that Kasmina and Tamiyo must agree on: the health of a gap, and what a trial costs by closed form. */
import type { BlueprintConfig, BlueprintKind, BlueprintRequest } from "./blueprint-kinds.ts";
import { type BlueprintCost, blueprintCost, fits, joinOf, placesOf, replacementCost, sizeOf } from "./blueprint-shapes.ts";
import type { MorphogeneticConfig } from "./config.ts";
import type { HostSummary, SiteSummary } from "./plan.ts";
import { type LayerSignal, severityOf } from "./signal.ts";

/**
 * Health of a layer from its severity: 1 − (1 − healthMax) · severity, cut to [0, 1]. No evidence is 1, a severity of 1 is exactly `healthMax`.
 * A layer that was not measured, or whose gap is no number, has no health: it is never healthy.
 */
export const healthOfLayer = (layer: LayerSignal | undefined, trigger: MorphogeneticConfig["trigger"]): number | undefined => {
  const severity = layer === undefined ? undefined : severityOf(layer, trigger);
  return severity === undefined ? undefined : Math.min(1, Math.max(0, 1 - (1 - trigger.healthMax) * severity));
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

/** What a blueprint costs over a span, while it is tried beside what is there; undefined where it does not fit. */
const spanCost = (host: HostSummary, { fromSite, toSite }: SiteSpan, request: BlueprintRequest): BlueprintCost | undefined => {
  const [from, to] = [findSite(host, fromSite), findSite(host, toSite)];
  if (from === undefined || to === undefined) return undefined;
  if (request.kind !== "replacement") return blueprintCost(request, from.inputShape, to.shape, host.batchSize);
  return from === to && from.tail !== undefined ? replacementCost(from.tail, from.slopeFlops) : undefined;
};

/** Parameters that a blueprint adds to a host; 0 where a site is unknown, the blueprint does not fit the span, or it takes a layer's place. */
export const bypassParameters = (host: HostSummary, fromSite: string, toSite: string, request: BlueprintRequest): number => {
  const cost = spanCost(host, { fromSite, toSite }, request);
  return cost === undefined || request.kind === "replacement" ? 0 : cost.parameters;
};

/** A stretch of a host by the sites at its ends. */
export interface SiteSpan {
  readonly fromSite: string;
  readonly toSite: string;
}

/** True where a fresh layer may take the place of the one that is both ends of the span. */
export const isReplaceable = (host: HostSummary, { fromSite, toSite }: SiteSpan): boolean => {
  const site = fromSite === toSite ? findSite(host, fromSite) : undefined;
  return site !== undefined && site.tail !== undefined;
};

/** True where both sites are known and the blueprint joins their shapes, or replaces the one layer that they are. */
export const fitsSpan = (
  host: HostSummary,
  span: SiteSpan,
  request: Pick<BlueprintRequest, "kind" | "initialization">,
): boolean => {
  if (request.kind === "replacement") return request.initialization !== "tiny" && isReplaceable(host, span);
  const [from, to] = [findSite(host, span.fromSite), findSite(host, span.toSite)];
  if (from === undefined || to === undefined || !fits(request, from.inputShape, to.shape)) return false;
  // A layer that can be replaced is no span for a bypass by that alone.
  return from !== to || from.tail === undefined || from.legalTargets.includes(to.site);
};

/** A site whose bypass must carry information between tokens. */
const mixesTokens = /(^|\.)attention\.value$/;

/** What the shapes of a span ask for, best first: dense for vectors, convolution for images, for tokens a head or an MLP. */
export const naturalKinds = (host: HostSummary, span: SiteSpan): readonly BlueprintKind[] => {
  const rank = findSite(host, span.toSite)?.shape.length;
  if (rank === 3) return ["convolution"];
  if (rank !== 2) return ["dense"];
  const covered = sitesOfSpan(host, span.fromSite, span.toSite);
  return covered.some(({ site }) => mixesTokens.test(site)) ? ["attention-head", "token-mlp"] : ["token-mlp"];
};

/**
 * What a germination grows when nobody has chosen: the configured kind, or for `auto` the first natural one that can start as configured.
 * It may not fit the span.
 */
export const defaultBlueprint = (host: HostSummary, span: SiteSpan, config: BlueprintConfig): BlueprintRequest => {
  const { initialization } = config;
  const natural = naturalKinds(host, span);
  const kind =
    config.kind === "auto"
      ? (natural.find((each) => fitsSpan(host, span, { kind: each, initialization })) ?? natural[0]!)
      : config.kind;
  return { kind, hiddenWidth: hiddenWidthOf(host, span.fromSite, span.toSite, config.hiddenWidth), initialization };
};

/** Steps of the kernel alone before it is blended in. */
export const trainingSteps = (
  { training }: Pick<MorphogeneticConfig, "training">,
  { kind }: Pick<BlueprintRequest, "kind">,
): number => training.steps * (kind === "replacement" ? training.replacementFactor : 1);

export interface TrialCost {
  readonly parameters: number;
  /** FLOPs from LOADING to the verdict, twin and evaluations included. */
  readonly flops: number;
}

/** Steps of gate 2's dry run, whose median is the latency; an evaluation follows. */
export const dryRunSteps = 5;
/** What TINY's units may write, as multiples of the gradient's own size: one evaluation on a batch for each. */
export const tinyAmplitudes = [0, 0.03, 0.1, 0.3, 1, 3, 10] as const;
/** FLOPs of an optimizer for each parameter: Adam's, with the gradient's norm. */
const updateFlops = 14;
/** FLOPs that blend one value of a layer towards what is to stay of it. */
const blendFlops = 4;
/** FLOPs that add what a blueprint makes to one value, scaled; and that blend it into the value in whose place it comes. */
const joinFlops = { bypass: 2, replacement: 3 } as const;

/** Batches of an evaluation before the verdict. */
const screenBatches = ({ batchSize }: HostSummary, validationBatches: number, { screenSamples }: MorphogeneticConfig): number =>
  Math.min(validationBatches, Math.ceil(screenSamples / batchSize));

/**
 * What a whole trial costs at most, without pauses; 0 where the blueprint does not fit. Steps of the kernel alone need the loss's gradient
 * down to the span's end. Over the screened validation samples the frozen host runs once and the grown network three times (after TRAINING,
 * GRAFTING and EVALUATING), over all of them grown copy and twin once each (after FINE_TUNING); grown copy and twin get equal FLOPs.
 */
export const trialCost = (
  host: HostSummary,
  span: SiteSpan,
  request: BlueprintRequest,
  validationBatches: number,
  config: MorphogeneticConfig,
): TrialCost => {
  const [from, to] = [findSite(host, span.fromSite), findSite(host, span.toSite)];
  const cost = spanCost(host, span, request);
  if (from === undefined || to === undefined || cost === undefined) return { parameters: 0, flops: 0 };
  const { parameters, forwardFlops, backwardFlops, inputGradientFlops } = cost;
  const replaces = request.kind === "replacement";
  // A replacement joins the logits, and has its own way back to the layer.
  const joining = host.batchSize * sizeOf((replaces ? host.sites.at(-1)! : to).shape);
  const grownForward = host.forwardFlops + forwardFlops + joinFlops[replaces ? "replacement" : "bypass"] * joining;
  const kernelStep = grownForward + (replaces ? 0 : to.slopeFlops) + backwardFlops + 2 * joining + updateFlops * parameters;
  const readsData = host.sites[0]?.site === span.fromSite;
  const added = forwardFlops + backwardFlops + (readsData ? 0 : inputGradientFlops) + joining + updateFlops * parameters;
  // In the layer's place it costs what the layer did.
  const [jointStep, foldedForward] = replaces ? [host.stepFlops, host.forwardFlops] : [host.stepFlops + added, grownForward];
  const loading =
    dryRunSteps * kernelStep +
    grownForward +
    (request.initialization === "tiny" ? tinyFlops(host, from, to, grownForward, config) : 0);
  const alone = (trainingSteps(config, request) + config.grafting.steps) * kernelStep;
  const settling = config.stabilization.steps * config.stabilization.epochsMax * grownForward;
  const verdict = 2 * config.fineTuning.steps * jointStep;
  const screens = screenBatches(host, validationBatches, config) * (host.forwardFlops + 3 * grownForward);
  const evaluations = screens + validationBatches * (host.forwardFlops + foldedForward);
  return { parameters: replaces ? 0 : parameters, flops: Math.ceil(loading + alone + settling + verdict + evaluations) };
};

/**
 * What the trial of a pruning costs at most: nothing is added, and steps until the contest are forward passes that blend the parts out.
 * Of the evaluations, three screens and one of all samples are of the host with them blended out or without them, one of each of the host.
 */
export const pruningCost = (
  host: HostSummary,
  site: string,
  validationBatches: number,
  config: MorphogeneticConfig,
): TrialCost | undefined => {
  const found = findSite(host, site);
  if (found === undefined) return undefined;
  const forward = host.forwardFlops + blendFlops * host.batchSize * sizeOf(found.shape);
  const { grafting, stabilization, fineTuning } = config;
  const screens = screenBatches(host, validationBatches, config);
  const alone = dryRunSteps + 1 + grafting.steps + stabilization.steps * stabilization.epochsMax;
  const contest = 2 * fineTuning.steps * host.stepFlops;
  const passes = alone + 3 * screens + validationBatches;
  return { parameters: 0, flops: Math.ceil(passes * forward + contest + (screens + validationBatches) * host.forwardFlops) };
};

/** Moments of what the bypass reads, of what the last layer reads and of the gradient there, then the search for the amplitude. */
const tinyFlops = (
  host: HostSummary,
  from: SiteSummary,
  to: SiteSummary,
  grownForward: number,
  config: MorphogeneticConfig,
): number => {
  const join = joinOf(from.inputShape, to.shape);
  if (join === null) return 0;
  const rows = host.batchSize * placesOf(to.shape);
  const [read, present, outputs] = [join.inputs, to.inputWidth, join.outputs];
  const moments = 2 * rows * (read * read + present * present + read * present + (read + present) * outputs);
  const { tinyBatches } = config.blueprint;
  return tinyBatches * (host.forwardFlops + to.slopeFlops + moments) + tinyAmplitudes.length * grownForward;
};
