/**
 * What Kasmina knows of one run, as plain JSON: the host, the seeds that left their first state, the lock, budgets and what is owed to the lane.
 *
 * A seed that was never touched has no entry: a hundred thousand dormant seeds cost nothing to copy or store.
 */
import type { FieldReport } from "../contracts/assets.ts";
import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import type { BudgetAmounts } from "../contracts/budget.ts";
import { concernsRun, type Holds, type KasminaControlCommand } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { FlopsAccount } from "../contracts/measure.ts";
import type { OptimizerConfig } from "../contracts/optimizer.ts";
import type { BoundaryAction, EpochPlan, HostSummary, SiteSummary } from "../contracts/plan.ts";
import type { Policy, PolicyInForce } from "../contracts/policy.ts";
import { type PruneTarget, pruneSeedId } from "../contracts/pruning.ts";
import type { LayerSignal, SpanEnergy } from "../contracts/signal.ts";
import { findSite } from "../contracts/trial.ts";
import type { Span } from "./seed-context.ts";
import type { PersistedSeed, SeedSnapshot } from "./seed-machine.ts";
import { restoreSeed, startSeed } from "./seed-machine.ts";

/** Commands accepted and waiting for their boundary. */
export const pendingCommandsMax = 64;
/** Field reports of kept seeds; the event log has them all. */
export const keptReportsMax = 256;

/** What a run begins with. Of it only `config` changes, when a policy is put in force. */
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
  /** The policy that the configuration makes; left out where nobody may load another. */
  readonly policy?: PolicyInForce;
}

type Of<K extends KasminaControlCommand["kind"]> = Extract<KasminaControlCommand, { kind: K }>;

/** What is asked of the run and changes nothing. */
export const runQueries = ["status", "escalations", "budget", "seeds", "seed", "layers", "layer", "policy"] as const;
export type RunQuery = Of<(typeof runQueries)[number]>;
/** A germination that says what to grow: a blueprint that was named by its hash has been looked up. */
export type Germination = Omit<Of<"germinate">, "blueprint"> & { readonly blueprint?: BlueprintRequest | undefined };
/** A policy that comes along, with its hash. */
export type PolicyLoad = Omit<Of<"policy_load">, "policy" | "hash"> & { readonly policy: Policy; readonly hash: string };

/** A change of the policy, with what it makes of the policy to come, as that was known when it was accepted. */
export type PolicyUpdate = Of<"policy_update"> & { readonly policy: Policy; readonly hash: string };

/** What waits for a boundary. */
export type PendingCommand =
  | Germination
  | PolicyLoad
  | PolicyUpdate
  | Of<
      | "cull"
      | "rollback"
      | "release"
      | "resolve"
      | "pause"
      | "resume"
      | "pin"
      | "unpin"
      | "limit"
      | "veto"
      | "stop"
      | "load_kernel"
      | "unload_kernel"
      | "checkpoint"
    >;

/** Kernels that commands brought into the lane's cache, and those that wait to be. */
export const cachedKernelsMax = 64;
/** Of those that wait for one boundary. */
export const cacheCommandsMax = 8;

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
  /** Left out while nothing is held still. */
  readonly holds?: Holds;
  /** Limits that were set while the run went on; they take the place of the configuration's. */
  readonly limits?: BudgetAmounts;
  /** Time of windows, and of those that were for a trial; counted from when seconds are limited. */
  readonly spent?: { readonly flops: number; readonly runMs: number; readonly trialMs: number };
  /** Left out while the configuration's is in force. */
  readonly policy?: PolicyInForce;
  /** Kernels that commands brought into the lane's cache. Left out when there are none. */
  readonly cachedKernels?: readonly { readonly site: string; readonly hash: string }[];
  /** A checkpoint was asked for. */
  readonly checkpointDue?: boolean;
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

/** A run that was stopped or paused goes on where it was, in a lane whose cache is cold; what waits to change the seeds still waits. */
export const reviveRun = ({ cachedKernels: _, ...state }: KasminaRunState): KasminaRunState => ({
  ...state,
  stopReason: null,
  paused: false,
  pending: state.pending.filter((command) => command.kind !== "stop" && !pausesRun(command)),
});

const pausesRun = (command: PendingCommand): boolean =>
  (command.kind === "pause" || command.kind === "resume") && concernsRun(command);

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

/** The policy as the commands that wait will have left it; undefined where there is none that could be changed. */
export const policyToCome = ({ pending, policy, setup }: KasminaRunState): Policy | undefined =>
  pending.findLast((each) => each.kind === "policy_load" || each.kind === "policy_update")?.policy ??
  policy?.policy ??
  setup.policy?.policy;
