/**
 * What Kasmina knows of one run, as plain JSON: the host, the seeds that left their first state, the lock, budgets and what is owed to the lane.
 *
 * A seed that was never touched has no entry: a hundred thousand dormant seeds cost nothing to copy or store.
 */
import type { FieldReport } from "../contracts/assets.ts";
import type { KasminaControlCommand } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import { type FlopsAccount, trialFlopsUsed } from "../contracts/measure.ts";
import type { OptimizerConfig } from "../contracts/optimizer.ts";
import type { BoundaryAction, EpochPlan, HostSummary, SiteSummary } from "../contracts/plan.ts";
import { type PruneTarget, pruneSeedId } from "../contracts/pruning.ts";
import type { LayerSignal, SpanEnergy } from "../contracts/signal.ts";
import { findSite, isReplaceable } from "../contracts/trial.ts";
import type { GerminationFacts } from "./gates.ts";
import type { Span } from "./seed-context.ts";
import type { PersistedSeed, SeedSnapshot } from "./seed-machine.ts";
import { restoreSeed, startSeed } from "./seed-machine.ts";

/** Commands accepted and waiting for their boundary. */
export const pendingCommandsMax = 64;
/** Field reports of kept seeds; the event log has them all. */
export const keptReportsMax = 256;

/** What does not change during a run. */
export interface KasminaSetup {
  readonly runId: string;
  readonly arm: string;
  /** False: the host trains alone, no signal is measured, nothing germinates. */
  readonly growth: boolean;
  readonly config: MorphogeneticConfig;
  readonly epochSteps: number;
  readonly flopsMax: number;
  /** Batches in one pass over the validation samples. */
  readonly validationBatches: number;
  /** The part of a kernel's key that the host does not tell. */
  readonly kernel: {
    readonly engine: "native" | "wasm" | "cpu";
    readonly engineVersion: string;
    readonly optimizer: OptimizerConfig;
    readonly batchSize: number;
  };
  /** Wait before a paused run asks again. */
  readonly askAgainMs: number;
}

export type PendingCommand = Exclude<KasminaControlCommand, { kind: "status" }>;

export interface KasminaRunState {
  readonly setup: KasminaSetup;
  readonly host: HostSummary;
  /** A kernel was kept and the lane has not told the new host yet: nothing can be compiled for it. */
  readonly hostUnknown: boolean;
  /** Windows that are complete and judged. */
  readonly epoch: number;
  /** The plan whose result is awaited; null before the first, while paused and after the end. */
  readonly plan: EpochPlan | null;
  readonly hostStep: number;
  readonly flops: FlopsAccount | null;
  readonly budgetUsed: boolean;
  /** Host steps of an interrupted window that are still to be done. */
  readonly hostStepsLeft: number;
  /** Only seeds that left their first state. */
  readonly seeds: Readonly<Record<string, PersistedSeed>>;
  /** Holder of the grafting lock. One trial at a time in a run: the verdict may toggle only the candidate. */
  readonly activeSeedId: string | null;
  /** FLOPs spent on kernels, twins and gates when the present trial began. */
  readonly trialFlopsBefore: number;
  /** Per site, the window at which its embargo ends. */
  readonly embargoes: Readonly<Record<string, number>>;
  /** Parameters of the kernels that were kept. */
  readonly parametersAdded: number;
  /** Germinations accepted since the last boundary. */
  readonly germinations: number;
  readonly pending: readonly PendingCommand[];
  readonly paused: boolean;
  readonly stopReason: string | null;
  /** For the next plan's `before`. */
  readonly owed: readonly BoundaryAction[];
  /** What was told of the seeds that were kept, so that a resumed run tells it again. At most `keptReportsMax`. */
  readonly kept: readonly FieldReport[];
  readonly windowsSinceSignal: number;
  /** Host windows since the last look at the host's parts or the last trial; counted where pruning is on. */
  readonly windowsSinceLook?: number;
  /** The last signal. */
  readonly signal: {
    readonly epoch: number;
    readonly layers: readonly LayerSignal[];
    readonly spans: readonly SpanEnergy[];
    /** What it cost, and the run's total when it was done. */
    readonly flops: number;
    readonly atFlops: number;
    /** Windows on end that were measured, this one included. */
    readonly successive: number;
    /** The worst layer, and in how many of those windows it was. */
    readonly named: string | null;
    readonly streak: number;
  } | null;
}

