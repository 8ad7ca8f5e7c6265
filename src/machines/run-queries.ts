/** Questions to a run, answered from its state alone. */
import { budgetResources } from "../contracts/budget.ts";
import type { LayerStanding, SeedDetail, SeedStatus, SeedSummary } from "../contracts/command-queries.ts";
import type { CommandReceipt, RunStatus } from "../contracts/commands.ts";
import type { SiteSummary } from "../contracts/plan.ts";
import { pruneSeedId } from "../contracts/pruning.ts";
import { gapLower, severityOf } from "../contracts/signal.ts";
import { healthOfLayer } from "../contracts/trial.ts";
import { askableNow } from "./asked-state.ts";
import { amountsOf, leftFor } from "./budget.ts";
import { noHolds, type Refusal } from "./holds.ts";
import {
  type KasminaRunState,
  locateSeed,
  type RunQuery,
  seedCount,
  seedIdAt,
  seedPlaces,
  seedSites,
  seedSnapshot,
} from "./kasmina-state.ts";
import { wholeStanding } from "./run-budget.ts";
import { plantedStep, type SeedContext, seedAlpha, seedReasonOf, seedSinceEpoch, seedStateOf } from "./seed-context.ts";

const statusSeedsMax = 1000;
const escalationsMax = 64;
const layersMax = 1024;
const layerSeedsMax = 100;

/** A seed's context when it ever left its first state. */
const contextOf = (state: KasminaRunState, seedId: string): SeedContext | undefined =>
  state.seeds[seedId] === undefined ? undefined : seedSnapshot(state, seedId).context;

const healthAt = (state: KasminaRunState, site: string): number | undefined =>
  healthOfLayer(
    state.signal?.layers.find((each) => each.site === site),
    state.setup.config.trigger,
  );

const seedStatus = (state: KasminaRunState, site: string, seedId: string): SeedStatus => {
  const context = contextOf(state, seedId);
  const health = healthAt(state, site);
  return {
    seedId,
    site,
    state: context === undefined ? plantedStep.state : seedStateOf(context),
    sinceEpoch: context === undefined ? plantedStep.epoch : seedSinceEpoch(context),
    reason: context === undefined ? plantedStep.reason : seedReasonOf(context),
    embargoUntilEpoch: state.embargoes[site] ?? 0,
    ...(health === undefined ? {} : { health }),
    alpha: context === undefined ? 0 : seedAlpha(context),
  };
};

export const runStatus = (state: KasminaRunState): RunStatus => {
  const seeds: SeedStatus[] = [];
  const { seedsPerSite, pruning } = state.setup.config;
  const sites = seedSites(state.host);
  for (const { site } of sites) {
    for (let n = 1; n <= seedsPerSite && seeds.length < statusSeedsMax; n += 1)
      seeds.push(seedStatus(state, site, seedIdAt(site, n, seedsPerSite)));
  }
  for (const { site } of pruning.enabled ? sites.slice(0, statusSeedsMax - seeds.length) : [])
    seeds.push(seedStatus(state, site, pruneSeedId(site)));
  return {
    runId: state.setup.runId,
    arm: state.setup.arm,
    epoch: state.epoch,
    paused: state.paused,
    ...(state.holds === undefined ? {} : { holds: state.holds }),
    host: state.host,
    seeds,
    seedCount: seedCount(state),
  };
};

const summaryOf = (state: KasminaRunState, site: string, seedId: string): SeedSummary => {
  const trial = contextOf(state, seedId)?.trial ?? undefined;
  const { pins } = state.holds ?? noHolds;
  return {
    ...seedStatus(state, site, seedId),
    pinned: pins.includes(seedId) || pins.includes(site),
    ...(trial === undefined ? {} : { blueprint: trial.blueprint, ...trial.span }),
  };
};

