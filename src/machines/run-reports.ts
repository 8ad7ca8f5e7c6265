/** What a boundary tells the rest of the system: the health of the sites, and how a trial ended. */
import type { EscalationEnd, FieldReport } from "../contracts/assets.ts";
import { trialFlopsUsed } from "../contracts/measure.ts";
import type { EpochResult } from "../contracts/plan.ts";
import { type PruneSurvey, pruneSeedId } from "../contracts/pruning.ts";
import type { EscalationEvent } from "../contracts/subjects.ts";
import type { HealthSignal, SeedHealth } from "../contracts/telemetry.ts";
import { healthOfLayer } from "../contracts/trial.ts";
import type { Escalation } from "./jury.ts";
import type { KasminaRunState } from "./kasmina-state.ts";
import { seedSites, seedSnapshot, shownSeeds } from "./kasmina-state.ts";
import { trialFlopsLeft } from "./run-budget.ts";
import type { SeedContext } from "./seed-context.ts";
import { seedReasonOf, seedStateOf, trialHistory } from "./seed-context.ts";

/** The most seeds in one signal; sites in order of depth. */
const signalSeedsMax = 100_000;

/**
 * The health of every site in the window that just ended. A site shows its seeds that were ever touched and the first that was not.
 * Without a signal in this window health is absent.
 */
export const healthSignalOf = (state: KasminaRunState, result: EpochResult): HealthSignal => {
  const { config, runId } = state.setup;
  const seeds: SeedHealth[] = [];
  for (const { site } of seedSites(state.host)) {
    const layer = result.signal?.layers.find((each) => each.site === site);
    const health = healthOfLayer(layer, config.trigger);
    const embargoEpochs = Math.max(0, (state.embargoes[site] ?? 0) - state.epoch);
    for (const seedId of shownSeeds(state, site)) {
      if (seeds.length >= signalSeedsMax) break;
      const measured = layer === undefined || health === undefined ? {} : { health, layer };
      seeds.push({ seedId, site, state: seedStateOf(seedSnapshot(state, seedId).context), ...measured, embargoEpochs });
    }
  }
  return {
    runId,
    epoch: result.epoch,
    hostStep: result.hostStep,
    seeds,
    spans: result.signal?.spans ?? [],
    ...(result.signal === undefined ? {} : { errorPower: result.signal.errorPower }),
    ...(result.signal?.generalizationGap === undefined ? {} : { generalizationGap: result.signal.generalizationGap }),
    ...(result.validation === undefined ? {} : { validationLoss: result.validation.loss }),
    ...(state.activeSeedId === null ? {} : { activeSeedId: state.activeSeedId }),
    host: state.host,
    flopsLeft: trialFlopsLeft(state),
    ...(state.policy === undefined ? {} : { policy: state.policy }),
  };
};

/** What a look at the host's parts told, with what stands in the way of each. */
export const pruneSurveyOf = (state: KasminaRunState, { epoch, parts }: EpochResult): PruneSurvey | undefined => {
  if (parts === undefined) return undefined;
  const isUsedUp = (site: string): boolean => {
    const stored = state.seeds[pruneSeedId(site)];
    return stored !== undefined && seedStateOf(seedSnapshot(state, stored.seedId).context) === "FOSSILIZED";
  };
  const known = <T extends { readonly site: string; readonly obstacle?: string | undefined }>(part: T): T =>
    part.obstacle === undefined && isUsedUp(part.site) ? { ...part, obstacle: `${part.site} was pruned already` } : part;
  const embargoes = Object.entries(state.embargoes).map(([site, until]) => [site, Math.max(0, until - state.epoch)] as const);
  return {
    runId: state.setup.runId,
    epoch,
    ...parts,
    layers: parts.layers.map(known),
    bypasses: parts.bypasses.map(known),
    ...(state.activeSeedId === null ? {} : { activeSeedId: state.activeSeedId }),
    embargoEpochs: Object.fromEntries(embargoes),
  };
};

/** Who settled an escalation with the step that led to this context. */
export const settledBy = ({ outcome }: SeedContext): EscalationEnd["settledBy"] => {
  const told = outcome?.kind === "transition" ? outcome.transition.evidence["settledBy"] : undefined;
  return told === "operator" || told === "policy" ? told : "evidence";
};

const endOfEscalation = ({ sinceEpoch, windows }: Escalation, after: SeedContext): EscalationEnd => ({
  sinceEpoch,
  windows,
  settledBy: settledBy(after),
});

/** Tells when a step opened an escalation, or ended one. */
export const escalationOf = (before: SeedContext, after: SeedContext): EscalationEvent | undefined => {
  const trial = after.trial ?? before.trial;
  if (trial?.escalation === null || trial === null || after.outcome === null || after.outcome.kind === "refused")
    return undefined;
  const { runId, seedId, config } = after;
  const at = { runId, seedId };
  if (after.outcome.kind === "transition") {
    const { epoch, reason, to } = after.outcome.transition;
    const verdict = to === "FOSSILIZED" ? "keep" : "cull";
    return { kind: "settled", ...at, epoch, reason, verdict, by: settledBy(after) };
  }
  if (before.trial?.escalation !== null) return undefined;
  const { escalationEpochsMax, escalationPolicy } = config.jury;
  return {
    kind: "opened",
    ...at,
    epoch: trial.escalation.sinceEpoch,
    reason: after.outcome.reason,
    judgements: [...(trial.judgements ?? [])],
    windowsLeft: escalationEpochsMax,
    otherwise: escalationPolicy,
  };
};

/** The story of a trial that ended with the step from `before` to `after`. */
export const fieldReportOf = (state: KasminaRunState, before: SeedContext, after: SeedContext): FieldReport | undefined => {
  const trial = after.trial ?? before.trial;
  if (trial === null) return undefined;
  const last = after.history.at(-1);
  const history =
    seedStateOf(after) === "DORMANT" ? [...trialHistory(before), ...(last === undefined ? [] : [last])] : trialHistory(after);
  return {
    runId: after.runId,
    seedId: after.seedId,
    site: after.site,
    ...trial.span,
    // A pruning that failed counts against no blueprint.
    ...(trial.prune === undefined ? { blueprint: trial.blueprint } : { prune: trial.prune }),
    ...(trial.blueprintHash === null ? {} : { blueprintHash: trial.blueprintHash }),
    ...(trial.kernelHash === null ? {} : { kernelHash: trial.kernelHash }),
    outcome: seedStateOf(after),
    reason: seedReasonOf(after),
    ...(trial.adaptation === null ? {} : { forecast: trial.adaptation.forecast }),
    ...(trial.gain === null ? {} : { measuredGain: trial.gain }),
    ...(trial.judgements === null ? {} : { judgements: [...trial.judgements] }),
    ...(trial.escalation === null ? {} : { escalation: endOfEscalation(trial.escalation, after) }),
    history,
    trialFlops: Math.max(0, trialFlopsUsed(state.flops) - state.trialFlopsBefore),
  };
};