export const createRunState = (setup: KasminaSetup, host: HostSummary): KasminaRunState => ({
  setup,
  host,
  hostUnknown: false,
  epoch: 0,
  plan: null,
  hostStep: 0,
  flops: null,
  budgetUsed: false,
  hostStepsLeft: 0,
  seeds: {},
  activeSeedId: null,
  trialFlopsBefore: 0,
  embargoes: {},
  parametersAdded: 0,
  germinations: 0,
  pending: [],
  paused: false,
  stopReason: null,
  owed: [],
  kept: [],
  windowsSinceSignal: 0,
  signal: null,
});

/** A run that was stopped or paused goes on where it was; what waits to change the seeds still waits. */
export const reviveRun = (state: KasminaRunState): KasminaRunState => ({
  ...state,
  stopReason: null,
  paused: false,
  pending: state.pending.filter(({ kind }) => kind !== "pause" && kind !== "resume" && kind !== "stop"),
});

/** The hidden layers: each holds `seedsPerSite` seeds. */
export const seedSites = (host: HostSummary): readonly SiteSummary[] => host.sites.filter((site) => site.kind !== "output");

export const seedCount = ({ host, setup: { config } }: KasminaRunState): number =>
  seedSites(host).length * (config.seedsPerSite + (config.pruning.enabled ? 1 : 0));

/** `seed:<site>`, or `seed:<site>.<n>` with n from 1 where a site holds several. */
export const seedIdAt = (site: string, n: number, seedsPerSite: number): string =>
  seedsPerSite === 1 ? `seed:${site}` : `seed:${site}.${n}`;

export interface SeedPlace {
  readonly site: string;
  /** From 1; 0 for the seed through which the site is pruned. */
  readonly n: number;
}

/** Every seed of a run with its site, in the order of their rows: those that grow first, then, where it is on, those that prune. */
export const seedPlaces = (
  sites: readonly string[],
  { seedsPerSite, pruning }: Pick<MorphogeneticConfig, "seedsPerSite" | "pruning">,
): readonly { readonly seedId: string; readonly site: string }[] => [
  ...sites.flatMap((site) =>
    Array.from({ length: seedsPerSite }, (_, n) => ({ seedId: seedIdAt(site, n + 1, seedsPerSite), site })),
  ),
  ...(pruning.enabled ? sites.map((site) => ({ seedId: pruneSeedId(site), site })) : []),
];

export const locateSeed = (state: KasminaRunState, seedId: string): SeedPlace | undefined => {
  const { seedsPerSite } = state.setup.config;
  const rest = seedId.startsWith("seed:") ? seedId.slice("seed:".length) : "";
  const dot = rest.lastIndexOf(".");
  const [site, n] = seedsPerSite === 1 ? [rest, 1] : [rest.slice(0, Math.max(0, dot)), Number(rest.slice(dot + 1))];
  if (!seedSites(state.host).some((each) => each.site === site)) return locatePruneSeed(state, seedId);
  const canonical = Number.isInteger(n) && n >= 1 && n <= seedsPerSite && seedIdAt(site, n, seedsPerSite) === seedId;
  return canonical ? { site, n } : locatePruneSeed(state, seedId);
};

const locatePruneSeed = ({ host, setup }: KasminaRunState, seedId: string): SeedPlace | undefined => {
  const site = setup.config.pruning.enabled ? seedSites(host).find((each) => pruneSeedId(each.site) === seedId)?.site : undefined;
  return site === undefined ? undefined : { site, n: 0 };
};

/** Row of a seed in the shared seed-state table. */
export const seedRow = (state: KasminaRunState, seedId: string): number | undefined => {
  const place = locateSeed(state, seedId);
  if (place === undefined) return undefined;
  const sites = seedSites(state.host);
  const { seedsPerSite } = state.setup.config;
  const site = sites.findIndex((each) => each.site === place.site);
  return place.n === 0 ? sites.length * seedsPerSite + site : site * seedsPerSite + place.n - 1;
};