const detailOf = (state: KasminaRunState, site: string, seedId: string): SeedDetail => {
  const { context } = seedSnapshot(state, seedId);
  const { trial } = context;
  return {
    ...summaryOf(state, site, seedId),
    legalTargets: [...(seedSites(state.host).find((each) => each.site === site)?.legalTargets ?? [])],
    askable: [...askableNow(context)],
    history: [...context.history],
    ...(trial === null
      ? {}
      : {
          trial: {
            startedAtEpoch: trial.startedAtEpoch,
            ...(trial.prune === undefined ? {} : { prune: trial.prune }),
            parameters: trial.parameters,
            flopsReserved: trial.flopsReserved,
            ...(trial.kernelHash === null ? {} : { kernelHash: trial.kernelHash }),
            ...(trial.blueprintHash === null ? {} : { blueprintHash: trial.blueprintHash }),
            trainedSteps: trial.trainedSteps,
            grownSteps: trial.grownSteps,
            twinSteps: trial.twinSteps,
            rounds: trial.rounds,
            ...(trial.adaptation === null
              ? {}
              : { forecast: trial.adaptation.forecast, confidence: trial.adaptation.confidence }),
            ...(trial.gain === null ? {} : { gain: trial.gain }),
            ...(trial.judgements === null ? {} : { judgements: [...trial.judgements] }),
          },
        }),
  };
};

type Query<K extends RunQuery["kind"]> = Extract<RunQuery, { kind: K }>;

const seedsPage = (state: KasminaRunState, { requestId, site, state: wanted, after, limit }: Query<"seeds">): CommandReceipt => {
  const { runId, config } = state.setup;
  const places = seedPlaces(
    seedSites(state.host).map((each) => each.site),
    config,
  );
  const stateOf = (seedId: string) => {
    const context = contextOf(state, seedId);
    return context === undefined ? plantedStep.state : seedStateOf(context);
  };
  const fitting = places.filter(
    (place) => (site === undefined || place.site === site) && (wanted === undefined || stateOf(place.seedId) === wanted),
  );
  // A cursor that fits the filter no longer still has its place in the order.
  const order = after === undefined ? -1 : places.findIndex(({ seedId }) => seedId === after);
  if (after !== undefined && order < 0) return refusalOf(requestId, unknownSeed(after));
  const passed = new Set(places.slice(0, order + 1));
  const rest = fitting.filter((place) => !passed.has(place));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    kind: "seeds",
    requestId,
    runId,
    epoch: state.epoch,
    seeds: page.map((place) => summaryOf(state, place.site, place.seedId)),
    seedCount: fitting.length,
    ...(rest.length > page.length && last !== undefined ? { next: last.seedId } : {}),
  };
};

const layerOf = (state: KasminaRunState, { site, width, legalTargets }: SiteSummary): LayerStanding => {
  const { trigger, seedsPerSite, pruning } = state.setup.config;
  const { pins, pausedSites, adaptationPaused } = state.holds ?? noHolds;
  const signal = state.signal?.layers.find((each) => each.site === site);
  const severity = signal === undefined ? undefined : severityOf(signal, trigger);
  const health = healthOfLayer(signal, trigger);
  const moved: Record<string, number> = {};
  for (const seedId of Object.keys(state.seeds)) {
    const context = contextOf(state, seedId);
    if (context?.site !== site) continue;
    const name = seedStateOf(context);
    moved[name] = (moved[name] ?? 0) + 1;
  }
  return {
    site,
    width,
    ...(signal === undefined || state.signal === null
      ? {}
      : {
          measuredAtEpoch: state.signal.epoch,
          signal,
          gapLower: gapLower(signal, trigger),
          gapUpper: 2 * signal.gap - gapLower(signal, trigger),
        }),
    ...(severity === undefined ? {} : { severity }),
    ...(health === undefined ? {} : { health }),
    embargoUntilEpoch: state.embargoes[site] ?? 0,
    pinned: pins.includes(site),
    paused: adaptationPaused || pausedSites.includes(site),
    excluded: trigger.exclude.includes(site),
    legalTargets: [...legalTargets],
    seeds: moved,
    seedCount: seedsPerSite + (pruning.enabled ? 1 : 0),
    residentKernels: (state.cachedKernels ?? []).filter((each) => each.site === site).map(({ hash }) => hash),
  };
};