/** A seed's snapshot, fresh when it was never touched. */
export const seedSnapshot = (state: KasminaRunState, seedId: string): SeedSnapshot => {
  const { runId, config, epochSteps } = state.setup;
  const persisted = state.seeds[seedId];
  return persisted === undefined
    ? startSeed({ runId, seedId, site: locateSeed(state, seedId)?.site ?? seedId, config, epochSteps })
    : restoreSeed(persisted, { config, epochSteps });
};

/** The seeds of a site that have an entry, and the first that has none. */
export const shownSeeds = (state: KasminaRunState, site: string): readonly string[] => {
  const { seedsPerSite } = state.setup.config;
  const shown: string[] = [];
  for (let n = 1; n <= seedsPerSite; n += 1) {
    const seedId = seedIdAt(site, n, seedsPerSite);
    shown.push(seedId);
    if (state.seeds[seedId] === undefined) break;
  }
  return shown;
};

/** FLOPs that a new trial may use: what is left of the trials' share, and of the run. */
export const trialFlopsLeft = (state: KasminaRunState): number => {
  const { flopsMax, config } = state.setup;
  const share = config.budget.flopsFractionMax * flopsMax - trialFlopsUsed(state.flops);
  return Math.max(0, Math.min(share, flopsMax - (state.flops?.total ?? 0)));
};

export const parametersLeft = (state: KasminaRunState): number =>
  Math.max(0, state.setup.config.budget.parametersMax - state.parametersAdded);

export const isLegalSpan = (host: HostSummary, span: Span): boolean =>
  findSite(host, span.fromSite)?.legalTargets.includes(span.toSite) ?? false;

/** Where a bypass from a site ends when nobody says: the legal span of the largest energy in the last signal, else the nearest legal target. */
export const defaultTarget = (state: KasminaRunState, site: string): string | undefined => {
  const spans = (state.signal?.spans ?? []).filter((each) => each.fromSite === site && isLegalSpan(state.host, each));
  const best = spans.reduce<SpanEnergy | undefined>((a, b) => (a === undefined || b.energy > a.energy ? b : a), undefined);
  return best?.toSite ?? state.host.sites.find((each) => isLegalSpan(state.host, { fromSite: site, toSite: each.site }))?.site;
};

/** Why a part may not be tried without; undefined when it may. */
export const pruneProblem = ({ host, setup: { config } }: KasminaRunState, target: PruneTarget): string | undefined => {
  const site = seedSites(host).find((each) => each.site === target.site);
  if (site === undefined) return `${target.site} is no hidden layer of this host`;
  if (config.base === "frozen") return "the base is frozen: nothing of it may go";
  if (config.trigger.exclude.includes(target.site)) return `${target.site} is excluded by morphogenetic.trigger.exclude`;
  if (target.kind === "bypass") return undefined;
  const { units, constants } = target;
  const most = Math.min(site.width - 1, Math.floor(config.pruning.unitsFractionMax * site.width));
  if (units.length > most)
    return `${units.length} units would go, at most ${most} of ${site.width} (morphogenetic.pruning.unitsFractionMax)`;
  if (new Set(units).size < units.length || units.some((unit) => unit >= site.width))
    return `expected each unit once and below ${site.width}, got ${units.slice(0, 8).join(", ")}`;
  return constants.length === 0 || constants.length === units.length
    ? undefined
    : `expected a constant for each of ${units.length} units or none, got ${constants.length}`;
};

/** What gate 0 looks at for a bypass, or for a pruning. */
export const germinationFacts = (
  state: KasminaRunState,
  span: Span,
  cost: { readonly parameters: number; readonly flops: number } | undefined,
  counted: { readonly lockHolder: string | null; readonly adaptations: number },
  prune?: PruneTarget,
): GerminationFacts => ({
  siteKnown: seedSites(state.host).some((each) => each.site === span.fromSite),
  spanLegal:
    prune === undefined
      ? isLegalSpan(state.host, span) || isReplaceable(state.host, span)
      : pruneProblem(state, prune) === undefined,
  parameters: cost?.parameters,
  parametersLeft: parametersLeft(state),
  flops: cost?.flops,
  flopsLeft: trialFlopsLeft(state),
  lockHolder: counted.lockHolder,
  embargoUntilEpoch: state.embargoes[span.fromSite] ?? 0,
  adaptations: counted.adaptations,
  adaptationsMax: state.setup.config.adaptationsPerEpochMax,
});