const unknownSeed = (seedId: string): Refusal => ({
  code: "unknown_seed",
  reason: `expected a seed of this run, got ${seedId}; ask for the seeds`,
});
const refusalOf = (requestId: string, { code, reason }: Refusal): CommandReceipt => ({
  kind: "refused",
  requestId,
  code,
  reason,
});

const oneLayer = (state: KasminaRunState, { requestId, site }: Query<"layer">): CommandReceipt => {
  const found = seedSites(state.host).find((each) => each.site === site);
  if (found === undefined)
    return refusalOf(requestId, {
      code: "unknown_layer",
      reason: `expected a layer of this run, got ${site}; ask for the layers`,
    });
  const places = seedPlaces([site], state.setup.config).slice(0, layerSeedsMax);
  const seeds = places.map(({ seedId }) => summaryOf(state, site, seedId));
  const { runId } = state.setup;
  return { kind: "layer", requestId, runId, epoch: state.epoch, layer: layerOf(state, found), seeds };
};

const policyOf = (state: KasminaRunState, requestId: string): CommandReceipt => {
  const { runId, policy } = state.setup;
  const inForce = state.policy ?? policy;
  if (inForce === undefined)
    return refusalOf(requestId, { code: "unavailable", reason: `run ${runId} was started without a policy that could be named` });
  const waiting = state.pending.findLast((each) => each.kind === "policy_load" || each.kind === "policy_update");
  const sinceEpoch = (state.plan?.epoch ?? state.epoch) + 1;
  const next = waiting === undefined ? {} : { next: { hash: waiting.hash, sinceEpoch, policy: waiting.policy } };
  return { kind: "policy", requestId, runId, inForce, ...next };
};

const escalationsOf = (state: KasminaRunState, requestId: string): CommandReceipt => {
  const { runId, config } = state.setup;
  const { escalationEpochsMax, escalationPolicy } = config.jury;
  const escalations = Object.keys(state.seeds).flatMap((seedId) => {
    const { context } = seedSnapshot(state, seedId);
    const open = seedStateOf(context) === "FINE_TUNING" ? context.trial?.escalation : null;
    if (open === null || open === undefined) return [];
    const windowsLeft = Math.max(0, escalationEpochsMax - open.windows);
    return [{ seedId, sinceEpoch: open.sinceEpoch, reason: seedReasonOf(context), windowsLeft, otherwise: escalationPolicy }];
  });
  return { kind: "escalations", requestId, runId, escalations: escalations.slice(0, escalationsMax) };
};

export const answerQuery = (state: KasminaRunState, query: RunQuery): CommandReceipt => {
  const { requestId } = query;
  const { runId } = state.setup;
  switch (query.kind) {
    case "status":
      return { kind: "status", requestId, run: runStatus(state) };
    case "budget": {
      const standing = wholeStanding(state);
      const left = amountsOf(budgetResources.map((resource) => [resource, leftFor(standing, resource)] as const));
      return { kind: "budget", requestId, runId, standing, left };
    }
    case "escalations":
      return escalationsOf(state, requestId);
    case "seeds":
      return seedsPage(state, query);
    case "seed": {
      const place = locateSeed(state, query.seedId);
      if (place === undefined) return refusalOf(requestId, unknownSeed(query.seedId));
      return { kind: "seed", requestId, runId, epoch: state.epoch, seed: detailOf(state, place.site, query.seedId) };
    }
    case "layers": {
      const layers = seedSites(state.host).slice(0, layersMax);
      return { kind: "layers", requestId, runId, epoch: state.epoch, layers: layers.map((each) => layerOf(state, each)) };
    }
    case "layer":
      return oneLayer(state, query);
    case "policy":
      return policyOf(state, requestId);
  }
};
